/** The interpreter in memory, as the laws want it. */
import { ByteString as B } from '@shim-recovery/core';
import type { SocketName } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import * as Entry from '../../src/memory/Entry.js';
import type { MemoryProcess } from '../../src/memory/MemoryProcesses.js';
import { running } from '../../src/worlds/Shim.js';
import { makeStores } from '../../src/memory/MemoryStores.js';
import { make } from '../../src/simulation/LaidWorld.js';
import type { FileArea } from '../../src/laws/FileSystemLaws.js';
import type { MountArea } from '../../src/laws/MountLaws.js';
import type { MadeDirectory, ProcessesArea, StartedProcess } from '../../src/laws/ProcessesLaws.js';
import type { ShimArea } from '../../src/laws/ShimConnectorLaws.js';
import type { Records, StoreArea } from '../../src/laws/StoreLaws.js';
import { listTree, type Machine, makeDirectories, makeEntry, makeMachine } from '../../src/memory/Machine.js';

const nothing = async (): Promise<void> => undefined;

const fileAreaOf = ({ fileSystem, tree }: Machine): FileArea => {
  const base = '/area/base';
  makeDirectories(tree, B.fromText(base));
  return {
    fileSystem,
    base,
    make: async (making) => make(tree)(making),
    list: async () => listTree(tree, B.fromText(base)),
    canMount: true,
    giveTo: async (path, uid) => Entry.giveTo(makeDirectories(tree, B.fromText(path)), uid),
    dispose: nothing,
  };
};

export const openFileArea = async (): Promise<FileArea> => fileAreaOf(makeMachine());

export const openMountArea = async (): Promise<MountArea> => {
  const machine = makeMachine();
  return {
    ...fileAreaOf(machine),
    mounts: machine.capabilities.mounts,
    release: async () => {
      for (const mounted of machine.tree.mounts()) mounted.isBusy = false;
    },
  };
};

export const openStores = async ({ containers, sandboxes }: Records): Promise<StoreArea> => {
  const stores = makeStores();
  const key = ({ namespace, id }: { readonly namespace: string; readonly id: string }) => ({
    namespace: B.fromText(namespace),
    id: B.fromText(id),
  });
  for (const container of containers) stores.putContainer(key(container), B.fromText(container.runtimeName));
  for (const sandbox of sandboxes) stores.putSandbox(key(sandbox));
  return { ...stores, dispose: nothing };
};

export const openProcessesArea = async (): Promise<ProcessesArea> => {
  const { processes, clock, tree, fileSystem, shims } = makeMachine();
  let made = 0;
  const words = (...all: ReadonlyArray<string>): ReadonlyArray<B.ByteString> => all.map(B.fromText);
  const asStarted = ({ pid, end }: MemoryProcess): StartedProcess => ({ pid, end: async () => end() });
  const entryAt = (path: string) => {
    const found = tree.walk(B.fromText(path));
    if (E.isLeft(found)) throw new Error(`${path}: ${found.left}`);
    return found.right;
  };
  const inside = (directory: MadeDirectory | undefined) =>
    directory === undefined ? {} : { currentDirectory: entryAt(directory.path) };
  return {
    processes,
    clock,
    startShim: async ({ namespace, id }, { directory, withoutId = false } = {}) => {
      const named = withoutId ? [] : [B.fromText('-id'), id];
      const commandLine = [...words('shim', '-namespace'), namespace, ...named];
      return asStarted(processes.start({ commandLine, ...inside(directory) }));
    },
    startInContainer: async ({ namespace, id }) =>
      asStarted(processes.start({ cgroups: [B.concat(B.fromText('/'), namespace, B.fromText('/'), id)] })),
    startListener: async (kind) => {
      const path = B.fromText(`/s/${made++}`);
      const name: SocketName = kind === 'Path' ? { _tag: 'Path', path } : { _tag: 'Abstract', name: path };
      if (kind === 'Path') makeEntry(tree, path, { kind: 'socket', mode: 0o600 });
      shims.listen(name, running);
      const process = processes.start({ listensAt: name });
      return {
        pid: process.pid,
        name,
        removeName: async () => tree.remove(entryAt(B.toText(path))),
        end: async () => shims.kill(name),
      };
    },
    startThreads: async (directory) => {
      const process = processes.start({ ...inside(directory), commandLine: words('threads'), threads: 2 });
      return { ...asStarted(process), endMainThread: async () => process.endMainThread() };
    },
    makeDirectory: async () => {
      const path = `/d/${made++}`;
      const entry = makeDirectories(tree, B.fromText(path));
      const move = async (): Promise<void> =>
        Entry.move(entry, makeDirectories(tree, B.fromText('/d')), B.fromText(`${made++}`));
      return { path, ...fileSystem.keyOf(entry), move };
    },
    dispose: nothing,
  };
};

export const openShimArea = async (): Promise<ShimArea> => {
  const { shims, tree, clock } = makeMachine();
  let started = 0;
  return {
    connector: shims,
    clock,
    nowhere: { _tag: 'Path', path: B.fromText('/s/nowhere') },
    start: async (script) => {
      const path = B.fromText(`/s/${started++}`);
      makeEntry(tree, path, { kind: 'socket', mode: 0o600 });
      shims.listen({ _tag: 'Path', path }, script);
      return { _tag: 'Path', path };
    },
    calls: () => shims.calls().map(({ id, call }) => `${B.show(id)}/${call.replace(/^.*\//, '')}`),
    dispose: nothing,
  };
};

/** The interpreter in memory, as the laws want it. */
import * as B from '@shim-recovery/core/ByteString';
import * as Entry from '../../src/Entry.js';
import { makeStores } from '../../src/Stores.js';
import { make } from '../../src/LaidWorld.js';
import type { FileArea } from '../../src/laws/FileSystemLaws.js';
import type { MountArea } from '../../src/laws/MountLaws.js';
import type { ProcessesArea } from '../../src/laws/ProcessesLaws.js';
import type { ShimArea } from '../../src/laws/ShimConnectorLaws.js';
import type { Records, StoreArea } from '../../src/laws/StoreLaws.js';
import { listTree, type Machine, makeDirectories, makeEntry, makeMachine } from '../../src/Machine.js';

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
  const { processes, clock } = makeMachine();
  /** Gives how to end it. */
  const started = (start: (isRunning: () => boolean) => void) => {
    let isRunning = true;
    start(() => isRunning);
    return {
      end: async () => {
        isRunning = false;
      },
    };
  };
  return {
    processes,
    clock,
    startShim: async (key) => started((isRunning) => processes.putShim(key, isRunning)),
    startInContainer: async (key) => started((isRunning) => processes.put(key, () => (isRunning() ? 1 : 0))),
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

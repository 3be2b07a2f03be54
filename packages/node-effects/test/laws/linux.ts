/** The interpreter for Linux, as the laws want it: in directories of its own. */
import * as fs from 'node:fs';
import { connect } from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import type { Policy, Processes } from '@shim-recovery/core/interpreter';
import type { FileArea } from '@shim-recovery/test-effects/laws/FileSystemLaws';
import type { MountArea } from '@shim-recovery/test-effects/laws/MountLaws';
import type { ProcessesArea } from '@shim-recovery/test-effects/laws/ProcessesLaws';
import type { RecoveryArea } from '@shim-recovery/test-effects/laws/RecoveryLaws';
import type { ShimArea } from '@shim-recovery/test-effects/laws/ShimConnectorLaws';
import type { BrokenStore, Records, StoreArea } from '@shim-recovery/test-effects/laws/StoreLaws';
import { isEndedBy } from '@shim-recovery/test-effects/worlds/Outcome';
import { keyOf, processesOf, scriptOf, shimOwner, type World } from '@shim-recovery/test-effects/worlds/World';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as O from 'fp-ts/lib/Option.js';
import { openMetadataStore } from '../../src/stores/bolt/MetadataStore.js';
import { systemClock } from '../../src/linux/LinuxClock.js';
import { ListContainerMessage, StoreGetRequest } from '../../src/stores/ApiMessages.js';
import { openContainerdStore } from '../../src/stores/ContainerdStore.js';
import { linuxFileSystem } from '../../src/linux/LinuxFileSystem.js';
import { linuxCapabilities } from '../../src/interpreter.js';
import { openJsonStore } from '../../src/stores/JsonStore.js';
import { linuxMounts } from '../../src/linux/LinuxMounts.js';
import { linuxProcesses } from '../../src/linux/LinuxProcesses.js';
import { decode, encode } from '../../src/protobuf/Message.js';
import { type ScriptedShim, startScriptedShim } from '../../src/demo/ScriptedShim.js';
import { makeShimConnector } from '../../src/shims/LinuxShimConnector.js';
import { writeMetadata } from '../bolt/writer.js';
import { answers, failsWith, grpcServer, stream, unary } from '../containerd/grpcServer.js';
import {
  type RealProcess,
  startContainerProcess,
  startListener,
  startShimProcess,
  startThreads,
} from '../realProcesses.js';
import { listReal, makeReal, unmountBelow } from '../realTree.js';
import { hurriedClock, layRealWorld, realSettings, type RealWorld } from '../recordings/layRealWorld.js';
import { isRoot, right } from '../temporary.js';

const emptyDirectory = (): string => fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'sr-law-')));

const discard = (base: string): void => {
  unmountBelow(base);
  fs.rmSync(base, { recursive: true, force: true });
};

export const openMountArea = async (): Promise<MountArea> => {
  const base = emptyDirectory();
  const held: Array<number> = [];
  const release = async (): Promise<void> => {
    for (const descriptor of held.splice(0)) fs.closeSync(descriptor);
  };
  return {
    fileSystem: linuxFileSystem,
    mounts: linuxMounts,
    base,
    make: async (making) => {
      makeReal(making);
      if (making._tag === 'Tmpfs' && making.isBusy) held.push(fs.openSync(making.path, 'r'));
    },
    list: async () => listReal(base),
    canMount: isRoot,
    ...(isRoot ? { giveTo: async (there, uid) => fs.chownSync(there, uid, uid) } : {}),
    release,
    dispose: async () => {
      await release();
      discard(base);
    },
  };
};

export const openProcessesArea = async (): Promise<ProcessesArea> => {
  const started: Array<RealProcess> = [];
  const base = emptyDirectory();
  const kept = <A extends RealProcess>(process: A): A => {
    started.push(process);
    return process;
  };
  return {
    processes: linuxProcesses,
    clock: systemClock,
    startShim: async (key, how) => kept(await startShimProcess(key, how)),
    startInContainer: async (key) => kept(await startContainerProcess(key)),
    startListener: async (kind) => kept(await startListener(kind, base)),
    startThreads: async ({ path: directory }) => kept(await startThreads(directory)),
    makeDirectory: async () => {
      const made = fs.mkdtempSync(path.join(base, 'd-'));
      const opened = right(await linuxFileSystem.openPath(B.fromText(made))());
      const { device, inode } = right(await linuxFileSystem.identify(opened)());
      await linuxFileSystem.close(opened)();
      return { path: made, device, inode, move: async () => fs.renameSync(made, `${made}-moved`) };
    },
    dispose: async () => {
      for (const process of started) await process.end();
      discard(base);
    },
  };
};

export const openFileArea = (): Promise<FileArea> => openMountArea();

export const openShimArea = async (): Promise<ShimArea> => {
  const base = emptyDirectory();
  const shims: Array<ScriptedShim> = [];
  const socketOf = (name: string) => ({ _tag: 'Path' as const, path: B.fromText(path.join(base, name)) });
  return {
    connector: makeShimConnector(),
    clock: systemClock,
    nowhere: socketOf('nowhere'),
    start: async (script) => {
      const name = String(shims.length);
      shims.push(right(await startScriptedShim({ socketPath: path.join(base, name), script })()));
      return socketOf(name);
    },
    calls: () =>
      shims.flatMap((shim) => shim.calls().map(({ task, call }) => `${B.show(task)}/${call.replace(/^.*\//, '')}`)),
    dispose: async () => {
      for (const shim of shims) await shim.stop();
      discard(base);
    },
  };
};

/** containerd's own database, written to a file, with sandboxes at the root of it or below `v1`. */
export const openMetadata =
  (sandboxRecords: 'root' | 'v1') =>
  async (records: Records): Promise<StoreArea> => {
    const base = emptyDirectory();
    const file = path.join(base, 'meta.db');
    fs.writeFileSync(file, writeMetadata(records, sandboxRecords));
    const { stores, close } = right(openMetadataStore(file, { locking: 'shared' }));
    return {
      containerStore: stores,
      sandboxStore: stores,
      dispose: async () => {
        close();
        discard(base);
      },
    };
  };

/** The same records as a JSON file. */
export const openJson = async ({ containers, sandboxes }: Records): Promise<StoreArea> => {
  const base = emptyDirectory();
  const file = path.join(base, 'store.json');
  const names = [...new Set([...containers, ...sandboxes].map(({ namespace }) => namespace))];
  const own = <A extends { readonly namespace: string }>(all: ReadonlyArray<A>, name: string) =>
    all.filter(({ namespace }) => namespace === name);
  const namespaces = names.map((name) => [
    name,
    {
      containers: Object.fromEntries(
        own(containers, name).map(({ id, runtimeName }) => [id, { runtime: runtimeName }]),
      ),
      sandboxes: own(sandboxes, name).map(({ id }) => id),
    },
  ]);
  const text = JSON.stringify({ schema: 'shim-recovery/store@1', namespaces: Object.fromEntries(namespaces) });
  fs.writeFileSync(file, text);
  const stores = right(openJsonStore(file));
  return { containerStore: stores, sandboxStore: stores, dispose: async () => discard(base) };
};

/** A daemon that runs, and is asked. */
export const openDaemon = async ({ containers, sandboxes }: Records): Promise<StoreArea> => {
  const namespaceOf = (namespaces: Readonly<Record<string, unknown>>): unknown => namespaces['containerd-namespace'];
  const server = await grpcServer({
    '/containerd.services.containers.v1.Containers/ListStream': stream(({ namespaces }) =>
      answers(
        ...containers
          .filter(({ namespace }) => namespace === namespaceOf(namespaces))
          .map(({ id, runtimeName }) =>
            encode(ListContainerMessage)({
              container: O.some({ id: B.fromText(id), runtime: O.some({ name: B.fromText(runtimeName) }) }),
            }),
          ),
      ),
    ),
    '/containerd.services.sandbox.v1.Store/Get': unary(({ namespaces, payload }) => {
      const { sandboxId } = right(decode(StoreGetRequest)(payload));
      const isThere = sandboxes.some(
        ({ namespace, id }) => namespace === namespaceOf(namespaces) && B.fromText(id) === sandboxId,
      );
      return isThere ? answers(new Uint8Array()) : failsWith(5, 'not found');
    }),
  });
  const store = openContainerdStore({ socketPath: server.path, timeoutMs: 5_000 });
  return { containerStore: store.stores, sandboxStore: store.stores, dispose: async () => store.close() };
};

/** Daemons that cannot answer. */
export const brokenDaemons: ReadonlyArray<BrokenStore> = [
  {
    why: 'the daemon is gone',
    open: async () => {
      const store = openContainerdStore({ socketPath: '/nowhere/containerd.sock', timeoutMs: 1_000 });
      return { containerStore: store.stores, sandboxStore: store.stores, dispose: async () => store.close() };
    },
  },
  {
    why: 'the daemon refuses',
    open: async () => {
      const refusal = (): ReturnType<typeof failsWith> => failsWith(7, 'permission denied');
      const server = await grpcServer({
        '/containerd.services.containers.v1.Containers/ListStream': stream(refusal),
        '/containerd.services.containers.v1.Containers/List': unary(refusal),
        '/containerd.services.sandbox.v1.Store/Get': unary(refusal),
      });
      const store = openContainerdStore({ socketPath: server.path, timeoutMs: 5_000 });
      return { containerStore: store.stores, sandboxStore: store.stores, dispose: async () => store.close() };
    },
  },
];

const daemon = {
  address: '/nowhere/containerd.sock',
  publishBinary: '/usr/bin/containerd',
};

const isListening = (socketPath: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });

interface WorldProcesses {
  readonly processes: Processes;
  readonly end: () => Promise<void>;
}

/**
 * The processes of a world, as `/proc` shows them: of each shim that listens, and of each task that nobody has ended. Those
 * of other worlds have the same names.
 */
const startProcesses = async (world: World, laid: RealWorld): Promise<WorldProcesses> => {
  const started: Array<RealProcess & { readonly isOver: () => Promise<boolean> }> = [];
  const end = async (): Promise<void> => {
    for (const process of started) await process.end();
  };
  try {
    for (const start of world.entries) {
      const key = keyOf(start);
      for (let nth = 0; nth < processesOf(world)(start); nth++)
        started.push({ ...(await startContainerProcess(key)), isOver: async () => isEndedBy(key)(laid.done()) });
      if (shimOwner(world)(start) !== start || scriptOf(world)(start)?.mode !== 'serve') continue;
      const socket = laid.places.socketOf(start);
      started.push({ ...(await startShimProcess(key)), isOver: async () => !(await isListening(socket)) });
    }
  } catch (error) {
    await end();
    throw error;
  }
  // The sockets of the shims are those of this process.
  const own = new Set([process.pid, ...started.map(({ pid }) => pid)]);
  const list: Processes['list'] = async () => {
    for (const process of started) if (await process.isOver()) await process.end();
    return pipe(
      await linuxProcesses.list(),
      E.map((all) => all.filter(({ pid }) => own.has(pid))),
    );
  };
  return { processes: { ...linuxProcesses, list }, end };
};

/** A world on this machine. Whoever does not answer is waited for less long than by a daemon. */
export const layOnLinux =
  (policy: Policy) =>
  async (world: World): Promise<RecoveryArea> => {
    const laid = await layRealWorld(world, policy);
    const { stores, close } = right(openMetadataStore(laid.store, { locking: 'shared' }));
    const before = laid.list();
    const { processes, end } =
      policy.death === 'every-source'
        ? await startProcesses(world, laid)
        : { processes: linuxProcesses, end: async () => undefined };
    return {
      capabilities: { ...linuxCapabilities({ store: stores, daemon }), clock: hurriedClock, processes },
      settings: realSettings(laid, policy),
      places: laid.places,
      list: async () => laid.list(),
      observe: async (registered) => laid.observe(before, registered),
      dispose: async () => {
        close();
        await end();
        await laid.cleanUp();
      },
    };
  };

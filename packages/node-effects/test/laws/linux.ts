/** The interpreter for Linux, as the laws want it: in directories of its own. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import * as B from '@shim-recovery/core/ByteString';
import type { Policy } from '@shim-recovery/core/Policy';
import type { FileArea } from '@shim-recovery/test-effects/laws/FileSystemLaws';
import type { MountArea } from '@shim-recovery/test-effects/laws/MountLaws';
import type { RecoveryArea } from '@shim-recovery/test-effects/laws/RecoveryLaws';
import type { ShimArea } from '@shim-recovery/test-effects/laws/ShimConnectorLaws';
import type { BrokenStore, Records, StoreArea } from '@shim-recovery/test-effects/laws/StoreLaws';
import type { World } from '@shim-recovery/test-effects/World';
import * as O from 'fp-ts/lib/Option.js';
import { openMetadataStore } from '../../src/bolt/MetadataStore.js';
import { systemClock } from '../../src/Clock.js';
import { ListContainerMessage, StoreGetRequest } from '../../src/containerd/ApiMessages.js';
import { openContainerdStore } from '../../src/containerd/ContainerdStore.js';
import { linuxFileSystem } from '../../src/FileSystem.js';
import { linuxCapabilities } from '../../src/interpreter.js';
import { openJsonStore } from '../../src/JsonStore.js';
import { linuxMounts } from '../../src/Mounts.js';
import { decode, encode } from '../../src/protobuf/Message.js';
import { type ScriptedShim, startScriptedShim } from '../../src/ScriptedShim.js';
import { makeShimConnector } from '../../src/ShimConnector.js';
import { writeMetadata } from '../bolt/writer.js';
import { answers, failsWith, grpcServer, stream, unary } from '../containerd/grpcServer.js';
import { listReal, makeReal, unmountBelow } from '../realTree.js';
import { hurriedClock, layRealWorld, realSettings } from '../recordings/layRealWorld.js';
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
    release,
    dispose: async () => {
      await release();
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
  address: B.fromText('/nowhere/containerd.sock'),
  ttrpcAddress: B.fromText('/nowhere/containerd.sock.ttrpc'),
  publishBinary: B.fromText('/usr/bin/containerd'),
  debug: false,
};

/** A world on this machine. Whoever does not answer is waited for less long than by a daemon. */
export const layOnLinux =
  (policy: Policy) =>
  async (world: World): Promise<RecoveryArea> => {
    const laid = await layRealWorld(world, policy);
    const { stores, close } = right(openMetadataStore(laid.store, { locking: 'shared' }));
    const before = laid.list();
    return {
      capabilities: { ...linuxCapabilities({ store: stores, daemon }), clock: hurriedClock },
      settings: realSettings(laid, policy),
      places: laid.places,
      list: async () => laid.list(),
      observe: async (registered) => laid.observe(before, registered),
      dispose: async () => {
        close();
        await laid.cleanUp();
      },
    };
  };

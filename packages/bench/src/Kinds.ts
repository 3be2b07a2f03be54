/** The kinds of hosts that are measured: how a bundle of each is laid, and the bare loop that does what becomes of it. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as Native from '@shim-recovery/node-effects/native/Native';
import * as E from 'fp-ts/lib/Either.js';
import { askShim } from './askShim.js';

/** Where one world stands. The names of the plugin directories are containerd's, so that it takes them for its own. */
export interface Places {
  readonly base: string;
  readonly state: string;
  readonly root: string;
  readonly sockets: string;
  readonly program: string;
}

const plugin = 'io.containerd.runtime.v2.task';

export const namespace = 'default';

export const placesIn = (base: string): Places => ({
  base,
  state: path.join(base, 'run', plugin),
  root: path.join(base, 'lib', plugin),
  sockets: path.join(base, 's'),
  program: path.join(base, 'shim'),
});

const idOf = (index: number): string => `b${String(index).padStart(5, '0')}`;

export const bundleOf = ({ state }: Places, index: number): string => path.join(state, namespace, idOf(index));

const workOf = ({ root }: Places, index: number): string => path.join(root, namespace, idOf(index));

export const socketOf = ({ sockets }: Places, index: number): string => path.join(sockets, idOf(index));

interface Outcome {
  readonly counted: 'adopt' | 'discard' | 'cleanUp' | 'workDirsRemoved';
  readonly said: string;
}

const adopted: Outcome = { counted: 'adopt', said: 'adopted' };

const discarded: Outcome = { counted: 'discard', said: 'discarded' };

const cleanedUp: Outcome = { counted: 'cleanUp', said: 'cleaned up' };

/** How the shims of a kind behave; absent where nobody listens. */
type Shims = { readonly afterMs: number } | 'hang';

export interface Kind {
  readonly name: string;
  readonly what: string;
  /** What a recovery makes of every one: where its report counts that, and what it calls it. */
  readonly becomes: Outcome;
  /** How many there are: the size that is compared with containerd first, then those that show how it grows. */
  readonly sizes: ReadonlyArray<number>;
  readonly shims?: Shims;
  /** What is mounted on or made in every bundle afterwards, by one program for all. */
  readonly has?: 'mounts' | 'logs';
  readonly lay: (places: Places, index: number) => void;
  /** The same system calls in a bare loop, one bundle at a time; absent where waiting, or another program, is what costs. */
  readonly floor?: (places: Places, index: number) => void | Promise<void>;
  /** How many of them go on at once, as many as they do in a recovery. */
  readonly floorAtOnce?: number;
}

/** What containerd leaves of every bundle. */
const layBundle = (places: Places, index: number): void => {
  const bundle = bundleOf(places, index);
  fs.mkdirSync(path.join(bundle, 'rootfs'), { recursive: true });
  fs.mkdirSync(workOf(places, index), { recursive: true });
  fs.symlinkSync(workOf(places, index), path.join(bundle, 'work'));
  fs.writeFileSync(path.join(bundle, 'config.json'), '{"ociVersion":"1.0.2"}');
};

const layShimBundle = (places: Places, index: number): void => {
  layBundle(places, index);
  const bundle = bundleOf(places, index);
  fs.writeFileSync(path.join(bundle, 'address'), `unix://${socketOf(places, index)}`);
  fs.writeFileSync(path.join(bundle, 'shim-binary-path'), places.program);
};

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR } = fs.constants;

const directoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK;

/** The answer of a call, which must not fail: whoever does something else than is measured is not measured. */
const of = <A>(call: string, outcome: E.Either<string, A>): A => {
  if (E.isLeft(outcome)) throw new Error(`${call}: ${outcome.left}`);
  return outcome.right;
};

/** The namespace's directories, opened once. */
const opened = new Map<string, number>();

const namespaceIn = (root: string): number => {
  const known = opened.get(root);
  if (known !== undefined) return known;
  const descriptor = open(Native.AT_FDCWD, path.join(root, namespace));
  opened.set(root, descriptor);
  return descriptor;
};

const open = (directory: number, name: string, flags = directoryFlags): number =>
  of('openat', Native.openAt(directory, name, flags));

/** Opens a directory, asks which one it is, and does something in it. */
const within = (directory: number, name: string, use: (directory: number) => void): void => {
  const descriptor = open(directory, name);
  of('fstat', Native.fstat(descriptor));
  use(descriptor);
  Native.close(descriptor);
};

const list = (directory: number): void => {
  while (of('getdents', Native.readSomeEntries(directory)).length > 0);
};

const bytes = Buffer.allocUnsafe(4096);

/** By one call, where nothing stands behind the dot. */
const removeEmpty = (root: string, name: string): void => {
  const directory = namespaceIn(root);
  Native.lstatAt(directory, `.${name}`);
  of('rmdir', Native.removeDirectoryAt(directory, name));
};

const removeOrphan = (places: Places, index: number): void => {
  within(namespaceIn(places.state), idOf(index), (bundle) => {
    list(bundle);
    of('readlink', Native.readLinkAt(bundle, 'work'));
  });
  removeRootfs(places, index);
  removeAtomically(places.state, idOf(index), ['config.json', 'work']);
  Native.lstatAt(namespaceIn(places.state), idOf(index));
  Native.close(open(Native.AT_FDCWD, path.join(places.root, namespace)));
  removeEmpty(places.root, idOf(index));
};

const removeRootfs = (places: Places, index: number): void =>
  within(namespaceIn(places.state), idOf(index), (bundle) => {
    Native.removeDirectoryAt(bundle, 'rootfs');
  });

/** Renamed behind a dot, where nothing may stand, looked at before and after, then removed with all below. */
const removeAtomically = (root: string, name: string, files: ReadonlyArray<string>): void => {
  const directory = namespaceIn(root);
  const aside = `.${name}`;
  Native.lstatAt(directory, name);
  of('rename', Native.renameAtNoReplace(directory, name, directory, aside));
  Native.lstatAt(directory, aside);
  const descriptor = open(directory, aside);
  list(descriptor);
  for (const file of files) of('unlink', Native.unlinkAt(descriptor, file));
  Native.close(descriptor);
  of('rmdir', Native.removeDirectoryAt(directory, aside));
};

/** Unmounted in a thread, until nothing is. */
const removeMountedOrphan = async (places: Places, index: number): Promise<void> => {
  const rootfs = path.join(bundleOf(places, index), 'rootfs');
  while (E.isRight(await Native.umount2(rootfs, Native.UMOUNT_NOFOLLOW)()));
  removeOrphan(places, index);
};

/** What a shim costs: its bundle is read, its log held open, and it is asked two questions. */
const askLiveShim = async (places: Places, index: number): Promise<void> => {
  within(namespaceIn(places.state), idOf(index), (bundle) => {
    list(bundle);
    readWhole(bundle, 'shim-binary-path');
    readWhole(bundle, 'address');
    of('readlink', Native.readLinkAt(bundle, 'work'));
  });
  within(namespaceIn(places.state), idOf(index), (bundle) => {
    const held = open(bundle, 'log', Native.O_PATH);
    of('fstat', Native.fstat(held));
    open(Native.AT_FDCWD, `/proc/self/fd/${held}`, O_RDWR | O_NONBLOCK);
    Native.close(held);
  });
  await askShim(socketOf(places, index));
};

const readWhole = (directory: number, name: string): void => {
  const descriptor = open(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  const { sizeBytes } = of('fstat', Native.fstat(descriptor));
  while (![0, sizeBytes].includes(of('read', Native.read(descriptor, bytes))));
  Native.close(descriptor);
};

export const kinds: ReadonlyArray<Kind> = [
  {
    name: 'live',
    what: 'live shims',
    becomes: adopted,
    sizes: [500, 10, 100, 1_000, 10_000],
    shims: { afterMs: 0 },
    has: 'logs',
    lay: layShimBundle,
    floor: askLiveShim,
    floorAtOnce: 32,
  },
  {
    name: 'slow',
    what: 'live shims that answer after 10 ms',
    becomes: adopted,
    sizes: [200],
    shims: { afterMs: 10 },
    has: 'logs',
    lay: layShimBundle,
  },
  {
    name: 'empty',
    what: 'empty bundles',
    becomes: discarded,
    sizes: [2_000, 1_000, 10_000],
    lay: (places, index) => fs.mkdirSync(bundleOf(places, index), { recursive: true }),
    floor: (places, index) => {
      within(namespaceIn(places.state), idOf(index), list);
      Native.lstatAt(namespaceIn(places.state), idOf(index));
      removeEmpty(places.state, idOf(index));
    },
  },
  {
    name: 'orphan',
    what: 'bundles without a container',
    becomes: discarded,
    sizes: [1_000, 10_000],
    lay: layBundle,
    floor: removeOrphan,
  },
  {
    name: 'mounted',
    what: 'the same with a mounted rootfs',
    becomes: discarded,
    sizes: [300, 1_000, 4_000],
    has: 'mounts',
    lay: layBundle,
    floor: removeMountedOrphan,
    floorAtOnce: 32,
  },
  {
    name: 'stale',
    what: 'stale working directories',
    becomes: { counted: 'workDirsRemoved', said: 'working directories removed' },
    sizes: [2_000, 1_000, 10_000],
    lay: (places, index) => fs.mkdirSync(workOf(places, index)),
    floor: (places, index) => {
      of('rmdir', Native.removeDirectoryAt(namespaceIn(places.root), idOf(index)));
    },
  },
  {
    name: 'dead',
    what: 'dead shims with a shell script as binary',
    becomes: cleanedUp,
    sizes: [200],
    has: 'logs',
    lay: layShimBundle,
  },
  {
    name: 'hung',
    what: 'shims that never answer',
    becomes: cleanedUp,
    sizes: [1_000],
    shims: 'hang',
    has: 'logs',
    lay: layShimBundle,
  },
];

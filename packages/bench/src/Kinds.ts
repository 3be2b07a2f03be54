/** The kinds of hosts that are measured: how a bundle of each is laid, and the bare loop that does what becomes of it. */
import * as fs from 'node:fs';
import * as path from 'node:path';
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

/** How the shims of a kind behave; absent where nobody listens. */
type Shims = { readonly afterMs: number } | 'hang';

export interface Kind {
  readonly name: string;
  readonly what: string;
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
const O_PATH = 0o10000000;

const openDirectory = (directory: string): number =>
  fs.openSync(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);

/** The namespace's directories, opened once. */
const opened = new Map<string, number>();
const inNamespace = (root: string, name: string): string => {
  const directory = path.join(root, namespace);
  const descriptor = opened.get(directory) ?? openDirectory(directory);
  opened.set(directory, descriptor);
  return `/proc/self/fd/${descriptor}/${name}`;
};

const isThere = (entry: string): boolean => fs.lstatSync(entry, { throwIfNoEntry: false }) !== undefined;

/** Opens a directory, asks which one it is, and does something in it. */
const within = (directory: string, use: (at: string) => void): void => {
  const descriptor = openDirectory(directory);
  fs.fstatSync(descriptor);
  use(`/proc/self/fd/${descriptor}`);
  fs.closeSync(descriptor);
};

const list = (at: string): ReadonlyArray<string> => fs.readdirSync(`${at}/.`);

const readWhole = (file: string): void => {
  const descriptor = fs.openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  fs.fstatSync(descriptor);
  const bytes = Buffer.allocUnsafe(4096);
  while (fs.readSync(descriptor, bytes) > 0);
  fs.closeSync(descriptor);
};

/** Renamed behind a dot, where nothing must stand, looked at before and after, then removed with all below. */
const removeAtomically = (root: string, name: string, removeRest: (at: string) => void): void => {
  const [entry, aside] = [inNamespace(root, name), inNamespace(root, `.${name}`)];
  isThere(entry);
  isThere(aside);
  fs.renameSync(entry, aside);
  isThere(aside);
  const descriptor = openDirectory(aside);
  const at = `/proc/self/fd/${descriptor}`;
  list(at);
  removeRest(at);
  fs.closeSync(descriptor);
  fs.rmdirSync(aside);
};

const nothing = (): void => undefined;

const removeRootfs = (places: Places, index: number): void =>
  within(inNamespace(places.state, idOf(index)), (at) => {
    if (isThere(`${at}/rootfs`)) fs.rmdirSync(`${at}/rootfs`);
  });

const removeOrphan = (places: Places, index: number): void => {
  within(inNamespace(places.state, idOf(index)), (at) => {
    list(at);
    fs.readlinkSync(`${at}/work`);
  });
  removeRootfs(places, index);
  removeAtomically(places.state, idOf(index), (at) => {
    for (const name of ['config.json', 'work']) fs.unlinkSync(`${at}/${name}`);
  });
  isThere(inNamespace(places.state, idOf(index)));
  const work = openDirectory(path.join(places.root, namespace));
  fs.closeSync(work);
  removeAtomically(places.root, idOf(index), nothing);
};

/** What a shim costs: its bundle is read, its log held open, and it is asked two questions. */
const askLiveShim = async (places: Places, index: number): Promise<void> => {
  within(inNamespace(places.state, idOf(index)), (at) => {
    list(at);
    readWhole(`${at}/shim-binary-path`);
    readWhole(`${at}/address`);
    fs.readlinkSync(`${at}/work`);
  });
  within(inNamespace(places.state, idOf(index)), (at) => {
    const held = fs.openSync(`${at}/log`, O_PATH);
    fs.fstatSync(held);
    fs.openSync(`/proc/self/fd/${held}`, O_RDWR | O_NONBLOCK);
    fs.closeSync(held);
  });
  await askShim(socketOf(places, index));
};

export const kinds: ReadonlyArray<Kind> = [
  {
    name: 'live',
    what: 'live shims',
    sizes: [500, 10, 100, 1_000, 10_000],
    shims: { afterMs: 0 },
    has: 'logs',
    lay: layShimBundle,
    floor: askLiveShim,
    floorAtOnce: 64,
  },
  {
    name: 'slow',
    what: 'live shims that answer after 10 ms',
    sizes: [200],
    shims: { afterMs: 10 },
    has: 'logs',
    lay: layShimBundle,
  },
  {
    name: 'empty',
    what: 'empty bundles',
    sizes: [2_000, 1_000, 10_000],
    lay: (places, index) => fs.mkdirSync(bundleOf(places, index), { recursive: true }),
    floor: (places, index) => {
      within(inNamespace(places.state, idOf(index)), list);
      removeRootfs(places, index);
      removeAtomically(places.state, idOf(index), nothing);
    },
  },
  {
    name: 'orphan',
    what: 'bundles without a container',
    sizes: [1_000, 10_000],
    lay: layBundle,
    floor: removeOrphan,
  },
  {
    name: 'mounted',
    what: 'the same with a mounted rootfs',
    sizes: [300, 1_000, 4_000],
    has: 'mounts',
    lay: layBundle,
  },
  {
    name: 'stale',
    what: 'stale working directories',
    sizes: [2_000, 1_000, 10_000],
    lay: (places, index) => fs.mkdirSync(workOf(places, index)),
    floor: (places, index) => {
      const entry = inNamespace(places.root, idOf(index));
      within(entry, list);
      fs.rmdirSync(entry);
    },
  },
  {
    name: 'dead',
    what: 'dead shims with a shell script as binary',
    sizes: [200],
    has: 'logs',
    lay: layShimBundle,
  },
  {
    name: 'hung',
    what: 'shims that never answer',
    sizes: [1_000],
    shims: 'hang',
    has: 'logs',
    lay: layShimBundle,
  },
];

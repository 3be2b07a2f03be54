/** The kinds of hosts that are measured: how a bundle of each is laid, and the bare loop that does what becomes of it. */
import * as fs from 'node:fs';
import * as path from 'node:path';

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
const bundleOf = ({ state }: Places, index: number): string => path.join(state, namespace, idOf(index));
const workOf = ({ root }: Places, index: number): string => path.join(root, namespace, idOf(index));
export const socketOf = ({ sockets }: Places, index: number): string => path.join(sockets, idOf(index));

/** How the shims of a kind behave; absent where nobody listens. */
type Shims = { readonly afterMs: number } | 'hang';

export interface Kind {
  readonly name: string;
  readonly what: string;
  readonly shims?: Shims;
  readonly hasMounts?: true;
  readonly lay: (places: Places, index: number) => void;
  /** The system calls that no implementation can do without, one after the other; absent where waiting is what costs. */
  readonly floor?: (places: Places, index: number) => void;
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

const removeWork = (places: Places, index: number): void => {
  const work = workOf(places, index);
  const hidden = path.join(path.dirname(work), `.${idOf(index)}`);
  fs.renameSync(work, hidden);
  fs.readdirSync(hidden);
  fs.rmdirSync(hidden);
};

const removeHidden = (places: Places, index: number, files: ReadonlyArray<string>): void => {
  const bundle = bundleOf(places, index);
  const hidden = path.join(path.dirname(bundle), `.${idOf(index)}`);
  fs.renameSync(bundle, hidden);
  fs.readdirSync(hidden);
  for (const name of files) fs.unlinkSync(path.join(hidden, name));
  fs.rmdirSync(hidden);
};

const look = (places: Places, index: number): void => {
  fs.readdirSync(bundleOf(places, index));
};

const readAll = (file: string): void => {
  const descriptor = fs.openSync(file, 'r');
  const bytes = Buffer.alloc(4096);
  fs.readSync(descriptor, bytes);
  fs.closeSync(descriptor);
};

/** What a shim costs: its two files are read here; the connection and its two answers are the runner's. */
const readShimBundle = (places: Places, index: number): void => {
  look(places, index);
  readAll(path.join(bundleOf(places, index), 'shim-binary-path'));
  readAll(path.join(bundleOf(places, index), 'address'));
};

export const kinds: ReadonlyArray<Kind> = [
  {
    name: 'empty',
    what: 'empty bundles',
    lay: (places, index) => fs.mkdirSync(bundleOf(places, index), { recursive: true }),
    floor: (places, index) => {
      look(places, index);
      removeHidden(places, index, []);
    },
  },
  {
    name: 'orphan',
    what: 'bundles without a container',
    lay: layBundle,
    floor: (places, index) => {
      look(places, index);
      fs.readlinkSync(path.join(bundleOf(places, index), 'work'));
      fs.rmdirSync(path.join(bundleOf(places, index), 'rootfs'));
      removeWork(places, index);
      removeHidden(places, index, ['config.json', 'work']);
    },
  },
  { name: 'mounted', what: 'bundles without a container, with a mounted rootfs', hasMounts: true, lay: layBundle },
  {
    name: 'stale',
    what: 'stale working directories',
    lay: (places, index) => fs.mkdirSync(workOf(places, index)),
    floor: removeWork,
  },
  { name: 'live', what: 'live shims', shims: { afterMs: 0 }, lay: layShimBundle, floor: readShimBundle },
  { name: 'slow', what: 'live shims that answer after 10 ms', shims: { afterMs: 10 }, lay: layShimBundle },
  { name: 'hung', what: 'shims that never answer', shims: 'hang', lay: layShimBundle },
  { name: 'dead', what: 'dead shims with a shell script as binary', lay: layShimBundle },
];

/** Where the mounts of a kind that has them go. */
export const mountPoints = (places: Places, size: number): ReadonlyArray<string> =>
  Array.from({ length: size }, (_, index) => path.join(bundleOf(places, index), 'rootfs'));

/**
 * How a world is laid: its placeholders resolved, and the list of directories, files, links, pipes, sockets
 * and mounts to make, in order. Any interpreter can lay it; nothing here touches a file system.
 */
import * as B from '@shim-recovery/core/ByteString';
import { directory, fifo, file, folderWithFile, busyTmpfs, type Making, symlink, tmpfs } from './Making.js';
import { type BundleStart, keyText, shimOwner, type Start, type World } from './World.js';

/** Where a world stands. Paths are absolute and clean; `socketOf` is short enough for a socket's name. */
export interface Places {
  readonly base: string;
  /** Must be named `bin`: some texts go through `$BIN/../bin`. */
  readonly programs: string;
  readonly socketOf: (start: Start) => string;
}

/** The usual places below a base directory: `state`, `root`, `outside`, `bin`, and `s` for the sockets. */
export const placesBelow =
  (base: string) =>
  (world: World): Places => {
    const sockets = new Map(world.entries.map((start, index) => [keyText(start), `${base}/s/${index}`]));
    return {
      base,
      programs: `${base}/bin`,
      socketOf: (start) => sockets.get(keyText(shimOwner(world)(start) ?? start)) ?? `${base}/s/none`,
    };
  };

const taskDirectory = 'io.containerd.runtime.v2.task';

/** The two root directories that the program is run on. */
export const stateDirectory = ({ base }: Places): string => `${base}/state/${taskDirectory}`;
export const rootDirectory = ({ base }: Places): string => `${base}/root/${taskDirectory}`;

/** Where a case's bundle and its working directory stand. */
export const bundlePath = (places: Places, { ns, id }: Start): string => `${stateDirectory(places)}/${ns}/${id}`;
export const workPath = (places: Places, { ns, id }: Start): string => `${rootDirectory(places)}/${ns}/${id}`;
export const elsewherePath = ({ base }: Places, { id }: Start): string => `${base}/outside/elsewhere-${id}`;
export const volumePath = ({ base }: Places, { id }: Start): string => `${base}/outside/volume-${id}`;

/** The same names with a dot before them: where leftovers of interrupted removals stand. */
export const hiddenBundlePath = (places: Places, { ns, id }: Start): string => `${stateDirectory(places)}/${ns}/.${id}`;
export const hiddenWorkPath = (places: Places, { ns, id }: Start): string => `${rootDirectory(places)}/${ns}/.${id}`;

/** Puts the real paths in the place of `$SOCK`, `$BIN` and `$BASE`. */
export const resolvePlaceholders =
  (places: Places, start: Start) =>
  (text: string): string =>
    text
      .replaceAll('$SOCK', places.socketOf(start))
      .replaceAll('$BIN', places.programs)
      .replaceAll('$BASE', places.base);

/** The reverse, for telling an outcome: the longest path first, since they lie below each other. */
export const insertPlaceholders =
  (places: Places, start: Start) =>
  (text: string): string =>
    text
      .replaceAll(places.socketOf(start), '$SOCK')
      .replaceAll(places.programs, '$BIN')
      .replaceAll(places.base, '$BASE');

const makeWork = (places: Places, start: Start, work: BundleStart['work']): ReadonlyArray<Making> => {
  const link = `${bundlePath(places, start)}/work`;
  const target = workPath(places, start);
  switch (work) {
    case 'link':
      return [symlink(link, target), ...folderWithFile(target)];
    case 'none':
      return [];
    case 'dangling':
      return [symlink(link, target)];
    case 'elsewhere':
      return [symlink(link, elsewherePath(places, start)), ...folderWithFile(elsewherePath(places, start))];
    case 'dir':
      return folderWithFile(link);
  }
};

const makeRootfs = (places: Places, start: Start, kind: BundleStart['rootfs']): ReadonlyArray<Making> => {
  const rootfs = `${bundlePath(places, start)}/rootfs`;
  const volume = volumePath(places, start);
  switch (kind) {
    case 'empty':
      return [directory(rootfs)];
    case 'none':
      return [];
    case 'nonempty':
      return folderWithFile(rootfs, 'data');
    case 'symlink':
      return [symlink(rootfs, `${places.base}/outside/rf`)];
    case 'symlink-tmpfs':
      return [symlink(rootfs, volume), tmpfs(volume), file(`${volume}/inside`)];
    case 'tmpfs':
      return [tmpfs(rootfs), file(`${rootfs}/inside`)];
    case 'tmpfs-nested':
      return [tmpfs(rootfs), file(`${rootfs}/inside`), tmpfs(`${rootfs}/n`), tmpfs(`${rootfs}/n/m`)];
    case 'tmpfs-stacked':
      return [tmpfs(rootfs), file(`${rootfs}/below`), tmpfs(rootfs), file(`${rootfs}/inside`)];
    case 'tmpfs-busy':
      return [busyTmpfs(rootfs), file(`${rootfs}/inside`)];
  }
};

const makeLog = (log: string, kind: BundleStart['log']): ReadonlyArray<Making> => {
  switch (kind) {
    case 'fifo':
      return [fifo(log)];
    case 'none':
      return [];
    case 'file':
      return [file(log)];
    case 'dir':
      return [directory(log)];
  }
};

const makeBundle = (places: Places, start: Start): ReadonlyArray<Making> => {
  const bundle = bundlePath(places, start);
  switch (start.bundle) {
    case undefined:
      return [];
    case 'empty':
      return [directory(bundle)];
    case 'file':
      return [file(bundle)];
    case 'symlink':
      return [symlink(bundle, `${places.base}/outside/target`)];
    default: {
      const { files, work, rootfs, log } = start.bundle;
      return [
        directory(bundle),
        ...Object.entries(files).map(([name, text]) =>
          file(`${bundle}/${name}`, resolvePlaceholders(places, start)(text)),
        ),
        ...makeWork(places, start, work),
        ...makeRootfs(places, start, rootfs),
        ...makeLog(`${bundle}/log`, log),
      ];
    }
  }
};

const makeWorkPath = (places: Places, start: Start): ReadonlyArray<Making> => {
  const work = workPath(places, start);
  const makings: Array<Making> = [];
  if (start.workdir === true) makings.push(...folderWithFile(work));
  if (start.workdir === 'deep')
    makings.push(...folderWithFile(`${work}/a/b`), symlink(`${work}/a/out`, `${places.base}/outside`));
  if (start.workfile === true) makings.push(file(work));
  if (start.worklink === true) makings.push(symlink(work, `${places.base}/outside/target`));
  return makings;
};

const atPlace = (places: Places, start: Start, making: Making): Making => {
  const resolve = resolvePlaceholders(places, start);
  const at = { ...making, path: resolve(making.path) };
  return at._tag === 'Symlink' ? { ...at, target: resolve(at.target) } : at;
};

const makeTwins = (places: Places, start: Start): ReadonlyArray<Making> => [
  ...(start.hiddenTwin === true ? folderWithFile(hiddenBundlePath(places, start), 'leftover') : []),
  ...(start.hiddenWorkTwin === true ? folderWithFile(hiddenWorkPath(places, start), 'leftover') : []),
];

/** Everything that one entry adds to its world, but for its shim and its records in the stores. */
export const makingsOf =
  (places: Places) =>
  (start: Start): ReadonlyArray<Making> => [
    ...makeBundle(places, start),
    ...makeWorkPath(places, start),
    ...makeTwins(places, start),
    ...(start.extras ?? []).map((making) => atPlace(places, start, making)),
  ];

/** What all entries of a world share. The programs in `bin` and the sockets in `s` are the interpreter's to make. */
export const sharedMakings = (places: Places): ReadonlyArray<Making> => [
  directory(stateDirectory(places)),
  directory(rootDirectory(places)),
  directory(places.programs, 0o755),
  directory(`${places.base}/s`),
  ...folderWithFile(`${places.base}/outside/target`),
  ...folderWithFile(`${places.base}/outside/rf`),
];

/** The runtime's name that the store has of a case's container, or undefined when it has no such container. */
export const runtimeNameOf =
  (places: Places) =>
  (start: Start): B.ByteString | undefined =>
    start.container === undefined ? undefined : B.fromText(resolvePlaceholders(places, start)(start.container));

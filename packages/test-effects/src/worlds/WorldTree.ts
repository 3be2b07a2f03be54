/**
 * How a world is laid: its placeholders resolved, and the list of directories, files, links, pipes, sockets
 * and mounts to make, in order. Any interpreter can lay it; nothing here touches a file system.
 */
import { ByteString as B } from '@shim-recovery/core';
import { directory, fifo, file, folderWithFile, busyTmpfs, type Making, symlink, tmpfs } from './Fixture.js';
import { type BundleStart, keyText, shimOwner, type Start, type World } from './World.js';
import { controlGroupOf, type FirstProcess, runtimeRecordOf } from './Container.js';

/** Where a world stands. Paths are absolute and clean; `socketOf` is short enough for a socket's name. */
export interface Places {
  readonly base: string;
  /** Must be named `bin`: some texts go through `$BIN/../bin`. */
  readonly programs: string;
  readonly socketOf: (start: Start) => string;
  /** The first process of an entry's container: a number that is not in use where none runs. */
  readonly firstProcessOf: (start: Start) => FirstProcess;
  /** A process that has nothing to do with any entry, and began after all of them. */
  readonly otherPid: number;
}

/** In memory, a container's processes have numbers one after the other from here on, a hundred for each entry. */
const firstContainerPid = 2_000;

const pidsOfEach = 100;

/** In memory, containers were started twenty minutes after the kernel. */
const containerStartedTicks = 120_000;

/** The usual places below a base directory: `state`, `root`, `outside`, `bin`, and `s` for the sockets. */
export const placesBelow =
  (base: string) =>
  (world: World): Places => {
    const sockets = new Map(world.entries.map((start, index) => [keyText(start), `${base}/s/${index}`]));
    const indexes = new Map(world.entries.map((start, index) => [keyText(start), index]));
    return {
      base,
      programs: `${base}/bin`,
      socketOf: (start) => sockets.get(keyText(shimOwner(world)(start) ?? start)) ?? `${base}/s/none`,
      firstProcessOf: (start) => ({
        pid: firstContainerPid + pidsOfEach * (indexes.get(keyText(start)) ?? world.entries.length),
        startedTicks: containerStartedTicks,
      }),
      otherPid: 998,
    };
  };

/** The two root directories that the program is run on. */
export const stateDirectory = ({ base }: Places): string => `${base}/state/${taskDirectory}`;

const taskDirectory = 'io.containerd.runtime.v2.task';

export const rootDirectory = ({ base }: Places): string => `${base}/root/${taskDirectory}`;

/** Where a case's bundle and its working directory stand. */
export const bundlePath = ({ base }: Places, start: Pick<Start, 'ns' | 'id' | 'tree'>): string =>
  `${base}/state/${treeOf(start)}/${start.ns}/${start.id}`;

const treeOf = ({ tree }: Pick<Start, 'tree'>): string => (tree === undefined ? taskDirectory : sandboxDirectory);

const sandboxDirectory = 'io.containerd.sandbox.controller.v1.shim';

export const workPath = ({ base }: Places, start: Pick<Start, 'ns' | 'id' | 'tree'>): string =>
  `${base}/root/${treeOf(start)}/${start.ns}/${start.id}`;

/** What stands outside is named after the id alone, as in the recordings: two entries of one id cannot both have it. */
export const elsewherePath = ({ base }: Places, { id }: Start): string => `${base}/outside/elsewhere-${id}`;

export const volumePath = ({ base }: Places, { id }: Start): string => `${base}/outside/volume-${id}`;

/** The bundle's path with a dot before its name: where an interrupted removal leaves it. */
export const hiddenBundlePath = (places: Places, start: Start): string =>
  bundlePath(places, { ...start, id: `.${start.id}` });

export const hiddenWorkPath = (places: Places, start: Start): string =>
  workPath(places, { ...start, id: `.${start.id}` });

/** Where the OCI runtime keeps its record of an entry's container. */
export const runtimeStatePath = ({ base }: Places, { ns, id, runtimeRoot }: Start): string =>
  `${runtimeRoot === undefined ? '/run/containerd/runc' : `${base}/run/runc`}/${ns}/${id}`;

/** Puts what is meant in the place of each placeholder. */
export const resolvePlaceholders =
  (places: Places, start: Start) =>
  (text: string): string =>
    text
      .replaceAll('$SOCK', places.socketOf(start))
      .replaceAll('$BIN', places.programs)
      .replaceAll('$BASE', places.base)
      .replaceAll('$INIT', String(places.firstProcessOf(start).pid))
      .replaceAll('$OTHER', String(places.otherPid))
      .replaceAll('$GROUP', controlGroupOf(start).cgroupsPath);

/** The reverse, for telling an outcome: the longest path first, since they lie below each other. */
export const insertPlaceholders =
  (places: Places, start: Start) =>
  (text: string): string =>
    text
      .replaceAll(places.socketOf(start), '$SOCK')
      .replaceAll(places.programs, '$BIN')
      .replaceAll(places.base, '$BASE');

/** Everything that one entry adds to its world, but for its shim and its records in the stores. */
export const makingsOf =
  (places: Places) =>
  (start: Start): ReadonlyArray<Making> => [
    ...makeBundle(places, start),
    ...makeRuntimeState(places, start),
    ...makeWorkPath(places, start),
    ...makeTwins(places, start),
    ...(start.extras ?? []).map((making) => atPlace(places, start, making)),
  ];

const atPlace = (places: Places, start: Start, making: Making): Making => {
  const resolve = resolvePlaceholders(places, start);
  const at = { ...making, path: resolve(making.path) };
  return at._tag === 'Symlink' ? { ...at, target: resolve(at.target) } : at;
};

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

const makeTwins = (places: Places, start: Start): ReadonlyArray<Making> => [
  ...(start.hiddenTwin === true ? folderWithFile(hiddenBundlePath(places, start), 'leftover') : []),
  ...(start.hiddenWorkTwin === true ? folderWithFile(hiddenWorkPath(places, start), 'leftover') : []),
];

/** What the OCI runtime recorded, and where the bundle says that it did. */
const makeRuntimeState = (places: Places, start: Start): ReadonlyArray<Making> => {
  const record = runtimeRecordOf(start, places.firstProcessOf(start));
  if (record === undefined) return [];
  const path = runtimeStatePath(places, start);
  const options = JSON.stringify({ root: `${places.base}/run/runc` });
  const saysWhere = start.runtimeRoot === 'own' && typeof start.bundle === 'object';
  return [
    file(`${path}/${record.name}`, record.text),
    ...(saysWhere ? [file(`${bundlePath(places, start)}/options.json`, options)] : []),
  ];
};

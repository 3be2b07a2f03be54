/** What kind of file system is mounted where, by the kernel's table: whoever asks the file system itself may wait for ever. */
import { ByteString as B } from '@shim-recovery/core';
import { type Mounts, readMounts } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import type { Task } from 'fp-ts/lib/Task.js';
import { systemClock } from './LinuxClock.js';
import { isCanonical } from './MountPoint.js';

/** How old a table may be, in milliseconds: many ask at once, and it may be long. */
const mostAgeMs = 250;

/** At each place, in the table's order. */
type Types = Map<B.ByteString, Array<B.ByteString>>;

/** What the table tells of a path, as it writes it. */
export interface Mounted {
  /** Of what is mounted there, the last where several are. */
  readonly type: B.ByteString | undefined;
  /**
   * Whether all that is mounted on the way there is the kernel's own, so that nobody else is asked for a name. No where the table
   * may write the path otherwise.
   */
  readonly isWayLocal: boolean;
}

export interface MountedTypes {
  readonly at: (path: B.ByteString) => Task<Mounted>;
  /** One was unmounted. */
  readonly forget: (path: B.ByteString) => IO<void>;
}

/** What the kernel answers for alone, as far as its disks do. */
const localTypes = new Set(
  ['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'f2fs', 'zfs', 'bcachefs', 'tmpfs', 'ramfs', 'devtmpfs', 'rootfs']
    .concat(['overlay', 'squashfs', 'erofs', 'iso9660', 'vfat', 'proc', 'sysfs'])
    .map(B.fromText),
);

export const makeMountedTypes = (read: Mounts['read']): MountedTypes => {
  let readMs = Number.NEGATIVE_INFINITY;
  let types: Promise<Types> = Promise.resolve(new Map());
  const current = (): Promise<Types> => {
    const nowMs = systemClock.elapsedMs();
    if (nowMs - readMs > mostAgeMs) {
      readMs = nowMs;
      types = readTypes(read)();
    }
    return types;
  };
  return {
    at: (path) => async () => {
      const known = await current();
      return {
        type: known.get(path)?.at(-1),
        isWayLocal:
          isCanonical(path) &&
          known.size > 0 &&
          above(path).every((parent) => known.get(parent)?.every(isLocal) ?? true),
      };
    },
    forget: (path) => () => void types.then((known) => known.get(path)?.pop()),
  };
};

/** Nothing where the table cannot be used: others say so. */
const readTypes =
  (read: Mounts['read']): Task<Types> =>
  async () => {
    const types: Types = new Map();
    const mounts = await readMounts({ mounts: { read }, clock: systemClock })();
    if (E.isLeft(mounts)) return types;
    for (const { mountPoint, fsType } of mounts.right) {
      const here = types.get(mountPoint);
      if (here === undefined) types.set(mountPoint, [fsType]);
      else here.push(fsType);
    }
    return types;
  };

/** Every directory above a path, the root last. */
const above = (path: B.ByteString): ReadonlyArray<B.ByteString> => {
  const parents: Array<B.ByteString> = [];
  for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1))
    parents.push(B.slice(path, 0, end));
  return [...parents, B.fromText('/')];
};

const isLocal = (type: B.ByteString): boolean => localTypes.has(type);

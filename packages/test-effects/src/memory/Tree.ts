/**
 * The directory tree of an imaginary machine, as a kernel keeps it: file systems mounted on each other's directories,
 * names looked up one by one, symlinks followed where a path leads over them. Synchronous; an error is an errno's name.
 */
import { ByteString as B } from '@shim-recovery/core';
import * as E from 'fp-ts/lib/Either.js';
import * as Entry from './Entry.js';

/** The name of an errno, such as `ENOENT`. */
export type ErrorCode = string;

export const maxNameBytes = 255;

const maxPathBytes = 4095;

const maxSymlinks = 40;

/** One mounted file system. */
export interface Mounted {
  readonly id: number;
  readonly root: Entry.Entry;
  /** The directory that it is mounted on; undefined for the root of all. */
  readonly point: Entry.Entry | undefined;
  readonly fsType: string;
  /** Somebody uses it, so that it cannot be unmounted. */
  isBusy: boolean;
}

/** How a path is walked. `from` is where a relative one starts. */
export interface Walking {
  readonly from?: Entry.Entry;
  /** Whether a symlink at the very end is followed, too. Default: true. */
  readonly followLast?: boolean;
  /** Refuse every symlink on the way with `ENOTDIR`, as opening each directory in turn would. Default: false. */
  readonly refuseSymlinks?: boolean;
}

export interface Tree {
  /** What `/` is. */
  readonly root: () => Entry.Entry;
  /** The entry of this name, or the top of what is mounted on it; never a symlink's target. */
  readonly lookUp: (directory: Entry.Entry, name: B.ByteString) => E.Either<ErrorCode, Entry.Entry>;
  /** The entry of this name, even if something is mounted on it. */
  readonly lookUpBelowMounts: (directory: Entry.Entry, name: B.ByteString) => E.Either<ErrorCode, Entry.Entry>;
  /** Where a path leads. */
  readonly walk: (path: B.ByteString, walking?: Walking) => E.Either<ErrorCode, Entry.Entry>;
  /** The path of an entry, through all mounts. */
  readonly pathOf: (entry: Entry.Entry) => B.ByteString;
  /** Whether something is mounted on this very entry. */
  readonly isMountPoint: (entry: Entry.Entry) => boolean;
  readonly mounts: () => ReadonlyArray<Mounted>;
  /** Mounts a new, empty file system on a directory, over whatever is mounted there already. */
  readonly mount: (directory: Entry.Entry, fsType: string) => Mounted;
  /** Unmounts the file system whose top this is: `EINVAL` when it is no such top, `EBUSY` while it is in use. */
  readonly unmount: (top: Entry.Entry) => E.Either<ErrorCode, void>;
  /** Somebody opened it; its file system is busy and its inode number is not given away, until it is released. */
  readonly hold: (entry: Entry.Entry) => void;
  readonly release: (entry: Entry.Entry) => void;
  /** Takes an entry out of its directory, for good. */
  readonly remove: (entry: Entry.Entry) => void;
}

export const makeTree = (): Tree => {
  const mounts: Array<Mounted> = [
    { id: 1, root: Entry.makeFileSystem(), point: undefined, fsType: 'rootfs', isBusy: true },
  ];
  let lastMountId = 1;
  const held = new Map<Entry.Entry, number>();

  const mountedOn = (entry: Entry.Entry): Mounted | undefined => mounts.find(({ point }) => point === entry);
  const mountedAt = (top: Entry.Entry): Mounted | undefined => mounts.find(({ root }) => root === top);

  /** From a directory to the top of what is stacked on it. */
  const enter = (entry: Entry.Entry): Entry.Entry => {
    let top = entry;
    for (let mounted = mountedOn(top); mounted !== undefined; mounted = mountedOn(top)) top = mounted.root;
    return top;
  };

  /** From the top of a mounted file system to the directory that it is mounted on. */
  const leave = (entry: Entry.Entry): Entry.Entry => {
    let point = entry;
    for (let mounted = mountedAt(point); mounted?.point !== undefined; mounted = mountedAt(point))
      point = mounted.point;
    return point;
  };

  const root = (): Entry.Entry => mounts.map((mounted) => enter(mounted.root)).at(0) ?? Entry.makeFileSystem();

  const pathOf = (entry: Entry.Entry): B.ByteString => {
    const names: Array<B.ByteString> = [];
    for (let at = leave(entry); !Entry.isRoot(at); at = leave(Entry.parentOf(at))) names.unshift(Entry.ownName(at));
    return names.reduce(joined, B.fromText('/'));
  };

  const lookUpBelowMounts = (directory: Entry.Entry, name: B.ByteString): E.Either<ErrorCode, Entry.Entry> => {
    if (!Entry.isDirectory(directory)) return E.left('ENOTDIR');
    if (!Entry.isAttached(directory)) return E.left('ENOENT');
    if (name.length > maxNameBytes) return E.left('ENAMETOOLONG');
    const child = Entry.childOf(directory, name);
    return child === undefined ? E.left('ENOENT') : E.right(child);
  };

  const lookUp = (directory: Entry.Entry, name: B.ByteString): E.Either<ErrorCode, Entry.Entry> =>
    E.map(enter)(lookUpBelowMounts(directory, name));

  const walk = (path: B.ByteString, walking: Walking = {}): E.Either<ErrorCode, Entry.Entry> => {
    const { from = root(), followLast = true, refuseSymlinks = false } = walking;
    if (path === '') return E.left('ENOENT');
    if (path.length > maxPathBytes) return E.left('ENAMETOOLONG');
    let at = path.startsWith('/') ? root() : from;
    let symlinks = 0;
    // What is left of the path; a slash at its end stands as an empty name, which only a directory may precede.
    let names = B.split(path, '/').filter((name, index, all) => name !== '' || index === all.length - 1);
    for (let name = names[0]; name !== undefined; name = names[0]) {
      names = names.slice(1);
      if (!Entry.isDirectory(at)) return E.left('ENOTDIR');
      if (name === '' || name === '.') continue;
      if (name === '..') {
        at = enter(Entry.parentOf(leave(at)));
        continue;
      }
      const found = lookUp(at, name);
      if (E.isLeft(found)) return found;
      if (Entry.kindOf(found.right) !== 'symlink' || (names.length === 0 && !followLast)) {
        at = found.right;
        continue;
      }
      symlinks += 1;
      if (refuseSymlinks) return E.left('ENOTDIR');
      if (symlinks > maxSymlinks) return E.left('ELOOP');
      const target = Entry.contentOf(found.right);
      if (target.startsWith('/')) at = root();
      const ahead = B.split(target, '/').filter((part) => part !== '');
      names = [...ahead, ...(target.endsWith('/') && names.length === 0 ? [B.empty] : []), ...names];
    }
    return E.right(at);
  };

  const forgetIfUnused = (entry: Entry.Entry): void => {
    if (!held.has(entry) && !Entry.isAttached(entry)) Entry.free(entry);
  };

  const isInUse = (mounted: Mounted): boolean =>
    mounted.isBusy ||
    mounts.some(({ point }) => point !== undefined && Entry.sameFileSystem(point, mounted.root)) ||
    [...held.keys()].some((entry) => Entry.sameFileSystem(entry, mounted.root));

  return {
    root,
    lookUp,
    lookUpBelowMounts,
    walk,
    pathOf,
    isMountPoint: (entry) => mountedOn(entry) !== undefined,
    mounts: () => mounts,
    mount: (directory, fsType) => {
      lastMountId += 1;
      const mounted: Mounted = {
        id: lastMountId,
        root: Entry.makeFileSystem(),
        point: enter(directory),
        fsType,
        isBusy: false,
      };
      mounts.push(mounted);
      return mounted;
    },
    unmount: (top) => {
      const mounted = mountedAt(top);
      if (mounted?.point === undefined) return E.left('EINVAL');
      if (isInUse(mounted)) return E.left('EBUSY');
      mounts.splice(mounts.indexOf(mounted), 1);
      return E.right(undefined);
    },
    hold: (entry) => {
      held.set(entry, (held.get(entry) ?? 0) + 1);
    },
    release: (entry) => {
      const holders = (held.get(entry) ?? 0) - 1;
      if (holders > 0) held.set(entry, holders);
      else held.delete(entry);
      forgetIfUnused(entry);
    },
    remove: (entry) => {
      Entry.detach(entry);
      forgetIfUnused(entry);
    },
  };
};

const joined = (parent: B.ByteString, name: B.ByteString): B.ByteString =>
  B.concat(parent, B.fromText(parent === '/' ? '' : '/'), name);

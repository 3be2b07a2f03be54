/** Files and directories in memory, with Linux's rules and errors (SPEC 6.4, 23). */
import type { ByteString as B } from '@shim-recovery/core';
import {
  type Clock,
  type Directory,
  type DirectoryEntry,
  type DirectoryKey,
  type FileError,
  type FileStatus,
  type FileSystem,
  type Location,
  pathOf,
  systemError,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import * as Entry from './Entry.js';
import type { ErrorCode, Tree } from './Tree.js';

/** A file system, and a look behind its open directories for the other capabilities of the same machine. */
export interface MemoryFileSystem extends FileSystem {
  /** The entry that an open directory stands for; undefined once it was closed. */
  readonly entryOf: (directory: Directory) => Entry.Entry | undefined;
  /** Which file system and inode an entry is. */
  readonly keyOf: (entry: Entry.Entry) => DirectoryKey;
  /** How many directories are open: none should be, when a run has ended. */
  readonly openDirectories: () => number;
  /** All that stands at or below an entry now was made at this time, in milliseconds since the epoch. */
  readonly backdate: (top: Entry.Entry, bornMs: number) => void;
}

type Attempt<A> = E.Either<ErrorCode, A>;

export const makeFileSystem = (tree: Tree, clock: Clock): MemoryFileSystem => {
  const handles = new Map<Directory, Entry.Entry>();
  const { bornNs, backdate } = makeBirths(clock);

  const open = (entry: Entry.Entry, path: B.ByteString): Attempt<Directory> => {
    if (!Entry.isDirectory(entry)) return E.left('ENOTDIR');
    const directory: Directory = { path };
    handles.set(directory, entry);
    tree.hold(entry);
    return E.right(directory);
  };

  const entryOf = (directory: Directory): Attempt<Entry.Entry> =>
    pipe(handles.get(directory), E.fromNullable<ErrorCode>('EBADF'));

  const directoryOf = ({ directory, name }: Location): Attempt<Entry.Entry> =>
    pipe(
      entryOf(directory),
      E.filterOrElse(
        () => isOneName(name),
        () => 'EINVAL',
      ),
    );

  /** Makes the attempt when the task is run, and an error of the kernel's from its code. */
  const attempt =
    <A>(operation: string, path: B.ByteString, run: () => Attempt<A>): TaskEither<FileError, A> =>
    async () =>
      pipe(
        run(),
        E.mapLeft((code) => systemError(operation, path, code)),
      );

  const atEntry = <A>(
    operation: string,
    at: Location,
    find: Tree['lookUp'],
    use: (entry: Entry.Entry) => Attempt<A>,
  ): TaskEither<FileError, A> =>
    attempt(operation, pathOf(at), () =>
      pipe(
        directoryOf(at),
        E.chain((directory) => find(directory, at.name)),
        E.chain(use),
      ),
    );

  const renaming =
    (how: { readonly replaces: boolean }): FileSystem['rename'] =>
    (from, to) =>
      attempt('rename', pathOf(from), () =>
        pipe(
          E.Do,
          E.bind('source', () => directoryOf(from)),
          E.bind('target', () => directoryOf(to)),
          E.chain(({ source, target }) => renameEntry(tree, how)(source, from.name, target, to.name)),
        ),
      );

  const keyOf = (entry: Entry.Entry): DirectoryKey => ({
    device: String(tree.mounts().find(({ root }) => Entry.sameFileSystem(root, entry))?.id ?? 0),
    inode: String(entry.ino),
  });

  const statusOf = (entry: Entry.Entry): Attempt<FileStatus> =>
    E.right({ kind: Entry.kindOf(entry), ...keyOf(entry), bornNs: bornNs(entry) });

  return {
    openPath: (path) =>
      attempt('open', path, () =>
        pipe(
          tree.walk(path),
          E.chain((entry) => open(entry, path)),
        ),
      ),
    openDirectory: (at) => atEntry('open', at, tree.lookUp, (entry) => open(entry, pathOf(at))),
    close: (directory) => async () => {
      const entry = handles.get(directory);
      if (entry === undefined) return;
      handles.delete(directory);
      tree.release(entry);
    },
    list: (directory) =>
      attempt('list', directory.path, () =>
        pipe(
          entryOf(directory),
          E.map((entry) =>
            Entry.namesIn(entry).flatMap((name): ReadonlyArray<DirectoryEntry> => {
              const child = Entry.childOf(entry, name);
              return child === undefined ? [] : [{ name, kind: Entry.kindOf(child) }];
            }),
          ),
        ),
      ),
    identify: (directory) => attempt('stat', directory.path, () => pipe(entryOf(directory), E.chain(statusOf))),
    owner: (directory) => attempt('stat', directory.path, () => pipe(entryOf(directory), E.map(Entry.uidOf))),
    readSmallFile: (at, maxBytes) => async () => {
      const found = await atEntry('read', at, tree.lookUp, E.right)();
      if (E.isLeft(found)) return found;
      const kind = Entry.kindOf(found.right);
      if (kind !== 'file') return E.left({ _tag: 'NotRegularFile', path: pathOf(at), kind });
      if (Entry.sizeOf(found.right) > maxBytes) return E.left({ _tag: 'TooLarge', path: pathOf(at), maxBytes });
      return E.right(Entry.contentOf(found.right));
    },
    readLink: (at) =>
      atEntry('readlink', at, tree.lookUp, (entry) =>
        Entry.kindOf(entry) === 'symlink' ? E.right(Entry.contentOf(entry)) : E.left('EINVAL'),
      ),
    status: (at) => atEntry('lstat', at, tree.lookUp, statusOf),
    resolvedStatus: (at) => atEntry('stat', at, (from, name) => tree.walk(name, { from }), statusOf),
    createFile: (at, content) =>
      attempt('create', pathOf(at), () =>
        pipe(
          directoryOf(at),
          E.chain((directory): Attempt<void> => {
            const found = tree.lookUp(directory, at.name);
            if (E.isRight(found)) return E.left('EEXIST');
            if (found.left !== 'ENOENT' || !Entry.isAttached(directory)) return found;
            Entry.makeChild(directory, at.name, { kind: 'file', mode: 0o644, content });
            return E.right(undefined);
          }),
        ),
      ),
    writable: (directory) =>
      attempt('create', directory.path, () =>
        pipe(
          entryOf(directory),
          E.chain((entry): Attempt<void> => (Entry.isAttached(entry) ? E.right(undefined) : E.left('ENOENT'))),
        ),
      ),
    rename: renaming({ replaces: true }),
    renameNoReplace: renaming({ replaces: false }),
    unlink: (at) => atEntry('unlink', at, tree.lookUpBelowMounts, unlinkEntry(tree)),
    removeDirectory: (at) => atEntry('rmdir', at, tree.lookUpBelowMounts, removeDirectoryEntry(tree)),
    entryOf: (directory) => handles.get(directory),
    keyOf,
    backdate,
    openDirectories: () => handles.size,
  };
};

/**
 * Birth times: the clock's, and a little later for every inode first seen in the same millisecond, so that an inode
 * that got the number of an earlier one is told from it.
 */
const makeBirths = (clock: Clock): Births => {
  const births = new WeakMap<object, string>();
  let lastNs = 0n;
  const backdate: Births['backdate'] = (top, bornMs) => {
    births.set(top.getNode(), String(BigInt(Math.floor(bornMs)) * 1_000_000n));
    if (!Entry.isDirectory(top)) return;
    for (const name of Entry.namesIn(top)) {
      const child = Entry.childOf(top, name);
      if (child !== undefined) backdate(child, bornMs);
    }
  };
  return {
    backdate,
    bornNs: (entry) => {
      const node = entry.getNode();
      const known = births.get(node);
      if (known !== undefined) return known;
      const nowNs = BigInt(Math.floor(clock.nowMs())) * 1_000_000n;
      lastNs = nowNs > lastNs ? nowNs : lastNs + 1n;
      births.set(node, String(lastNs));
      return String(lastNs);
    },
  };
};

interface Births {
  readonly bornNs: (entry: Entry.Entry) => string;
  readonly backdate: MemoryFileSystem['backdate'];
}

const isOneName = (name: B.ByteString): boolean =>
  name !== '' && name !== '.' && name !== '..' && !name.includes('/') && !name.includes('\0');

/** `renameat2(2)`, between two open directories. */
const renameEntry =
  (tree: Tree, { replaces }: { readonly replaces: boolean }) =>
  (from: Entry.Entry, name: B.ByteString, to: Entry.Entry, newName: B.ByteString): Attempt<void> => {
    if (!Entry.sameFileSystem(from, to)) return E.left('EXDEV');
    const found = tree.lookUpBelowMounts(from, name);
    if (E.isLeft(found)) return found;
    const entry = found.right;
    const target = tree.lookUpBelowMounts(to, newName);
    if (E.isLeft(target) && target.left !== 'ENOENT') return target;
    if (E.isRight(target) && !replaces) return E.left('EEXIST');
    if (isAtOrBelow(to, entry)) return E.left('EINVAL');
    if (E.isRight(target)) {
      if (isAtOrBelow(from, target.right)) return E.left('ENOTEMPTY');
      if (target.right.getNode() === entry.getNode()) return E.right(undefined);
      const refusal = refusalToReplace(tree, entry, target.right);
      if (refusal !== undefined) return E.left(refusal);
      tree.remove(target.right);
    }
    if (!Entry.isAttached(to)) return E.left('ENOENT');
    if (tree.isMountPoint(entry)) return E.left('EBUSY');
    Entry.move(entry, to, newName);
    return E.right(undefined);
  };

const isAtOrBelow = (entry: Entry.Entry, top: Entry.Entry): boolean => {
  for (let at = entry; ; at = Entry.parentOf(at)) {
    if (at === top) return true;
    if (Entry.isRoot(at)) return false;
  }
};

/** Why a directory, or something else, may not be replaced by an entry. */
const refusalToReplace = (tree: Tree, entry: Entry.Entry, target: Entry.Entry): ErrorCode | undefined => {
  if (Entry.isDirectory(entry) && !Entry.isDirectory(target)) return 'ENOTDIR';
  if (!Entry.isDirectory(entry) && Entry.isDirectory(target)) return 'EISDIR';
  if (tree.isMountPoint(entry) || tree.isMountPoint(target)) return 'EBUSY';
  return Entry.isDirectory(target) && Entry.namesIn(target).length > 0 ? 'ENOTEMPTY' : undefined;
};

const unlinkEntry =
  (tree: Tree) =>
  (entry: Entry.Entry): Attempt<void> => {
    if (Entry.isDirectory(entry)) return E.left('EISDIR');
    tree.remove(entry);
    return E.right(undefined);
  };

const removeDirectoryEntry =
  (tree: Tree) =>
  (entry: Entry.Entry): Attempt<void> => {
    if (!Entry.isDirectory(entry)) return E.left('ENOTDIR');
    if (tree.isMountPoint(entry)) return E.left('EBUSY');
    if (Entry.namesIn(entry).length > 0) return E.left('ENOTEMPTY');
    tree.remove(entry);
    return E.right(undefined);
  };

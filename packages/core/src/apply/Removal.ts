/** Renaming and removing as the reference's language does it (SPEC 6.3, 6.4), over one-name operations. */
import * as E from 'fp-ts/lib/Either.js';
import * as T from 'fp-ts/lib/Task.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as B from '../base/ByteString.js';
import {
  codeOf,
  type Directory,
  type DirectoryEntry,
  type FileError,
  type FileStatus,
  type FileSystem,
  isAbsent,
  isExpected,
  type Location,
  pathOf,
  systemError,
} from '../capabilities/FileSystem.js';
import { isBundleName } from '../capabilities/BundleLayout.js';

const done: E.Either<FileError, void> = E.right(undefined);

/**
 * A rename that never replaces a directory, not even an empty one (H11): `EEXIST` instead. Most often nothing stands there, and
 * then nothing can come in between.
 */
export const rename =
  (files: FileSystem) =>
  (from: Location, to: Location): TE.TaskEither<FileError, void> =>
  async () => {
    const moved = await files.renameNoReplace(from, to)();
    // A file system that is mounted read-only says so before anything is looked up; the reference looks first.
    if (E.isRight(moved) || !['EEXIST', 'EROFS'].includes(codeOf(moved.left))) return moved;
    const target = await files.status(to)();
    if (E.isLeft(target)) return files.renameNoReplace(from, to)();
    if (target.right.kind === 'directory') {
      const source = await files.status(from)();
      if (E.isLeft(source)) return source;
      const same = source.right.inode === target.right.inode && source.right.device === target.right.device;
      if (!same || from.name === to.name) return E.left(systemError('rename', pathOf(from), 'EEXIST'));
    }
    return files.rename(from, to)();
  };

/**
 * Removes a file, a symlink (not its target) or an empty directory: what the reference does with unlink, else rmdir.
 * Most often it is a directory, and a call that fails costs more than one that succeeds: so that is tried first.
 */
export const remove =
  (files: FileSystem) =>
  (at: Location): TE.TaskEither<FileError, void> =>
  async () => {
    const removed = await files.removeDirectory(at)();
    return E.isLeft(removed) && codeOf(removed.left) === 'ENOTDIR' ? files.unlink(at)() : removed;
  };

/**
 * Removes an entry of any kind, with all below it. Never follows a symlink, goes on after an error in a sibling, and
 * returns the first error if the whole could not be removed. Nothing there is success. It does cross mount points, as
 * the reference does: it empties a mounted file system, and the mount point itself then fails with `EBUSY` (H12).
 */
export const removeRecursively: Remove = (files) => removeDirectoryTree(files);

/** A way to remove a file or a directory of any kind. */
type Remove = (files: FileSystem) => (at: Location) => TE.TaskEither<FileError, void>;

/** Removes an entry that seemed to be a directory, with all below it. Most are empty: then one call does it. */
const removeDirectoryTree =
  (files: FileSystem, device?: string) =>
  (at: Location): TE.TaskEither<FileError, void> =>
  async () => {
    const wasEmpty = unlessAbsent(await remove(files)(at)());
    return E.isRight(wasEmpty) ? wasEmpty : removeFilledTree(files, device)(at)();
  };

const unlessAbsent = (outcome: E.Either<FileError, void>): E.Either<FileError, void> =>
  E.isLeft(outcome) && isAbsent(outcome.left) ? done : outcome;

/** Removes a directory with all below it, and does not first try whether it is empty. */
const removeFilledTree =
  (files: FileSystem, device?: string) =>
  (at: Location): TE.TaskEither<FileError, void> =>
  async () => {
    const allowed = await mayEnter(files, device, at);
    if (E.isLeft(allowed)) return unlessAbsent(allowed);
    const opened = await files.openDirectory(at)();
    if (E.isLeft(opened) && isNoDirectory(opened.left)) return unlessAbsent(await files.unlink(at)());
    const emptied = E.isLeft(opened) ? opened : await removeEntries(files, device, opened.right);
    if (E.isRight(opened)) await files.close(opened.right)();
    const removed = unlessAbsent(await files.removeDirectory(at)());
    return E.isLeft(removed) && E.isLeft(emptied) ? emptied : removed;
  };

/** Where `device` is given, a directory on another one is not entered: something is mounted there. */
const mayEnter = async (
  files: FileSystem,
  device: string | undefined,
  at: Location,
): Promise<E.Either<FileError, void>> => {
  if (device === undefined) return done;
  const status = await files.status(at)();
  if (E.isLeft(status)) return status;
  return status.right.device === device ? done : E.left(systemError('enter', pathOf(at), 'EXDEV'));
};

const isNoDirectory = (error: FileError): boolean => ['ENOTDIR', 'ELOOP'].includes(codeOf(error));

/**
 * Everything in an open directory; goes on after an error, and returns the first. Within one mount, what no bundle has goes
 * first: what a crash leaves of a bundle still looks like one, so that the next run removes it.
 */
const removeEntries = async (
  files: FileSystem,
  device: string | undefined,
  directory: Directory,
): Promise<E.Either<FileError, void>> => {
  const entries = await files.list(directory)();
  if (E.isLeft(entries)) return entries;
  let outcome = done;
  for (const { name, kind } of device === undefined ? entries.right : foreignFirst(entries.right)) {
    const at: Location = { directory, name };
    const removed = await (kind === 'directory' ? removeDirectoryTree(files, device) : removeOther(files, device))(
      at,
    )();
    if (E.isRight(outcome)) outcome = removed;
  }
  return outcome;
};

const foreignFirst = (entries: ReadonlyArray<DirectoryEntry>): ReadonlyArray<DirectoryEntry> => [
  ...entries.filter(({ name }) => !isBundleName(name)),
  ...entries.filter(({ name }) => isBundleName(name)),
];

/** Removes an entry that did not seem to be a directory. It may have become one meanwhile. */
const removeOther =
  (files: FileSystem, device: string | undefined) =>
  (at: Location): TE.TaskEither<FileError, void> =>
  async () => {
    const unlinked = unlessAbsent(await files.unlink(at)());
    return E.isLeft(unlinked) && codeOf(unlinked.left) === 'EISDIR'
      ? removeDirectoryTree(files, device)(at)()
      : unlinked;
  };

/** As `removeRecursively`, but does not try first to remove it as an empty directory: for one that was not empty. */
export const removeFilled: Remove = (files) => removeFilledTree(files);

/**
 * Removes as `removeRecursively` does, but within one mount: what is mounted below stays, with all that leads there, and `EXDEV`
 * says so (H12).
 */
export const removeWithinMount =
  (files: FileSystem) =>
  (at: Location): TE.TaskEither<FileError, void> =>
  async () => {
    const status = await files.status(at)();
    if (E.isLeft(status)) return unlessAbsent(status);
    return removeDirectoryTree(files, status.right.device)(at)();
  };

/** Whether what stands at a name may be touched. */
export type Check = (at: Location) => TE.TaskEither<FileError, void>;

/** Refuses what is something else than `expected`. Nothing there is fine. */
export const refuseReplaced =
  (files: FileSystem, expected: FileStatus | null): Check =>
  (at) =>
  async () => {
    const status = await files.status(at)();
    if (E.isLeft(status)) return isAbsent(status.left) ? done : status;
    return isExpected(expected, status.right) ? done : E.left({ _tag: 'Replaced', path: pathOf(at) });
  };

/**
 * SPEC 6.3: renames it to its own name behind a dot, then removes that. Nothing there is success, and then a leftover
 * behind the dot is not touched. A directory behind the dot blocks it for ever (H11).
 *
 * What `check` refuses is not touched. It is asked again once the bundle is not found under its name any more: what came to
 * stand there in between is put back, unless the kernel refuses even that.
 */
export const deleteAtomically =
  (files: FileSystem, check: Check = anything, removeAll: Remove = removeRecursively) =>
  (at: Location): TE.TaskEither<FileError, void> =>
  async () => {
    const aside = behindDot(at);
    const allowed = await check(at)();
    if (E.isLeft(allowed)) return allowed;
    const renamed = await rename(files)(at, aside)();
    if (E.isLeft(renamed)) return unlessAbsent(renamed);
    const checked = await check(aside)();
    if (E.isRight(checked)) return removeAll(files)(aside)();
    const restored = await rename(files)(aside, at)();
    return E.isLeft(restored) ? restored : checked;
  };

/** Lets every entry be touched. */
const anything: Check = () => async () => done;

const behindDot = ({ directory, name }: Location): Location => ({ directory, name: B.fromLatin1(`.${name}`) });

/**
 * Removes an empty directory by one call, where nothing stands behind its dot: what that leaves is what `deleteAtomically` leaves,
 * and no crash leaves a part of it (H11). Right: whether it is gone, or was; where it is not, nothing was changed.
 *
 * An entry that `check` refuses is not touched. An empty directory that is made there after the check is not told apart.
 */
export const deleteEmpty =
  (files: FileSystem, check: Check = anything) =>
  (at: Location): TE.TaskEither<FileError, boolean> =>
  async () => {
    const allowed = await check(at)();
    if (E.isLeft(allowed)) return allowed;
    const blocking = await files.status(behindDot(at))();
    if (E.isRight(blocking) || !isAbsent(blocking.left)) return E.right(false);
    return E.right(E.isRight(unlessAbsent(await files.removeDirectory(at)())));
  };

/**
 * Removes a path that was read from a symlink: its parent is opened as the kernel would, then one name is
 * removed in it. The text is trusted by the reference, wherever it leads (H30). Where nothing is to be checked, an empty directory goes by one call.
 */
export const deletePathAtomically =
  (files: FileSystem, check?: Check) =>
  (path: B.ByteString): TE.TaskEither<FileError, void> =>
    atPath(files)(path, undefined, check === undefined ? deleteAnything(files) : deleteAtomically(files, check));

/** The last name of a path, in its parent, which is opened as the kernel would. None where there is no such parent. */
const atPath =
  (files: FileSystem) =>
  <A>(
    path: B.ByteString,
    ifAbsent: A,
    use: (at: Location) => TE.TaskEither<FileError, A>,
  ): TE.TaskEither<FileError, A> =>
  async () => {
    const slash = path.lastIndexOf('/');
    const name = B.slice(path, slash + 1);
    if (name === '' || name === '.' || name === '..') return E.left(systemError('rename', path, 'EINVAL'));
    const parent = B.slice(path, 0, Math.max(slash, 0));
    const opened = await files.openPath(parent === '' ? B.fromText(slash < 0 ? '.' : '/') : parent)();
    if (E.isLeft(opened)) return isAbsent(opened.left) ? E.right(ifAbsent) : opened;
    const outcome = await use({ directory: opened.right, name })();
    await files.close(opened.right)();
    return outcome;
  };

/** Deletes a directory that needs no check, and most often is empty. */
const deleteAnything =
  (files: FileSystem) =>
  (at: Location): TE.TaskEither<FileError, void> =>
  async () => {
    const gone = await deleteEmpty(files)(at)();
    if (E.isLeft(gone)) return gone;
    return gone.right ? done : deleteAtomically(files, anything, removeFilled)(at)();
  };

/** The status of the entry that this would remove; null where there is none, or where it cannot be looked at. */
export const statusOfPath =
  (files: FileSystem) =>
  (path: B.ByteString): T.Task<FileStatus | null> =>
    pipe(
      atPath(files)<FileStatus | null>(path, null, files.status),
      TE.getOrElse((): T.Task<FileStatus | null> => T.of(null)),
    );

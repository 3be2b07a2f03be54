/**
 * The capability through which directories and files are seen and changed.
 *
 * Below the two root directories no code works with paths: an interpreter opens a directory, and every operation takes
 * an open directory and *one* name in it. A directory that is swapped for a symlink between two steps can then never
 * lead a deletion elsewhere.
 */
import type { Task } from 'fp-ts/lib/Task.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import * as t from 'io-ts';
import * as B from '../base/ByteString.js';
import * as Layout from './BundleLayout.js';

export const FileKind = t.keyof(
  { directory: null, file: null, symlink: null, fifo: null, socket: null, device: null },
  'FileKind',
);

export type FileKind = t.TypeOf<typeof FileKind>;

/**
 * Why a file operation did not happen.
 *
 * - `SystemError`: the kernel refused; `code` is the errno's name (`ENOENT`, `EIO`, …).
 * - `NotRegularFile`: a small file was expected and something else stands there; it was not read.
 * - `TooLarge`: a small file was expected and it is larger than `maxBytes`; it was not read.
 * - `Replaced`: something else stands there than what was looked at before; it was not touched.
 */
export const FileError = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('SystemError'), operation: t.string, path: B.ByteString, code: t.string })),
    t.readonly(t.type({ _tag: t.literal('NotRegularFile'), path: B.ByteString, kind: FileKind })),
    t.readonly(t.type({ _tag: t.literal('TooLarge'), path: B.ByteString, maxBytes: t.number })),
    t.readonly(t.type({ _tag: t.literal('Replaced'), path: B.ByteString })),
  ],
  'FileError',
);

export type FileError = t.TypeOf<typeof FileError>;

/** An open directory. `path` says how it was reached: for messages and for the mount table, never to operate on. */
export interface Directory {
  readonly path: B.ByteString;
}

/** One entry of a listing; its kind is its own, never that of a symlink's target. */
export const DirectoryEntry = t.readonly(t.type({ name: B.ByteString, kind: FileKind }), 'DirectoryEntry');

export interface DirectoryEntry extends t.TypeOf<typeof DirectoryEntry> {}

/**
 * The kind and the identity of a file. `device` and `inode` tell whether two names are the same file. Since the kernel reuses
 * inode numbers, `bornNs` (birth time in nanoseconds since the epoch, decimal) tells an old file from its successor.
 */
export const FileStatus = t.readonly(
  t.type({ kind: FileKind, device: t.string, inode: t.string, bornNs: t.string }),
  'FileStatus',
);

export interface FileStatus extends t.TypeOf<typeof FileStatus> {}

/** Whether two looks were at the same thing, however it was called then. */
export const isSameFile = (first: FileStatus, second: FileStatus): boolean =>
  first.kind === second.kind &&
  first.device === second.device &&
  first.inode === second.inode &&
  first.bornNs === second.bornNs;

/** When it was made, in milliseconds since the epoch; undefined where the file system does not know. */
export const bornMsOf = ({ bornNs }: FileStatus): number | undefined =>
  bornNs === '0' ? undefined : Number(bornNs) / 1_000_000;

/** An entry as the operations take it: an open directory and one name in it (no slash, neither `.` nor `..`). */
export interface Location {
  readonly directory: Directory;
  readonly name: B.ByteString;
}

export interface FileSystem {
  /**
   * Opens a directory by a path that a person or the daemon wrote down, following symlinks as the kernel does. For
   * the two root directories and for the parent of `work`'s text; nowhere else.
   */
  readonly openPath: (path: B.ByteString) => TaskEither<FileError, Directory>;
  /** Opens a directory in a directory; a symlink is refused (`ENOTDIR` or `ELOOP`). */
  readonly openDirectory: (at: Location) => TaskEither<FileError, Directory>;
  /** Gives the handle back. Using it afterwards is an error (`EBADF`), never another directory. */
  readonly close: (directory: Directory) => Task<void>;
  /** All entries except `.` and `..`, in byte-wise order. */
  readonly list: (directory: Directory) => TaskEither<FileError, ReadonlyArray<DirectoryEntry>>;
  /** A regular file's contents. Never follows a symlink, never blocks (a FIFO, a device), never reads past `maxBytes`. */
  readonly readSmallFile: (at: Location, maxBytes: number) => TaskEither<FileError, B.ByteString>;
  /** The text of a symlink. */
  readonly readLink: (at: Location) => TaskEither<FileError, B.ByteString>;
  /** The status of the open directory itself (`fstat`), even if its name leads to another one by now. */
  readonly identify: (directory: Directory) => TaskEither<FileError, FileStatus>;
  /** The uid that an open directory belongs to, as this process sees it in its user namespace. */
  readonly owner: (directory: Directory) => TaskEither<FileError, number>;
  /** The status of the name itself (`lstat`). */
  readonly status: (at: Location) => TaskEither<FileError, FileStatus>;
  /** The status of the file that the name leads to, following symlinks (`stat`). Looks only; nothing is opened. */
  readonly resolvedStatus: (at: Location) => TaskEither<FileError, FileStatus>;
  /**
   * Makes a regular file with these contents, mode 0644, and brings it to the disk. A file of this name that exists already
   * is not touched (`EEXIST`).
   */
  readonly createFile: (at: Location, content: B.ByteString) => TaskEither<FileError, void>;
  /**
   * Whether a small file could be made in an open directory now. Left, with the errno that making one would give (`ENOSPC`,
   * `EROFS`, …), where it could not. Makes nothing.
   */
  readonly writable: (directory: Directory) => TaskEither<FileError, void>;
  /** `rename(2)`, which silently replaces a file or an empty directory; see `Removal` for what the reference does. */
  readonly rename: (from: Location, to: Location) => TaskEither<FileError, void>;
  /** The same, but nothing is replaced: `EEXIST` where anything stands there, in one step where the file system can. */
  readonly renameNoReplace: (from: Location, to: Location) => TaskEither<FileError, void>;
  /** `unlink(2)`: removes anything but a directory. */
  readonly unlink: (at: Location) => TaskEither<FileError, void>;
  /** `rmdir(2)`: removes an empty directory. */
  readonly removeDirectory: (at: Location) => TaskEither<FileError, void>;
}

/** The path of an entry, for messages and for comparison with the mount table. */
export const pathOf = ({ directory, name }: Location): B.ByteString => Layout.below(directory.path, name);

/** An error that the kernel gave. */
export const systemError = (operation: string, path: B.ByteString, code: string): FileError => ({
  _tag: 'SystemError',
  operation,
  path,
  code,
});

/** The errno's name, or the tag of an error that the kernel did not give. */
export const codeOf = (error: FileError): string => (error._tag === 'SystemError' ? error.code : error._tag);

/** The only error that means absence. `ENOTDIR` is not "does not exist" (SPEC 6.4). */
export const isAbsent = (error: FileError): boolean => error._tag === 'SystemError' && error.code === 'ENOENT';

/** Whether an errno tells of this process or machine having run out of something, and nothing of what was looked at. */
export const isExhaustionCode = (code: string): boolean => exhaustionCodes.includes(code);

const exhaustionCodes = ['EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS', 'ENOSYS'];

/** A sentence for people: what failed, on what, why. */
export const showFileError = (error: FileError): string => {
  switch (error._tag) {
    case 'SystemError':
      return `cannot ${error.operation} ${B.show(error.path)}: ${error.code}`;
    case 'NotRegularFile':
      return `${B.show(error.path)} is a ${error.kind}, not a regular file; it was not read`;
    case 'TooLarge':
      return `${B.show(error.path)} is larger than ${error.maxBytes} bytes; it was not read`;
    case 'Replaced':
      return `${B.show(error.path)} is another one than when it was looked at; it was not touched`;
  }
};

/** Whether it is what was looked at before; null is an identity that is not known. */
export const isExpected = (expected: FileStatus | null, status: FileStatus): boolean =>
  expected !== null && isSameFile(status, expected);

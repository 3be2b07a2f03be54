/**
 * Files and directories on Linux, by open directory and one name.
 *
 * `/proc/self/fd/N/name` resolves from the directory that descriptor N is open on, whatever its path leads to by now:
 * what `openat` and its family do, without native code. System calls are made synchronously: each takes microseconds,
 * and handing one to a thread costs ten times that.
 */
import * as fs from 'node:fs';
import {
  type Directory,
  type DirectoryEntry,
  type FileError,
  type FileKind,
  type FileStatus,
  type FileSystem,
  type Location,
  pathOf,
  systemError,
} from '@shim-recovery/core/FileSystem';
import * as B from '@shim-recovery/core/ByteString';
import * as E from 'fp-ts/lib/Either.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = fs.constants;

/** The `f_type` of procfs. */
const procMagic = 0x9fa0;

/** A directory that is open on a descriptor; closed for good when the descriptor is gone. */
class OpenDirectory implements Directory {
  constructor(
    readonly path: B.ByteString,
    public descriptor: number | undefined,
  ) {}
}

let openCount = 0;

/** How many directories are open at this moment; tests see by it that none is forgotten. */
export const openDirectories = (): number => openCount;

/** Whether `/proc` is what it must be, for descriptors to be reached through it. */
export const checkProc = (): E.Either<string, void> => {
  const status = attempt(
    'stat',
    () => B.fromText('/proc'),
    () => fs.statfsSync('/proc'),
  );
  return E.isRight(status) && status.right.type === procMagic
    ? E.right(undefined)
    : E.left('/proc is not mounted; open directories cannot be used without it');
};

/**
 * Makes a call that throws, and turns what it throws into a value. Nobody sees where it was thrown, and to find that out
 * costs several times the call.
 */
const attempt = <A>(operation: string, path: () => B.ByteString, action: () => A): E.Either<FileError, A> => {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return E.right(action());
  } catch (error) {
    const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
    return E.left(systemError(operation, path(), code === '' ? 'UNKNOWN' : code));
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
};

const isOneName = (name: B.ByteString): boolean =>
  name !== '' && name !== '.' && name !== '..' && !name.includes('/') && !name.includes('\0');

/** `/proc/self/fd/N` of an open directory: its own path in the kernel's eyes, whatever becomes of its name. */
export const descriptorPath = (directory: Directory): E.Either<FileError, string> =>
  directory instanceof OpenDirectory && directory.descriptor !== undefined
    ? E.right(`/proc/self/fd/${directory.descriptor}`)
    : E.left(systemError('use', directory.path, 'EBADF'));

const isAscii = (text: string): boolean => /^[\u0000-\u007f]*$/.test(text);

/**
 * The path by which the kernel finds an entry, for the calls of this and other modules: text where that is the same in
 * every encoding, which costs less, and bytes otherwise.
 */
export const kernelPath = (at: Location): E.Either<FileError, string | Buffer> => {
  const directory = descriptorPath(at.directory);
  if (E.isLeft(directory)) return directory;
  if (!isOneName(at.name)) return E.left(systemError('use', pathOf(at), 'EINVAL'));
  const path = `${directory.right}/${at.name}`;
  return E.right(isAscii(at.name) ? path : Buffer.from(path, 'latin1'));
};

const onEntry =
  <A>(operation: string, action: (path: string | Buffer) => A) =>
  (at: Location): TaskEither<FileError, A> =>
  async () => {
    const path = kernelPath(at);
    if (E.isLeft(path)) return path;
    return attempt(
      operation,
      () => pathOf(at),
      () => action(path.right),
    );
  };

/** What the name itself is. That nothing is there is no exception: it is what many ask for. */
const statusAt =
  (at: Location): TaskEither<FileError, FileStatus> =>
  async () => {
    const status = await lookAt(at)();
    if (E.isLeft(status)) return status;
    return status.right === undefined
      ? E.left(systemError('stat', pathOf(at), 'ENOENT'))
      : E.right(statusOf(status.right));
  };

const lookAt = onEntry('stat', (path) => fs.lstatSync(path, { bigint: true, throwIfNoEntry: false }));

const kindOf = (status: fs.Dirent | fs.BigIntStats): FileKind => {
  if (status.isDirectory()) return 'directory';
  if (status.isFile()) return 'file';
  if (status.isSymbolicLink()) return 'symlink';
  if (status.isFIFO()) return 'fifo';
  if (status.isSocket()) return 'socket';
  return 'device';
};

const statusOf = (status: fs.BigIntStats): FileStatus => ({
  kind: kindOf(status),
  device: String(status.dev),
  inode: String(status.ino),
  bornNs: String(status.birthtimeNs),
});

const open = (path: string | Buffer, shown: B.ByteString, flags: number): E.Either<FileError, Directory> => {
  const descriptor = attempt(
    'open',
    () => shown,
    () => fs.openSync(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | flags),
  );
  if (E.isLeft(descriptor)) return descriptor;
  openCount++;
  return E.right(new OpenDirectory(shown, descriptor.right));
};

/** Where the type of an entry was not told, it is looked at; one that vanished meanwhile is left out (SPEC 1.4). */
const entryOf = (directory: string, dirent: fs.Dirent): DirectoryEntry | undefined => {
  const name = B.fromLatin1(dirent.name);
  const told =
    dirent.isDirectory() ||
    dirent.isFile() ||
    dirent.isSymbolicLink() ||
    dirent.isFIFO() ||
    dirent.isSocket() ||
    dirent.isBlockDevice() ||
    dirent.isCharacterDevice();
  if (told) return { name, kind: kindOf(dirent) };
  const path = Buffer.from(`${directory}/${name}`, 'latin1');
  const status = attempt(
    'stat',
    () => name,
    () => fs.lstatSync(path, { bigint: true }),
  );
  return E.isLeft(status) ? undefined : { name, kind: kindOf(status.right) };
};

const list = (directory: Directory): TaskEither<FileError, ReadonlyArray<DirectoryEntry>> => {
  return async () => {
    const path = descriptorPath(directory);
    if (E.isLeft(path)) return path;
    return attempt(
      'list',
      () => directory.path,
      () => {
        const entries: Array<DirectoryEntry> = [];
        for (const dirent of fs.readdirSync(`${path.right}/.`, { encoding: 'latin1', withFileTypes: true })) {
          const entry = entryOf(path.right, dirent);
          if (entry !== undefined) entries.push(entry);
        }
        return entries.sort((first, second) => B.Ord.compare(first.name, second.name));
      },
    );
  };
};

/** What is read before it is copied: nothing is awaited in between. */
let buffer = Buffer.allocUnsafe(64 * 1024 + 1);

/** Reads at most `maxBytes`, and one more to notice a file that is longer, or grows. */
const readUpTo = (descriptor: number, maxBytes: number): B.ByteString | undefined => {
  if (buffer.length <= maxBytes) buffer = Buffer.allocUnsafe(maxBytes + 1);
  let length = 0;
  while (length <= maxBytes) {
    const read = fs.readSync(descriptor, buffer, length, maxBytes + 1 - length, null);
    if (read === 0) return B.fromLatin1(buffer.toString('latin1', 0, length));
    length += read;
  }
  return undefined;
};

const readOpened = (
  descriptor: number,
  path: () => B.ByteString,
  maxBytes: number,
): E.Either<FileError, B.ByteString> => {
  const status = attempt('read', path, () => fs.fstatSync(descriptor, { bigint: true }));
  if (E.isLeft(status)) return status;
  const kind = kindOf(status.right);
  if (kind !== 'file') return E.left({ _tag: 'NotRegularFile', path: path(), kind });
  if (status.right.size > maxBytes) return E.left({ _tag: 'TooLarge', path: path(), maxBytes });
  const content = attempt('read', path, () => readUpTo(descriptor, maxBytes));
  if (E.isLeft(content)) return content;
  return content.right === undefined ? E.left({ _tag: 'TooLarge', path: path(), maxBytes }) : E.right(content.right);
};

const readSmallFile =
  (at: Location, maxBytes: number): TaskEither<FileError, B.ByteString> =>
  async () => {
    const descriptor = await onEntry('read', (path) => fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK))(at)();
    if (E.isLeft(descriptor)) return E.left(await refuseUnopened(at, descriptor.left));
    const content = readOpened(descriptor.right, () => pathOf(at), maxBytes);
    fs.closeSync(descriptor.right);
    return content;
  };

/**
 * A socket cannot be opened at all (`ENXIO`), nor can some devices, and a symlink is not followed (`ELOOP`): said by what
 * it is rather than by that errno.
 */
const refuseUnopened = async (at: Location, error: FileError): Promise<FileError> => {
  if (error._tag !== 'SystemError' || !['ENXIO', 'ELOOP'].includes(error.code)) return error;
  const status = await linuxFileSystem.status(at)();
  return E.isLeft(status) ? error : { _tag: 'NotRegularFile', path: pathOf(at), kind: status.right.kind };
};

/** Written and brought to the disk, or taken away again. */
const createFile =
  (at: Location, content: B.ByteString): TaskEither<FileError, void> =>
  async () => {
    const flags = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW;
    const descriptor = await onEntry('create', (path) => fs.openSync(path, flags, 0o644))(at)();
    if (E.isLeft(descriptor)) return descriptor;
    const written = attempt(
      'write',
      () => pathOf(at),
      () => {
        fs.writeFileSync(descriptor.right, B.toBytes(content));
        fs.fsyncSync(descriptor.right);
      },
    );
    fs.closeSync(descriptor.right);
    if (E.isLeft(written)) await linuxFileSystem.unlink(at)();
    return written;
  };

export const linuxFileSystem: FileSystem = {
  openPath: (path) => async () => open(Buffer.from(B.toBytes(path)), path, 0),
  openDirectory: (at) => async () => {
    const path = kernelPath(at);
    return E.isLeft(path) ? path : open(path.right, pathOf(at), O_NOFOLLOW);
  },
  close: (directory) => async () => {
    if (!(directory instanceof OpenDirectory) || directory.descriptor === undefined) return;
    fs.closeSync(directory.descriptor);
    directory.descriptor = undefined;
    openCount--;
  },
  list,
  readSmallFile,
  identify: (directory) => async () => {
    const { descriptor } = directory instanceof OpenDirectory ? directory : { descriptor: undefined };
    if (descriptor === undefined) return E.left(systemError('use', directory.path, 'EBADF'));
    return attempt(
      'stat',
      () => directory.path,
      () => statusOf(fs.fstatSync(descriptor, { bigint: true })),
    );
  },
  readLink: onEntry('read', (path) => B.fromLatin1(fs.readlinkSync(path, { encoding: 'latin1' }))),
  status: statusAt,
  resolvedStatus: onEntry('stat', (path) => statusOf(fs.statSync(path, { bigint: true }))),
  createFile,
  rename: (from, to) => async () => {
    const target = kernelPath(to);
    return E.isLeft(target) ? target : onEntry('rename', (path) => fs.renameSync(path, target.right))(from)();
  },
  unlink: onEntry('remove', (path) => fs.unlinkSync(path)),
  removeDirectory: onEntry('remove', (path) => fs.rmdirSync(path)),
};

/**
 * Files and directories on Linux, by open directory and one name: `openat` and its family. System calls are made
 * synchronously: each takes microseconds, and handing one to a thread costs ten times that.
 */
import * as fs from 'node:fs';
import { ByteString as B } from '@shim-recovery/core';
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
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import { systemClock } from './LinuxClock.js';
import { errnoIn } from '../native/Errno.js';
import {
  allFreed,
  freesSlowly,
  removeDirectoryHolding,
  type RemoveHolding,
  unlinkHolding,
} from '../native/DeferredFree.js';
import {
  AT_FDCWD,
  close,
  fstat,
  type KernelName,
  lstatAt,
  openAt,
  type RawEntry,
  read,
  readLinkAt,
  removeDirectoryAt,
  readSomeEntries,
  renameAt,
  renameAtNoReplace,
  rewind,
  statAt,
  type Statx,
  terminated,
  unavailable,
  unlinkAt,
} from '../native/Native.js';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = fs.constants;

/** The `f_type` of procfs. */
const procMagic = 0x9fa0;

/** Whether `/proc` is what its name says. */
export const isProcMounted = (): boolean => {
  const type = E.tryCatch(() => fs.statfsSync('/proc').type, errnoIn);
  return E.isRight(type) && type.right === procMagic;
};

/** A directory that is open on a descriptor; closed for good when the descriptor is gone. */
class OpenDirectory implements Directory {
  /** Whether it was read before: the kernel goes on from where that ended. */
  public wasRead = false;

  /** Whether what is removed in it is freed slowly; undefined until somebody asks. */
  public freesSlowly: boolean | undefined;

  /** How many that were removed in it were held. */
  public held = 0;

  constructor(
    private readonly at: Location | B.ByteString,
    public descriptor: number | undefined,
  ) {}

  get isOpenedByPath(): boolean {
    return typeof this.at === 'string';
  }

  /** Made when somebody asks: most are opened and closed without a word. */
  get path(): B.ByteString {
    return typeof this.at === 'string' ? this.at : pathOf(this.at);
  }
}

let openCount = 0;

/** How many directories are open at this moment; tests see by it that none is forgotten. */
export const openDirectories = (): number => openCount;

/**
 * Whether this machine has what the interpreter needs: the native part, and `/proc`, through which open files are reached,
 * and mounts and processes seen. Left: what is missing, as a sentence.
 */
export const checkMachine = (): E.Either<string, void> => {
  const problem = unavailable();
  if (problem !== undefined) return E.left(problem);
  makeThreads();
  return isProcMounted()
    ? E.right(undefined)
    : E.left('/proc is not mounted; nothing is known of mounts and processes without it');
};

/** Where this process may have no more threads, it ends when it makes some: before anything is done, rather than amid it. */
const makeThreads = (): void => fs.access('/proc', () => undefined);

/** A name or a path for the calls of this and other modules. */
export const kernelName = (name: B.ByteString): KernelName => (B.isAscii(name) ? name : terminated(B.toBytes(name)));

/** What an open directory is open on, for calls of other modules. */
export const descriptorOf = (directory: Directory): E.Either<FileError, number> =>
  directory instanceof OpenDirectory && directory.descriptor !== undefined
    ? E.right(directory.descriptor)
    : E.left(systemError('use', directory.path, 'EBADF'));

/** What a file is, by its mode. */
export const kindOf = ({ mode }: Pick<Statx, 'mode'>): FileKind => kindByMode[mode & fs.constants.S_IFMT] ?? 'device';

const kindByMode: Readonly<Record<number, FileKind>> = {
  [fs.constants.S_IFDIR]: 'directory',
  [fs.constants.S_IFREG]: 'file',
  [fs.constants.S_IFLNK]: 'symlink',
  [fs.constants.S_IFIFO]: 'fifo',
  [fs.constants.S_IFSOCK]: 'socket',
};

/** What is read before it is copied: nothing is awaited in between. */
let buffer = Buffer.allocUnsafe(64 * 1024 + 1);

/** Makes a call on an entry. */
const onEntry =
  <A>(operation: string, action: (directory: number, name: KernelName) => E.Either<string, A>) =>
  (at: Location): TaskEither<FileError, A> =>
  async () =>
    callOn(operation, at, action);

const callOn = <A>(
  operation: string,
  at: Location,
  action: (directory: number, name: KernelName) => E.Either<string, A>,
): E.Either<FileError, A> => {
  const located = locate(at);
  if (E.isLeft(located)) return located;
  const outcome = action(located.right.directory, located.right.name);
  return E.isLeft(outcome) ? E.left(systemError(operation, pathOf(at), outcome.left)) : outcome;
};

/** How the kernel finds an entry: what its directory is open on, and its name there. */
const locate = (at: Location): E.Either<FileError, { readonly directory: number; readonly name: KernelName }> => {
  const directory = descriptorOf(at.directory);
  if (E.isLeft(directory)) return directory;
  if (!isOneName(at.name)) return E.left(systemError('use', pathOf(at), 'EINVAL'));
  return E.right({ directory: directory.right, name: kernelName(at.name) });
};

const isOneName = (name: B.ByteString): boolean =>
  name !== '' && name !== '.' && name !== '..' && !name.includes('/') && !name.includes('\0');

/** Removes an entry, once others have had their turn: a tree of any size is removed by these, one after the other. */
const removing =
  (remove: typeof unlinkAt, holding: RemoveHolding) =>
  (at: Location): TaskEither<FileError, void> =>
  async () => {
    const others = systemClock.yieldIfDue();
    if (others !== undefined) await others;
    const { directory } = at;
    if (!(directory instanceof OpenDirectory) || !isFreedSlowly(directory)) return callOn('remove', at, remove);
    const removed = callOn('remove', at, holding);
    if (E.isLeft(removed)) return removed;
    if (removed.right) directory.held++;
    return done;
  };

const isFreedSlowly = (directory: OpenDirectory): boolean =>
  directory.descriptor !== undefined && (directory.freesSlowly ??= freesSlowly(directory.descriptor));

const done = E.right(undefined);

/**
 * Whether a directory is closed only once what was removed is freed. Where much was removed in it, as the kernel has whoever
 * removes a directory wait without a pause for what was in it. And where a recovery or another use of a root directory is over:
 * what is held keeps whoever comes after from unmounting. (Where a path leads to is opened for one removal only.)
 */
const isClosedLast = ({ held, isOpenedByPath }: OpenDirectory): boolean =>
  held > fewHeld || (isOpenedByPath && held === 0);

/** So many that are being freed, and small, keep nobody waiting. */
const fewHeld = 4;

const asStatus = (status: E.Either<string, Statx>): E.Either<string, FileStatus> =>
  E.isLeft(status) ? status : E.right(statusOf(status.right));

const statusOf = (status: Statx): FileStatus => ({
  kind: kindOf(status),
  device: status.device,
  inode: status.inode,
  bornNs: status.bornNs,
});

const opened = (at: Location | B.ByteString, descriptor: number): Directory => {
  openCount++;
  return new OpenDirectory(at, descriptor);
};

const list =
  (directory: Directory): TaskEither<FileError, ReadonlyArray<DirectoryEntry>> =>
  async () => {
    const descriptor = descriptorOf(directory);
    if (E.isLeft(descriptor)) return descriptor;
    const started = startReading(directory, descriptor.right);
    const atOnce = E.isLeft(started) ? started : listAtOnce(descriptor.right);
    const entries = atOnce ?? (await listByTurns(descriptor.right));
    return E.isLeft(entries)
      ? E.left(systemError('list', directory.path, entries.left))
      : E.right(entries.right.toSorted((first, second) => B.Ord.compare(first.name, second.name)));
  };

/** Goes back to the first entry, if any was read. */
const startReading = (directory: Directory, descriptor: number): E.Either<string, void> => {
  if (!(directory instanceof OpenDirectory) || directory.wasRead) return rewind(descriptor);
  directory.wasRead = true;
  return E.right(undefined);
};

/** Most directories are read by one call, and a second one that finds nothing more; undefined where it finds some. */
const listAtOnce = (directory: number): E.Either<string, ReadonlyArray<DirectoryEntry>> | undefined => {
  const first = readSomeEntries(directory);
  if (E.isLeft(first)) return first;
  const second = first.right.length === 0 ? first : readSomeEntries(directory);
  if (E.isLeft(second)) return second;
  if (second.right.length > 0) return undefined;
  const entries: Array<DirectoryEntry> = [];
  const appended = append(entries, directory, first.right);
  return E.isLeft(appended) ? appended : E.right(entries);
};

/**
 * Appends entries as they are told. Where the type of one was not told, it is looked at; one that vanished meanwhile is left out
 * (SPEC 1.4). Left: the errno why one cannot be looked at, which is not to be taken for its absence.
 */
const append = (
  entries: Array<DirectoryEntry>,
  directory: number,
  told: ReadonlyArray<RawEntry>,
): E.Either<string, void> => {
  for (const { name: text, type } of told) {
    const name = B.fromLatin1(text);
    const kind = kindByType[type];
    if (kind !== undefined) {
      entries.push({ name, kind });
      continue;
    }
    const status = lstatAt(directory, kernelName(name));
    if (E.isRight(status)) entries.push({ name, kind: kindOf(status.right) });
    else if (status.left !== 'ENOENT') return status;
  }
  return done;
};

/** The kinds that `getdents64(2)` tells by number. */
const kindByType: Readonly<Record<number, FileKind>> = {
  1: 'fifo',
  2: 'device',
  4: 'directory',
  6: 'device',
  8: 'file',
  10: 'symlink',
  12: 'socket',
};

/** Reads a large directory by a descriptor of its own, so that others have their turn in between. */
const listByTurns = async (directory: number): Promise<E.Either<string, ReadonlyArray<DirectoryEntry>>> => {
  const own = openAt(directory, '.', directoryFlags);
  if (E.isLeft(own)) return own;
  const entries: Array<DirectoryEntry> = [];
  for (;;) {
    const some = readSomeEntries(own.right);
    const appended = E.isLeft(some) ? some : append(entries, own.right, some.right);
    if (E.isLeft(some) || E.isLeft(appended) || some.right.length === 0) {
      close(own.right);
      return E.isLeft(appended) ? appended : E.right(entries);
    }
    await systemClock.yieldIfDue();
  }
};

const directoryFlags = O_RDONLY | O_DIRECTORY | O_NONBLOCK;

const readSmallFile =
  (at: Location, maxBytes: number): TaskEither<FileError, B.ByteString> =>
  async () => {
    const descriptor = callOn('read', at, (directory, name) =>
      openAt(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK),
    );
    if (E.isLeft(descriptor)) return E.left(refuseUnopened(at, descriptor.left));
    const content = readOpened(descriptor.right, at, maxBytes);
    close(descriptor.right);
    return content;
  };

/**
 * A socket cannot be opened at all (`ENXIO`), nor can some devices, and a symlink is not followed (`ELOOP`): said by what
 * it is rather than by that errno.
 */
const refuseUnopened = (at: Location, error: FileError): FileError => {
  if (error._tag !== 'SystemError' || !['ENXIO', 'ELOOP'].includes(error.code)) return error;
  const status = callOn('stat', at, lstatAt);
  return E.isLeft(status) ? error : { _tag: 'NotRegularFile', path: pathOf(at), kind: kindOf(status.right) };
};

const readOpened = (descriptor: number, at: Location, maxBytes: number): E.Either<FileError, B.ByteString> => {
  const status = fstat(descriptor);
  if (E.isLeft(status)) return E.left(systemError('read', pathOf(at), status.left));
  const kind = kindOf(status.right);
  if (kind !== 'file') return E.left({ _tag: 'NotRegularFile', path: pathOf(at), kind });
  if (status.right.sizeBytes > maxBytes) return E.left({ _tag: 'TooLarge', path: pathOf(at), maxBytes });
  const content = readUpTo(descriptor, status.right.sizeBytes, maxBytes);
  if (E.isLeft(content)) return E.left(systemError('read', pathOf(at), content.left));
  return content.right === undefined
    ? E.left({ _tag: 'TooLarge', path: pathOf(at), maxBytes })
    : E.right(content.right);
};

/**
 * Reads at most `maxBytes`, and one more to notice a file that is longer, or grows: undefined for that. A read that
 * asked for more than it got, and has got all that the file is said to hold, has come to its end.
 */
const readUpTo = (
  descriptor: number,
  sizeBytes: number,
  maxBytes: number,
): E.Either<string, B.ByteString | undefined> => {
  if (buffer.length <= maxBytes) buffer = Buffer.allocUnsafe(maxBytes + 1);
  let length = 0;
  while (length <= maxBytes) {
    const came = read(descriptor, buffer.subarray(length, maxBytes + 1));
    if (E.isLeft(came)) return came;
    length += came.right;
    if (came.right === 0 || length === sizeBytes) return E.right(B.fromLatin1(buffer.toString('latin1', 0, length)));
  }
  return E.right(undefined);
};

/** Written and brought to the disk, or taken away again. */
const createFile =
  (at: Location, content: B.ByteString): TaskEither<FileError, void> =>
  async () => {
    const flags = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW;
    const descriptor = callOn('create', at, (directory, name) => openAt(directory, name, flags, 0o644));
    if (E.isLeft(descriptor)) return descriptor;
    const written = E.tryCatch(() => {
      fs.writeFileSync(descriptor.right, B.toBytes(content));
      fs.fsyncSync(descriptor.right);
    }, errnoIn);
    close(descriptor.right);
    if (E.isRight(written)) return written;
    callOn('remove', at, unlinkAt);
    return E.left(systemError('write', pathOf(at), written.left));
  };

/** What `fstat(2)` tells of an open directory. */
const onDirectory =
  <A>(tell: (status: Statx) => A) =>
  (directory: Directory): TaskEither<FileError, A> =>
  async () => {
    const descriptor = descriptorOf(directory);
    if (E.isLeft(descriptor)) return descriptor;
    const status = fstat(descriptor.right);
    return E.isLeft(status) ? E.left(systemError('stat', directory.path, status.left)) : E.right(tell(status.right));
  };

const renaming =
  (rename: typeof renameAt): FileSystem['rename'] =>
  (from, to) =>
  async () => {
    const target = locate(to);
    if (E.isLeft(target)) return target;
    const { directory, name } = target.right;
    return callOn('rename', from, (source, old) => rename(source, old, directory, name));
  };

/** The errno that making a small file here would give; undefined where one can be made, or where that cannot be told. */
const whyNotWritable = (path: string): string | undefined => {
  try {
    fs.accessSync(path, fs.constants.W_OK);
    const { bfree, files, ffree } = fs.statfsSync(path);
    return bfree === 0 || (files > 0 && ffree === 0) ? 'ENOSPC' : undefined;
  } catch (error) {
    const code = errnoIn(error);
    return ['EROFS', 'EACCES', 'EPERM', 'ENOSPC', 'EDQUOT'].includes(code) ? code : undefined;
  }
};

export const linuxFileSystem: FileSystem = {
  openPath: (path) => async () => {
    const descriptor = path.includes('\0') ? E.left('EINVAL') : openAt(AT_FDCWD, kernelName(path), directoryFlags);
    return E.isLeft(descriptor)
      ? E.left(systemError('open', path, descriptor.left))
      : E.right(opened(path, descriptor.right));
  },
  openDirectory: (at) => async () => {
    const descriptor = callOn('open', at, (directory, name) => openAt(directory, name, directoryFlags | O_NOFOLLOW));
    return E.isLeft(descriptor) ? descriptor : E.right(opened(at, descriptor.right));
  },
  close: (directory) => async () => {
    if (!(directory instanceof OpenDirectory) || directory.descriptor === undefined) return;
    const { descriptor } = directory;
    directory.descriptor = undefined;
    openCount--;
    if (isClosedLast(directory)) await allFreed();
    close(descriptor);
  },
  list,
  readSmallFile,
  identify: onDirectory(statusOf),
  owner: onDirectory(({ uid }) => uid),
  readLink: onEntry('read', (directory, name) => {
    const text = readLinkAt(directory, name);
    return E.isLeft(text) ? text : E.right(B.fromLatin1(text.right));
  }),
  status: onEntry('stat', (directory, name) => asStatus(lstatAt(directory, name))),
  resolvedStatus: onEntry('stat', (directory, name) => asStatus(statAt(directory, name))),
  createFile,
  writable: (directory) => async () => {
    const descriptor = descriptorOf(directory);
    if (E.isLeft(descriptor)) return descriptor;
    const code = whyNotWritable(`/proc/self/fd/${descriptor.right}`);
    return code === undefined ? E.right(undefined) : E.left(systemError('write in', directory.path, code));
  },
  rename: renaming(renameAt),
  renameNoReplace: renaming(renameAtNoReplace),
  unlink: removing(unlinkAt, unlinkHolding),
  removeDirectory: removing(removeDirectoryAt, removeDirectoryHolding),
};

/**
 * The file system of an imaginary runtime, over `node:fs`. As it was first written, an open directory was only its path;
 * the laws of file systems found that whoever moved it led the recovery elsewhere. The kernel knows a way by number.
 */
import * as fs from 'node:fs';
import { ByteString as B } from '@shim-recovery/core';
import {
  type Directory,
  type FileError,
  type FileKind,
  type FileStatus,
  type FileSystem,
  type Location,
  pathOf,
  systemError,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = fs.constants;

class Opened implements Directory {
  constructor(
    readonly path: B.ByteString,
    public descriptor: number | undefined,
  ) {}
}

type Attempt<A> = E.Either<FileError, A>;
type PathOfDirectory = (directory: Opened) => string;

/** Bug: what stands at that path now may be another directory. */
export const byPath: PathOfDirectory = ({ path }) => Buffer.from(path, 'latin1').toString();

/** As it is now: this one, wherever it is. */
export const byDescriptor: PathOfDirectory = ({ descriptor }) => `/proc/self/fd/${descriptor}`;

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : String(error);

const attempt = <A>(operation: string, path: B.ByteString, run: () => A): Attempt<A> =>
  E.tryCatch(run, (error) => systemError(operation, path, codeOf(error)));

const isOneName = (name: B.ByteString): boolean => name !== '.' && name !== '..' && /^[^/\0]+$/.test(name);

const kindOf = (entry: fs.BigIntStats | fs.Dirent<Buffer>): FileKind => {
  if (entry.isDirectory()) return 'directory';
  if (entry.isSymbolicLink()) return 'symlink';
  if (entry.isFIFO()) return 'fifo';
  if (entry.isSocket()) return 'socket';
  return entry.isFile() ? 'file' : 'device';
};

const statusOf = (status: fs.BigIntStats): FileStatus => ({
  kind: kindOf(status),
  device: String(status.dev),
  inode: String(status.ino),
  bornNs: String(status.birthtimeNs),
});

/** A file system in which an open directory is found in this way. */
export const ownFileSystem = (pathOfDirectory: PathOfDirectory): FileSystem => {
  const isOpen = (directory: Directory): directory is Opened =>
    directory instanceof Opened && directory.descriptor !== undefined;

  /** The path by which the kernel is told of an entry. */
  const kernelPath = ({ directory, name }: Location): Attempt<Buffer> => {
    const path = B.concat(directory.path, B.fromText('/'), name);
    if (!isOneName(name)) return E.left(systemError('use', path, 'EINVAL'));
    if (!isOpen(directory)) return E.left(systemError('use', path, 'EBADF'));
    return E.right(Buffer.concat([Buffer.from(`${pathOfDirectory(directory)}/`), B.toBytes(name)]));
  };

  const on =
    <A>(operation: string, run: (path: Buffer) => A) =>
    (at: Location) =>
    async (): Promise<Attempt<A>> =>
      pipe(
        kernelPath(at),
        E.chain((path) => attempt(operation, pathOf(at), () => run(path))),
      );

  const open = (kernel: Buffer, path: B.ByteString, flags: number): Attempt<Directory> =>
    attempt('open', path, () => new Opened(path, fs.openSync(kernel, O_RDONLY | O_DIRECTORY | flags)));

  const read = (at: Location, descriptor: number, maxBytes: number): Attempt<B.ByteString> => {
    const path = pathOf(at);
    const status = fs.fstatSync(descriptor, { bigint: true });
    if (!status.isFile()) return E.left({ _tag: 'NotRegularFile', path, kind: kindOf(status) });
    if (status.size > maxBytes) return E.left({ _tag: 'TooLarge', path, maxBytes });
    return E.right(B.fromBytes(fs.readFileSync(descriptor)));
  };

  const onDirectory =
    <A>(tell: (status: fs.BigIntStats) => A) =>
    (directory: Directory) =>
    async (): Promise<Attempt<A>> => {
      const { descriptor } = isOpen(directory) ? directory : { descriptor: undefined };
      return descriptor === undefined
        ? E.left(systemError('stat', directory.path, 'EBADF'))
        : attempt('stat', directory.path, () => tell(fs.fstatSync(descriptor, { bigint: true })));
    };

  const renameNow = (path: B.ByteString, source: Buffer, target: Buffer): Attempt<void> =>
    attempt('rename', path, () => fs.renameSync(source, target));

  const renaming =
    (rename: typeof renameNow): FileSystem['rename'] =>
    (from, to) =>
    async () =>
      pipe(
        E.Do,
        E.bind('source', () => kernelPath(from)),
        E.bind('target', () => kernelPath(to)),
        E.chain(({ source, target }) => rename(pathOf(from), source, target)),
      );

  return {
    openPath: (path) => async () => open(Buffer.from(B.toBytes(path)), path, 0),
    openDirectory: (at) => async () =>
      pipe(
        kernelPath(at),
        E.chain((path) => open(path, pathOf(at), O_NOFOLLOW)),
      ),
    close: (directory) => async () => {
      if (!isOpen(directory) || directory.descriptor === undefined) return;
      fs.closeSync(directory.descriptor);
      directory.descriptor = undefined;
    },
    list: (directory) => async () =>
      isOpen(directory)
        ? attempt('list', directory.path, () =>
            fs
              .readdirSync(`${pathOfDirectory(directory)}/.`, { withFileTypes: true, encoding: 'buffer' })
              .sort((first, second) => Buffer.compare(first.name, second.name))
              .map((entry) => ({ name: B.fromBytes(entry.name), kind: kindOf(entry) })),
          )
        : E.left(systemError('list', directory.path, 'EBADF')),
    identify: onDirectory(statusOf),
    owner: onDirectory(({ uid }) => Number(uid)),
    readSmallFile: (at, maxBytes) => async () => {
      const opened = await on('read', (path) => fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK))(at)();
      if (E.isLeft(opened))
        return opened.left._tag === 'SystemError' && opened.left.code === 'ELOOP'
          ? E.left({ _tag: 'NotRegularFile', path: pathOf(at), kind: 'symlink' })
          : opened;
      const content = read(at, opened.right, maxBytes);
      fs.closeSync(opened.right);
      return content;
    },
    readLink: on('read', (path) => B.fromBytes(fs.readlinkSync(path, { encoding: 'buffer' }))),
    status: on('stat', (path) => statusOf(fs.lstatSync(path, { bigint: true }))),
    resolvedStatus: on('stat', (path) => statusOf(fs.statSync(path, { bigint: true }))),
    createFile: (at, content) => async () => {
      const flags = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW;
      const opened = await on('create', (path) => fs.openSync(path, flags, 0o644))(at)();
      if (E.isLeft(opened)) return opened;
      const written = attempt('write', pathOf(at), () => {
        fs.writeFileSync(opened.right, B.toBytes(content));
        fs.fsyncSync(opened.right);
      });
      fs.closeSync(opened.right);
      return written;
    },
    writable: (directory) => async () => {
      if (!isOpen(directory)) return E.left(systemError('write in', directory.path, 'EBADF'));
      const path = pathOfDirectory(directory);
      const writable = attempt('write in', directory.path, () => {
        fs.accessSync(path, fs.constants.W_OK);
        return fs.statfsSync(path).bavail > 0;
      });
      if (E.isLeft(writable)) return writable;
      return writable.right ? E.right(undefined) : E.left(systemError('write in', directory.path, 'ENOSPC'));
    },
    rename: renaming(renameNow),
    // Node has no call for it in one step.
    renameNoReplace: renaming((path, source, target) =>
      pipe(
        attempt('rename', path, () => {
          fs.lstatSync(source);
          return fs.lstatSync(target, { throwIfNoEntry: false }) !== undefined;
        }),
        E.filterOrElse(
          (isTaken) => !isTaken,
          () => systemError('rename', path, 'EEXIST'),
        ),
        E.chain(() => renameNow(path, source, target)),
      ),
    ),
    unlink: on('remove', (path) => fs.unlinkSync(path)),
    removeDirectory: on('remove', (path) => fs.rmdirSync(path)),
  };
};

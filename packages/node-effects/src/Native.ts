/**
 * The system calls that Node has no name for, or only a slow one, through koffi, which is loaded at the first use.
 *
 * Each returns the errno's name on the left; `ENOSYS` where the native part cannot be loaded at all. Names and paths are
 * bytes. Descriptors are made close-on-exec, so that no child inherits them.
 */
import { createRequire } from 'node:module';
import * as os from 'node:os';
import * as E from 'fp-ts/lib/Either.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import type * as Koffi from 'koffi';

/** A name or a path as the kernel takes it: text where that is ASCII, and otherwise its bytes with a NUL behind them. */
export type KernelName = string | Uint8Array;

interface Functions {
  readonly openat: (directory: number, name: KernelName, flags: number, mode: number) => number;
  readonly close: (descriptor: number) => number;
  readonly statx: (directory: number, name: KernelName, flags: number, mask: number, into: Uint32Array) => number;
  readonly lseek: (descriptor: number, offset: number, whence: number) => number;
  readonly getdents64: (directory: number, into: Uint8Array, size: number) => number;
  readonly read: (descriptor: number, into: Uint8Array, size: number) => number;
  readonly readlinkat: (directory: number, name: KernelName, into: Uint8Array, size: number) => number;
  readonly renameat: (from: number, name: KernelName, to: number, newName: KernelName) => number;
  readonly unlinkat: (directory: number, name: KernelName, flags: number) => number;
  readonly faccessat: (directory: number, name: KernelName, mode: number, flags: number) => number;
  readonly mkfifoat: (directory: number, name: KernelName, mode: number) => number;
  readonly flock: (descriptor: number, operation: number) => number;
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly connect: (socket: number, address: Uint8Array, size: number) => number;
  readonly pipe2: (into: Int32Array, flags: number) => number;
  readonly posix_spawn: (
    pid: Int32Array,
    file: string,
    actions: Uint8Array,
    attributes: Uint8Array,
    // Each with a null behind the last.
    args: ReadonlyArray<string | null>,
    environment: ReadonlyArray<string | null>,
  ) => number;
  readonly posix_spawn_file_actions_init: (actions: Uint8Array) => number;
  readonly posix_spawn_file_actions_destroy: (actions: Uint8Array) => number;
  readonly posix_spawn_file_actions_adddup2: (actions: Uint8Array, from: number, to: number) => number;
  readonly posix_spawn_file_actions_addfchdir_np: (actions: Uint8Array, directory: number) => number;
  readonly posix_spawn_file_actions_addopen: (
    actions: Uint8Array,
    descriptor: number,
    path: string,
    flags: number,
    mode: number,
  ) => number;
  readonly posix_spawnattr_init: (attributes: Uint8Array) => number;
  readonly posix_spawnattr_setflags: (attributes: Uint8Array, flags: number) => number;
  readonly posix_spawnattr_setsigdefault: (attributes: Uint8Array, signals: Uint8Array) => number;
  readonly posix_spawnattr_setsigmask: (attributes: Uint8Array, signals: Uint8Array) => number;
  readonly sigfillset: (signals: Uint8Array) => number;
  readonly waitid: (type: number, id: number, into: Int32Array, options: number) => number;
  readonly waitpid: (pid: number, status: Int32Array, options: number) => number;
}

interface Library extends Functions {
  readonly errno: () => number;
  readonly umount2: (path: KernelName, flags: number) => Promise<E.Either<string, number>>;
  readonly fcntl: (descriptor: number, command: number, argument: number) => Promise<E.Either<string, number>>;
}

/** `long` and `size_t` are as wide as a pointer on every Linux. */
const signatures: Readonly<Record<keyof Functions | 'umount2' | 'fcntl', readonly [string, ReadonlyArray<string>]>> = {
  openat: ['int', ['int', 'const char *', 'int', 'uint']],
  close: ['int', ['int']],
  statx: ['int', ['int', 'const char *', 'int', 'uint', 'void *']],
  lseek: ['long', ['int', 'long', 'int']],
  getdents64: ['long', ['int', 'void *', 'size_t']],
  read: ['long', ['int', 'void *', 'size_t']],
  readlinkat: ['long', ['int', 'const char *', 'void *', 'size_t']],
  renameat: ['int', ['int', 'const char *', 'int', 'const char *']],
  unlinkat: ['int', ['int', 'const char *', 'int']],
  faccessat: ['int', ['int', 'const char *', 'int', 'int']],
  mkfifoat: ['int', ['int', 'const char *', 'uint']],
  flock: ['int', ['int', 'int']],
  socket: ['int', ['int', 'int', 'int']],
  connect: ['int', ['int', 'const uint8_t *', 'uint']],
  pipe2: ['int', ['void *', 'int']],
  posix_spawn: ['int', ['void *', 'const char *', 'void *', 'void *', 'const char **', 'const char **']],
  posix_spawn_file_actions_init: ['int', ['void *']],
  posix_spawn_file_actions_destroy: ['int', ['void *']],
  posix_spawn_file_actions_adddup2: ['int', ['void *', 'int', 'int']],
  posix_spawn_file_actions_addfchdir_np: ['int', ['void *', 'int']],
  posix_spawn_file_actions_addopen: ['int', ['void *', 'int', 'const char *', 'int', 'uint']],
  posix_spawnattr_init: ['int', ['void *']],
  posix_spawnattr_setflags: ['int', ['void *', 'short']],
  posix_spawnattr_setsigdefault: ['int', ['void *', 'const void *']],
  posix_spawnattr_setsigmask: ['int', ['void *', 'const void *']],
  sigfillset: ['int', ['void *']],
  waitid: ['int', ['int', 'int', 'void *', 'int']],
  waitpid: ['int', ['int', 'void *', 'int']],
  umount2: ['int', ['const char *', 'int']],
  fcntl: ['int', ['int', 'int', 'int']],
};

const errnoNames = new Map(Object.entries(os.constants.errno).map(([name, number]) => [number, name]));

/** The errno's name. `EWOULDBLOCK` shares its number with `EAGAIN`, by which it goes here. */
const errnoName = (number: number): string =>
  number === os.constants.errno.EAGAIN ? 'EAGAIN' : (errnoNames.get(number) ?? `errno ${number}`);

/** Each of them, made from its name. */
const functionsBy = (make: <K extends keyof Functions>(name: K) => Functions[K]): Functions => ({
  openat: make('openat'),
  close: make('close'),
  statx: make('statx'),
  lseek: make('lseek'),
  getdents64: make('getdents64'),
  read: make('read'),
  readlinkat: make('readlinkat'),
  renameat: make('renameat'),
  unlinkat: make('unlinkat'),
  faccessat: make('faccessat'),
  mkfifoat: make('mkfifoat'),
  flock: make('flock'),
  socket: make('socket'),
  connect: make('connect'),
  pipe2: make('pipe2'),
  posix_spawn: make('posix_spawn'),
  posix_spawn_file_actions_init: make('posix_spawn_file_actions_init'),
  posix_spawn_file_actions_destroy: make('posix_spawn_file_actions_destroy'),
  posix_spawn_file_actions_adddup2: make('posix_spawn_file_actions_adddup2'),
  posix_spawn_file_actions_addfchdir_np: make('posix_spawn_file_actions_addfchdir_np'),
  posix_spawn_file_actions_addopen: make('posix_spawn_file_actions_addopen'),
  posix_spawnattr_init: make('posix_spawnattr_init'),
  posix_spawnattr_setflags: make('posix_spawnattr_setflags'),
  posix_spawnattr_setsigdefault: make('posix_spawnattr_setsigdefault'),
  posix_spawnattr_setsigmask: make('posix_spawnattr_setsigmask'),
  sigfillset: make('sigfillset'),
  waitid: make('waitid'),
  waitpid: make('waitpid'),
});

const load = (): Library => {
  if (os.endianness() !== 'LE') throw new Error('machines that put the highest byte first are not supported');
  // oxlint-disable-next-line typescript/no-unsafe-assignment -- loaded at first use only, and require() knows no types
  const koffi: typeof Koffi = createRequire(import.meta.url)('koffi');
  // Kept for as many calls in threads as there are at once; each other one would map and unmap memory of its own.
  koffi.config({ resident_async_pools: 32 });
  const libc = koffi.load(null);
  const named = (name: keyof typeof signatures) => {
    const [result, parameters] = signatures[name];
    return libc.func(name, result, [...parameters]);
  };
  /** Made in a thread. errno belongs to that; koffi hands it over inside the callback only. */
  const inThread =
    (name: 'umount2' | 'fcntl') =>
    (...args: ReadonlyArray<unknown>): Promise<E.Either<string, number>> =>
      new Promise((resolve) => {
        threaded[name].async(...args, (_: unknown, result: unknown) =>
          resolve(Number(result) === -1 ? E.left(errnoName(koffi.errno())) : E.right(Number(result))),
        );
      });
  const threaded = { umount2: named('umount2'), fcntl: named('fcntl') };
  return {
    ...functionsBy(named),
    errno: () => koffi.errno(),
    umount2: inThread('umount2'),
    fcntl: inThread('fcntl'),
  };
};

/** What there is where nothing can be loaded: every call fails. */
const missing: Library = {
  ...functionsBy(() => () => -1),
  errno: () => os.constants.errno.ENOSYS,
  umount2: async () => E.left('ENOSYS'),
  fcntl: async () => E.left('ENOSYS'),
};

let loaded: { readonly library: Library; readonly problem: string | undefined } | undefined;

const attempt = (): NonNullable<typeof loaded> => {
  try {
    return { library: load(), problem: undefined };
  } catch (error) {
    return { library: missing, problem: error instanceof Error ? error.message : String(error) };
  }
};

const native = (): Library => (loaded ??= attempt()).library;

/** Why the native part cannot be used here, or undefined where it can. */
export const unavailable = (): string | undefined => {
  const { problem } = (loaded ??= attempt());
  return problem === undefined ? undefined : `the native part could not be loaded: ${problem}`;
};

/** Asked at once: errno is what the last call of this thread left. */
const lastErrno = (): string => errnoName(native().errno());

const outcomeOf = (result: number): E.Either<string, number> => (result === -1 ? E.left(lastErrno()) : E.right(result));

const done: E.Either<string, void> = E.right(undefined);

const doneOf = (result: number): E.Either<string, void> => (result === -1 ? E.left(lastErrno()) : done);

const O_CLOEXEC = 0o2000000;

/** For any call that takes an open directory: the one that the process stands in, and paths from the root. */
export const AT_FDCWD = -100;

/** `O_PATH`, which Node has no name for: takes hold of a place without opening what is there. */
export const O_PATH = 0o10000000;

/** `openat(2)`. */
export const openAt = (directory: number, name: KernelName, flags: number, mode = 0): E.Either<string, number> =>
  outcomeOf(native().openat(directory, name, flags | O_CLOEXEC, mode));

/** `close(2)`. The descriptor is gone, whatever the kernel says. */
export const close = (descriptor: number): void => {
  native().close(descriptor);
};

const F_DUPFD_CLOEXEC = 1030;

/** How many descriptors there is to be room for; the second where a process may not have so many. */
const roomFor: ReadonlyArray<number> = [16_384, 4_096];

/**
 * Makes room for thousands of descriptors, in a thread of its own. The kernel doubles a process's table when it is full, and
 * as there are several threads, whoever opened one too many waits each time until all processors have looked up from their
 * work: ten milliseconds and more, of the one thread that everybody else here waits for.
 */
export const makeRoomForDescriptors = async (): Promise<void> => {
  for (const descriptors of roomFor) {
    const copy = await native().fcntl(0, F_DUPFD_CLOEXEC, descriptors);
    if (E.isRight(copy)) return close(copy.right);
  }
};

/** What `statx(2)` says of a file. */
export interface Statx {
  /** With the type of the file. */
  readonly mode: number;
  readonly links: number;
  readonly sizeBytes: number;
  /** In the one number that `stat(2)` gives. */
  readonly device: string;
  readonly inode: string;
  /** Since the epoch; `0` where the file system does not know. */
  readonly bornNs: string;
}

const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;

/** The fields of `struct statx`, which is the same on every machine, in numbers of 32 bits. */
const field = {
  mode: 7,
  links: 4,
  inode: 8,
  size: 10,
  born: 20,
  bornNs: 22,
  deviceMajor: 34,
  deviceMinor: 35,
} as const;
/** All that there always is, and the birth. */
const STATX_BASIC_STATS = 0x7ff;
const STATX_BTIME = 0x800;

/** Filled by one call, and read before the next. */
const statxWords = new Uint32Array(64);

const wordAt = (index: number): number => statxWords[index] ?? 0;

const longAt = (index: number): string => {
  const [low, high] = [wordAt(index), wordAt(index + 1)];
  return high < 2 ** 21 ? String(high * 2 ** 32 + low) : String((BigInt(high) << 32n) | BigInt(low));
};

/** As `makedev(3)` does. */
const deviceOf = (major: number, minor: number): string =>
  String(
    (BigInt(major & ~0xfff) << 32n) |
      (BigInt(minor & ~0xff) << 12n) |
      (BigInt(major & 0xfff) << 8n) |
      BigInt(minor & 0xff),
  );

let lastDevice = { major: -1, minor: -1, text: '' };

/** Most files are on the device that the one before was on. */
const deviceAt = (): string => {
  const [major, minor] = [wordAt(field.deviceMajor), wordAt(field.deviceMinor)];
  if (lastDevice.major !== major || lastDevice.minor !== minor)
    lastDevice = { major, minor, text: deviceOf(major, minor) };
  return lastDevice.text;
};

const bornAt = (): string => {
  const seconds = longAt(field.born);
  const nanoseconds = wordAt(field.bornNs);
  return seconds === '0' ? String(nanoseconds) : seconds + String(nanoseconds).padStart(9, '0');
};

const statx = (directory: number, name: KernelName, flags: number): E.Either<string, Statx> => {
  statxWords[field.born] = 0;
  const result = native().statx(directory, name, flags, STATX_BASIC_STATS | STATX_BTIME, statxWords);
  if (result === -1) return E.left(lastErrno());
  return E.right({
    mode: wordAt(field.mode) & 0xffff,
    links: wordAt(field.links),
    sizeBytes: wordAt(field.size) + wordAt(field.size + 1) * 2 ** 32,
    device: deviceAt(),
    inode: longAt(field.inode),
    bornNs: (wordAt(0) & STATX_BTIME) === 0 ? '0' : bornAt(),
  });
};

/** What a name leads to (`stat`). */
export const statAt = (directory: number, name: KernelName): E.Either<string, Statx> => statx(directory, name, 0);

/** What the name itself is (`lstat`). */
export const lstatAt = (directory: number, name: KernelName): E.Either<string, Statx> =>
  statx(directory, name, AT_SYMLINK_NOFOLLOW);

/** What is open on a descriptor (`fstat`). */
export const fstat = (descriptor: number): E.Either<string, Statx> => statx(descriptor, '', AT_EMPTY_PATH);

/** An entry of a directory; its type is one of `DT_*`, of which 0 says that nobody knows. */
export interface RawEntry {
  readonly name: string;
  readonly type: number;
}

const entriesBytes = Buffer.allocUnsafe(32 * 1024);

/** Appends what one call of `getdents64(2)` told, without `.` and `..`. The names are bytes, each as one character. */
const appendEntries = (entries: Array<RawEntry>, length: number): void => {
  for (let start = 0; start < length; ) {
    const next = start + entriesBytes.readUInt16LE(start + 16);
    const from = start + 19;
    const name = entriesBytes.toString('latin1', from, entriesBytes.indexOf(0, from));
    if (name !== '.' && name !== '..') entries.push({ name, type: entriesBytes.readUInt8(start + 18) });
    start = next;
  }
};

/** `lseek(2)` to the start. */
export const rewind = (directory: number): E.Either<string, void> => doneOf(native().lseek(directory, 0, 0));

/** The next entries of an open directory, a few hundred; none at its end. */
export const readSomeEntries = (directory: number): E.Either<string, ReadonlyArray<RawEntry>> => {
  for (;;) {
    const length = native().getdents64(directory, entriesBytes, entriesBytes.length);
    if (length === -1) {
      const code = lastErrno();
      // Of a directory that was removed while it was open; POSIX wants that to be the end of the listing.
      return code === 'ENOENT' ? E.right([]) : E.left(code);
    }
    const entries: Array<RawEntry> = [];
    appendEntries(entries, length);
    // A few may have been `.` and `..` only.
    if (length === 0 || entries.length > 0) return E.right(entries);
  }
};

/** `read(2)` into the whole of a buffer. How many bytes came; none at the end. */
export const read = (descriptor: number, into: Uint8Array): E.Either<string, number> =>
  outcomeOf(native().read(descriptor, into, into.length));

const X_OK = 1;

/** `faccessat(2)`: whether this process may run what a name leads to, or go through it where it is a directory. */
export const mayExecuteAt = (directory: number, name: KernelName): E.Either<string, void> =>
  doneOf(native().faccessat(directory, name, X_OK, 0));

const linkBytes = Buffer.allocUnsafe(4096 + 1);

/** `readlinkat(2)`: the text of a symlink, each byte as one character. */
export const readLinkAt = (directory: number, name: KernelName): E.Either<string, string> => {
  const length = outcomeOf(native().readlinkat(directory, name, linkBytes, linkBytes.length));
  if (E.isLeft(length)) return length;
  return length.right === linkBytes.length
    ? E.left('ENAMETOOLONG')
    : E.right(linkBytes.toString('latin1', 0, length.right));
};

/** `renameat(2)`. */
export const renameAt = (from: number, name: KernelName, to: number, newName: KernelName): E.Either<string, void> =>
  doneOf(native().renameat(from, name, to, newName));

/** `unlinkat(2)`: removes anything but a directory. */
export const unlinkAt = (directory: number, name: KernelName): E.Either<string, void> =>
  doneOf(native().unlinkat(directory, name, 0));

const AT_REMOVEDIR = 0x200;

/** `unlinkat(2)`: removes an empty directory. */
export const removeDirectoryAt = (directory: number, name: KernelName): E.Either<string, void> =>
  doneOf(native().unlinkat(directory, name, AT_REMOVEDIR));

/** For `umount2`: the last component of the path is not followed. */
export const UMOUNT_NOFOLLOW = 8;

/** `umount2(2)`, in a thread of its own: one that hangs, on a dead network file system, blocks nobody else. */
export const umount2 =
  (path: KernelName, flags: number): TaskEither<string, void> =>
  async () => {
    const outcome = await native().umount2(path, flags);
    return E.isLeft(outcome) ? outcome : done;
  };

/** `mkfifoat(3)`, less the umask. */
export const mkfifoAt = (directory: number, name: KernelName, mode: number): E.Either<string, void> =>
  doneOf(native().mkfifoat(directory, name, mode));

/** `mkfifo(3)`, less the umask. */
export const mkfifo = (path: Uint8Array, mode: number): E.Either<string, void> =>
  mkfifoAt(AT_FDCWD, terminated(path), mode);

/** The bytes as C wants them. */
export const terminated = (path: Uint8Array): Uint8Array => Buffer.concat([path, Buffer.of(0)]);

const lockOperations = { shared: 1 | 4, exclusive: 2 | 4, unlock: 8 } as const;

/** `flock(2)` without waiting; `EAGAIN` when another open file description holds it. */
export const flock = (descriptor: number, operation: keyof typeof lockOperations): E.Either<string, void> =>
  doneOf(native().flock(descriptor, lockOperations[operation]));

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = O_CLOEXEC;

/**
 * A connected stream socket of an abstract name of exactly these bytes. Node 20 pads such names with NULs to 108 bytes,
 * which is another name (SPEC 23, trap 7).
 */
export const connectAbstract = (name: Uint8Array): E.Either<string, number> => {
  const socket = outcomeOf(native().socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (E.isLeft(socket)) return socket;
  const family = new Uint8Array(Uint16Array.of(AF_UNIX).buffer);
  const address = Buffer.concat([family, Buffer.of(0), name]);
  const connected = outcomeOf(native().connect(socket.right, address, address.length));
  if (E.isRight(connected)) return socket;
  close(socket.right);
  return connected;
};

const pipeEnds = new Int32Array(2);

/** `pipe2(2)`. */
export const pipe = (): E.Either<string, { readonly readEnd: number; readonly writeEnd: number }> => {
  const made = doneOf(native().pipe2(pipeEnds, O_CLOEXEC));
  if (E.isLeft(made)) return made;
  const [readEnd = -1, writeEnd = -1] = pipeEnds;
  return E.right({ readEnd, writeEnd });
};

/** More than any C library's structures for spawning take. */
const structureBytes = 1024;

const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const POSIX_SPAWN_SETSID = 0x80;

/** Which never change: every signal does what it does by default, and none is held back; a session of its own. */
const makeSpawnAttributes = (): Uint8Array => {
  const library = native();
  const attributes = new Uint8Array(structureBytes);
  const everySignal = new Uint8Array(structureBytes);
  library.sigfillset(everySignal);
  library.posix_spawnattr_init(attributes);
  library.posix_spawnattr_setsigdefault(attributes, everySignal);
  library.posix_spawnattr_setsigmask(attributes, new Uint8Array(structureBytes));
  library.posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
  return attributes;
};

let spawnAttributes: Uint8Array | undefined;
const spawnedPid = new Int32Array(1);

/** What is run, and where: in a directory that is open, whatever its name is by now. */
export interface Program {
  readonly file: string;
  /** With its own name first. */
  readonly arguments: ReadonlyArray<string>;
  readonly environment: ReadonlyArray<string>;
  readonly workingDirectory: number;
}

/** `posix_spawn(3)` in an open directory, with nothing to read, in a session of its own. The number of the process. */
export const spawn = (
  program: Program & { readonly stdout: number; readonly stderr: number },
): E.Either<string, number> => {
  const library = native();
  const attributes = (spawnAttributes ??= makeSpawnAttributes());
  const actions = new Uint8Array(structureBytes);
  library.posix_spawn_file_actions_init(actions);
  const failed =
    library.posix_spawn_file_actions_addfchdir_np(actions, program.workingDirectory) ||
    library.posix_spawn_file_actions_addopen(actions, 0, '/dev/null', 0, 0) ||
    library.posix_spawn_file_actions_adddup2(actions, program.stdout, 1) ||
    library.posix_spawn_file_actions_adddup2(actions, program.stderr, 2) ||
    library.posix_spawn(
      spawnedPid,
      program.file,
      actions,
      attributes,
      [...program.arguments, null],
      [...program.environment, null],
    );
  library.posix_spawn_file_actions_destroy(actions);
  if (failed === 0) return E.right(spawnedPid[0] ?? 0);
  // These calls return the errno itself.
  return E.left(failed === -1 ? 'ENOSYS' : errnoName(failed));
};

const P_PID = 1;
const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x0100_0000;

/** A `siginfo_t`, of which only the first field is looked at: the signal, 0 where there is nothing to tell. */
const information = new Int32Array(32);

/** Whether a child of ours has ended and waits to be reaped, which it goes on to do. */
export const hasEnded = (pid: number): boolean => {
  information[0] = 0;
  return native().waitid(P_PID, pid, information, WEXITED | WNOHANG | WNOWAIT) === 0 && information[0] !== 0;
};

const waitStatus = new Int32Array(1);

/** The status of a child of ours that has ended, which is gone thereby; undefined while there is none. */
export const waitpid = (pid: number): number | undefined =>
  native().waitpid(pid, waitStatus, WNOHANG) === pid ? waitStatus[0] : undefined;

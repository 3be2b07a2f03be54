/**
 * The system calls that Node has no name for, or only a slow one, through the C library (`CLibrary.ts`).
 *
 * Each returns the errno's name on the left; `ENOSYS` where the native part cannot be loaded at all. Names and paths are
 * bytes. Descriptors are made close-on-exec, so that no child inherits them.
 */
import * as fs from 'node:fs';
import * as E from 'fp-ts/lib/Either.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import { errnoName, type KernelName, native, unavailable } from './CLibrary.js';

export { type KernelName, unavailable } from './CLibrary.js';

const done: E.Either<string, void> = E.right(undefined);

const O_CLOEXEC = 0o2000000;

const O_NONBLOCK = 0o4000;

const { O_NOFOLLOW } = fs.constants;

/** For any call that takes an open directory: the one that the process stands in, and paths from the root. */
export const AT_FDCWD = -100;

/** `O_PATH`, which Node has no name for: takes hold of a place without opening what is there. */
export const O_PATH = 0o10000000;

const RESOLVE_NO_XDEV = 1;

const RESOLVE_NO_SYMLINKS = 4;

/** `struct open_how`, in numbers of 32 bits: the flags, the mode and how the path is followed, two for each. */
const openHow = new Uint32Array(6);

/** The same number on every machine for which that of `openat2` is known (`CLibrary.ts`). */
const closeRangeCall = 436;

const RLIMIT_NOFILE = 7;

const limits = new Uint32Array(4);

const F_DUPFD_CLOEXEC = 1030;

/** How many descriptors there is to be room for; the second where a process may not have so many. */
const roomFor: ReadonlyArray<number> = [16_384, 4_096];

/** What `statx(2)` says of a file. */
export interface Statx {
  /** With the type of the file. */
  readonly mode: number;
  readonly links: number;
  /** Of the owner, as this process' user namespace numbers it. */
  readonly uid: number;
  readonly sizeBytes: number;
  /** In the one number that `stat(2)` gives. */
  readonly device: string;
  readonly inode: string;
  /** Since the epoch; `0` where the file system does not know. */
  readonly bornNs: string;
}

const AT_SYMLINK_NOFOLLOW = 0x100;

const AT_NO_AUTOMOUNT = 0x800;

const AT_STATX_DONT_SYNC = 0x4000;

const AT_EMPTY_PATH = 0x1000;

/** The fields of `struct statx`, which is the same on every machine, in numbers of 32 bits. */
const field = {
  mode: 7,
  links: 4,
  uid: 5,
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

let lastDevice = { major: -1, minor: -1, text: '' };

const STATX_TYPE = 1;

const STATX_INO = 0x100;

/** The device and inode of a file, in decimal. */
export interface FileIdentity {
  readonly device: string;
  readonly inode: string;
}

/** The inode of a `FileIdentity` that the file system refuses to tell. No file has it. */
const untoldInode = '0';

/** A `struct statfs`, of which the first field says what kind of file system it is. */
const statfsWords = new Uint32Array(64);

/** An entry of a directory; its type is one of `DT_*`, of which 0 says that nobody knows. */
export interface RawEntry {
  readonly name: string;
  readonly type: number;
}

const entriesBytes = Buffer.allocUnsafe(32 * 1024);

const X_OK = 1;

const linkBytes = Buffer.allocUnsafe(4096 + 1);

const RENAME_NOREPLACE = 1;

/** Where a machine or a file system lacks a call or a flag, or calls are filtered; the first two may mean something else, too. */
const lacking = ['EINVAL', 'EPERM', 'ENOSYS', 'EOPNOTSUPP'];

const AT_REMOVEDIR = 0x200;

/** For `umount2`: the last component of the path is not followed. */
export const UMOUNT_NOFOLLOW = 8;

const lockOperations = { shared: 1 | 4, exclusive: 2 | 4, unlock: 8 } as const;

const AF_UNIX = 1;

const SOCK_STREAM = 1;

const SOCK_NONBLOCK = O_NONBLOCK;

const SOCK_CLOEXEC = O_CLOEXEC;

/** The longest name that a unix socket's address has room for, with the NUL that an abstract one begins with. */
const maxAddressBytes = 108;

/** Filled by one call, and handed to the kernel before the next. */
const address = new Uint8Array(Uint16Array.BYTES_PER_ELEMENT + maxAddressBytes);
address.set(new Uint8Array(Uint16Array.of(AF_UNIX).buffer));

const MSG_NOSIGNAL = 0x4000;

export const EPOLLIN = 1;

export const EPOLLOUT = 4;

const epollOperations = { add: 1, remove: 2, change: 3 } as const;

/** `struct epoll_event`, in numbers of 32 bits: what is waited for, and then whatever the caller wants to be told. */
const epollEventWords = process.arch === 'x64' || process.arch === 'ia32' ? 3 : 4;

const epollDataWord = epollEventWords - 2;

const epollEvent = new Uint32Array(epollEventWords);

/** How many are told of at once. */
const epollEventsAtOnce = 32;

const epollTold = new Uint32Array(epollEventsAtOnce * epollEventWords);

/** `struct pollfd`: the descriptor, then what is waited for and what came, in two bytes each. */
const polled = new Int32Array(2);

const POLLPRI = 0x2;

const pipeEnds = new Int32Array(2);

const F_SETFL = 4;

/** More than any C library's structures for spawning take. */
const structureBytes = 1024;

const POSIX_SPAWN_SETSIGDEF = 0x04;

const POSIX_SPAWN_SETSIGMASK = 0x08;

const POSIX_SPAWN_SETSID = 0x80;

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

/** Where it prints. */
interface Outlets {
  readonly stdout: number;
  readonly stderr: number;
}

/** The directory, which is open as the first number: entered, and closed, by the program that follows. */
const enterAndRun = 'cd -P "/proc/self/fd/$0" && eval "exec $0<&-" && exec "$@"';

const P_PID = 1;

const WNOHANG = 1;

const WEXITED = 4;

const WNOWAIT = 0x0100_0000;

/** A `siginfo_t`, of which only the first field is looked at: the signal, 0 where there is nothing to tell. */
const information = new Int32Array(32);

/** How it is with a child: `Elsewhere` where it is none of ours any more, as somebody else here has reaped it. */
export type ChildState =
  | { readonly _tag: 'Running' | 'Elsewhere' }
  | { readonly _tag: 'Ended'; readonly status: number };

const running: ChildState = { _tag: 'Running' };

const elsewhere: ChildState = { _tag: 'Elsewhere' };

const waitStatus = new Int32Array(1);

/** `openat(2)`. */
export const openAt = (directory: number, name: KernelName, flags: number, mode = 0): E.Either<string, number> =>
  outcomeOf(native().openat(directory, name, flags | O_CLOEXEC, mode));

const outcomeOf = (result: number): E.Either<string, number> => (result === -1 ? E.left(lastErrno()) : E.right(result));

/** What the last call of this thread left. */
const lastErrno = (): string => errnoName(native().errno());

/** Opens what an absolute path leads to, following no symlink, wherever in the path. */
export const openWithoutSymlinks = (path: KernelName, flags: number): E.Either<string, number> =>
  openAt2(AT_FDCWD, path, flags, RESOLVE_NO_SYMLINKS);

/** `openat2(2)`. Before Linux 5.6 it fails, as it may where calls are filtered. */
const openAt2 = (directory: number, path: KernelName, flags: number, resolve: number): E.Either<string, number> => {
  openHow.set([flags | O_CLOEXEC, 0, 0, 0, resolve, 0]);
  const result = native().openat2(directory, path, openHow, openHow.byteLength);
  return result < -1 ? E.left('ENOSYS') : outcomeOf(result);
};

/** Takes hold of what a name is the name of, not of what it leads to, unless something is mounted there (`EXDEV`). */
export const holdWithinMount = (directory: number, name: KernelName, flags = 0): E.Either<string, number> =>
  openAt2(directory, name, flags | O_PATH | O_NOFOLLOW, RESOLVE_NO_XDEV);

/** `close(2)`. The descriptor is gone, whatever the kernel says. */
export const close = (descriptor: number): void => {
  native().close(descriptor);
};

/** `close_range(2)`, in a thread: the first descriptor, the last, and all between them. */
export const closeRange = (first: number, last: number): Promise<E.Either<string, number>> =>
  native().syscallInThread(closeRangeCall, first, last, 0);

/** `getrlimit(2)`: how many descriptors this process may have. */
export const mostDescriptors = (): number =>
  native().getrlimit(RLIMIT_NOFILE, limits) === -1 ? 0 : (limits[0] ?? 0) + (limits[1] ?? 0) * 2 ** 32;

/**
 * Makes room for thousands of descriptors, in a thread of its own. The kernel doubles a process's table when it is full, and
 * as there are several threads, whoever opened one too many waits each time until all processors have looked up from their
 * work: ten milliseconds and more, of the one thread that everybody else here waits for.
 */
export const makeRoomForDescriptors = async (): Promise<void> => {
  for (const descriptors of roomFor) {
    const copy = await native().fcntlInThread(0, F_DUPFD_CLOEXEC, descriptors);
    if (E.isRight(copy)) return close(copy.right);
  }
};

/** As `makedev(3)` does. */
export const deviceOf = (major: number, minor: number): string =>
  String(
    (BigInt(major & ~0xfff) << 32n) |
      (BigInt(minor & ~0xff) << 12n) |
      (BigInt(major & 0xfff) << 8n) |
      BigInt(minor & 0xff),
  );

/** What a name leads to (`stat`). */
export const statAt = (directory: number, name: KernelName): E.Either<string, Statx> => statx(directory, name, 0);

const statx = (directory: number, name: KernelName, flags: number): E.Either<string, Statx> => {
  const result = native().statx(directory, name, flags, STATX_BASIC_STATS | STATX_BTIME, statxWords);
  if (result === -1) return E.left(lastErrno());
  return E.right({
    mode: wordAt(field.mode) & 0xffff,
    links: wordAt(field.links),
    uid: wordAt(field.uid),
    sizeBytes: wordAt(field.size) + wordAt(field.size + 1) * 2 ** 32,
    device: deviceAt(),
    inode: longAt(field.inode),
    bornNs: (wordAt(0) & STATX_BTIME) === 0 ? '0' : bornAt(),
  });
};

const wordAt = (index: number): number => statxWords[index] ?? 0;

/** Most files are on the device that the one before was on. */
const deviceAt = (): string => {
  const major = wordAt(field.deviceMajor);
  const minor = wordAt(field.deviceMinor);
  if (lastDevice.major !== major || lastDevice.minor !== minor)
    lastDevice = { major, minor, text: deviceOf(major, minor) };
  return lastDevice.text;
};

const longAt = (index: number): string => {
  const low = wordAt(index);
  const high = wordAt(index + 1);
  return high < 2 ** 21 ? String(high * 2 ** 32 + low) : String((BigInt(high) << 32n) | BigInt(low));
};

const bornAt = (): string => {
  const seconds = longAt(field.born);
  const nanoseconds = wordAt(field.bornNs);
  return seconds === '0' ? String(nanoseconds) : seconds + String(nanoseconds).padStart(9, '0');
};

/**
 * What the name itself is (`lstat`), without asking the server of what is mounted there: one that is dead never answers, and
 * keeps this thread. Kind, device, inode and birth never change. The size and the links of a server's file may be old.
 */
export const lstatAt = (directory: number, name: KernelName): E.Either<string, Statx> =>
  statx(directory, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC);

/** What is open on a descriptor (`fstat`). */
export const fstat = (descriptor: number): E.Either<string, Statx> => statx(descriptor, '', AT_EMPTY_PATH);

/**
 * Which file a name leads to, without asking the server of a file system: one that is dead never answers, and keeps this thread.
 * NFS, FUSE, SMB and Ceph answer from what they know already. 9p does not; it asks all the same.
 *
 * Another user's FUSE file system refuses root everything but its device. Then the inode is `0`, which is equal to none.
 */
export const identityAt = (directory: number, name: KernelName): E.Either<string, FileIdentity> => {
  const identity = identityAtWith(directory, name, STATX_TYPE | STATX_INO);
  return E.isLeft(identity) && identity.left === 'EACCES' ? identityAtWith(directory, name, 0) : identity;
};

const identityAtWith = (directory: number, name: KernelName, mask: number): E.Either<string, FileIdentity> => {
  statxWords.fill(0);
  const result = native().statx(directory, name, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, mask, statxWords);
  if (result === -1) return E.left(lastErrno());
  const isTold = (wordAt(0) & STATX_INO) !== 0;
  return E.right({ device: deviceAt(), inode: isTold ? longAt(field.inode) : untoldInode });
};

/** `fstatfs(2)`: the `f_type` of what a directory is on. */
export const fileSystemType = (descriptor: number): E.Either<string, number> =>
  native().fstatfs(descriptor, statfsWords) === -1 ? E.left(lastErrno()) : E.right(statfsWords[0] ?? 0);

/** `lseek(2)` to the start. */
export const rewind = (directory: number): E.Either<string, void> => doneOf(native().lseek(directory, 0, 0));

const doneOf = (result: number): E.Either<string, void> => (result === -1 ? E.left(lastErrno()) : done);

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

/** `read(2)` into the whole of a buffer. How many bytes came; none at the end. */
export const read = (descriptor: number, into: Uint8Array): E.Either<string, number> =>
  outcomeOf(native().read(descriptor, into, into.length));

/** `faccessat(2)`: whether this process may run what a name leads to, or go through it where it is a directory. */
export const mayExecuteAt = (directory: number, name: KernelName): E.Either<string, void> =>
  doneOf(native().faccessat(directory, name, X_OK, 0));

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

/**
 * `renameat2(2)`, replacing nothing: `EEXIST`. Where the file system cannot do that (NFS, some of FUSE), or the machine, it is
 * looked at first.
 */
export const renameAtNoReplace = (
  from: number,
  name: KernelName,
  to: number,
  newName: KernelName,
): E.Either<string, void> => {
  const result = native().renameat2(from, name, to, newName, RENAME_NOREPLACE);
  if (result === 0) return done;
  const code = result === -1 ? lastErrno() : 'ENOSYS';
  if (!lacking.includes(code)) return E.left(code);
  const source = lstatAt(from, name);
  if (E.isLeft(source)) return source;
  const target = lstatAt(to, newName);
  if (E.isRight(target)) return E.left('EEXIST');
  return target.left === 'ENOENT' ? renameAt(from, name, to, newName) : target;
};

/** `unlinkat(2)`: removes anything but a directory. */
export const unlinkAt = (directory: number, name: KernelName): E.Either<string, void> =>
  doneOf(native().unlinkat(directory, name, 0));

/** `unlinkat(2)`: removes an empty directory. */
export const removeDirectoryAt = (directory: number, name: KernelName): E.Either<string, void> =>
  doneOf(native().unlinkat(directory, name, AT_REMOVEDIR));

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

/** `flock(2)` without waiting; `EAGAIN` when another open file description holds it. */
export const flock = (descriptor: number, operation: keyof typeof lockOperations): E.Either<string, void> =>
  doneOf(native().flock(descriptor, lockOperations[operation]));

/**
 * A stream socket that does not block, connected to a unix socket of exactly this name: a path's bytes, or a NUL and those of
 * an abstract one. It connects or fails at once; `EAGAIN` when the listener's backlog is full.
 */
export const connectTo = (name: Uint8Array): E.Either<string, number> => {
  if (name.length > maxAddressBytes) return E.left('EINVAL');
  address.set(name, Uint16Array.BYTES_PER_ELEMENT);
  const socket = outcomeOf(native().socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (E.isLeft(socket)) return socket;
  const size = Uint16Array.BYTES_PER_ELEMENT + name.length;
  const connected = outcomeOf(native().connect(socket.right, address, size));
  if (E.isRight(connected)) return socket;
  close(socket.right);
  return connected;
};

/** `send(2)`: how many of the bytes the kernel took; `EPIPE`, and no signal, where nobody reads them any more. */
export const send = (socket: number, bytes: Uint8Array): E.Either<string, number> =>
  outcomeOf(native().send(socket, bytes, bytes.length, MSG_NOSIGNAL));

/** `epoll_create1(2)`. */
export const createEpoll = (): E.Either<string, number> => outcomeOf(native().epoll_create1(O_CLOEXEC));

/**
 * `epoll_ctl(2)`; `key` is what is told of the descriptor, a number of 32 bits. `ENOBUFS` where the user may not wait for more:
 * the kernel's own `ENOSPC` would say of a shim what is true of us.
 */
export const controlEpoll = (
  epoll: number,
  operation: keyof typeof epollOperations,
  descriptor: number,
  key: number,
  events = 0,
): E.Either<string, void> => {
  epollEvent[0] = events;
  epollEvent[epollDataWord] = key;
  const controlled = doneOf(native().epoll_ctl(epoll, epollOperations[operation], descriptor, epollEvent));
  return E.isLeft(controlled) && controlled.left === 'ENOSPC' ? E.left('ENOBUFS') : controlled;
};

/** `epoll_wait(2)` without waiting: the keys of those that are ready, some of them where there are many. */
export const waitEpoll = (epoll: number): ReadonlyArray<number> => {
  const count = native().epoll_wait(epoll, epollTold, epollEventsAtOnce, 0);
  return Array.from({ length: count }, (_, index) => epollTold[index * epollEventWords + epollDataWord] ?? 0);
};

/**
 * Whether something urgent came at a descriptor since this was last asked; undefined where that cannot be told. Does not wait.
 * A file of the kernel's own says so of itself when what it tells has changed.
 */
export const hasUrgent = (descriptor: number): boolean | undefined => {
  polled[0] = descriptor;
  polled[1] = POLLPRI;
  const count = native().poll(polled, 1, 0);
  return count < 0 ? undefined : count > 0;
};

/** `pipe2(2)`. Reading from it does not wait; writing does, as a program expects that is given that end. */
export const pipe = (): E.Either<string, { readonly readEnd: number; readonly writeEnd: number }> => {
  const made = doneOf(native().pipe2(pipeEnds, O_CLOEXEC));
  if (E.isLeft(made)) return made;
  const [readEnd = -1, writeEnd = -1] = pipeEnds;
  native().fcntl(readEnd, F_SETFL, O_NONBLOCK);
  return E.right({ readEnd, writeEnd });
};

/** Starts a program through a shell, where the C library cannot enter an open directory (glibc before 2.29). */
export const spawnByShell = (program: Program, outlets: Outlets): E.Either<string, number> => {
  // Not its own number: only a copy is left open for the shell.
  const copy = program.workingDirectory === 3 ? 4 : 3;
  return spawnWith(
    { file: '/bin/sh', environment: program.environment },
    ['sh', '-c', enterAndRun, String(copy), ...program.arguments],
    (actions) =>
      redirect(outlets)(actions) || native().posix_spawn_file_actions_adddup2(actions, program.workingDirectory, copy),
  );
};

const spawnWith = (
  { file, environment }: Pick<Program, 'file' | 'environment'>,
  args: ReadonlyArray<string>,
  planHost: (actions: Uint8Array) => number,
): E.Either<string, number> => {
  const library = native();
  const attributes = (spawnAttributes ??= makeSpawnAttributes());
  const actions = new Uint8Array(structureBytes);
  library.posix_spawn_file_actions_init(actions);
  const failed =
    planHost(actions) ||
    library.posix_spawn(spawnedPid, file, actions, attributes, [...args, null], [...environment, null]);
  library.posix_spawn_file_actions_destroy(actions);
  if (failed === 0) return E.right(spawnedPid[0] ?? 0);
  // These calls return the errno itself; -1 where there are none.
  return E.left(failed === -1 ? 'ENOSYS' : errnoName(failed));
};

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

/** With nothing to read, and its output into the pipes. */
const redirect =
  ({ stdout, stderr }: Outlets) =>
  (actions: Uint8Array): number =>
    native().posix_spawn_file_actions_addopen(actions, 0, '/dev/null', 0, 0) ||
    native().posix_spawn_file_actions_adddup2(actions, stdout, 1) ||
    native().posix_spawn_file_actions_adddup2(actions, stderr, 2);

/** `posix_spawn(3)` in an open directory, with nothing to read, in a session of its own. The number of the process. */
export const spawn = (program: Program, outlets: Outlets): E.Either<string, number> => {
  const spawned = spawnWith(
    program,
    program.arguments,
    (actions) =>
      native().posix_spawn_file_actions_addfchdir_np(actions, program.workingDirectory) || redirect(outlets)(actions),
  );
  return E.isLeft(spawned) && spawned.left === 'ENOSYS' ? spawnByShell(program, outlets) : spawned;
};

/** Looks whether a child has ended and waits to be reaped, which it goes on to do. */
export const lookAtChild = (pid: number): ChildState['_tag'] => {
  information[0] = 0;
  if (native().waitid(P_PID, pid, information, WEXITED | WNOHANG | WNOWAIT) === -1) return unlessOurs()._tag;
  return information[0] === 0 ? 'Running' : 'Ended';
};

const unlessOurs = (): ChildState => (lastErrno() === 'ECHILD' ? elsewhere : running);

/** Reaps a child, if it has ended: it is gone thereby, and `status` is what `waitpid(2)` gives. */
export const reapChild = (pid: number): ChildState => {
  const reaped = native().waitpid(pid, waitStatus, WNOHANG);
  if (reaped === pid) return { _tag: 'Ended', status: waitStatus[0] ?? 0 };
  return reaped === -1 ? unlessOurs() : running;
};

/**
 * `process.exit`, without waiting for threads (`_exit(2)`): one that asks a file system that does not answer never returns. (Where
 * its question was taken already, the kernel does not let it end, nor whoever waits for the process.) Whoever listens for the end
 * is told. Where there is no native part, it is Node's own.
 */
export const exitAtOnce = (code: number): never => {
  if (unavailable() === undefined) {
    process.emit('exit', code);
    native()._exit(code);
  }
  process.exit(code);
};

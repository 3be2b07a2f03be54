/**
 * The C library's functions, through koffi, which is loaded at the first use.
 *
 * All that is needed is looked for under the names that C libraries give it, and as a system call of this machine where
 * they lack it: glibc before 2.30 and musl have no `getdents64`, glibc before 2.28 and musl before 1.2.5 no `statx`.
 */
import * as os from 'node:os';
import * as E from 'fp-ts/lib/Either.js';
import type * as Koffi from 'koffi';
import { loadKoffi } from './Koffi.js';

/** A name or a path as the kernel takes it: text where that is ASCII, and otherwise its bytes with a NUL behind them. */
export type KernelName = string | Uint8Array;

export interface Functions {
  readonly openat: (directory: number, name: KernelName, flags: number, mode: number) => number;
  readonly openat2: (directory: number, path: KernelName, how: Uint32Array, size: number) => number;
  readonly close: (descriptor: number) => number;
  readonly statx: (directory: number, name: KernelName, flags: number, mask: number, into: Uint32Array) => number;
  readonly lseek: (descriptor: number, offset: number, whence: number) => number;
  readonly getdents64: (directory: number, into: Uint8Array, size: number) => number;
  readonly read: (descriptor: number, into: Uint8Array, size: number) => number;
  readonly readlinkat: (directory: number, name: KernelName, into: Uint8Array, size: number) => number;
  readonly renameat: (from: number, name: KernelName, to: number, newName: KernelName) => number;
  readonly renameat2: (from: number, name: KernelName, to: number, newName: KernelName, flags: number) => number;
  readonly unlinkat: (directory: number, name: KernelName, flags: number) => number;
  readonly faccessat: (directory: number, name: KernelName, mode: number, flags: number) => number;
  readonly mkfifoat: (directory: number, name: KernelName, mode: number) => number;
  readonly flock: (descriptor: number, operation: number) => number;
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly connect: (socket: number, address: Uint8Array, size: number) => number;
  readonly send: (socket: number, bytes: Uint8Array, size: number, flags: number) => number;
  readonly fstatfs: (descriptor: number, into: Uint32Array) => number;
  readonly getrlimit: (resource: number, into: Uint32Array) => number;
  readonly fcntl: (descriptor: number, command: number, argument: number) => number;
  readonly epoll_create1: (flags: number) => number;
  readonly epoll_ctl: (epoll: number, operation: number, descriptor: number, event: Uint32Array) => number;
  readonly epoll_wait: (epoll: number, into: Uint32Array, size: number, timeoutMs: number) => number;
  readonly pipe2: (into: Int32Array, flags: number) => number;
  readonly poll: (descriptors: Int32Array, count: number, timeoutMs: number) => number;
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
  readonly _exit: (code: number) => void;
}

export interface Library extends Functions {
  readonly errno: () => number;
  readonly umount2: (path: KernelName, flags: number) => Promise<E.Either<string, number>>;
  readonly fcntlInThread: (descriptor: number, command: number, argument: number) => Promise<E.Either<string, number>>;
  /** A system call of four arguments, by its number. */
  readonly syscallInThread: (...call: readonly [number, number, number, number]) => Promise<E.Either<string, number>>;
  /**
   * Has the event loop look whether a descriptor can be read, and call back in each of its turns in which it can, or sooner.
   * What is called back must not throw, and promises that it settles wait for whatever the loop does next. Left: the errno
   * why it cannot be looked at.
   */
  readonly watch: (descriptor: number, readable: () => void) => E.Either<string, Watched>;
}

/** Something that the event loop looks at, for which it goes on, or not. */
export interface Watched {
  readonly ref: () => void;
  readonly unref: () => void;
  /** To be called before the process ends. */
  readonly stop: () => void;
}

/** What is called in threads. */
type Threaded = 'umount2' | 'fcntl' | 'syscall';

/** `long` and `size_t` are as wide as a pointer on every Linux. */
const signatures: Readonly<Record<keyof Functions | Threaded, readonly [string, ReadonlyArray<string>]>> = {
  openat: ['int', ['int', 'const char *', 'int', 'uint']],
  openat2: ['int', ['int', 'const char *', 'const void *', 'size_t']],
  close: ['int', ['int']],
  statx: ['int', ['int', 'const char *', 'int', 'uint', 'void *']],
  lseek: ['long', ['int', 'long', 'int']],
  getdents64: ['long', ['int', 'void *', 'size_t']],
  read: ['long', ['int', 'void *', 'size_t']],
  readlinkat: ['long', ['int', 'const char *', 'void *', 'size_t']],
  renameat: ['int', ['int', 'const char *', 'int', 'const char *']],
  renameat2: ['int', ['int', 'const char *', 'int', 'const char *', 'uint']],
  unlinkat: ['int', ['int', 'const char *', 'int']],
  faccessat: ['int', ['int', 'const char *', 'int', 'int']],
  mkfifoat: ['int', ['int', 'const char *', 'uint']],
  flock: ['int', ['int', 'int']],
  socket: ['int', ['int', 'int', 'int']],
  connect: ['int', ['int', 'const uint8_t *', 'uint']],
  send: ['long', ['int', 'const uint8_t *', 'size_t', 'int']],
  epoll_create1: ['int', ['int']],
  epoll_ctl: ['int', ['int', 'int', 'int', 'void *']],
  epoll_wait: ['int', ['int', 'void *', 'int', 'int']],
  pipe2: ['int', ['void *', 'int']],
  poll: ['int', ['void *', 'ulong', 'int']],
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
  _exit: ['void', ['int']],
  fstatfs: ['int', ['int', 'void *']],
  getrlimit: ['int', ['int', 'void *']],
  fcntl: ['int', ['int', 'int', 'int']],
  umount2: ['int', ['const char *', 'int']],
  syscall: ['long', ['long', 'long', 'long', 'long']],
};

const errnoNames = new Map(Object.entries(os.constants.errno).map(([name, number]) => [number, name]));

/** The errno's name. `EWOULDBLOCK` shares its number with `EAGAIN`, by which it goes here. */
export const errnoName = (number: number): string =>
  number === os.constants.errno.EAGAIN ? 'EAGAIN' : (errnoNames.get(number) ?? `errno ${number}`);

/** Each of them, made from its name. */
const functionsBy = (make: <K extends keyof Functions>(name: K) => Functions[K]): Functions => ({
  openat: make('openat'),
  openat2: make('openat2'),
  close: make('close'),
  statx: make('statx'),
  lseek: make('lseek'),
  getdents64: make('getdents64'),
  read: make('read'),
  readlinkat: make('readlinkat'),
  renameat: make('renameat'),
  renameat2: make('renameat2'),
  unlinkat: make('unlinkat'),
  faccessat: make('faccessat'),
  mkfifoat: make('mkfifoat'),
  flock: make('flock'),
  socket: make('socket'),
  connect: make('connect'),
  send: make('send'),
  fstatfs: make('fstatfs'),
  getrlimit: make('getrlimit'),
  fcntl: make('fcntl'),
  epoll_create1: make('epoll_create1'),
  epoll_ctl: make('epoll_ctl'),
  epoll_wait: make('epoll_wait'),
  pipe2: make('pipe2'),
  poll: make('poll'),
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
  _exit: make('_exit'),
});

type Loaded = ReturnType<ReturnType<typeof Koffi.load>['func']>;

type Callable = (...args: Parameters<Loaded>) => ReturnType<Loaded>;

/** A function of the C library; throws where there is none of that name. */
export type Find = (name: string, result: string, parameters: ReadonlyArray<string>) => Callable;

/** What another C library calls the very same. */
const otherNames: Readonly<Partial<Record<keyof Functions, string>>> = { getdents64: 'getdents' };

/** The number of a call of later years, which is the same on all of these. */
const everywhere = (number: number): Readonly<Partial<Record<string, number>>> => ({
  x64: number,
  arm64: number,
  riscv64: number,
  loong64: number,
});

/** Their numbers, by `process.arch`. */
const systemCalls: Readonly<Partial<Record<keyof Functions, Readonly<Partial<Record<string, number>>>>>> = {
  getdents64: { x64: 217, arm64: 61, riscv64: 61, loong64: 61 },
  openat2: everywhere(437),
  renameat2: { x64: 316, arm64: 276, riscv64: 276, loong64: 276 },
  statx: { x64: 332, arm64: 291, riscv64: 291, loong64: 291 },
};

/** What can be done without, and what it returns then: that it failed, and never -1, as it leaves no errno. */
const dispensable: Readonly<Partial<Record<keyof Functions, number>>> = {
  posix_spawn_file_actions_addfchdir_np: os.constants.errno.ENOSYS,
  openat2: -os.constants.errno.ENOSYS,
  renameat2: -os.constants.errno.ENOSYS,
};

/** A function in whatever way this machine has it; throws where it has none. */
export const functionIn =
  (find: Find) =>
  (name: keyof Functions): Callable => {
    let reason: unknown;
    for (const way of waysTo(find, name))
      try {
        return way();
      } catch (error) {
        reason ??= error;
      }
    throw reason;
  };

/** The ways to a function, the best first. */
const waysTo = (find: Find, name: keyof Functions): ReadonlyArray<() => Callable> => {
  const [result, parameters] = signatures[name];
  const other = otherNames[name];
  const number = systemCalls[name]?.[process.arch];
  const failure = dispensable[name];
  const bySystemCall = (): Callable => {
    const call = find('syscall', 'long', ['long', ...parameters]);
    return (...args: ReadonlyArray<unknown>): unknown => call(number, ...args);
  };
  return [
    () => find(name, result, parameters),
    ...(other === undefined ? [] : [() => find(other, result, parameters)]),
    ...(number === undefined ? [] : [bySystemCall]),
    ...(failure === undefined ? [] : [() => () => failure]),
  ];
};

let isMain: boolean | undefined;

/** Asked once, and of a module that is loaded when it is needed: a command's start is waited for. */
export const isMainThread = (): boolean => (isMain ??= process.getBuiltinModule('node:worker_threads').isMainThread);

/** How often a worker thread looks by itself, in milliseconds. */
const lookEachMs = 2;

/** What the last call of this thread left, and calls that leave it. */
interface Errno {
  readonly now: () => number;
  readonly remembering: (call: Callable) => Callable;
}

/** How often a call in a thread is tried that seems to have found no memory. */
const triesOfThreads = 5;

/** What there is where nothing can be loaded: every call fails. */
const missing: Library = {
  ...functionsBy(() => () => -1),
  errno: () => os.constants.errno.ENOSYS,
  umount2: async () => E.left('ENOSYS'),
  fcntlInThread: async () => E.left('ENOSYS'),
  syscallInThread: async () => E.left('ENOSYS'),
  watch: () => E.left('ENOSYS'),
};

let loaded: { readonly library: Library; readonly problem: string | undefined } | undefined;

export const native = (): Library => (loaded ??= attempt()).library;

const attempt = (): NonNullable<typeof loaded> => {
  try {
    return { library: load(), problem: undefined };
  } catch (error) {
    const [problem] = (error instanceof Error ? error.message : String(error)).split('\n');
    return { library: missing, problem };
  }
};

const load = (): Library => {
  if (os.endianness() !== 'LE') throw new Error('machines that put the highest byte first are not supported');
  const koffi = loadKoffi();
  keepMemory(koffi);
  const libc = koffi.load(null);
  const find = (name: string, result: string, parameters: ReadonlyArray<string>) =>
    libc.func(name, result, [...parameters]);
  const errno = errnoWith(find, koffi);
  const findRemembering: Find = (...of) => errno.remembering(find(...of));
  /** Made in a thread. errno belongs to that; koffi hands it over inside the callback only. */
  const tryInThread = (name: Threaded, args: ReadonlyArray<unknown>): Promise<E.Either<string, number>> =>
    new Promise((resolve) => {
      try {
        threaded[name].async(...args, (_: unknown, result: unknown) =>
          resolve(Number(result) === -1 ? E.left(errnoName(koffi.errno())) : E.right(Number(result))),
        );
      } catch {
        // Whatever else was handed over was right before: more calls are under way in this process than the library takes.
        resolve(E.left('EAGAIN'));
      }
    });
  const inThread =
    (name: Threaded) =>
    async (...args: ReadonlyArray<unknown>): Promise<E.Either<string, number>> => {
      let outcome = await tryInThread(name, args);
      // Here much runs in between, so that this may be no errno of the call (`Errno`); and what failed did nothing.
      for (let again = 1; again < triesOfThreads && E.isLeft(outcome) && outcome.left === 'ENOMEM'; again += 1)
        outcome = await tryInThread(name, args);
      return outcome;
    };
  const threaded = {
    umount2: find('umount2', ...signatures.umount2),
    fcntl: find('fcntl', ...signatures.fcntl),
    syscall: find('syscall', ...signatures.syscall),
  };
  return {
    ...functionsBy(functionIn(findRemembering)),
    errno: errno.now,
    umount2: inThread('umount2'),
    fcntlInThread: inThread('fcntl'),
    syscallInThread: inThread('syscall'),
    watch: watchWith(koffi),
  };
};

/**
 * errno is copied from where the C library keeps it in the very next step after each call: whatever else runs in between may change
 * it. To ask for it, V8 prepares a function, or a call, and asks for memory; and glibc's `malloc` may leave `ENOMEM` there though it
 * has found some, so that a shim whose socket is gone was not known to be.
 */
const errnoWith = (find: Find, koffi: typeof Koffi): Errno => {
  const kept = new Int32Array(koffi.view(find('__errno_location', 'void *', [])(), Int32Array.BYTES_PER_ELEMENT));
  let last = 0;
  return {
    now: () => last,
    // As many as any of them has; koffi leaves those alone that a function has not.
    remembering: (call) => (first, second, third, fourth, fifth, sixth) => {
      const result: unknown = call(first, second, third, fourth, fifth, sixth);
      last = kept[0] ?? 0;
      return result;
    },
  };
};

/**
 * The event loop calls back even when its thread may not run anything any more, which ends the whole process. A worker thread
 * can be ended from outside at any moment; so it looks itself, now and then.
 */
const watchWith =
  (koffi: typeof Koffi): Library['watch'] =>
  (descriptor, readable) => {
    if (!isMainThread()) {
      const timer = setInterval(readable, lookEachMs);
      return E.right({ ref: () => timer.ref(), unref: () => timer.unref(), stop: () => clearInterval(timer) });
    }
    try {
      return E.right(koffi.node.poll(descriptor, readable));
    } catch {
      return E.left('ENOBUFS');
    }
  };

/** Memory for as many calls in threads as there are at once is kept; for each other one some is mapped and unmapped. */
const keepMemory = (koffi: typeof Koffi): void => {
  try {
    koffi.config({ resident_async_pools: 32 });
  } catch {
    // Somebody else here uses it already, and it is as they want it.
  }
};

/** Why the native part cannot be used here, or undefined where it can. */
export const unavailable = (): string | undefined => {
  const { problem } = (loaded ??= attempt());
  return problem === undefined ? undefined : `the native part could not be loaded: ${problem}`;
};

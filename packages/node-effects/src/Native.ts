/**
 * The few system calls that Node has no name for, through koffi, which is loaded at the first use.
 *
 * Each returns the errno's name on the left; `ENOSYS` also where the native part cannot be loaded at all. Paths are
 * bytes. Descriptors are made close-on-exec, so that no child inherits them.
 */
import { createRequire } from 'node:module';
import * as os from 'node:os';
import * as E from 'fp-ts/lib/Either.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import type * as Koffi from 'koffi';

interface Library {
  readonly errno: () => number;
  readonly call: (name: string, ...args: ReadonlyArray<unknown>) => number;
  readonly callAsync: (name: string, ...args: ReadonlyArray<unknown>) => Promise<E.Either<string, number>>;
}

type NativeFunction = Koffi.KoffiFunc<(...args: ReadonlyArray<unknown>) => unknown>;

const signatures: Readonly<Record<string, readonly [string, ReadonlyArray<string>]>> = {
  umount2: ['int', ['const uint8_t *', 'int']],
  mkfifo: ['int', ['const uint8_t *', 'uint']],
  flock: ['int', ['int', 'int']],
  socket: ['int', ['int', 'int', 'int']],
  connect: ['int', ['int', 'const uint8_t *', 'uint']],
  close: ['int', ['int']],
};

const errnoNames = new Map(Object.entries(os.constants.errno).map(([name, number]) => [number, name]));

/** The errno's name. `EWOULDBLOCK` shares its number with `EAGAIN`, by which it goes here. */
const errnoName = (number: number): string =>
  number === os.constants.errno.EAGAIN ? 'EAGAIN' : (errnoNames.get(number) ?? `errno ${number}`);

const load = (): Library => {
  // oxlint-disable-next-line typescript/no-unsafe-assignment -- loaded at first use only, and require() knows no types
  const koffi: typeof Koffi = createRequire(import.meta.url)('koffi');
  const libc = koffi.load(null);
  const functions = new Map<string, NativeFunction>(
    Object.entries(signatures).map(([name, [result, parameters]]) => [name, libc.func(name, result, [...parameters])]),
  );
  const named = (name: string): NativeFunction => {
    const found = functions.get(name);
    if (found === undefined) throw new Error(`no such function: ${name}`);
    return found;
  };
  return {
    errno: () => koffi.errno(),
    call: (name, ...args) => Number(named(name)(...args)),
    callAsync: (name, ...args) =>
      new Promise((resolve) => {
        // errno belongs to the thread that made the call; koffi hands it over inside this callback only.
        named(name).async(...args, (_: unknown, result: unknown) =>
          resolve(Number(result) === -1 ? E.left(errnoName(koffi.errno())) : E.right(Number(result))),
        );
      }),
  };
};

let loaded: E.Either<string, Library> | undefined;

const library = (): E.Either<string, Library> =>
  (loaded ??= E.tryCatch(load, (error) => (error instanceof Error ? error.message : String(error))));

/** Why the native part cannot be used here, or undefined where it can. */
export const unavailable = (): string | undefined => {
  const native = library();
  return E.isLeft(native) ? `the native part could not be loaded: ${native.left}` : undefined;
};

const call = (name: string, ...args: ReadonlyArray<unknown>): E.Either<string, number> => {
  const native = library();
  if (E.isLeft(native)) return E.left('ENOSYS');
  const result = native.right.call(name, ...args);
  return result === -1 ? E.left(errnoName(native.right.errno())) : E.right(result);
};

const terminated = (path: Uint8Array): Buffer => Buffer.concat([path, Buffer.of(0)]);

const ignored = E.map((): void => undefined);

/** For `umount2`: the last component of the path is not followed. */
export const UMOUNT_NOFOLLOW = 8;

/** `umount2(2)`, in a thread of its own: one that hangs, on a dead network file system, blocks nobody else. */
export const umount2 =
  (path: Uint8Array, flags: number): TaskEither<string, void> =>
  async () => {
    const native = library();
    if (E.isLeft(native)) return E.left('ENOSYS');
    return ignored(await native.right.callAsync('umount2', terminated(path), flags));
  };

/** `mkfifo(3)`, less the umask. */
export const mkfifo = (path: Uint8Array, mode: number): E.Either<string, void> =>
  ignored(call('mkfifo', terminated(path), mode));

const lockOperations = { shared: 1 | 4, exclusive: 2 | 4, unlock: 8 } as const;

/** `flock(2)` without waiting; `EAGAIN` when another open file description holds it. */
export const flock = (descriptor: number, operation: keyof typeof lockOperations): E.Either<string, void> =>
  ignored(call('flock', descriptor, lockOperations[operation]));

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;

/**
 * A connected stream socket of an abstract name of exactly these bytes. Node 20 pads such names with NULs to 108 bytes,
 * which is another name (SPEC 23, trap 7).
 */
export const connectAbstract = (name: Uint8Array): E.Either<string, number> => {
  const socket = call('socket', AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (E.isLeft(socket)) return socket;
  const family = new Uint8Array(Uint16Array.of(AF_UNIX).buffer);
  const address = Buffer.concat([family, Buffer.of(0), name]);
  const connected = call('connect', socket.right, address, address.length);
  if (E.isRight(connected)) return socket;
  call('close', socket.right);
  return connected;
};

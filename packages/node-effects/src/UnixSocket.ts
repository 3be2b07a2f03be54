/** Connecting to a unix socket by the exact bytes of its name (SPEC 9.5). */
import { connect, type OnReadOpts, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { showSocket, type SocketName } from '@shim-recovery/core/Bootstrap';
import * as B from '@shim-recovery/core/ByteString';
import type { ShimError } from '@shim-recovery/core/ShimConnector';
import * as E from 'fp-ts/lib/Either.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import { systemClock } from './Clock.js';
import { errnoIn } from './Errno.js';
import { kernelName } from './FileSystem.js';
import type { Incoming } from './Incoming.js';
import { AT_FDCWD, close, connectAbstract, O_PATH, openAt } from './Native.js';

/** The longest name that the kernel's address has room for, beside the NUL before an abstract name or after a path. */
export const maxSocketNameBytes = 107;

/**
 * When a listener's backlog is full, connect fails with EAGAIN at once, and the reference takes the shim for dead (H5).
 * Here it is tried again after each of these, so that a shim shared by many tasks is not lost to our own rush. A
 * backlog that stays full for longer, 635 ms in all, still fails.
 */
export const backlogRetryDelaysMs: ReadonlyArray<number> = [5, 10, 20, 40, 80, 160, 320];

/** The most that a timer of Node can wait; a longer one would fire at once. */
export const longestTimerMs = 0x7fff_ffff;

export interface Connecting {
  readonly name: SocketName;
  readonly timeoutMs: number;
}

interface ConnectionOptions {
  /** Whether a path is followed that is longer than an address has room for; `connect` itself refuses it. */
  readonly anyLength?: boolean;
  /** How what comes is taken, where it is not read as a stream. */
  readonly incoming?: Incoming;
}

const taking = (incoming: Incoming | undefined): { readonly onread?: OnReadOpts } =>
  incoming === undefined ? {} : { onread: incoming.onread };

type Connection = E.Either<ShimError, Socket>;

const dialFailed = (name: SocketName, code: string): Connection =>
  E.left({ _tag: 'DialFailed', code, message: `cannot connect to ${showSocket(name)}` });

const outcomeOf = ({ name, timeoutMs }: Connecting, socket: Socket): Promise<Connection> =>
  new Promise((resolve) => {
    const settle = (connection: Connection): void => {
      clearTimeout(deadline);
      if (E.isLeft(connection)) socket.destroy();
      resolve(connection);
    };
    const deadline = setTimeout(
      () => settle(E.left({ _tag: 'TimedOut', afterMs: timeoutMs })),
      Math.min(timeoutMs, longestTimerMs),
    );
    socket.once('connect', () => settle(E.right(socket)));
    socket.on('error', (error) => settle(dialFailed(name, errnoIn(error))));
  });

/**
 * Node takes a path as text and encodes it as UTF-8. A path of other bytes is first taken hold of, which needs no text,
 * and then reached through its descriptor; and so is one that is too long, where any length will do.
 */
const connectPath = async (
  connecting: Connecting,
  path: B.ByteString,
  { anyLength = false, incoming }: ConnectionOptions,
): Promise<Connection> => {
  const { name } = connecting;
  const connectTo = (text: string): Socket => connect({ path: text, ...taking(incoming) });
  // Node 20 cuts off a longer path, and connects to whatever the shorter one names.
  const isTooLong = path.length > maxSocketNameBytes;
  if (path === '' || path.includes('\0') || (isTooLong && !anyLength)) return dialFailed(name, 'EINVAL');
  if (B.isText(path) && !isTooLong) return outcomeOf(connecting, connectTo(B.toText(path)));
  const held = openAt(AT_FDCWD, kernelName(path), O_PATH);
  if (E.isLeft(held)) return dialFailed(name, held.left);
  const outcome = await outcomeOf(connecting, connectTo(`/proc/self/fd/${held.right}`));
  close(held.right);
  return outcome;
};

/** Node 20 pads abstract names to the full length of an address, which is another name: connected natively instead. */
const connectAbstractName = async (
  name: SocketName,
  abstractName: B.ByteString,
  { incoming }: ConnectionOptions,
): Promise<Connection> => {
  if (abstractName === '') return dialFailed(name, 'ECONNREFUSED');
  if (abstractName.length > maxSocketNameBytes) return dialFailed(name, 'EINVAL');
  const descriptor = connectAbstract(B.toBytes(abstractName));
  if (E.isLeft(descriptor)) return dialFailed(name, descriptor.left);
  const options = { fd: descriptor.right, readable: true, writable: true, ...taking(incoming) };
  return E.right(new Socket(options));
};

const connectOnce = (connecting: Connecting, options: ConnectionOptions): Promise<Connection> =>
  connecting.name._tag === 'Path'
    ? connectPath(connecting, connecting.name.path, options)
    : connectAbstractName(connecting.name, connecting.name.name, options);

/** Connects, within the time-out. The socket has not been read from yet. `DialFailed` names the errno. */
export const connectUnix =
  (retryDelaysMs: ReadonlyArray<number>, options: ConnectionOptions = {}) =>
  (connecting: Connecting): TaskEither<ShimError, Socket> =>
  async () => {
    const endMs = systemClock.elapsedMs() + connecting.timeoutMs;
    for (const delayMs of [...retryDelaysMs, Infinity]) {
      const remainingMs = endMs - systemClock.elapsedMs();
      const connection = await connectOnce(connecting, options);
      const isBacklogFull =
        E.isLeft(connection) && connection.left._tag === 'DialFailed' && connection.left.code === 'EAGAIN';
      if (!isBacklogFull || delayMs > remainingMs) return connection;
      await sleep(delayMs);
    }
    return dialFailed(connecting.name, 'EAGAIN');
  };

/** Connecting to a unix socket by the exact bytes of its name (SPEC 9.5). */
import { ByteString as B } from '@shim-recovery/core';
import { type ShimError, showSocket, type SocketName } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import { systemClock } from '../linux/LinuxClock.js';
import { kernelName } from '../linux/LinuxFileSystem.js';
import { AT_FDCWD, close, connectTo, O_PATH, openAt, terminated } from '../native/Native.js';

/** The longest name that the kernel's address has room for, beside the NUL before an abstract name or after a path. */
export const maxSocketNameBytes = 107;

/**
 * When a listener's backlog is full, connect fails with EAGAIN at once, and the reference takes the shim for dead (H5).
 * Here it is tried again after each of these, so that a shim shared by many tasks is not lost to our own rush. A
 * backlog that stays full for longer, 635 ms in all, still fails.
 */
export const backlogRetryDelaysMs: ReadonlyArray<number> = [5, 10, 20, 40, 80, 160, 320];

export interface Connecting {
  readonly name: SocketName;
  readonly timeoutMs: number;
}

interface ConnectionOptions {
  /** Whether a path is followed that is longer than an address has room for; `connect` itself refuses it. */
  readonly anyLength?: boolean;
}

export const dialFailed =
  (name: SocketName) =>
  (code: string): ShimError => ({ _tag: 'DialFailed', code, message: `cannot connect to ${showSocket(name)}` });

/**
 * Connects, to a socket that does not block and is the caller's to close. `DialFailed` names the errno. The kernel connects at
 * once or not at all; the time-out bounds how long it is tried.
 */
export const connectUnix =
  (retryDelaysMs: ReadonlyArray<number>, options: ConnectionOptions = {}) =>
  ({ name, timeoutMs }: Connecting): TaskEither<ShimError, number> =>
  async () => {
    const endMs = systemClock.elapsedMs() + timeoutMs;
    for (const delayMs of [...retryDelaysMs, Infinity]) {
      const connected = connectOnce(name, options);
      if (E.isRight(connected)) return connected;
      if (connected.left !== 'EAGAIN' || delayMs > endMs - systemClock.elapsedMs())
        return E.left(dialFailed(name)(connected.left));
      await systemClock.sleep(delayMs)();
    }
    return E.left(dialFailed(name)('EAGAIN'));
  };

const connectOnce = (name: SocketName, options: ConnectionOptions): E.Either<string, number> =>
  name._tag === 'Path' ? connectPath(name.path, options) : connectAbstract(name.name);

/** A path that is too long is taken hold of, and reached through its descriptor, where any length will do. */
const connectPath = (path: B.ByteString, { anyLength = false }: ConnectionOptions): E.Either<string, number> => {
  const isTooLong = path.length > maxSocketNameBytes;
  if (path === '' || path.includes('\0') || (isTooLong && !anyLength)) return E.left('EINVAL');
  if (!isTooLong) return connectTo(terminated(B.toBytes(path)));
  const held = openAt(AT_FDCWD, kernelName(path), O_PATH);
  if (E.isLeft(held)) return held;
  const connected = connectTo(Buffer.from(`/proc/self/fd/${held.right}\0`));
  close(held.right);
  return connected;
};

const connectAbstract = (name: B.ByteString): E.Either<string, number> => {
  if (name === '') return E.left('ECONNREFUSED');
  return name.length > maxSocketNameBytes
    ? E.left('EINVAL')
    : connectTo(Buffer.concat([Buffer.of(0), B.toBytes(name)]));
};

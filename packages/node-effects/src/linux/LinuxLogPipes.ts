/** Log pipes, held open and read without a thread for any of them (SPEC 8.3). */
import * as fs from 'node:fs';
import type { ByteString as B } from '@shim-recovery/core';
import {
  entry,
  type FileError,
  type LogPipe,
  type LogPipes,
  pathOf,
  systemError,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { descriptorOf, kindOf } from './LinuxFileSystem.js';
import { AT_FDCWD, close, fstat, mkfifoAt, O_PATH, openAt } from '../native/Native.js';
import { readSome, type Waiter, type Waiting, waitToRead } from '../native/Epoll.js';

/**
 * Where what shims write goes. The bytes are only good until it returns. Where it returns a promise, no more of this log is read
 * until that is settled: a shim that writes faster than anybody reads fills its pipe then, and not our memory.
 */
export type LogSink = (log: {
  readonly namespace: B.ByteString;
  readonly id: B.ByteString;
  readonly bytes: Uint8Array;
}) => unknown;

const { O_NOFOLLOW, O_NONBLOCK, O_RDWR } = fs.constants;

const fifoMode = 0o700;

const { log } = entry;

/**
 * Reads by events: an idle pipe costs nothing, and of a flooded one only so much is read before others have their turn. Methods
 * rather than closures, as of all that waits by the thousand (`Epoll.ts`), but for the one that may be passed on by itself.
 */
class OpenLog implements LogPipe, Waiter {
  public readonly keepsAlive = false;

  public readonly close = async (): Promise<void> => {
    if (this.isClosed) return;
    this.isClosed = true;
    this.waiting?.end();
    close(this.descriptor);
  };

  private readonly waiting: Waiting | undefined;
  private isClosed = false;

  constructor(
    private readonly descriptor: number,
    private readonly namespace: B.ByteString,
    private readonly id: B.ByteString,
    private readonly sink: LogSink,
  ) {
    const waiting = waitToRead(descriptor, this);
    // Where nobody can wait for it, it is open all the same, so that the shim can write until it is full.
    this.waiting = E.isRight(waiting) ? waiting.right : undefined;
  }

  public ready(): void {
    const came = readSome(this.descriptor);
    if (E.isLeft(came)) return;
    const taken = this.sink({ namespace: this.namespace, id: this.id, bytes: came.right });
    if (!(taken instanceof Promise)) return;
    this.waiting?.waitFor('nothing');
    // Of no effect once it is closed.
    const goOn = (): unknown => this.waiting?.waitFor('reading');
    void taken.then(goOn, goOn);
  }
}

/** Log pipes whose contents go to a sink. One that is open does not keep the process alive by itself. */
export const makeLogPipes = (sink: LogSink): LogPipes => ({
  open:
    ({ bundle, namespace, id, followsLinks }) =>
    async () => {
      const at = { directory: bundle, name: log };
      const failed = (code: string): E.Either<FileError, never> => E.left(systemError('open', pathOf(at), code));
      const directory = descriptorOf(bundle);
      if (E.isLeft(directory)) return directory;
      const held = hold(directory.right, followsLinks);
      if (E.isLeft(held)) return failed(held.left);
      const descriptor = openHeld(held.right);
      close(held.right);
      if (E.isLeft(descriptor)) return failed(descriptor.left);
      if (descriptor.right === null) return E.right(unread);
      return E.right(new OpenLog(descriptor.right, namespace, id, sink));
    },
});

/** Takes hold of what `log` leads to; makes the FIFO when nothing is there. A dangling symlink stays one: `ENOENT`. */
const hold = (bundle: number, followsLinks: boolean): E.Either<string, number> => {
  const flags = followsLinks ? O_PATH : O_PATH | O_NOFOLLOW;
  const held = openAt(bundle, log, flags);
  if (E.isRight(held) || held.left !== 'ENOENT') return held;
  const made = mkfifoAt(bundle, log, fifoMode);
  if (E.isLeft(made) && made.left !== 'EEXIST') return made;
  return openAt(bundle, log, flags);
};

/** A descriptor to read and write the FIFO by; null for what is left unread. Reading and writing, it never sees an end. */
const openHeld = (held: number): E.Either<string, number | null> => {
  const status = fstat(held);
  if (E.isLeft(status)) return status;
  switch (kindOf(status.right)) {
    case 'directory':
      return E.left('EISDIR');
    case 'socket':
      return E.left('ENXIO');
    case 'fifo':
      return openAt(AT_FDCWD, `/proc/self/fd/${held}`, O_RDWR | O_NONBLOCK);
    case 'file':
    case 'symlink':
    case 'device':
      return E.right(null);
  }
};

const unread: LogPipe = { close: async () => undefined };

/** A connection to a unix socket, without a stream in between: what comes is handed over as it comes. */
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import { close, send } from './Native.js';
import { mostReadBytes, readSome, waitToRead } from './Readiness.js';

export interface Connection {
  /** What the kernel does not take at once is sent as the other side makes room. Of no effect once it has ended. */
  readonly send: (bytes: Uint8Array) => void;
  /** Hands over what may have come already, at once, unless it is paused. */
  readonly readNow: IO<void>;
  /** Reads nothing more, sends nothing that is still unsent, and does not notice an end, until it is resumed. */
  readonly pause: IO<void>;
  readonly resume: IO<void>;
  /** Ends it, whatever is still unsent. It has ended thereby; closing twice is harmless. */
  readonly close: IO<void>;
}

export interface Receiver {
  /** The bytes are only good until it returns. */
  readonly received: (bytes: Uint8Array) => void;
  /** Once, when either side has ended the connection; `code` is the errno why nothing more could be sent, or waited for. */
  readonly ended: (code: string | undefined) => void;
}

/** How often it is read at once, where somebody waits for what may have come: as often as the longest answer takes. */
const readsNow = 65;

/** Takes over a connected socket, which does not block. Left: the errno why nobody can wait for it; it is closed then. */
export const connectionOver = (socket: number, { received, ended }: Receiver): E.Either<string, Connection> => {
  const unsent: Array<Uint8Array> = [];
  let isPaused = false;
  let isClosed = false;

  const closeNow = (code?: string): void => {
    if (isClosed) return;
    isClosed = true;
    unsent.length = 0;
    if (E.isRight(waiting)) waiting.right.end();
    close(socket);
    ended(code);
  };

  const lookFor = (): void => {
    if (E.isLeft(waiting)) return;
    const unpaused = unsent.length > 0 ? 'reading and writing' : 'reading';
    const changed = waiting.right.waitFor(isPaused ? 'nothing' : unpaused);
    // Nobody would be told any more, not even that it has ended.
    if (E.isLeft(changed)) closeNow(changed.left);
  };

  const sendSome = (): void => {
    for (let next = unsent.shift(); next !== undefined; next = unsent.shift()) {
      const sent = send(socket, next);
      const sentBytes = E.isRight(sent) ? sent.right : 0;
      if (sentBytes === next.length) continue;
      if (E.isLeft(sent) && sent.left !== 'EAGAIN') return closeNow(sent.left);
      unsent.unshift(next.subarray(sentBytes));
      return;
    }
  };

  /** Whether there may be more. */
  const receive = (): boolean => {
    if (isClosed || isPaused) return false;
    const came = readSome(socket);
    if (E.isRight(came)) {
      received(came.right);
      return came.right.length === mostReadBytes;
    }
    // The other side will say no more: what is still unsent must not keep the connection.
    if (came.left === 'ended') closeNow();
    return false;
  };

  const waiting = waitToRead(socket, {
    keepsAlive: true,
    ready: () => {
      receive();
      if (unsent.length === 0) return;
      sendSome();
      lookFor();
    },
  });
  if (E.isLeft(waiting)) {
    close(socket);
    return waiting;
  }

  return E.right({
    send: (bytes) => {
      if (isClosed) return;
      unsent.push(bytes);
      if (unsent.length > 1) return;
      sendSome();
      lookFor();
    },
    readNow: () => {
      for (let reads = 1; receive() && reads < readsNow; reads += 1);
    },
    pause: () => {
      isPaused = true;
      lookFor();
    },
    resume: () => {
      isPaused = false;
      lookFor();
    },
    close: () => closeNow(),
  });
};

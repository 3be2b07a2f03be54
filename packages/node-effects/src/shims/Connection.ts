/** A connection to a unix socket, without a stream in between: what comes is handed over as it comes. */
import * as E from 'fp-ts/lib/Either.js';
import { close, send } from '../native/Native.js';
import { mostReadBytes, readSome, type Waiter, type Waiting, waitToRead } from '../native/Epoll.js';

export interface Connection {
  /** What the kernel does not take at once is sent as the other side makes room. Of no effect once it has ended. */
  send(bytes: Uint8Array): void;
  /** Hands over what may have come already, at once, unless it is paused. */
  readNow(): void;
  /** Reads nothing more, sends nothing that is still unsent, and does not notice an end, until it is resumed. */
  pause(): void;
  resume(): void;
  /** Ends it, whatever is still unsent. It has ended thereby; closing twice is harmless. */
  close(): void;
}

export interface Receiver {
  /** The bytes are only good until it returns. */
  received(bytes: Uint8Array): void;
  /** Once, when either side has ended the connection; `code` is the errno why nothing more could be sent, or waited for. */
  ended(code: string | undefined): void;
}

const done = E.right(undefined);

/** How often it is read at once, where somebody waits for what may have come: as often as the longest answer takes. */
const readsNow = 65;

/** Methods rather than closures, as of all that waits by the thousand (`Epoll.ts`). */
class SocketConnection implements Connection, Waiter {
  public readonly keepsAlive = true;
  private waiting: Waiting | undefined;
  private unsent: Uint8Array | undefined;
  private isPaused = false;
  private isClosed = false;

  constructor(
    private readonly socket: number,
    private readonly receiver: Receiver,
  ) {}

  /** Left: the errno why nobody can wait for it. */
  public open(): E.Either<string, void> {
    const waiting = waitToRead(this.socket, this);
    if (E.isLeft(waiting)) return waiting;
    this.waiting = waiting.right;
    return done;
  }

  public ready(): void {
    this.receive();
    if (this.unsent !== undefined) this.sendSome(this.unsent);
  }

  public send(bytes: Uint8Array): void {
    if (this.isClosed) return;
    if (this.unsent === undefined) this.sendSome(bytes);
    else this.unsent = Buffer.concat([this.unsent, bytes]);
  }

  public readNow(): void {
    for (let reads = 1; this.receive() && reads < readsNow; reads += 1);
  }

  public pause(): void {
    this.isPaused = true;
    this.look();
  }

  public resume(): void {
    this.isPaused = false;
    this.look();
  }

  public close(): void {
    this.end(undefined);
  }

  private end(code: string | undefined): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.unsent = undefined;
    this.waiting?.end();
    close(this.socket);
    this.receiver.ended(code);
  }

  private look(): void {
    const unpaused = this.unsent !== undefined ? 'reading and writing' : 'reading';
    const changed = this.waiting?.waitFor(this.isPaused ? 'nothing' : unpaused);
    // Nobody would be told any more, not even that it has ended.
    if (changed !== undefined && E.isLeft(changed)) this.end(changed.left);
  }

  private sendSome(bytes: Uint8Array): void {
    const sent = send(this.socket, bytes);
    if (E.isLeft(sent) && sent.left !== 'EAGAIN') return this.end(sent.left);
    const sentBytes = E.isRight(sent) ? sent.right : 0;
    this.unsent = sentBytes === bytes.length ? undefined : bytes.subarray(sentBytes);
    this.look();
  }

  /** Whether there may be more. */
  private receive(): boolean {
    if (this.isClosed || this.isPaused) return false;
    const came = readSome(this.socket);
    if (E.isRight(came)) {
      this.receiver.received(came.right);
      return came.right.length === mostReadBytes;
    }
    // The other side will say no more: what is still unsent must not keep the connection.
    if (came.left === 'ended') this.end(undefined);
    return false;
  }
}

/** Takes over a connected socket, which does not block. Left: the errno why nobody can wait for it; it is closed then. */
export const connectionOver = (socket: number, receiver: Receiver): E.Either<string, Connection> => {
  const connection = new SocketConnection(socket, receiver);
  const opened = connection.open();
  if (E.isRight(opened)) return E.right(connection);
  close(socket);
  return opened;
};

/**
 * Being told when something can be read or written: one `epoll(7)` for all that is waited for, which the event loop looks at.
 * What Node has for it, a socket with two streams around each descriptor, costs several times as much as asking a shim.
 */
import * as E from 'fp-ts/lib/Either.js';
import { native, type Watched } from './CLibrary.js';
import { close, controlEpoll, createEpoll, EPOLLIN, EPOLLOUT, read, waitEpoll } from './Native.js';

/** The most that is read at once. */
export const mostReadBytes = 64 * 1024;

/** For everybody who reads: whatever is read into it is handed over before anything else is read. */
const incoming = new Uint8Array(mostReadBytes);

const notYet = E.left('not yet' as const);

const ended = E.left('ended' as const);

/**
 * Reads some of what has come, from a descriptor that does not block. The bytes are only good until anything else is read.
 * Left: there is nothing yet, or there will be nothing any more.
 */
export const readSome = (descriptor: number): E.Either<'not yet' | 'ended', Uint8Array> => {
  const length = read(descriptor, incoming);
  if (E.isLeft(length)) return length.left === 'EAGAIN' ? notYet : ended;
  return length.right === 0 ? ended : E.right(incoming.subarray(0, length.right));
};

/** What is waited for. */
export type Interest = 'reading' | 'reading and writing' | 'nothing';

export interface Waiting {
  /** From now on. Of a peer that hung up it is told, too, unless nothing is waited for. Left: the errno why it cannot be. */
  waitFor(interest: Interest): E.Either<string, void>;
  /** Before the descriptor is closed: it is told of nothing any more. */
  end(): void;
}

export interface Waiter {
  /** Called in turn, as long as there is something to read or room to write. It reads a little only: others wait, too. */
  ready(): void;
  /** Whether the process goes on for it. */
  readonly keepsAlive: boolean;
}

let lastKey = 0;

let keepingAlive = 0;

let isTelling = false;

let loop: Loop | undefined;

/** Waits to read from a descriptor, which stays the caller's. Left: the errno why nobody can wait for it. */
export const waitToRead = (descriptor: number, waiter: Waiter): E.Either<string, Waiting> => {
  const started = theLoop();
  if (E.isLeft(started)) return started;
  const key = (lastKey = (lastKey + 1) >>> 0);
  const added = controlEpoll(started.right.epoll, 'add', descriptor, key, eventsOf.reading);
  if (E.isLeft(added)) return added;
  waiters.set(key, waiter);
  if (waiter.keepsAlive) keepAlive(started.right, 1);
  return E.right(new Watch(started.right, key, descriptor, waiter.keepsAlive));
};

/** The one of this thread. What kept it from being made may be over the next time. */
const theLoop = (): E.Either<string, Loop> => {
  if (loop !== undefined) return E.right(loop);
  const epoll = createEpoll();
  if (E.isLeft(epoll)) return epoll;
  const tried = tryToWatch(epoll.right);
  const watched = E.isLeft(tried) ? tried : native().watch(epoll.right, tellSoon(epoll.right));
  if (E.isLeft(watched)) {
    close(epoll.right);
    return watched;
  }
  watched.right.unref();
  process.once('exit', () => {
    watched.right.stop();
    close(epoll.right);
  });
  loop = { epoll: epoll.right, watched: watched.right };
  return E.right(loop);
};

interface Loop {
  readonly epoll: number;
  readonly watched: Watched;
}

/** Whether the kernel lets it be looked at: where it refuses the event loop's own `epoll`, the whole process ends. */
const tryToWatch = (epoll: number): E.Either<string, void> => {
  const another = createEpoll();
  if (E.isLeft(another)) return another;
  const tried = controlEpoll(another.right, 'add', epoll, 0, EPOLLIN);
  close(another.right);
  return tried;
};

/** The event loop's own call is outside of everything that JavaScript knows: work begins in the same turn, a little later. */
const tellSoon = (epoll: number) => (): void => {
  if (isTelling) return;
  isTelling = true;
  setImmediate(tell, epoll);
};

const tell = (epoll: number): void => {
  isTelling = false;
  for (const key of waitEpoll(epoll)) waiters.get(key)?.ready();
};

/** By a number of their own, as a descriptor's may be another's by the time that it is told. */
const waiters = new Map<number, Waiter>();

const eventsOf = { reading: EPOLLIN, 'reading and writing': EPOLLIN | EPOLLOUT } as const;

const keepAlive = ({ watched }: Loop, change: 1 | -1): void => {
  keepingAlive += change;
  if (keepingAlive > 0) watched.ref();
  else watched.unref();
};

const done: E.Either<string, void> = E.right(undefined);

/** There may be ten thousand: methods that all of them share take a fraction of the memory that closures would. */
class Watch implements Waiting {
  private interest: Interest = 'reading';

  constructor(
    private readonly loop: Loop,
    private readonly key: number,
    private readonly descriptor: number,
    private readonly keepsAlive: boolean,
  ) {}

  public waitFor(interest: Interest): E.Either<string, void> {
    const { loop, key, descriptor } = this;
    if (interest === this.interest || !waiters.has(key)) return done;
    const changed =
      interest === 'nothing'
        ? controlEpoll(loop.epoll, 'remove', descriptor, key)
        : controlEpoll(loop.epoll, this.interest === 'nothing' ? 'add' : 'change', descriptor, key, eventsOf[interest]);
    if (E.isRight(changed)) this.interest = interest;
    return changed;
  }

  public end(): void {
    if (!waiters.has(this.key)) return;
    // Closing would not do: a child that is about to run another program may hold the descriptor a little longer.
    this.waitFor('nothing');
    waiters.delete(this.key);
    if (this.keepsAlive) keepAlive(this.loop, -1);
  }
}

/**
 * Removing what takes long to free. Once a file's last name is gone, its file system frees what it held, and whoever lets go of
 * it last waits for that: on ext4 several times as long as for the name to go, and the longer where the disk is told of every
 * block at once (the mount option `discard`). So what is removed is taken hold of before, and let go of in threads.
 */
import * as E from 'fp-ts/lib/Either.js';
import { isMainThread } from './CLibrary.js';
import {
  close,
  closeRange,
  fileSystemType,
  holdWithinMount,
  type KernelName,
  lstatAt,
  mostDescriptors,
  removeDirectoryAt,
  unlinkAt,
} from './Native.js';

/** A call that removes a name from a directory. */
type RemoveName = (directory: number, name: KernelName) => E.Either<string, void>;

/** The same; right: whether what it was the name of is held, and freed later. */
export type RemoveHolding = (directory: number, name: KernelName) => E.Either<string, boolean>;

/** The `f_type` of ext2, ext3 and ext4. */
const extMagic = 0xef53;

/**
 * Whether what is removed in an open directory is better held. Elsewhere it is not: a file system in memory frees it at once, xfs
 * does it in a thread of its own, with btrfs it takes longer, and what is open on NFS is not removed but renamed. A worker
 * thread can be ended from outside, and would leave what it holds open for ever.
 */
export const freesSlowly = (directory: number): boolean => {
  const type = fileSystemType(directory);
  return E.isRight(type) && type.right === extMagic && isMainThread();
};

let heldLimit: number | undefined;

let callsUnderWay = 0;

let isScheduled = false;

/** Threads are few, and others use them, too: a file system that does not answer, asked by one of those, keeps them all. */
let areThreadsStuck = false;

/** Who waits until so many were let go of. */
let waiters: ReadonlyArray<{ readonly freed: number; readonly tell: () => void }> = [];

/** How many are held at this moment. */
export const heldNow = (): number => count.held - count.freed;

/** How many were held so far, and how many of them let go of. */
const count = { held: 0, freed: 0 };

/** Completes when as many were let go of as were held by now, or when threads do not get on with it. */
export const allFreed = (): Promise<void> =>
  new Promise((resolve) => {
    if (heldNow() === 0 || areThreadsStuck) return resolve();
    const giveUp = setTimeout(() => {
      areThreadsStuck = true;
      waiters = waiters.filter(({ tell }) => tell !== told);
      resolve();
    }, mostFreeingMs);
    const told = (): void => {
      clearTimeout(giveUp);
      resolve();
    };
    waiters = [...waiters, { freed: count.held, tell: told }];
    detach();
  });

/** How long anybody waits for what threads are to free, in milliseconds. It is a matter of a few. */
const mostFreeingMs = 1_000;

const detach = (): void => {
  waiting.sort((first, second) => first - second);
  while (callsUnderWay < mostCalls) {
    const run = takeRun();
    if (run === undefined) return;
    callsUnderWay++;
    void closeRange(run.first, run.last).then((closed) => {
      if (E.isLeft(closed)) closeEach(run.first, run.last);
      callsUnderWay--;
      areThreadsStuck = false;
      count.freed += run.last - run.first + 1;
      tellWaiters();
      schedule();
    });
  }
};

/** Those that no thread has been given yet. */
const waiting: Array<number> = [];

/** How many such calls are under way at once. */
const mostCalls = 16;

/** Takes descriptors that follow each other: those are closed by one call. */
const takeRun = (): { readonly first: number; readonly last: number } | undefined => {
  const [first] = waiting;
  if (first === undefined) return undefined;
  let length = 1;
  while (length < longestRun && waiting[length] === first + length) length++;
  waiting.splice(0, length);
  return { first, last: first + length - 1 };
};

/** How many are let go of by one call, so that several threads have something to do. */
const longestRun = 32;

/** Where a range cannot be closed (Linux before 5.9, or calls are filtered), each is by itself, and nothing is held any more. */
const closeEach = (first: number, last: number): void => {
  heldLimit = 0;
  for (let descriptor = first; descriptor <= last; descriptor++) close(descriptor);
};

const tellWaiters = (): void => {
  const told = waiters.filter(({ freed }) => freed <= count.freed);
  waiters = waiters.filter(({ freed }) => freed > count.freed);
  for (const { tell } of told) tell();
};

/** What is removed within one turn is let go of together. */
const schedule = (): void => {
  if (isScheduled || waiting.length === 0) return;
  isScheduled = true;
  setImmediate(() => {
    isScheduled = false;
    detach();
  });
};

/**
 * Removes a name, and holds what it was the name of, unless too many are held, or it is not to be held, or a mount point: then it
 * is freed here and now, if it was removed.
 */
const removeHolding =
  (remove: RemoveName, isToBeHeld: (directory: number, name: KernelName) => boolean): RemoveHolding =>
  (directory, name) => {
    const held = isRoom() && isToBeHeld(directory, name) ? holdWithinMount(directory, name) : undefined;
    const removed = remove(directory, name);
    if (held === undefined || E.isLeft(held)) return E.isLeft(removed) ? removed : freedNow;
    if (E.isLeft(removed)) {
      close(held.right);
      return removed;
    }
    keep(held.right);
    return heldLater;
  };

/** Whether one more may be held. */
const isRoom = (): boolean => !areThreadsStuck && heldNow() < (heldLimit ??= heldLimitOf(mostDescriptors()));

/** How many are held at once. Where a process may not have many descriptors, whoever opens a file needs them more. */
const heldLimitOf = (descriptors: number): number => (descriptors < 4_096 ? 0 : 256);

const freedNow = E.right(false);

const keep = (descriptor: number): void => {
  count.held++;
  waiting.push(descriptor);
  if (waiting.length >= longestRun) detach();
  else schedule();
};

const heldLater = E.right(true);

const isSmall = (directory: number, name: KernelName): boolean => {
  const status = lstatAt(directory, name);
  return E.isRight(status) && status.right.sizeBytes <= smallBytes;
};

/** What frees a large file keeps whoever removes the directory above it waiting, and the processor busy. */
const smallBytes = 64 * 1024;

/** Removes an empty directory. */
export const removeDirectoryHolding = removeHolding(removeDirectoryAt, () => true);

/** Removes anything but a directory. A symlink may have a block, too. */
export const unlinkHolding = removeHolding(unlinkAt, isSmall);

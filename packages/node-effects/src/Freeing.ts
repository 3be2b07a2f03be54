/**
 * Removing what takes long to free. Once a file's last name is gone, its file system frees what it held, and whoever lets go of
 * it last waits for that: on ext4 several times as long as for the name to go, and the longer where the disk is told of every
 * block at once (the mount option `discard`). So what is removed is taken hold of before, and let go of in threads.
 */
import * as fs from 'node:fs';
import * as E from 'fp-ts/lib/Either.js';
import { close, closeRange, fileSystemType, type KernelName, mostDescriptors, O_PATH, openAt } from './Native.js';

const { O_NOFOLLOW } = fs.constants;

/** A call that removes a name from a directory. */
export type Remove = (directory: number, name: KernelName) => E.Either<string, void>;

/** The `f_type` of ext2, ext3 and ext4. */
const extMagic = 0xef53;

/**
 * Whether what is removed in an open directory is better held. Elsewhere it is not: a file system in memory frees it at once, xfs
 * does it in a thread of its own, with btrfs it takes longer, and what is open on NFS is not removed but renamed.
 */
export const freesSlowly = (directory: number): boolean => {
  const type = fileSystemType(directory);
  return E.isRight(type) && type.right === extMagic;
};

/** How many are let go of by one call, so that several threads have something to do. */
const longestRun = 32;

/** How many such calls are under way at once; the native library takes up to 256 of all kinds. */
const mostCalls = 16;

/** How many are held at once, of as many as this process may have open. */
const mostHeld = (): number => Math.min(256, Math.floor(mostDescriptors() / 8));

let most: number | undefined;
let heldCount = 0;
let callsUnderWay = 0;
let isScheduled = false;

/** Those that no thread has been given yet. */
const waiting: Array<number> = [];

/** How many that were removed are still held; tests see by it that none is forgotten. */
export const heldRemoved = (): number => heldCount;

/** Takes descriptors that follow each other: those are closed by one call. */
const takeRun = (): { readonly first: number; readonly last: number } | undefined => {
  const [first] = waiting;
  if (first === undefined) return undefined;
  let count = 1;
  while (count < longestRun && waiting[count] === first + count) count++;
  waiting.splice(0, count);
  return { first, last: first + count - 1 };
};

/** Where a range cannot be closed (Linux before 5.9), each is by itself, and whoever waits, waits. */
const closeEach = (first: number, last: number): void => {
  for (let descriptor = first; descriptor <= last; descriptor++) close(descriptor);
};

const letGo = (): void => {
  waiting.sort((first, second) => first - second);
  while (callsUnderWay < mostCalls) {
    const run = takeRun();
    if (run === undefined) return;
    callsUnderWay++;
    void closeRange(run.first, run.last).then((closed) => {
      if (E.isLeft(closed)) closeEach(run.first, run.last);
      callsUnderWay--;
      heldCount -= run.last - run.first + 1;
      schedule();
    });
  }
};

/** What is removed within one turn is let go of together. */
const schedule = (): void => {
  if (isScheduled || waiting.length === 0) return;
  isScheduled = true;
  setImmediate(() => {
    isScheduled = false;
    letGo();
  });
};

const keep = (descriptor: number): void => {
  heldCount++;
  waiting.push(descriptor);
  if (waiting.length >= longestRun) letGo();
  else schedule();
};

/** Removes a name, and holds what it was the name of, unless too many are held: then it is freed here and now. */
export const removeHolding =
  (remove: Remove): Remove =>
  (directory, name) => {
    if (heldCount >= (most ??= mostHeld())) return remove(directory, name);
    const held = openAt(directory, name, O_PATH | O_NOFOLLOW);
    if (E.isLeft(held)) return held.left === 'ENOENT' ? held : remove(directory, name);
    const removed = remove(directory, name);
    if (E.isRight(removed)) keep(held.right);
    else close(held.right);
    return removed;
  };

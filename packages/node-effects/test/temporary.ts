/** Directories for tests, and open handles on them; everything is taken away again. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import type { Directory } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { afterAll, beforeAll } from 'vitest';
import { linuxFileSystem } from '../src/linux/LinuxFileSystem.js';

export const isRoot = process.getuid?.() === 0;

/** The value, or a failure that says what came instead. */
export const right = <L, A>(outcome: E.Either<L, A>): A => {
  if (E.isLeft(outcome)) throw new Error(`unexpected: ${JSON.stringify(outcome.left)}`);
  return outcome.right;
};

/** The code or the tag of what went wrong, or `ok`. */
export const problem = (outcome: E.Either<{ readonly _tag: string; readonly code?: string }, unknown>): string =>
  E.isRight(outcome) ? 'ok' : (outcome.left.code ?? outcome.left._tag);

const mountPointsBelow = (directory: string): ReadonlyArray<string> =>
  fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${directory}/`));

/** A fresh directory for a file of tests; mounts below it are taken away before it goes. */
export const temporaryDirectory = (): { readonly path: () => string } => {
  let directory = '';
  beforeAll(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sr-'));
  });
  afterAll(() => {
    for (const point of [...mountPointsBelow(directory)].reverse()) execFileSync('umount', ['--lazy', point]);
    fs.rmSync(directory, { recursive: true, force: true });
  });
  return { path: () => directory };
};

/** Opens a directory, uses it and closes it. */
export const withOpen = async <A>(directory: string, use: (open: Directory) => Promise<A>): Promise<A> => {
  const opened = right(await linuxFileSystem.openPath(B.fromText(directory))());
  try {
    return await use(opened);
  } finally {
    await linuxFileSystem.close(opened)();
  }
};

/** Completes when the condition holds at one of the events; fails after ten seconds. */
export const eventually = (what: string, holds: () => boolean): Promise<void> =>
  new Promise((resolve, reject) => {
    const end = performance.now() + 10_000;
    const look = (): void => {
      if (holds()) resolve();
      else if (performance.now() > end) reject(new Error(`waited in vain for: ${what}`));
      else setTimeout(look, 5);
    };
    look();
  });

/** Completes once everything else that is due has had its turn. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

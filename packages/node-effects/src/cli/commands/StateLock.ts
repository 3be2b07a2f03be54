/** That nobody else works on the same directories: no other recovery, and no daemon. */
import * as fs from 'node:fs';
import { isExhaustionCode } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import { errnoIn } from '../../native/Errno.js';
import { flock } from '../../native/Native.js';
import { databaseOf, type HostOptions } from '../arguments/Options.js';

const { O_DIRECTORY, O_NONBLOCK, O_RDONLY } = fs.constants;

/**
 * Locks the state directory until it is given back, or until this process ends: not every store has a lock, and none keeps others
 * from another one. Left: one line that says who has it. Where it cannot be opened, or its file system knows no locks, there is
 * none: whoever goes on says what is wrong with it. Not so where this process only lacks what it takes, and would have it a moment
 * later.
 */
export const lockState = (state: string): E.Either<string, IO<void>> =>
  lock(state, O_DIRECTORY, `another recovery works on ${state}; wait for its end, or end its watch`);

/** Left: one line that says who has it, or what this process lacks. */
const lock = (file: string, flags: number, isHeld: string): E.Either<string, IO<void>> => {
  const opened = E.tryCatch(() => fs.openSync(file, flags | O_RDONLY | O_NONBLOCK), errnoIn);
  if (E.isLeft(opened)) return unlocked(file, opened.left);
  const close = (): void => fs.closeSync(opened.right);
  const locked = flock(opened.right, 'exclusive');
  if (E.isRight(locked)) return E.right(close);
  close();
  return locked.left === 'EAGAIN' ? E.left(isHeld) : unlocked(file, locked.left);
};

const unlocked = (file: string, code: string): E.Either<string, IO<void>> =>
  isExhaustionCode(code) && code !== 'ENOSYS'
    ? E.left(`${file} cannot be locked against others: ${code}`)
    : E.right(doNothing);

const doNothing: IO<void> = () => undefined;

/**
 * Locks the database of the daemon whose directories these are, whatever store is asked, until it is given back: a daemon that
 * runs has it, wherever it listens, and one that is started meanwhile waits (H33). The store that is asked is locked by itself.
 */
export const lockDatabase = ({ root, store }: Pick<HostOptions, 'root' | 'store'>): E.Either<string, IO<void>> => {
  const database = databaseOf(root);
  return store._tag === 'Bolt' && isSameFile(store.path, database)
    ? E.right(doNothing)
    : lock(
        database,
        0,
        `the metadata store ${database} is in use: most likely a daemon is running, and its shims are its own; stop it first, or look with plan instead`,
      );
};

const isSameFile = (first: string, second: string): boolean => {
  const looked = E.tryCatch(() => [first, second].map((file) => fs.statSync(file, { bigint: true })), errnoIn);
  if (E.isLeft(looked)) return false;
  const [one, other] = looked.right;
  return one?.ino === other?.ino && one?.dev === other?.dev;
};

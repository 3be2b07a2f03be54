/** That no two recoveries work on the same directories: not every store has a lock, and none keeps others from another one. */
import * as fs from 'node:fs';
import { isExhaustionCode } from '@shim-recovery/core/FileSystem';
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import { errnoIn } from '../Errno.js';
import { flock } from '../Native.js';

const { O_DIRECTORY, O_NONBLOCK, O_RDONLY } = fs.constants;

const doNothing: IO<void> = () => undefined;

const unlocked = (state: string, code: string): E.Either<string, IO<void>> =>
  isExhaustionCode(code) && code !== 'ENOSYS'
    ? E.left(`${state} cannot be locked against another recovery: ${code}`)
    : E.right(doNothing);

/**
 * Locks the state directory until it is given back, or until this process ends. Left: one line that says who has it. Where it
 * cannot be opened, or its file system knows no locks, there is none: whoever goes on says what is wrong with it. Not so where this
 * process only lacks what it takes, and would have it a moment later.
 */
export const lockState = (state: string): E.Either<string, IO<void>> => {
  const opened = E.tryCatch(() => fs.openSync(state, O_RDONLY | O_DIRECTORY | O_NONBLOCK), errnoIn);
  if (E.isLeft(opened)) return unlocked(state, opened.left);
  const close = (): void => fs.closeSync(opened.right);
  const locked = flock(opened.right, 'exclusive');
  if (E.isRight(locked)) return E.right(close);
  close();
  return locked.left === 'EAGAIN'
    ? E.left(`another recovery works on ${state}; wait for its end, or end its watch`)
    : unlocked(state, locked.left);
};

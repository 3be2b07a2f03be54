/** What kind of file system is mounted where, by the kernel's table: whoever asks the file system itself may wait for ever. */
import type * as B from '@shim-recovery/core/ByteString';
import * as MountTable from '@shim-recovery/core/MountTable';
import type { MountError } from '@shim-recovery/core/Mounts';
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import type { Task } from 'fp-ts/lib/Task.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import { systemClock } from './Clock.js';

/** How old a table may be, in milliseconds: many ask at once, and it may be long. */
const mostAgeMs = 1_000;

/** And one in which something is missing. */
const mostAgeOfMissingMs = 50;

type Types = Map<B.ByteString, B.ByteString>;

export interface MountedTypes {
  /** Of what is mounted at a path, as the table writes it, the topmost where several are; undefined where it does not say. */
  readonly typeAt: (path: B.ByteString) => Task<B.ByteString | undefined>;
  /** One was unmounted. */
  readonly forget: (path: B.ByteString) => IO<void>;
}

/** Nothing where the table cannot be used: others say so. */
const readTypes =
  (read: TaskEither<MountError, B.ByteString>): Task<Types> =>
  async () => {
    const types: Types = new Map();
    const table = await read();
    if (E.isLeft(table)) return types;
    for (const lines of MountTable.partsOf(table.right)) {
      await systemClock.breathe();
      const mounts = MountTable.parseLines(lines);
      if (E.isRight(mounts)) for (const { mountPoint, fsType } of mounts.right) types.set(mountPoint, fsType);
    }
    return types;
  };

export const makeMountedTypes = (read: TaskEither<MountError, B.ByteString>): MountedTypes => {
  let readMs = Number.NEGATIVE_INFINITY;
  let types: Promise<Types> = Promise.resolve(new Map());
  const notOlderThan = (ageMs: number): Promise<Types> => {
    const nowMs = systemClock.elapsedMs();
    if (nowMs - readMs > ageMs) {
      readMs = nowMs;
      types = readTypes(read)();
    }
    return types;
  };
  return {
    typeAt: (path) => async () =>
      (await notOlderThan(mostAgeMs)).get(path) ?? (await notOlderThan(mostAgeOfMissingMs)).get(path),
    forget: (path) => () => void types.then((known) => known.delete(path)),
  };
};

/** Taking mounts away, with the reference's order, retries and forgiveness (SPEC 7). */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import type { Task } from 'fp-ts/lib/Task.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import type * as B from '../base/ByteString.js';
import type { Clock } from '../capabilities/Clock.js';
import * as MountTable from '../observe/MountTable.js';
import type { MountError, Mounts } from '../capabilities/Mounts.js';

const maxBusyTries = 50;

const busyPauseMs = 50;

interface Needs {
  readonly mounts: Mounts;
  readonly clock: Clock;
}

/** SPEC 7.2: every layer stacked on one path. Nothing mounted there (any more) is success. */
export const unmountAll =
  (needs: Needs) =>
  (path: B.ByteString): TE.TaskEither<MountError, void> =>
  async () => {
    if (!(await needs.mounts.exists(path)())) return E.right(undefined);
    for (;;) {
      const outcome = await unmountOnce(needs)(path)();
      if (E.isLeft(outcome)) return isCode(outcome.left, 'EINVAL') ? E.right(undefined) : outcome;
    }
  };

/** SPEC 7.1: one layer, waiting up to 2.5 s while it is busy. `gaveUp` tells a wait in vain from a refusal at once. */
const unmountOnce =
  (needs: Needs) =>
  (path: B.ByteString): TE.TaskEither<MountError, void> =>
  async () => {
    if (await unmountFuse(needs)(path)()) return E.right(undefined);
    for (let tried = 1; ; tried++) {
      const outcome = await needs.mounts.unmount(path)();
      if (E.isRight(outcome) || !isCode(outcome.left, 'EBUSY')) return outcome;
      await needs.clock.sleep(busyPauseMs)(); // after the last try, too
      if (tried === maxBusyTries) return outcome;
    }
  };

const unmountFuse =
  ({ mounts }: Needs) =>
  (path: B.ByteString): Task<boolean> =>
  async () =>
    (await mounts.isFuse(path)()) && E.isRight(await mounts.unmountFuse(path)());

const isCode = (error: MountError, code: string): boolean => error._tag === 'UnmountRefused' && error.code === code;

/** Reads the table by turns: it may have thousands of lines. */
export const readMounts =
  ({
    mounts,
    clock,
  }: {
    readonly mounts: Pick<Mounts, 'read'>;
    readonly clock: Pick<Clock, 'yieldIfDue'>;
  }): TE.TaskEither<MountError, ReadonlyArray<MountTable.Mount>> =>
  async () => {
    const table = await mounts.read();
    if (E.isLeft(table)) return table;
    const found: Array<MountTable.Mount> = [];
    for (const lines of MountTable.partsOf(table.right)) {
      await clock.yieldIfDue();
      const some = MountTable.parseLines(lines);
      if (E.isLeft(some)) return some;
      found.push(...some.right);
    }
    await clock.yieldIfDue();
    return E.right(found);
  };

/**
 * The mount table as read once for a phase. Each unmount takes its entry out, so that many bundles cost one reading.
 */
export interface MountTableView {
  readonly pointsBelow: (path: B.ByteString) => TE.TaskEither<MountError, ReadonlyArray<B.ByteString>>;
  readonly forget: (path: B.ByteString) => void;
}

export const viewMountTable = (needs: Needs): MountTableView => {
  let table: Promise<E.Either<MountError, MountTable.MountPoints>> | undefined;
  const gone = new Set<B.ByteString>();
  return {
    pointsBelow: (path) => async () => {
      const points = await (table ??= readPoints(needs)());
      return E.isLeft(points)
        ? points
        : E.right(MountTable.mountPointsBelow(path)(points.right).filter((point) => !gone.has(point)));
    },
    forget: (path) => {
      gone.add(path);
    },
  };
};

const readPoints =
  (needs: Needs): TE.TaskEither<MountError, MountTable.MountPoints> =>
  async () => {
    const { mounts, clock } = needs;
    const table = await mounts.read();
    if (E.isLeft(table)) return table;
    const known = parsed.get(mounts);
    if (known?.table === table.right) return E.right(known.points);
    const read = await readMounts({ mounts: { read: async () => table }, clock })();
    if (E.isLeft(read)) return read;
    const points = MountTable.mountPointsOf(read.right);
    parsed.set(mounts, { table: table.right, points });
    return E.right(points);
  };

/** The last table of each interpreter, parsed: as long as nothing is mounted, it gives the same text again. */
const parsed = new WeakMap<Mounts, { readonly table: B.ByteString; readonly points: MountTable.MountPoints }>();

/**
 * Unmounts everything below a path, and not the path itself. Then it reads the table again; a mount that is there still, or
 * again, is an error (H12).
 */
export const unmountInside =
  (needs: Needs, view: MountTableView) =>
  (path: B.ByteString): TE.TaskEither<MountError, void> =>
  async () => {
    const points = await view.pointsBelow(path)();
    if (E.isLeft(points)) return points;
    for (const point of points.right.filter((one) => one !== path))
      if (E.isRight(await unmountAll(needs)(point)())) view.forget(point);
    return refuseMounted(needs)(path)();
  };

/** Refuses a path at or below which something is mounted, by the table as it is now. */
export const refuseMounted =
  (needs: Needs) =>
  (path: B.ByteString): TE.TaskEither<MountError, void> =>
    pipe(
      viewMountTable(needs).pointsBelow(path),
      TE.filterOrElse(
        (points) => points.length === 0,
        ([point = path]): MountError => ({ _tag: 'StillMounted', path: point }),
      ),
      TE.map(() => undefined),
    );

/**
 * SPEC 7.3: everything mounted at or below a path, deepest first. Only the outcome for the last, the path itself or
 * what is nearest to it, counts.
 */
export const unmountBelow =
  (needs: Needs, view: MountTableView) =>
  (path: B.ByteString): TE.TaskEither<MountError, void> =>
  async () => {
    const points = await view.pointsBelow(path)();
    if (E.isLeft(points)) return points;
    let last: E.Either<MountError, void> = E.right(undefined);
    for (const point of points.right) {
      last = await unmountAll(needs)(point)();
      if (E.isRight(last)) view.forget(point);
    }
    return last;
  };

/**
 * Whether processes that a decision saw still live after something was to end them. The table of processes is read for it only
 * where a decision saw any.
 */
import * as E from 'fp-ts/lib/Either.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import type { Capabilities } from '../Capabilities.js';
import type { ProcessesError, ProcessInfo } from '../../capabilities/Processes.js';

/** A process, told apart from a later one that has its number. */
export type Known = Pick<ProcessInfo, 'pid' | 'startedTicks'>;

type Needs = Pick<Capabilities, 'processes' | 'clock'>;

/** Those of these numbers that live now. */
export const knownAmong =
  ({ processes }: Pick<Needs, 'processes'>) =>
  (pids: ReadonlyArray<number>): TaskEither<ProcessesError, ReadonlyArray<Known>> =>
  async () => {
    const all = await processes.list();
    return E.isLeft(all) ? all : E.right(all.right.filter(({ pid }) => pids.includes(pid)));
  };

/** Those that still live after so many milliseconds at the most; none as soon as all have ended. */
export const survivorsOf =
  ({ processes, clock }: Needs) =>
  (known: ReadonlyArray<Known>, patienceMs: number): TaskEither<ProcessesError, ReadonlyArray<number>> =>
  async () => {
    if (known.length === 0) return E.right([]);
    const startOf = new Map(known.map(({ pid, startedTicks }) => [pid, startedTicks]));
    const untilMs = clock.elapsedMs() + patienceMs;
    for (;;) {
      const all = await processes.list();
      if (E.isLeft(all)) return all;
      const living = all.right.flatMap(({ pid, startedTicks }) => (startOf.get(pid) === startedTicks ? [pid] : []));
      if (living.length === 0 || clock.elapsedMs() >= untilMs) return E.right(living);
      await clock.sleep(lookEveryMs)();
    }
  };

/** How often it is looked whether they have ended, in milliseconds. */
const lookEveryMs = 50;

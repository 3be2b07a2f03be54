/** Time that bundles share. */
import type { IO } from 'fp-ts/lib/IO.js';
import type { Clock } from '../capabilities/Clock.js';

/**
 * The rest of a time budget, in milliseconds. The budget begins to run when it is first asked for, so that a store that is
 * down costs it once, however many bundles wait for it.
 */
export const retryBudget = (clock: Clock, budgetMs: number): IO<number> => {
  let sinceMs: number | undefined;
  return () => {
    sinceMs ??= clock.elapsedMs();
    return Math.max(0, budgetMs - (clock.elapsedMs() - sinceMs));
  };
};

/** Doing many things at once, but never more than a bound. */
import type { Task } from 'fp-ts/lib/Task.js';

/**
 * Runs the task of every item, at most `limit` at a time, started in order; the results are in the items' order.
 * A `limit` below one counts as one.
 */
export const traverse =
  <A, C>(limit: number, f: (item: A) => Task<C>) =>
  (items: ReadonlyArray<A>): Task<ReadonlyArray<C>> =>
  async () => {
    const results: Array<C> = [];
    const queue = items.entries();
    const work = async (): Promise<void> => {
      for (const [index, item] of queue) results[index] = await f(item)();
    };
    await Promise.all(Array.from({ length: Math.min(Math.max(1, limit), items.length) }, work));
    return results;
  };

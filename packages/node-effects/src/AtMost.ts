/** A bound on how much is under way at once. */
import type { Task } from 'fp-ts/lib/Task.js';

/** Lets no more than `limit` tasks run at once; the others wait for their turn, in order. */
export const atMost = (limit: number): (<A>(task: Task<A>) => Task<A>) => {
  const waiting: Array<() => void> = [];
  let running = 0;
  return (task) => async () => {
    if (running < limit) running += 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await task();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
};

/** Doing many things at once, but never more than a bound. */
import type { IO } from 'fp-ts/lib/IO.js';
import type { Task } from 'fp-ts/lib/Task.js';

/** Lets no more than `limit` tasks run at once; the others wait for their turn, in order. Below one counts as one. */
export const semaphore = (limit: number): (<A>(task: Task<A>) => Task<A>) => {
  // A set keeps the order in which it was filled, and gives up its first for the same price however many wait.
  const waiting = new Set<() => void>();
  let free = Math.max(1, limit);
  return (task) => async () => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.add(resolve));
    try {
      return await task();
    } finally {
      const [next] = waiting;
      if (next === undefined) free += 1;
      else {
        waiting.delete(next);
        next();
      }
    }
  };
};

/**
 * Lets no more than `limit` tasks be busy at once. When none of them has ended for as long as `patience` takes, and it says
 * that this was long enough for an answer to be noticed, all of them count as waiting. They go on, and make room for others. So
 * what answers quickly is begun in small portions, and what never answers holds up nothing else: as long as none ends,
 * each portion is twice as large as the one before. Before each that had to wait is begun, the others go as far as they can. A
 * limit below one counts as one.
 */
export const adaptiveSemaphore = ({
  limit,
  patience,
  yieldIfDue,
  yieldToOthers,
}: {
  readonly limit: number;
  readonly patience: Task<boolean>;
} & Turns): (<A>(task: Task<A>) => Task<A>) => {
  const first = Math.max(1, limit);
  let portion = first;
  const waiting = new Set<IO<void>>();
  const busy = new Set<object>();
  let ended = 0;
  let isWatched = false;
  let isAdmitting = false;

  const admit = async (): Promise<void> => {
    if (isAdmitting) return;
    isAdmitting = true;
    for (const start of waiting) {
      await (yieldIfDue() ?? yieldToOthers());
      if (busy.size >= portion) break;
      waiting.delete(start);
      start();
    }
    isAdmitting = false;
  };

  const watch = async (): Promise<void> => {
    if (isWatched) return;
    isWatched = true;
    while (waiting.size > 0) {
      const before = ended;
      const isEnough = await patience();
      if (ended === before && isEnough) {
        busy.clear();
        portion *= 2;
      }
      void admit();
    }
    isWatched = false;
  };

  return <A>(task: Task<A>): Task<A> =>
    () =>
      new Promise((resolve, reject) => {
        const start = (): void => {
          const one = {};
          busy.add(one);
          const end = (): void => {
            ended++;
            portion = first;
            busy.delete(one);
            void admit();
          };
          try {
            const running = task();
            running.then(end, end);
            resolve(running);
          } catch (error) {
            end();
            reject(error);
          }
        };
        if (waiting.size === 0 && busy.size < portion) return start();
        waiting.add(start);
        void watch();
      });
};

/** Two pauses. They keep many tasks that are begun one after the other from all resuming in the same turn. */
interface Turns {
  readonly yieldIfDue: () => Promise<void> | undefined;
  readonly yieldToOthers: () => Promise<void>;
}

/**
 * Runs the task of every item, at most `limit` at a time, started in order; the results are in the items' order.
 *
 * Before each is started, the others go as far as they can. So items whose tasks wait for nothing run one after the other, and
 * hold little at a time; only those that wait pile up, to `limit`.
 */
export const traverse =
  <A, C>({ limit, yieldIfDue, yieldToOthers }: { readonly limit: number } & Turns, f: (item: A) => Task<C>) =>
  (items: ReadonlyArray<A>): Task<ReadonlyArray<C>> =>
  async () => {
    const results: Array<C> = [];
    let defect: Promise<void> | undefined;
    let underWay = 0;
    let oneEnded = (): void => undefined;
    const start = (index: number, item: A): void => {
      underWay++;
      const running = f(item)().then((result) => {
        results[index] = result;
      });
      const end = (): void => {
        underWay--;
        oneEnded();
      };
      void running.then(end, () => {
        defect ??= running;
        end();
      });
    };
    const untilNoMoreThan = async (most: number): Promise<void> => {
      while (underWay > most)
        await new Promise<void>((resolve) => {
          oneEnded = resolve;
        });
    };
    let index = 0;
    for (const item of items) {
      await (yieldIfDue() ?? yieldToOthers());
      if (underWay >= Math.max(1, limit)) await untilNoMoreThan(Math.max(1, limit) - 1);
      if (defect !== undefined) break;
      start(index++, item);
    }
    await untilNoMoreThan(0);
    await defect;
    return results;
  };

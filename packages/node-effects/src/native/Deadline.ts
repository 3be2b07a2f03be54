/**
 * What is asked in threads, by a deadline: a file system that does not answer keeps a thread until it does, and Node has few. The
 * thread is not to be had back; but nobody else has to wait for it.
 */
import type { IO } from 'fp-ts/lib/IO.js';
import type { Task } from 'fp-ts/lib/Task.js';

const wantedThreads = process.env['UV_THREADPOOL_SIZE'];

/** How many threads Node has for what may take long: four, or as many as it was told, as C reads a number. */
export const threadCount = wantedThreads === undefined ? 4 : Math.max(1, Number.parseInt(wantedThreads, 10) || 1);

/** So many are asked at once: one for each thread, and one that it takes next. */
const mostUnderWay = 2 * threadCount;

let underWay = 0;

let unanswered = 0;

/** Who waits to be asked, in order. Its time begins when its turn comes: others may be slow, and answer. */
const waiting = new Set<IO<void>>();

/** Whether something was asked in vain, and has not been answered since: the process does not end by itself before. */
export const isAnythingUnanswered = (): boolean => unanswered > 0;

/**
 * The answer, or `late` after so many milliseconds; at once, where every thread may be kept by what was not answered in time. What
 * comes late is lost, but `ended` is told of it, too: until then the call may still be made.
 */
export const answeredWithin =
  <A>(timeoutMs: number, late: A, call: Task<A>, ended: IO<void> = () => undefined): Task<A> =>
  () =>
    new Promise((resolve, reject) => {
      let isLate = false;
      let isEnded = false;
      const giveUp = (): void => {
        if (isEnded) return;
        isLate = true;
        unanswered += 1;
        resolve(late);
        goOn();
      };
      const start = (): void => {
        if (isStuck()) {
          ended();
          return resolve(late);
        }
        underWay += 1;
        // Timers come before everything else: after a long turn of ours the answer may be here already.
        const timer = setTimeout(() => setImmediate(() => setImmediate(giveUp)), timeoutMs);
        const end = (): void => {
          isEnded = true;
          clearTimeout(timer);
          underWay -= 1;
          if (isLate) unanswered -= 1;
          ended();
          goOn();
        };
        void call().finally(end).then(resolve, reject);
      };
      waiting.add(start);
      goOn();
    });

const goOn = (): void => {
  for (const start of waiting) {
    if (underWay >= mostUnderWay && !isStuck()) return;
    waiting.delete(start);
    start();
  }
};

const isStuck = (): boolean => unanswered >= threadCount;

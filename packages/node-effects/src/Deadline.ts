/**
 * What is asked in threads, by a deadline: a file system that does not answer keeps a thread until it does, and Node has few. The
 * thread is not to be had back; but nobody else has to wait for it.
 */
import type { Task } from 'fp-ts/lib/Task.js';

/** How many threads Node has for what may take long. */
const threads = Math.max(1, Number(process.env['UV_THREADPOOL_SIZE'] ?? 4) || 4);

let unanswered = 0;

/** Whether something was asked that has not been answered to this moment: the process does not end by itself before. */
export const isAnythingUnanswered = (): boolean => unanswered > 0;

/**
 * The answer, or `late` after so many milliseconds; at once, where every thread may be kept by what was not answered in time. What
 * comes late is lost, but `ended` is told of it, too: until then the call may still be made.
 */
export const answeredWithin =
  <A>(timeoutMs: number, late: A, call: Task<A>, ended: () => void = () => undefined): Task<A> =>
  () =>
    new Promise((resolve, reject) => {
      if (unanswered >= threads) {
        ended();
        return resolve(late);
      }
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true;
        unanswered += 1;
        resolve(late);
      }, timeoutMs);
      const end = (): void => {
        clearTimeout(timer);
        if (isLate) unanswered -= 1;
        ended();
      };
      call().then(
        (answer) => {
          end();
          resolve(answer);
        },
        (error: unknown) => {
          end();
          reject(error);
        },
      );
    });

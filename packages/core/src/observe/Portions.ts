/** Asking many shims at once: those that answer quickly go in small portions, those that do not answer wait all together. */
import type * as T from 'fp-ts/lib/Task.js';
import type { Capabilities } from './Capabilities.js';
import { adaptiveSemaphore, traverse } from '../base/Semaphore.js';
import type { Settings } from '../policy/Settings.js';

/** After how long without any answer those that were asked count as waiting, in milliseconds. */
const patienceMs = 5;

/** However busy this process is: other work in it may never let it be otherwise. */
const mostPatienceMs = 50;

/** Does it for each of them: the quick in small portions, the slow all at once. */
export const forEachAsked =
  <A, C>({ clock }: Pick<Capabilities, 'clock'>, { bounds }: Pick<Settings, 'bounds'>, ask: (item: A) => T.Task<C>) =>
  (items: ReadonlyArray<A>): T.Task<ReadonlyArray<C>> => {
    const inPortions = adaptiveSemaphore({ ...clock, limit: bounds.busy, patience: waitForAnswers(clock) });
    return traverse({ ...clock, limit: bounds.waiting }, (item: A) => inPortions(ask(item)))(items);
  };

/**
 * Says whether that was all. Where it took much longer, this process was too busy to notice an answer. It may say so only
 * for a while.
 */
const waitForAnswers = ({ sleep, elapsedMs }: Capabilities['clock']): T.Task<boolean> => {
  let doubtedMs = 0;
  return async () => {
    const startedMs = elapsedMs();
    await sleep(patienceMs)();
    const tookMs = elapsedMs() - startedMs;
    doubtedMs += tookMs;
    if (tookMs >= 4 * patienceMs && doubtedMs < mostPatienceMs) return false;
    doubtedMs = 0;
    return true;
  };
};

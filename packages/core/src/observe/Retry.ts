/**
 * Asks a shim or a store again that gave no answer, where a policy holds a bundle for the want of one. A slow answer says
 * nothing of the shim.
 */
import type { Task } from 'fp-ts/lib/Task.js';
import type { BundleEvidence } from '../decide/Evidence.js';
import { asksAgain } from '../decide/Reasons.js';
import type { Prober } from './Prober.js';
import { closeAll, type Decided, type OpenShim, probe } from './Probing.js';

/**
 * How long is waited before a store is asked again, in milliseconds: after its first answer that was none, after the
 * second, and after each later one. No wait goes beyond the budget (`Timeouts.storeMs`).
 */
const storeRetryDelaysMs = [250, 500, 1_000] as const;

const laterStoreRetriesMs = 1_000;

/** How long is waited before a shim, or the table of processes, is asked once more: the others are done by then. */
const secondTryAfterMs = 1_000;

/** Settles a bundle, and asks again where an answer was missing: a store as long as its budget lasts, anybody else once. */
export const probeWithRetry =
  (prober: Prober) =>
  (evidence: BundleEvidence, open: OpenShim): Task<Decided> => {
    const orAgain = (settled: Decided): Decided | Promise<Decided> =>
      asksAgain(settled.verdict.reason) === 'never' ? settled : askAgain(prober)(evidence, open, settled)();
    return () => probe(prober)(evidence, open)().then(orAgain);
  };

/** As long as anybody is waited for; what was learnt before is not kept. */
const askAgain =
  (prober: Prober) =>
  (evidence: BundleEvidence, open: OpenShim, first: Decided): Task<Decided> =>
  async () => {
    const { clock, interrupted } = prober.capabilities;
    let settled = first;
    let storeTries = 0;
    let isOnceMoreDone = false;
    const nextTryAfterMs = (): number => {
      switch (asksAgain(settled.verdict.reason)) {
        case 'store':
          return Math.min(prober.storeBudgetMs(), storeRetryDelaysMs[storeTries++] ?? laterStoreRetriesMs);
        case 'once-more': {
          const isDone = isOnceMoreDone;
          isOnceMoreDone = true;
          return isDone ? 0 : secondTryAfterMs;
        }
        case 'never':
          return 0;
      }
    };
    for (;;) {
      const waitMs = nextTryAfterMs();
      if (waitMs === 0 || interrupted()) return settled;
      // Many wait together, and one new look at the processes does for all of them.
      const sinceMs = clock.elapsedMs() + waitMs / 2;
      await closeAll(open)();
      await clock.sleep(waitMs)();
      settled = await probe({ ...prober, processes: prober.processesSince(sinceMs) })(evidence, open)();
    }
  };

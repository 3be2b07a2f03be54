/** Carries out the steps of all bundles of a run. */
import type { Task } from 'fp-ts/lib/Task.js';
import { traverse } from '../base/Semaphore.js';
import { forEachAsked } from '../observe/Portions.js';
import type { BundlePlan } from '../plan/Plan.js';
import { asksShim } from '../plan/Step.js';
import type { PlannedBundle } from './Approval.js';
import type { StepRecords } from './StepRecords.js';
import { carryOut, type Executor } from './StepRunner.js';

/** Every bundle's steps: many at once where shims are waited for, and else only as many as there is use for. */
export const carryOutAll =
  (executor: Executor, records: StepRecords) =>
  (bundles: ReadonlyArray<PlannedBundle>): Task<void> =>
  async () => {
    const { capabilities, settings } = executor;
    const { clock } = capabilities;
    const one =
      ({ plan: { evidence, steps }, open }: PlannedBundle): Task<void> =>
      async () => {
        await carryOut(executor)({ evidence, open, steps, records: records.of(evidence) })();
        const { namespace, id } = evidence;
        capabilities.observer.notify({ _tag: 'BundleCarriedOut', namespace, id })();
      };
    const leftovers: Array<PlannedBundle> = [];
    const asking: Array<PlannedBundle> = [];
    const others: Array<PlannedBundle> = [];
    const queueOf = ({ verdict, steps }: BundlePlan): Array<PlannedBundle> => {
      if (verdict.reason === 'leftover') return leftovers;
      return asksShim(steps) ? asking : others;
    };
    for (const bundle of bundles) {
      const turn = clock.yieldIfDue();
      if (turn !== undefined) await turn;
      queueOf(bundle.plan).push(bundle);
    }
    // First, and one by one in their order: each is moved behind one more dot, where none must stand any more (H11).
    await traverse({ ...clock, limit: 1 }, one)(leftovers)();
    await Promise.all([
      forEachAsked(capabilities, settings, one)(asking)(),
      traverse({ ...clock, limit: settings.bounds.files }, one)(others)(),
    ]);
  };

/** Shims that were told to end for the sake of one bundle, and that other bundles share. */
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import { hasNoListener } from '../capabilities/ShimConnector.js';
import { shimAddress } from '../decide/ShimAddress.js';
import { socketOf } from '../observe/life/Pods.js';
import type { BundlePlan } from '../plan/Plan.js';
import type { Policy } from '../policy/Policy.js';
import type { PlannedBundle } from './Approval.js';
import type { StepRecords } from './StepRecords.js';
import type { Executor } from './StepRunner.js';
import { carryOutDisconnect } from './Supervision.js';

/**
 * A shim that was told to end for the sake of one bundle may be the shim of others, which were taken back meanwhile. Those are
 * asked again: where the shim has gone, the end of the connection means what it means to the policy, and is not hidden.
 */
export const noticeEnded =
  (executor: Executor, records: StepRecords) =>
  (bundles: ReadonlyArray<PlannedBundle>): Task<void> =>
  async () => {
    const { registry, settings } = executor;
    const toldToEnd = new Set(
      bundles
        .filter(({ plan }) =>
          records.of(plan.evidence).some(({ step, outcome }) => step === 'call-shutdown' && outcome === 'done'),
        )
        .map(({ plan }) => shimOf(settings.policy, plan)),
    );
    for (const { plan } of bundles) {
      const instance = registry.get(plan.evidence)();
      if (instance === undefined || settings.staysAttached || !toldToEnd.has(shimOf(settings.policy, plan))) continue;
      if (await hasEnded(executor, plan)()) await carryOutDisconnect(executor)(instance, records.of(plan.evidence))();
    }
  };

/** Where a bundle's shim was asked. */
const shimOf = (policy: Policy, { evidence }: BundlePlan): string | undefined => {
  const socket = socketOf(policy, evidence);
  return socket === undefined ? undefined : JSON.stringify([evidence.namespace, socket]);
};

/** Whether the shim of a bundle does not answer any more, or hangs up soon. */
const hasEnded =
  ({ capabilities, settings }: Executor, { evidence }: BundlePlan): Task<boolean> =>
  async () => {
    const { namespace, id, contents } = evidence;
    const address = contents?._tag === 'Listed' ? shimAddress(settings.policy)(contents) : undefined;
    if (address?._tag !== 'Target') return false;
    const timeoutMs = settings.timeouts.loadMs;
    const dialled = await capabilities.shimConnector.dial({ namespace, target: address.target, timeoutMs })();
    if (E.isLeft(dialled)) return hasNoListener(dialled.left);
    const connected = await dialled.right.connect({ id, timeoutMs })();
    const ended = E.isLeft(connected)
      ? connected.left._tag === 'Closed'
      : await Promise.race([
          dialled.right.disconnected().then(() => true),
          capabilities.clock
            .sleep(endingMs)()
            .then(() => false),
        ]);
    await dialled.right.close();
    return ended;
  };

/** How long a shim that was told to end may take to do so, in milliseconds, before it counts as one that goes on. */
const endingMs = 250;

/** The first half of a recovery: look, ask and decide, for every bundle. Nothing is destroyed here. */
import * as E from 'fp-ts/lib/Either.js';
import type * as T from 'fp-ts/lib/Task.js';
import type * as TE from 'fp-ts/lib/TaskEither.js';
import type { Allowed, Approval, PlannedBundle, PlannedNamespace } from '../apply/Approval.js';
import type { BundleEvidence } from '../decide/Evidence.js';
import { lifeOf } from '../decide/Life.js';
import { explain } from '../decide/Reasons.js';
import { because, isDestructive, type Verdict } from '../decide/Verdict.js';
import type { Capabilities } from '../observe/Capabilities.js';
import { withLife } from '../observe/LifeCheck.js';
import { forEachAsked } from '../observe/Portions.js';
import { makeProber, type Prober } from '../observe/Prober.js';
import { closeAll, detach, detachLog, hasHungUp, noHandles } from '../observe/Probing.js';
import { probeWithRetry } from '../observe/Retry.js';
import { makePods, type Pods } from '../observe/life/Pods.js';
import { stepsOf } from '../plan/Plan.js';
import { stopAtFailure, succeeded } from '../plan/Step.js';
import type { Settings } from '../policy/Settings.js';
import { look, notifyDecided, takeAsMany } from './Inspection.js';
import type { RecoveryError } from './RecoveryError.js';
import type { Roots } from './Roots.js';

/** The decisions on all bundles, the bundles that were found, and the pods among them. */
export interface PlannedHost {
  readonly namespaces: ReadonlyArray<PlannedNamespace>;
  readonly found: ReadonlyArray<BundleEvidence>;
  readonly pods: Pods;
}

/** Decides on every bundle, within an approval; those that wait for a shim do not hold up the others. */
export const planHost =
  (capabilities: Capabilities, settings: Settings, approval: Approval) =>
  ({ state, namespaces }: Roots): TE.TaskEither<RecoveryError, PlannedHost> =>
  async () => {
    const snapshot = await look(capabilities, settings, state)();
    if (E.isLeft(snapshot)) return snapshot;
    const found = snapshot.right.flatMap(({ bundles }) => bundles);
    const pods = makePods(capabilities, settings, namespaces, found);
    const prober = makeProber(capabilities, settings, namespaces, 'asked-with-log', found, pods);
    const prepared = await forEachAsked(capabilities, settings, planBundle(prober, approval))(found)();
    const queue = prepared.values();
    return E.right({
      namespaces: approval.withMissing(
        snapshot.right.map(({ name, error, bundles }) => ({ name, error, bundles: takeAsMany(queue, bundles) })),
      ),
      found,
      pods,
    });
  };

const planBundle =
  (prober: Prober, approval: Approval) =>
  (evidence: BundleEvidence): T.Task<PlannedBundle> =>
  async () => {
    const { capabilities, settings } = prober;
    const { policy } = settings;
    const open = noHandles();
    const probing = approval.probing(evidence);
    const asking = probing === prober.probing ? prober : { ...prober, probing };
    const { evidence: learnt, verdict: decided } = await withLife(
      asking,
      open,
    )(await probeWithRetry(asking)(evidence, open)())();
    const allow = approval.allow(capabilities.fileSystem);
    const planned = { evidence: learnt, verdict: decided, steps: stepsOf(policy)(learnt)(decided) };
    const { plan, explanation } = sparingLife(settings, approval)(await allow(planned)());
    const { verdict } = plan;
    if (verdict._tag === 'Hold') await closeAll(open)();
    // Given up: no step is going to talk to its shim.
    if (isDestructive(verdict) && open.session === undefined) await detachLog(open)();
    if (verdict._tag === 'Adopt' && !settings.staysAttached && !(await hasHungUp(open)())) await detach(open)();
    notifyDecided(prober, plan, { [policy.name]: learnt.answers });
    return explanation === undefined ? { plan, open } : { plan, open, explanation };
  };

/**
 * Holds a bundle that would be destroyed though it lives, where the settings do not allow killing. There, and where a saved plan
 * is carried out, an adopted bundle is never destroyed because a step failed. An orphan that the operator named may be ended.
 */
const sparingLife =
  ({ policy, allowKilling }: Settings, { plannedAt }: Approval) =>
  (allowed: Allowed): Allowed => {
    const { plan } = allowed;
    const { evidence, verdict, steps } = plan;
    if (verdict._tag === 'Adopt')
      return allowKilling && plannedAt === undefined
        ? allowed
        : { ...allowed, plan: { evidence, verdict, steps: stopAtFailure(steps) } };
    const life = allowKilling || verdict.reason === 'orphan-reaped' ? undefined : lifeOf(evidence)(verdict);
    if (life === undefined) return allowed;
    return {
      plan: { evidence, verdict: because('would-kill'), steps: succeeded },
      explanation: `${policy.name} would ${toIt[verdict._tag]}: ${explain(policy)(evidence)(verdict)}; but it is alive: ${life.says}`,
    };
  };

/** The effect of a verdict on a bundle, for a sentence after `would`. */
const toIt: Readonly<Record<Verdict['_tag'], string>> = {
  Ignore: 'ignore it',
  Adopt: 'adopt it',
  Reap: 'reap it',
  CleanUp: 'clean it up',
  Discard: 'discard it',
  Hold: 'hold it',
};

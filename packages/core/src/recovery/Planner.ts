/** The first half of a recovery: look, ask and decide, for every bundle. Nothing is destroyed here. */
import * as E from 'fp-ts/lib/Either.js';
import type * as T from 'fp-ts/lib/Task.js';
import type * as TE from 'fp-ts/lib/TaskEither.js';
import type { Allowed, Mandate, Prepared, PreparedNamespace } from '../apply/Approval.js';
import type { Capabilities } from '../observe/Capabilities.js';
import { explain } from '../decide/Decision.js';
import type { BundleEvidence } from '../decide/Evidence.js';
import { hasHungUp, letGo, letGoOfLog, nothingOpen, release } from '../observe/Probing.js';
import { look, takeAsMany, tellSettled } from './Inspection.js';
import { withLife } from '../observe/LifeCheck.js';
import { settleWithPatience } from '../observe/Retry.js';
import { stepsOf } from '../plan/Plan.js';
import { forEachAsked } from '../observe/Portions.js';
import { type Inquirer, makeInquirer } from '../observe/Prober.js';
import type { RecoveryError } from './RecoveryError.js';
import type { Roots } from './Roots.js';
import type { Settings } from '../policy/Settings.js';
import { stopAtFailure, succeeded } from '../plan/Step.js';
import { because, isDestructive, type Verdict } from '../decide/Verdict.js';
import { lifeOf } from '../decide/Life.js';
import { makePods, type Pods } from '../observe/life/Pods.js';

/**
 * Holds what would be destroyed though it lives, where the settings do not allow killing. There, and where a saved plan is
 * carried out, what is adopted is never destroyed because a step failed. An orphan that the operator named may be ended.
 */
const sparingLife =
  ({ policy, allowKilling }: Settings, { plannedAt }: Mandate) =>
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

/** What is done to a bundle by a verdict, after `would`. */
const toIt: Readonly<Record<Verdict['_tag'], string>> = {
  Ignore: 'ignore it',
  Adopt: 'adopt it',
  Reap: 'reap it',
  CleanUp: 'clean it up',
  Discard: 'discard it',
  Hold: 'hold it',
};

const prepareBundle =
  (inquirer: Inquirer, mandate: Mandate) =>
  (evidence: BundleEvidence): T.Task<Prepared> =>
  async () => {
    const { capabilities, settings } = inquirer;
    const { policy } = settings;
    const open = nothingOpen();
    const probing = mandate.probing(evidence);
    const asking = probing === inquirer.probing ? inquirer : { ...inquirer, probing };
    const { evidence: learnt, verdict: decided } = await withLife(
      asking,
      open,
    )(await settleWithPatience(asking)(evidence, open)())();
    const allow = mandate.allow(capabilities.fileSystem);
    const planned = { evidence: learnt, verdict: decided, steps: stepsOf(policy)(learnt)(decided) };
    const { plan, explanation } = sparingLife(settings, mandate)(await allow(planned)());
    const { verdict } = plan;
    if (verdict._tag === 'Hold') await release(open)();
    // Given up: nobody is going to talk to its shim.
    if (isDestructive(verdict) && open.session === undefined) await letGoOfLog(open)();
    if (verdict._tag === 'Adopt' && !settings.staysAttached && !(await hasHungUp(open)())) await letGo(open)();
    tellSettled(inquirer, plan, { [policy.name]: learnt.answers });
    return explanation === undefined ? { plan, open } : { plan, open, explanation };
  };

/** What was decided on everything, the bundles that were found, and the pods among them. */
export interface PreparedHost {
  readonly namespaces: ReadonlyArray<PreparedNamespace>;
  readonly found: ReadonlyArray<BundleEvidence>;
  readonly pods: Pods;
}

/** Decides on every bundle, within a mandate; those that wait for a shim do not hold up the others. */
export const prepare =
  (capabilities: Capabilities, settings: Settings, mandate: Mandate) =>
  ({ state, namespaces }: Roots): TE.TaskEither<RecoveryError, PreparedHost> =>
  async () => {
    const snapshot = await look(capabilities, settings, state)();
    if (E.isLeft(snapshot)) return snapshot;
    const found = snapshot.right.flatMap(({ bundles }) => bundles);
    const pods = makePods(capabilities, settings, namespaces, found);
    const inquirer = makeInquirer(capabilities, settings, namespaces, 'asked-with-log', found, pods);
    const prepared = await forEachAsked(capabilities, settings, prepareBundle(inquirer, mandate))(found)();
    const queue = prepared.values();
    return E.right({
      namespaces: mandate.withMissing(
        snapshot.right.map(({ name, error, bundles }) => ({ name, error, bundles: takeAsMany(queue, bundles) })),
      ),
      found,
      pods,
    });
  };

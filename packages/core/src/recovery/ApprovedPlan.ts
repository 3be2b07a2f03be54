/**
 * Turns a saved plan into an approval, which lets a run do only what the plan says. An approval only ever takes away: each
 * step that is taken was decided afresh, and is allowed.
 */
import type { Allowed, Approval, PlannedNamespace } from '../apply/Approval.js';
import { identifySteps } from '../apply/PinnedWorkDirectories.js';
import * as B from '../base/ByteString.js';
import * as Layout from '../capabilities/BundleLayout.js';
import { type FileStatus, isSameFile } from '../capabilities/FileSystem.js';
import type { Reason } from '../decide/Reasons.js';
import { because } from '../decide/Verdict.js';
import type { SavedPlan } from '../documents/SavedPlan.js';
import { noHandles } from '../observe/Probing.js';
import { type BundlePlan, type NamespacePlan, removedWithBundle } from '../plan/Plan.js';
import { succeeded } from '../plan/Step.js';
import { type BundleId, keyOf } from '../policy/Names.js';
import type { Policy } from '../policy/Policy.js';
import { changesSince, showChange, showVerdict } from '../report/PlanDrift.js';

/**
 * Only what a plan says, and only to what is still as it was then; the rest is held. `policy` is whose decisions the plan
 * took.
 */
export const asPlanned = (policy: Policy, saved: SavedPlan): Approval => {
  const { namespaces } = saved.plan;
  const planned = new Map(
    namespaces.flatMap(({ bundles }) => bundles.map((bundle) => [keyOf(bundle.evidence), bundle] as const)),
  );
  const work = plannedWork(saved);
  return {
    plannedAt: saved.madeAt,
    probing: ({ identity, ...key }) => {
      const known = planned.get(keyOf(key));
      const isToBeTouched =
        known !== undefined &&
        known.steps._tag === 'Do' &&
        identity !== null &&
        known.evidence.identity !== null &&
        isSameFile(identity, known.evidence.identity);
      return isToBeTouched ? 'asked-with-log' : 'asked';
    },
    allow: (files) => (decided) => async () => {
      if (isOfThisRun(decided)) return { plan: decided };
      const known = planned.get(keyOf(decided.evidence));
      if (known === undefined)
        return decided.verdict._tag === 'Ignore'
          ? { plan: decided }
          : held(
              decided,
              'not-planned',
              `the plan does not name it; a new one would say: ${showVerdict(policy)(decided)}`,
            );
      const now = { ...decided, steps: await identifySteps(files)(decided.steps)() };
      const changes = changesSince(known)(now);
      return changes.length === 0
        ? { plan: now }
        : held(decided, 'plan-stale', `not as planned: ${changes.map(showChange(policy)).join('; ')}`);
    },
    withMissing: withMissing(policy, namespaces),
    workDirectory: (key) => {
      const identity = work.get(keyOf(key));
      return identity === undefined ? { _tag: 'None' } : { _tag: 'This', identity };
    },
  };
};

/** The working directories that a plan says to remove, as far as it knows which ones they are. */
const plannedWork = ({ plan: { root, namespaces } }: SavedPlan): ReadonlyMap<string, FileStatus> => {
  const work = new Map<string, FileStatus>();
  for (const { name: namespace, bundles, workDirectories } of namespaces) {
    const put = (id: B.ByteString, identity: FileStatus | null | undefined): void => {
      if (identity !== undefined && identity !== null) work.set(keyOf({ namespace, id }), identity);
    };
    for (const { name, reason, identity } of workDirectories) if (reason === 'not-registered') put(name, identity);
    // A bundle's own, which goes with it; and by itself where the bundle resisted.
    for (const { evidence, steps } of bundles)
      for (const { path, identity } of removedWithBundle(steps))
        if (path === Layout.below(root, namespace, evidence.id)) put(evidence.id, identity);
  }
  return work;
};

/** Whose verdict tells of this run, and nothing of the bundle. */
const isOfThisRun = ({ verdict: { reason } }: BundlePlan): boolean =>
  reason === 'interrupted' || reason === 'out-of-resources';

const held = ({ evidence }: BundlePlan, reason: Reason, explanation: string): Allowed => ({
  plan: { evidence, verdict: because(reason), steps: succeeded },
  explanation,
});

const withMissing =
  (policy: Policy, namespaces: ReadonlyArray<NamespacePlan>) =>
  (found: ReadonlyArray<PlannedNamespace>): ReadonlyArray<PlannedNamespace> => {
    const standing = new Set(found.flatMap(({ bundles }) => bundles.map(({ plan }) => keyOf(plan.evidence))));
    const planned = new Map(namespaces.map((namespace) => [namespace.name, namespace]));
    const gone = ({ name }: { readonly name: B.ByteString }) => {
      const namespace = planned.get(name);
      return namespace === undefined ? [] : goneOf(policy, namespace, (key) => standing.has(keyOf(key)));
    };
    const completed = found.map((namespace) =>
      // Where nothing could be looked at, it is not known what is gone.
      namespace.error === null
        ? { ...namespace, bundles: sorted(idOf, [...namespace.bundles, ...gone(namespace)]) }
        : namespace,
    );
    const absent = namespaces
      .filter(({ name }) => !found.some((namespace) => namespace.name === name))
      .map((namespace) => ({
        name: namespace.name,
        error: 'the plan names it, but it is not there any more: nothing was done',
        bundles: gone(namespace),
      }));
    return sorted(({ name }) => name, [...completed, ...absent]);
  };

const goneOf = (policy: Policy, { bundles }: NamespacePlan, isThere: (key: BundleId) => boolean) =>
  bundles
    .filter(({ evidence, verdict }) => verdict._tag !== 'Ignore' && !isThere(evidence))
    .map((planned) => ({
      plan: { evidence: { ...planned.evidence, answers: {} }, verdict: because('gone'), steps: succeeded },
      open: noHandles(),
      explanation: `it is not there any more; planned was ${showVerdict(policy)(planned)}`,
    }));

const sorted = <A>(nameOf: (item: A) => B.ByteString, items: ReadonlyArray<A>): ReadonlyArray<A> =>
  [...items].sort((first, second) => B.Ord.compare(nameOf(first), nameOf(second)));

const idOf = ({ plan }: PlannedNamespace['bundles'][number]): B.ByteString => plan.evidence.id;

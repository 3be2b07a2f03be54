/**
 * All that was learnt of a host, as data: what stands in its directories, and the answers to what each policy asked.
 * It is enough to compute the plan of each of these policies again, on any machine.
 */
import * as t from 'io-ts';
import * as B from '../base/ByteString.js';
import * as Layout from '../capabilities/BundleLayout.js';
import { decide } from '../decide/Decision.js';
import { Answers, BundleEvidence, formerIdOf, withAnswers } from '../decide/Evidence.js';
import type { Reason } from '../decide/Reasons.js';
import { because, type Verdict } from '../decide/Verdict.js';
import type { Policy } from '../policy/Policy.js';
import { type BundlePlan, type NamespacePlan, type Plan, stepsOf, workDirectoriesRemovedBy } from './Plan.js';
import { decideWorkDirectory } from './WorkDirectory.js';

/** A bundle: what stands in it, in `evidence` without answers; and by a policy's name, what was answered to it. */
export const BundleFacts = t.readonly(
  t.type({ evidence: BundleEvidence, answers: t.readonly(t.record(t.string, Answers)) }),
  'BundleFacts',
);

export interface BundleFacts extends t.TypeOf<typeof BundleFacts> {}

/** The names of the entries below a namespace's root directory; or that there is no such directory, or why they are not known. */
export const WorkListing = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('Listed'), names: t.readonlyArray(B.ByteString) })),
    t.readonly(t.type({ _tag: t.literal('Absent'), error: t.string })),
    t.readonly(t.type({ _tag: t.literal('NotListed'), error: t.string })),
  ],
  'WorkListing',
);

export type WorkListing = t.TypeOf<typeof WorkListing>;

/** `error` says why nothing in the namespace is looked at. */
export const NamespaceFacts = t.readonly(
  t.type({
    name: B.ByteString,
    error: t.union([t.string, t.null]),
    bundles: t.readonlyArray(BundleFacts),
    workDirectories: WorkListing,
  }),
  'NamespaceFacts',
);

export interface NamespaceFacts extends t.TypeOf<typeof NamespaceFacts> {}

export interface HostFacts {
  readonly state: B.ByteString;
  readonly root: B.ByteString;
  /** Whether the run was asked to end before every question was answered. */
  readonly interrupted: boolean;
  readonly namespaces: ReadonlyArray<NamespaceFacts>;
}

/** A bundle with the answers that a policy got, or none where it asked none. */
export const evidenceFor =
  ({ name }: Pick<Policy, 'name'>) =>
  ({ evidence, answers }: BundleFacts): BundleEvidence =>
    withAnswers(new Map(Object.entries(answers)).get(name) ?? {})(evidence);

/** The plan that a policy makes of the facts of a host: pure, so that it is the same wherever it is computed. */
export const planOf =
  (policy: Policy) =>
  (facts: HostFacts): Plan => ({
    policy: policy.name,
    state: facts.state,
    root: facts.root,
    namespaces: facts.namespaces.map(planNamespace(policy, facts)),
  });

const planNamespace =
  (policy: Policy, { root, interrupted }: HostFacts) =>
  (namespace: NamespaceFacts): NamespacePlan => {
    const bundles = namespace.bundles.map((bundle): BundlePlan => {
      const evidence = evidenceFor(policy)(bundle);
      const verdict = verdictOn(policy, interrupted ? 'interrupted' : 'not-recorded')(evidence);
      return { evidence, verdict, steps: stepsOf(policy)(evidence)(verdict) };
    });
    const workDirectories = workDirectoriesSeenBy(policy, namespace.workDirectories);
    return {
      name: namespace.name,
      error: workDirectories._tag === 'Listed' ? null : workDirectories.error,
      bundles,
      workDirectories:
        workDirectories._tag === 'Listed'
          ? planWorkDirectories(policy, root, namespace.name, bundles, workDirectories.names)
          : [],
    };
  };

/** The verdict of a policy on the known facts. Where it would have to ask, the bundle is held, for the reason given. */
const verdictOn =
  (policy: Policy, unanswered: Reason) =>
  (evidence: BundleEvidence): Verdict => {
    const decision = decide(policy)(evidence);
    return decision._tag === 'Decided' ? decision.verdict : because(unanswered);
  };

/** Where a policy only removes entries without an owner, a directory that is not there is an empty one. */
const workDirectoriesSeenBy = (
  { workDirectories }: Policy,
  listing: WorkListing,
): Exclude<WorkListing, { readonly _tag: 'Absent' }> => {
  if (listing._tag !== 'Absent') return listing;
  return workDirectories === 'unowned' ? { _tag: 'Listed', names: [] } : { _tag: 'NotListed', error: listing.error };
};

/** The fate of the working directories, if every step succeeded. */
const planWorkDirectories = (
  policy: Policy,
  root: B.ByteString,
  namespace: B.ByteString,
  bundles: ReadonlyArray<BundlePlan>,
  names: ReadonlyArray<B.ByteString>,
): NamespacePlan['workDirectories'] => {
  const withVerdict = (tag: Verdict['_tag']): ReadonlyArray<BundleEvidence> =>
    bundles.filter(({ verdict }) => verdict._tag === tag).map(({ evidence }) => evidence);
  const idsOf = (all: ReadonlyArray<BundleEvidence>): ReadonlyArray<B.ByteString> => all.map(({ id }) => id);
  const staying = policy.keepsWorkOfWhatStays ? withVerdict('Adopt') : [];
  const held = new Set([
    ...idsOf(withVerdict('Hold')),
    ...(policy.keepsWorkOfWhatStays ? idsOf(withVerdict('Ignore')) : []),
    ...[...withVerdict('Hold'), ...staying].flatMap((evidence) => formerIdOf(evidence) ?? []),
  ]);
  const adopted = new Set(idsOf(withVerdict('Adopt')));
  const removed = new Set(bundles.flatMap(({ steps }) => workDirectoriesRemovedBy(steps)));
  return names
    .filter((name) => !removed.has(Layout.below(root, namespace, name)))
    .map((name) => ({
      name,
      reason: decideWorkDirectory({ registered: adopted.has(name), held: held.has(name), planned: true }),
    }));
};

/**
 * Compares what two policies would do to the same host, and finds the choices that make the difference: pure, from the
 * host's answers to both.
 *
 * A difference is one that shows on a host where at most one step of a bundle fails; equal bundles are only counted.
 */
import * as t from 'io-ts';
import * as B from '../base/ByteString.js';
import * as Layout from '../capabilities/BundleLayout.js';
import { answerAmong, type DecisionReplay, replayDecision } from '../decide/DecisionReplay.js';
import type { Answers, BundleEvidence } from '../decide/Evidence.js';
import { livesOf } from '../decide/Life.js';
import { type Reason, ruleUnder } from '../decide/Reasons.js';
import { isDestructive, type Verdict } from '../decide/Verdict.js';
import { type HostFacts, type NamespaceFacts, planOf } from '../plan/HostFacts.js';
import { type BundlePlan, type NamespacePlan, stepsOf, workDirectoriesRemovedBy } from '../plan/Plan.js';
import { pathsWithOneFailure, successPath } from '../plan/Step.js';
import { WorkDirectoryReason } from '../plan/WorkDirectory.js';
import { type Policy, PolicyName } from '../policy/Policy.js';
import { Choice, choicesApart, sayChoice, withChoice } from '../policy/PolicyDiff.js';
import { BundleReport, inOneLine, reportPlannedBundle } from '../report/Report.js';

/** Every kind, worst first. */
const noDifferences = {
  'alive-destroyed': 0,
  destroyed: 0,
  undecided: 0,
  verdict: 0,
  steps: 0,
  'after-failure': 0,
  unmounting: 0,
};

/**
 * - `alive-destroyed`: its shim lives, and one policy destroys what the other leaves.
 * - `destroyed`: one policy destroys what the other leaves.
 * - `undecided`: what one of them, or both, would do is not known, as not all was asked that they would ask.
 * - `verdict`: both destroy it, or both leave it, in another way.
 * - `steps`: the verdict is the same, and the steps differ.
 * - `after-failure`: the same is done, unless a step fails.
 * - `unmounting`: the same steps, but more is unmounted.
 */
export const Difference = t.keyof(noDifferences, 'Difference');

export type Difference = t.TypeOf<typeof Difference>;

/** From the worst to the least. */
export const allDifferences: ReadonlyArray<Difference> = Object.keys(noDifferences).filter(Difference.is);

/**
 * One way in which a bundle fares differently. `choices` are those that change it when they alone are made as the other
 * policy makes them; where none does by itself, all that the policies make differently. `why` says of each what both do.
 */
const DifferingPart = t.readonly(
  t.type({ difference: Difference, choices: t.readonlyArray(Choice), why: t.readonlyArray(t.string) }),
  'DifferingPart',
);

type DifferingPart = t.TypeOf<typeof DifferingPart>;

/**
 * One bundle that fares differently; `difference` is the worst of its parts. A lesser part names only choices that no
 * worse one names.
 */
export const BundleDifference = t.readonly(
  t.type({
    namespace: t.string,
    id: t.string,
    difference: Difference,
    /** Whether its shim or its container lives: by the shim's answer, or by any other source. */
    alive: t.boolean,
    parts: t.readonlyArray(DifferingPart),
    first: BundleReport,
    second: BundleReport,
  }),
  'BundleDifference',
);

export interface BundleDifference extends t.TypeOf<typeof BundleDifference> {}

/** The fate of an entry below the root directory: as in a plan, or it goes together with a bundle. */
export const WorkDirectoryFate = t.union([WorkDirectoryReason, t.literal('with-bundle')], 'WorkDirectoryFate');

export type WorkDirectoryFate = t.TypeOf<typeof WorkDirectoryFate>;

/** A working directory that stays under one policy and goes under the other. */
export const WorkDirectoryDifference = t.readonly(
  t.type({ namespace: t.string, name: t.string, first: WorkDirectoryFate, second: WorkDirectoryFate }),
  'WorkDirectoryDifference',
);

export interface WorkDirectoryDifference extends t.TypeOf<typeof WorkDirectoryDifference> {}

/** How many fare differently, by how; and how many the same. */
const ComparisonSummary = t.readonly(
  t.type({
    same: t.number,
    differences: t.readonly(t.record(Difference, t.number)),
    workDirs: t.number,
  }),
  'ComparisonSummary',
);

export const Comparison = t.readonly(
  t.type({
    schema: t.literal('shim-recovery/comparison@1'),
    first: PolicyName,
    second: PolicyName,
    state: t.string,
    root: t.string,
    interrupted: t.boolean,
    /** Namespaces of which something could not be looked at, and why. */
    problems: t.readonlyArray(t.readonly(t.type({ namespace: t.string, error: t.string }))),
    /** The worst first; among equals in the order of their names. */
    bundles: t.readonlyArray(BundleDifference),
    workDirs: t.readonlyArray(WorkDirectoryDifference),
    summary: ComparisonSummary,
  }),
  'Comparison',
);

export interface Comparison extends t.TypeOf<typeof Comparison> {}

interface Pair<A> {
  readonly first: A;
  readonly second: A;
}

const undecidedReasons: ReadonlyArray<Reason> = ['not-probed', 'not-recorded', 'interrupted'];

/** The visible outcome of a policy for a bundle, part by part; equal texts mean the same. */
interface Outcome {
  readonly verdict: string;
  readonly steps: string;
  readonly 'after-failure': string;
  readonly unmounting: string;
}

const lesserParts = ['steps', 'after-failure', 'unmounting'] as const;

const parts: ReadonlyArray<keyof Outcome> = ['verdict', ...lesserParts];

/** Whether the entry is gone afterwards. */
export const isRemoved = (fate: WorkDirectoryFate): boolean => fate === 'with-bundle' || fate === 'not-registered';

const compareWorkDirectories = (
  root: B.ByteString,
  { workDirectories, name: namespace }: NamespaceFacts,
  plans: Pair<NamespacePlan>,
): ReadonlyArray<WorkDirectoryDifference> => {
  if (workDirectories._tag !== 'Listed') return [];
  const fates = { first: fatesOf(root, plans.first), second: fatesOf(root, plans.second) };
  return workDirectories.names
    .map((name) => ({
      namespace: B.show(namespace),
      name: B.show(name),
      first: fates.first(name),
      second: fates.second(name),
    }))
    .filter(({ first, second }) => isRemoved(first) !== isRemoved(second));
};

/** The fate of each entry below a namespace's root directory. */
const fatesOf = (
  root: B.ByteString,
  { name: namespace, workDirectories, bundles }: NamespacePlan,
): ((name: B.ByteString) => WorkDirectoryFate) => {
  const planned = new Map(workDirectories.map(({ name, reason }) => [name, reason]));
  const removed = new Set(bundles.flatMap(({ steps }) => workDirectoriesRemovedBy(steps)));
  return (name) =>
    removed.has(Layout.below(root, namespace, name)) ? 'with-bundle' : (planned.get(name) ?? 'not-registered');
};

/** Compares two policies on a host. Their order decides nothing but which one is called the first. */
export const compare =
  (first: Policy, second: Policy) =>
  (facts: HostFacts): Comparison => {
    const ofBundle = compareBundle({ first, second });
    const plans = { first: planOf(first)(facts), second: planOf(second)(facts) };
    const bundles: Array<BundleDifference> = [];
    const workDirs: Array<WorkDirectoryDifference> = [];
    let total = 0;
    for (const [at, namespace] of facts.namespaces.entries()) {
      const pair = { first: plans.first.namespaces[at], second: plans.second.namespaces[at] };
      if (pair.first === undefined || pair.second === undefined) continue;
      for (const [nth, { answers }] of namespace.bundles.entries()) {
        const [one, other] = [pair.first.bundles[nth], pair.second.bundles[nth]];
        if (one === undefined || other === undefined) continue;
        total++;
        const difference = ofBundle({ first: one, second: other }, answers);
        if (difference !== undefined) bundles.push(difference);
      }
      workDirs.push(...compareWorkDirectories(facts.root, namespace, { first: pair.first, second: pair.second }));
    }
    return {
      schema: 'shim-recovery/comparison@1',
      first: first.name,
      second: second.name,
      state: B.show(facts.state),
      root: B.show(facts.root),
      interrupted: facts.interrupted,
      problems: plans.first.namespaces.flatMap(({ name, error }) =>
        error === null ? [] : [{ namespace: B.show(name), error: inOneLine(error) }],
      ),
      bundles: bundles.sort(bySeverity),
      workDirs,
      summary: {
        same: total - bundles.length,
        differences: countDifferences(bundles),
        workDirs: workDirs.length,
      },
    };
  };

const countDifferences = (bundles: ReadonlyArray<BundleDifference>): Comparison['summary']['differences'] => {
  const counts: Record<Difference, number> = { ...noDifferences };
  for (const { difference } of bundles) counts[difference]++;
  return counts;
};

const bySeverity = (first: BundleDifference, second: BundleDifference): number =>
  allDifferences.indexOf(first.difference) - allDifferences.indexOf(second.difference) ||
  Number(second.alive) - Number(first.alive);

/** Two policies on one bundle; undefined where it fares the same. */
const compareBundle =
  (policies: Pair<Policy>) =>
  (plans: Pair<BundlePlan>, answers: Readonly<Record<string, Answers>>): BundleDifference | undefined => {
    if (choicesApart(policies.first, policies.second).length === 0) return undefined;
    const { first, second } = plans;
    const outcomes = { first: outcomeOf(policies.first)(first), second: outcomeOf(policies.second)(second) };
    const differing = parts.filter((part) => outcomes.first[part] !== outcomes.second[part]);
    const alive = Object.values(answers).some((given) => livesOf({ ...first.evidence, answers: given }) !== undefined);
    const difference = kindOf({ first: first.verdict, second: second.verdict }, alive, differing);
    if (difference === undefined) return undefined;
    const reports = {
      first: reportPlannedBundle(policies.first)(first),
      second: reportPlannedBundle(policies.second)(second),
    };
    const about = { namespace: B.show(first.evidence.namespace), id: B.show(first.evidence.id), difference, alive };
    if (difference === 'undecided') {
      const { explanation } = isUndecided(first.verdict) ? reports.first : reports.second;
      return { ...about, parts: [{ difference, choices: [], why: [explanation] }], ...reports };
    }
    const verdicts = { first: first.verdict, second: second.verdict };
    const behind = choicesBehind(policies, plans, outcomes);
    if (!differing.includes('verdict'))
      return {
        ...about,
        parts: partsOf(
          policies,
          verdicts,
          lesserParts.filter((part) => differing.includes(part)),
          behind,
        ),
        ...reports,
      };
    const choices = behind('verdict');
    return { ...about, parts: [{ difference, choices, why: choices.map(sayBoth(policies, verdicts)) }], ...reports };
  };

const outcomeOf =
  (policy: Policy) =>
  ({ verdict, steps }: Pick<BundlePlan, 'verdict' | 'steps'>): Outcome => {
    const path = successPath(steps);
    return {
      verdict: verdict._tag,
      steps: JSON.stringify(path),
      'after-failure': JSON.stringify(pathsWithOneFailure(steps)),
      unmounting: path.some(({ _tag }) => _tag === 'UnmountRootfs') ? policy.unmounts : '',
    };
  };

/**
 * Which choices make a part of the outcome differ: those that change it when they alone are made as the other policy
 * makes them. Where none does, all that differ.
 */
const choicesBehind = (
  { first, second }: Pair<Policy>,
  plans: Pair<BundlePlan>,
  outcomes: Pair<Outcome>,
): ((part: keyof Outcome) => ReadonlyArray<Choice>) => {
  const { evidence } = plans.first;
  const answers = answersOfBoth(
    replayDecision(first, answerAmong(evidence.answers))(evidence),
    replayDecision(second, answerAmong(plans.second.evidence.answers))(evidence),
  );
  const apart = choicesApart(first, second).map((choice) => ({
    choice,
    towardsSecond: outcomeOfHybrid(withChoice(choice, second)(first), evidence, answers),
    towardsFirst: outcomeOfHybrid(withChoice(choice, first)(second), evidence, answers),
  }));
  return (part) => {
    const behind = apart.filter(
      ({ towardsFirst, towardsSecond }) =>
        (towardsSecond !== undefined && towardsSecond[part] !== outcomes.first[part]) ||
        (towardsFirst !== undefined && towardsFirst[part] !== outcomes.second[part]),
    );
    return (behind.length > 0 ? behind : apart).map(({ choice }) => choice);
  };
};

/** The outcome of a policy that is neither of the two, as far as the answers to the two suffice. */
const outcomeOfHybrid = (
  policy: Policy,
  evidence: BundleEvidence,
  answers: ReadonlyMap<string, Answers>,
): Outcome | undefined => {
  const deliberated = replayDecision(policy, (_, key) => answers.get(key))(evidence);
  if (deliberated._tag === 'Stuck') return undefined;
  const { verdict } = deliberated;
  return outcomeOf(policy)({ verdict, steps: stepsOf(policy)(deliberated.evidence)(verdict) });
};

/** By question, what was answered to either. One that was answered in two ways has no answer. */
const answersOfBoth = (...both: ReadonlyArray<DecisionReplay>): ReadonlyMap<string, Answers> => {
  const answers = new Map<string, Answers>();
  const contradicted = new Set<string>();
  for (const { key, answers: given } of both.flatMap(({ asked }) => asked)) {
    if (JSON.stringify(answers.get(key) ?? given) !== JSON.stringify(given)) contradicted.add(key);
    answers.set(key, given);
  }
  for (const key of contradicted) answers.delete(key);
  return answers;
};

/** Says how both act by a choice. For the choice `death`, the rule that settled this bundle says it exactly. */
const sayBoth =
  ({ first, second }: Pair<Policy>, verdicts: Pair<Verdict>) =>
  (choice: Choice): string =>
    choice === 'death'
      ? `${first.name}: ${ruleUnder(first)(verdicts.first.reason).text}; ${second.name}: ${ruleUnder(second)(verdicts.second.reason).text}`
      : `${first.name} ${sayChoice(choice)(first)}; ${second.name} ${sayChoice(choice)(second)}`;

/** The parts below the verdict, each with what is to be blamed for it beyond what is blamed already. */
const partsOf = (
  policies: Pair<Policy>,
  verdicts: Pair<Verdict>,
  differing: ReadonlyArray<Exclude<keyof Outcome, 'verdict'>>,
  behind: (part: keyof Outcome) => ReadonlyArray<Choice>,
): ReadonlyArray<DifferingPart> => {
  const blamed = new Set<Choice>();
  return differing.flatMap((difference): ReadonlyArray<DifferingPart> => {
    const choices = behind(difference).filter((choice) => !blamed.has(choice));
    if (choices.length === 0) return [];
    for (const choice of choices) blamed.add(choice);
    return [{ difference, choices, why: choices.map(sayBoth(policies, verdicts)) }];
  });
};

const isUndecided = ({ reason }: Verdict): boolean => undecidedReasons.includes(reason);

const kindOf = (
  { first, second }: Pair<Verdict>,
  alive: boolean,
  differing: ReadonlyArray<keyof Outcome>,
): Difference | undefined => {
  if (isUndecided(first) || isUndecided(second)) return 'undecided';
  if (isDestructive(first) !== isDestructive(second)) return alive ? 'alive-destroyed' : 'destroyed';
  return differing[0];
};

/** Whether anything fares differently, or cannot be told to fare the same: what `--detailed-exitcode` reports. */
export const differs = ({ bundles, workDirs }: Comparison): boolean => bundles.length + workDirs.length > 0;

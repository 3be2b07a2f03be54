/**
 * What became of everything, as one document: the same shape for a plan and for what was done.
 *
 * Names in it are readable text: UTF-8, with control characters and stray bytes escaped and backslashes doubled
 * (`ByteString.show`), so that a report can be printed anywhere and two names never look the same.
 */
import * as t from 'io-ts';
import * as B from './ByteString.js';
import { explain } from './Decision.js';
import { belongingPids } from './Evidence.js';
import { DirectoryMeaning } from './Layout.js';
import type { BundlePlan, NamespacePlan, Plan } from './Plan.js';
import { type Policy, PolicyName } from './Policy.js';
import { nameOf, type Step, successPath } from './Step.js';
import { showTimestamp } from './TaskExit.js';
import { adviceOn } from './Advice.js';
import { Reason, type Verdict, type VerdictTag } from './Verdict.js';
import { WorkDirectoryReason } from './WorkDirectory.js';

/**
 * - `planned`: a dry run would take it next, if all before it succeeds.
 * - `done`, `failed`: it was taken. A failed step carries `error`.
 * - `left`: not taken, because the run was interrupted, or this process lacked what a step before it needed.
 */
export const StepOutcome = t.keyof({ planned: null, done: null, failed: null, left: null }, 'StepOutcome');
export type StepOutcome = t.TypeOf<typeof StepOutcome>;

export const StepReport = t.readonly(
  t.intersection([
    t.type({ step: t.string, outcome: StepOutcome }),
    t.partial({ error: t.string, target: t.string, detail: t.string }),
  ]),
  'StepReport',
);
export type StepReport = t.TypeOf<typeof StepReport>;

export const VerdictName = t.keyof(
  { ignore: null, adopt: null, reap: null, cleanUp: null, discard: null, hold: null },
  'VerdictName',
);
export type VerdictName = t.TypeOf<typeof VerdictName>;

export const BundleReport = t.readonly(
  t.intersection([
    t.type({
      id: t.string,
      verdict: VerdictName,
      reason: Reason,
      explanation: t.string,
      registered: t.boolean,
      steps: t.readonlyArray(StepReport),
    }),
    t.partial({
      /** Of a task that ended: what its owner can still collect. `exitedAt` is ISO 8601. */
      exitStatus: t.number,
      exitedAt: t.string,
      /** The processes that belong to it, where they were looked for. */
      pids: t.readonlyArray(t.number),
      /** Of a bundle that is held: what would act on it. */
      advice: t.string,
    }),
  ]),
  'BundleReport',
);
export type BundleReport = t.TypeOf<typeof BundleReport>;

export const WorkDirectoryReport = t.readonly(
  t.intersection([
    t.type({ name: t.string, removed: t.boolean, reason: WorkDirectoryReason }),
    t.partial({ error: t.string }),
  ]),
  'WorkDirectoryReport',
);
export type WorkDirectoryReport = t.TypeOf<typeof WorkDirectoryReport>;

export const NamespaceReport = t.readonly(
  t.type({
    name: t.string,
    error: t.union([t.string, t.null]),
    bundles: t.readonlyArray(BundleReport),
    workDirs: t.readonlyArray(WorkDirectoryReport),
  }),
  'NamespaceReport',
);
export type NamespaceReport = t.TypeOf<typeof NamespaceReport>;

export const Summary = t.readonly(
  t.type({
    adopt: t.number,
    reap: t.number,
    cleanUp: t.number,
    discard: t.number,
    hold: t.number,
    ignore: t.number,
    failedSteps: t.number,
    workDirsRemoved: t.number,
  }),
  'Summary',
);
export type Summary = t.TypeOf<typeof Summary>;

/** How a run understood where to look. The first reports and recordings do not say it. */
export const Understanding = t.partial(
  {
    /** What each of the two directories that were named was taken for. */
    understood: t.readonly(t.type({ state: DirectoryMeaning, root: DirectoryMeaning })),
    /** Along which PATH programs of shims are looked for, and where that value is from. */
    programPath: t.readonly(t.type({ path: t.string, from: t.string })),
  },
  'Understanding',
);
export type Understanding = Readonly<t.TypeOf<typeof Understanding>>;

export const Report = t.readonly(
  t.intersection([
    t.type({
      schema: t.literal('shim-recovery/report@1'),
      command: t.keyof({ plan: null, recover: null, replay: null }),
      policy: PolicyName,
      state: t.string,
      root: t.string,
      startedAt: t.string,
      durationMs: t.number,
      interrupted: t.boolean,
      namespaces: t.readonlyArray(NamespaceReport),
      summary: Summary,
    }),
    t.partial({
      /** When the saved plan was made that was carried out. */
      plannedAt: t.string,
    }),
    Understanding,
  ]),
  'Report',
);
export type Report = t.TypeOf<typeof Report>;

const verdictNames: Readonly<Record<VerdictTag, VerdictName>> = {
  Ignore: 'ignore',
  Adopt: 'adopt',
  Reap: 'reap',
  CleanUp: 'cleanUp',
  Discard: 'discard',
  Hold: 'hold',
};

/** How a verdict is called among people. */
export const verdictWords: Readonly<Record<VerdictName, string>> = {
  ignore: 'ignore',
  adopt: 'adopt',
  reap: 'reap',
  cleanUp: 'clean up',
  discard: 'discard',
  hold: 'hold',
};

/** The name by which reports call a verdict. */
export const verdictNameOf = ({ _tag }: Verdict): VerdictName => verdictNames[_tag];

/** What a step acts on, where its name does not say it. */
const targetOf = (step: Step): { readonly target?: string } => {
  switch (step._tag) {
    case 'RunBinary':
      return { target: B.show(step.program) };
    case 'RemoveWorkDirectory':
      return { target: B.show(step.path) };
    default:
      return {};
  }
};

const detailsOf = (
  { name: policy }: Policy,
  { evidence: { answers, namespace }, verdict }: BundlePlan,
): Partial<BundleReport> => {
  const { state } = answers;
  const exit = state?._tag === 'Right' && state.right.status === 'stopped' ? state.right.exit : undefined;
  const pids = belongingPids(answers);
  const advice = adviceOn(verdict.reason, { policy, namespace: B.show(namespace) });
  return {
    ...(exit === undefined ? {} : { exitStatus: exit.exitStatus, exitedAt: showTimestamp(exit.exitedAt) }),
    ...(pids.length === 0 ? {} : { pids }),
    ...(advice === undefined ? {} : { advice }),
  };
};

const plain = /^[ -~]*$/;
const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** What a shim, a store or a recording says is theirs to choose: it neither begins a line nor steers a terminal. */
export const inOneLine = (sentence: string): string =>
  plain.test(sentence)
    ? sentence
    : sentence.replace(invisible, (character) => `\\u{${character.codePointAt(0)?.toString(16) ?? ''}}`);

/** One step's line of the report. */
export const reportStep = (
  step: Step,
  outcome: StepOutcome,
  { error, detail }: { readonly error?: string; readonly detail?: string } = {},
): StepReport => ({
  step: nameOf(step),
  outcome,
  ...targetOf(step),
  ...(error === undefined ? {} : { error: inOneLine(error) }),
  ...(detail === undefined ? {} : { detail: inOneLine(detail) }),
});

/** One bundle's part, given what became of its steps. */
export const reportBundle =
  (policy: Policy) =>
  (
    plan: BundlePlan,
    {
      explanation = explain(policy)(plan.evidence)(plan.verdict),
      ...done
    }: {
      readonly registered: boolean;
      readonly steps: ReadonlyArray<StepReport>;
      /** Where the evidence alone does not tell why. */
      readonly explanation?: string;
    },
  ): BundleReport => ({
    id: B.show(plan.evidence.id),
    verdict: verdictNameOf(plan.verdict),
    reason: plan.verdict.reason,
    explanation: inOneLine(explanation),
    ...done,
    ...detailsOf(policy, plan),
  });

const plannedSteps = (plan: BundlePlan): ReadonlyArray<StepReport> =>
  successPath(plan.steps).map((step) => reportStep(step, 'planned'));

/** A bundle as a dry run reports it. */
export const reportPlannedBundle =
  (policy: Policy) =>
  (bundle: BundlePlan): BundleReport =>
    reportBundle(policy)(bundle, { registered: bundle.verdict._tag === 'Adopt', steps: plannedSteps(bundle) });

/** A namespace as a dry run reports it: what would be done, if every step succeeded. */
export const reportPlannedNamespace =
  (policy: Policy) =>
  (plan: NamespacePlan): NamespaceReport => ({
    name: B.show(plan.name),
    error: plan.error === null ? null : inOneLine(plan.error),
    bundles: plan.bundles.map(reportPlannedBundle(policy)),
    workDirs: plan.workDirectories.map(({ name, reason }) => ({
      name: B.show(name),
      removed: reason === 'not-registered',
      reason,
    })),
  });

const summarize = (namespaces: ReadonlyArray<NamespaceReport>): Summary => {
  const summary = { adopt: 0, reap: 0, cleanUp: 0, discard: 0, hold: 0, ignore: 0, failedSteps: 0, workDirsRemoved: 0 };
  for (const { bundles, workDirs } of namespaces) {
    for (const { verdict, steps } of bundles) {
      summary[verdict]++;
      for (const { outcome } of steps) if (outcome === 'failed') summary.failedSteps++;
    }
    for (const { removed, error } of workDirs) {
      if (removed) summary.workDirsRemoved++;
      if (error !== undefined) summary.failedSteps++;
    }
  }
  return summary;
};

/** The whole document. */
export const makeReport = (
  about: Pick<
    Report,
    'command' | 'startedAt' | 'durationMs' | 'interrupted' | 'plannedAt' | 'understood' | 'programPath'
  > &
    Pick<Plan, 'policy' | 'state' | 'root'>,
  namespaces: ReadonlyArray<NamespaceReport>,
): Report => ({
  schema: 'shim-recovery/report@1',
  command: about.command,
  policy: about.policy,
  state: B.show(about.state),
  root: B.show(about.root),
  startedAt: about.startedAt,
  durationMs: about.durationMs,
  interrupted: about.interrupted,
  ...(about.plannedAt === undefined ? {} : { plannedAt: about.plannedAt }),
  ...(about.understood === undefined ? {} : { understood: about.understood }),
  ...(about.programPath === undefined ? {} : { programPath: about.programPath }),
  namespaces,
  summary: summarize(namespaces),
});

/** Whether something would be, or was, destroyed or held, or could not be looked at: what `--detailed-exitcode` reports. */
export const changesSomething = ({ summary, namespaces }: Report): boolean =>
  summary.reap + summary.cleanUp + summary.discard + summary.hold + summary.workDirsRemoved > 0 ||
  namespaces.some(({ error }) => error !== null);

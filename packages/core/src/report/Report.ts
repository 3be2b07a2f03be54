/**
 * The outcome of a run for every bundle, as one document: a plan and a real run have the same shape.
 *
 * Names in it are readable text: UTF-8, with control characters and stray bytes escaped and backslashes doubled
 * (`ByteString.show`), so that a report can be printed anywhere and two names never look the same.
 */
import * as t from 'io-ts';
import * as B from '../base/ByteString.js';
import { DirectoryMeaning } from '../capabilities/BundleLayout.js';
import { showTimestamp } from '../capabilities/TaskExit.js';
import { belongingPids } from '../decide/Evidence.js';
import { lifeOf, livesOf } from '../decide/Life.js';
import { explain, hintFor, Reason } from '../decide/Reasons.js';
import type { Verdict, VerdictTag } from '../decide/Verdict.js';
import type { BundlePlan, NamespacePlan, Plan } from '../plan/Plan.js';
import { nameOf, type Step, successPath } from '../plan/Step.js';
import { WorkDirectoryReason } from '../plan/WorkDirectory.js';
import { type Policy, PolicyName } from '../policy/Policy.js';

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
    t.partial({
      error: t.string,
      target: t.string,
      detail: t.string,
      /** Of a failed step: the processes that it was to end, and that live on or may. */
      living: t.readonlyArray(t.number),
    }),
  ]),
  'StepReport',
);

export interface StepReport extends t.TypeOf<typeof StepReport> {}

export const VerdictName = t.keyof(
  { ignore: null, adopt: null, reap: null, cleanUp: null, discard: null, hold: null },
  'VerdictName',
);

export type VerdictName = t.TypeOf<typeof VerdictName>;

/**
 * The outcome for a bundle, under each verdict:
 * - `adopted`: its task is registered, and the connection to its shim had not ended when the run let go of it or finished.
 * - `removed`: it is gone.
 * - `held`: it is as it was, and its task is not registered.
 * - `failed`: something was done to it, and it is not finished.
 * - `left`: the run ended, or lacked something, before it was done.
 * - `ignored`: it is not a bundle, or not there any more.
 */
export const BundleOutcome = t.keyof(
  { adopted: null, removed: null, held: null, failed: null, left: null, ignored: null },
  'BundleOutcome',
);

export type BundleOutcome = t.TypeOf<typeof BundleOutcome>;

/** The living parts of a bundle: processes, where they are known, and the signs that were seen. */
export const ReportedLife = t.readonly(t.type({ pids: t.readonlyArray(t.number), says: t.string }), 'ReportedLife');

export interface ReportedLife extends t.TypeOf<typeof ReportedLife> {}

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
      /** Of a recovery: what became of it. */
      outcome: BundleOutcome,
      /** Of what is, or would be, destroyed though it lives, and of what is held for that. */
      alive: ReportedLife,
      /** Of a plan: what will keep a step from being done, as far as that can be seen before. */
      foreseen: t.readonlyArray(t.string),
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

export interface BundleReport extends t.TypeOf<typeof BundleReport> {}

export const WorkDirectoryReport = t.readonly(
  t.intersection([
    t.type({ name: t.string, removed: t.boolean, reason: WorkDirectoryReason }),
    t.partial({ error: t.string }),
  ]),
  'WorkDirectoryReport',
);

export interface WorkDirectoryReport extends t.TypeOf<typeof WorkDirectoryReport> {}

export const NamespaceReport = t.readonly(
  t.type({
    name: t.string,
    error: t.union([t.string, t.null]),
    bundles: t.readonlyArray(BundleReport),
    workDirs: t.readonlyArray(WorkDirectoryReport),
  }),
  'NamespaceReport',
);

export interface NamespaceReport extends t.TypeOf<typeof NamespaceReport> {}

export const Summary = t.readonly(
  t.intersection([
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
    t.partial({
      /** How many bundles are, or would be, destroyed though their shim or container lives. */
      aliveDestroyed: t.number,
      /** Of a recovery: how many bundles came out as what. */
      outcomes: t.readonly(t.record(BundleOutcome, t.number)),
    }),
  ]),
  'Summary',
);

export interface Summary extends t.TypeOf<typeof Summary> {}

/** How a run understood where to look. The first reports and recordings do not say it. */
export const Understanding = t.partial(
  {
    /** The kind of directory that each of the two named ones was taken for. */
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

export interface Report extends t.TypeOf<typeof Report> {}

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

/** Puts foreign text in one line: a shim, a store or a recording must neither begin a line nor steer a terminal. */
export const inOneLine = (sentence: string): string =>
  plain.test(sentence)
    ? sentence
    : sentence.replace(invisible, (character) => `\\u{${character.codePointAt(0)?.toString(16) ?? ''}}`);

const plain = /^[ -~]*$/;

const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** One step's line of the report. */
export const reportStep = (
  step: Step,
  outcome: StepOutcome,
  {
    error,
    detail,
    living,
  }: {
    readonly error?: string;
    readonly detail?: string;
    readonly living?: ReadonlyArray<number> | undefined;
  } = {},
): StepReport => ({
  step: nameOf(step),
  outcome,
  ...targetOf(step),
  ...(error === undefined ? {} : { error: inOneLine(error) }),
  ...(detail === undefined ? {} : { detail: inOneLine(detail) }),
  ...(living === undefined ? {} : { living }),
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
      readonly outcome?: BundleOutcome;
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

/** A bundle as a dry run reports it. */
export const reportPlannedBundle =
  (policy: Policy) =>
  (bundle: BundlePlan): BundleReport =>
    reportBundle(policy)(bundle, { registered: bundle.verdict._tag === 'Adopt', steps: plannedSteps(bundle) });

const plannedSteps = (plan: BundlePlan): ReadonlyArray<StepReport> =>
  successPath(plan.steps).map((step) => reportStep(step, 'planned'));

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

/** The outcome for a bundle, from its verdict, its steps, and whether its task is registered. */
export const outcomeOf = (
  { _tag }: Verdict,
  { registered, steps }: { readonly registered: boolean; readonly steps: ReadonlyArray<StepReport> },
): BundleOutcome => {
  if (steps.some(({ step, outcome }) => outcome === 'done' && (step === 'remove-bundle' || step === 'remove-leftover')))
    return 'removed';
  if (registered) return 'adopted';
  if (_tag === 'Ignore') return 'ignored';
  if (steps.some(({ outcome }) => outcome === 'left')) return 'left';
  if (_tag === 'Hold') return 'held';
  return _tag === 'Adopt' && !steps.some(({ step }) => step === 'run-binary' || step === 'remove-rootfs')
    ? 'held'
    : 'failed';
};

/**
 * Whether a bundle is, or would be, destroyed though it lives. A destruction that was only begun counts, as it cannot be
 * taken back, but not where the processes that were to end live on.
 */
export const losesLife = ({ alive, verdict, outcome, steps }: BundleReport): boolean => {
  if (alive === undefined) return false;
  if (outcome === undefined)
    return verdict === 'reap' || verdict === 'cleanUp' || verdict === 'discard' || verdict === 'adopt';
  return outcome === 'removed' || (outcome === 'failed' && !steps.some(({ living }) => living !== undefined));
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

const summarize = (namespaces: ReadonlyArray<NamespaceReport>): Summary => {
  const summary = { adopt: 0, reap: 0, cleanUp: 0, discard: 0, hold: 0, ignore: 0, failedSteps: 0, workDirsRemoved: 0 };
  const outcomes = { ...noOutcomes };
  let aliveDestroyed = 0;
  let isDone = false;
  for (const { bundles, workDirs } of namespaces) {
    for (const bundle of bundles) {
      const { verdict, steps, outcome: became } = bundle;
      summary[verdict]++;
      if (losesLife(bundle)) aliveDestroyed++;
      if (became !== undefined) {
        outcomes[became]++;
        isDone = true;
      }
      for (const { outcome } of steps) if (outcome === 'failed') summary.failedSteps++;
    }
    for (const { removed, error } of workDirs) {
      if (removed) summary.workDirsRemoved++;
      if (error !== undefined) summary.failedSteps++;
    }
  }
  return { ...summary, aliveDestroyed, ...(isDone ? { outcomes } : {}) };
};

/** Whether something would be, or was, destroyed or held, or could not be looked at: what `--detailed-exitcode` reports. */
export const changesSomething = ({ summary, namespaces }: Report): boolean =>
  summary.reap + summary.cleanUp + summary.discard + summary.hold + summary.workDirsRemoved > 0 ||
  namespaces.some(({ error }) => error !== null);

/** The object of a step, where its name does not say it. */
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

const detailsOf = ({ name: policy }: Policy, { evidence, verdict }: BundlePlan): Partial<BundleReport> => {
  const { answers } = evidence;
  const { state } = answers;
  const exit = state?._tag === 'Right' && state.right.status === 'stopped' ? state.right.exit : undefined;
  const pids = belongingPids(answers);
  const advice = hintFor(verdict.reason, policy, evidence);
  const life = verdict.reason === 'would-kill' ? livesOf(evidence) : lifeOf(evidence)(verdict);
  return {
    ...(answers.obstacles === undefined ? {} : { foreseen: answers.obstacles.map(({ says }) => inOneLine(says)) }),
    ...(life === undefined ? {} : { alive: { pids: life.pids, says: inOneLine(life.says) } }),
    ...(exit === undefined ? {} : { exitStatus: exit.exitStatus, exitedAt: showTimestamp(exit.exitedAt) }),
    ...(pids.length === 0 ? {} : { pids }),
    ...(advice === undefined ? {} : { advice }),
  };
};

const noOutcomes = { adopted: 0, removed: 0, held: 0, failed: 0, left: 0, ignored: 0 };

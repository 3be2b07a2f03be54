/** A report as people read it. */
import {
  type BundleReport,
  losesLife,
  type NamespaceReport,
  type Report,
  type StepReport,
  type VerdictName,
  verdictWords,
} from '@shim-recovery/core/documents';

/** Marks text; the plain one leaves it as it is. */
export interface Style {
  readonly strong: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly faint: (text: string) => string;
}

export const verdictStyle = (style: Style, verdict: VerdictName): ((text: string) => string) => {
  switch (verdict) {
    case 'adopt':
      return style.good;
    case 'reap':
    case 'cleanUp':
    case 'discard':
      return style.bad;
    case 'hold':
      return style.strong;
    case 'ignore':
      return style.faint;
  }
};

/** A step with what it acts on and what came of it. */
export const showStep = ({ step, target, detail }: StepReport): string =>
  step + (target === undefined ? '' : ` ${target}`) + (detail === undefined ? '' : ` (${detail})`);

/** The whole report, ending with a summary of one line. */
export const renderReport =
  (style: Style) =>
  (report: Report): string =>
    [
      ...headLines(style, report),
      ...firstWhatLives(({ bundles }) => bundles.some(losesLife), report.namespaces).flatMap((namespace) =>
        namespaceLines(style, report.command, namespace),
      ),
      style.strong(summaryLine(report)),
      '',
    ].join('\n');

const namespaceLines = (
  style: Style,
  command: Report['command'],
  namespace: NamespaceReport,
): ReadonlyArray<string> => {
  const width = Math.min(40, Math.max(0, ...namespace.bundles.map(({ id }) => id.length)));
  return [
    style.strong(`namespace ${namespace.name}`),
    ...(namespace.error === null ? [] : [style.bad(`  ${namespace.error}`)]),
    ...firstWhatLives(losesLife, namespace.bundles).flatMap((bundle) => bundleLines(style, width, bundle)),
    ...workDirLines(style, command, namespace),
    '',
  ];
};

const bundleLines = (style: Style, width: number, bundle: BundleReport): ReadonlyArray<string> => [
  `  ${bundle.id.padEnd(width)}  ${verdictStyle(style, bundle.verdict)(verdictWords[bundle.verdict].padEnd(8))}  ${bundle.explanation}`,
  ...[
    ...[...aliveLine(bundle), ...outcomeLine(bundle), ...(bundle.foreseen ?? [])].map(style.bad),
    ...(bundle.advice === undefined ? [] : [bundle.advice]),
    ...stepLines(style, bundle.steps),
  ].map((line) => `  ${' '.repeat(width)}            ${line}`),
];

const summaryLine = (report: Report): string => {
  const { command, summary, namespaces, interrupted, startedAt, durationMs, plannedAt } = report;
  const counts: ReadonlyArray<readonly [number, string, string]> =
    command !== 'recover'
      ? [
          [summary.adopt, 'to adopt', 'to adopt'],
          [summary.reap, 'to reap', 'to reap'],
          [summary.cleanUp, 'to clean up', 'to clean up'],
          [summary.discard, 'to discard', 'to discard'],
          [summary.hold, 'held', 'held'],
          [summary.ignore, 'ignored', 'ignored'],
          [summary.workDirsRemoved, 'working directory to remove', 'working directories to remove'],
        ]
      : doneCounts(report);
  const living: readonly [number, string, string] = [
    summary.aliveDestroyed ?? 0,
    command === 'recover' ? 'that LIVED was destroyed' : 'that LIVES would be destroyed',
    command === 'recover' ? 'that LIVED were destroyed' : 'that LIVE would be destroyed',
  ];
  const unseen = namespaces.filter(({ error }) => error !== null).length;
  const words = [...counts, living, [unseen, 'namespace with an error', 'namespaces with errors'] as const]
    .filter(([count]) => count > 0)
    .map(([count, one, many]) => plural(count, one, many));
  const what = words.length === 0 ? 'nothing to do' : words.join(', ');
  const when = command === 'replay' ? `as recorded at ${startedAt}` : `in ${Math.round(durationMs)} ms`;
  const plan = plannedAt === undefined ? '' : `, as planned at ${plannedAt}`;
  return `${command}: ${what}${plan}, ${when}${interrupted ? '; interrupted' : ''}`;
};

/** What was done, and how many of those it was begun with are not done. */
const doneCounts = ({ summary, namespaces }: Report): ReadonlyArray<readonly [number, string, string]> => {
  const finished: Record<VerdictName, number> = { adopt: 0, reap: 0, cleanUp: 0, discard: 0, hold: 0, ignore: 0 };
  let unfinished = 0;
  for (const bundle of namespaces.flatMap(({ bundles }) => bundles))
    if (bundle.verdict === 'adopt' && bundle.outcome !== undefined && bundle.outcome !== 'adopted') unfinished++;
    else if (isFinished(bundle)) finished[bundle.verdict]++;
    else unfinished++;
  return [
    [finished.adopt, 'adopted', 'adopted'],
    [finished.reap, 'reaped', 'reaped'],
    [finished.cleanUp, 'cleaned up', 'cleaned up'],
    [finished.discard, 'discarded', 'discarded'],
    [summary.hold, 'held', 'held'],
    [summary.ignore, 'ignored', 'ignored'],
    [unfinished, 'bundle not finished', 'bundles not finished'],
    [summary.workDirsRemoved, 'working directory removed', 'working directories removed'],
    [summary.failedSteps, 'step failed', 'steps failed'],
  ];
};

/** Whether all that its verdict comes to was done: a bundle whose last step failed, or was never taken, is still there. */
const isFinished = ({ steps, outcome }: BundleReport): boolean => {
  if (outcome !== undefined) return outcome !== 'failed' && outcome !== 'left';
  const last = steps.at(-1)?.outcome;
  return last !== 'failed' && !steps.some(({ outcome }) => outcome === 'left');
};

const plural = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`;

const unchanged = (text: string): string => text;

const marked =
  (code: number) =>
  (text: string): string =>
    `\u001b[${code}m${text}\u001b[0m`;

/** What went as it should on one line; what did not on a line of its own. */
const stepLines = (style: Style, steps: ReadonlyArray<StepReport>): ReadonlyArray<string> => {
  const smooth = steps.filter(({ outcome }) => outcome === 'planned' || outcome === 'done');
  return [
    ...(smooth.length === 0 ? [] : [style.faint(smooth.map(showStep).join(', '))]),
    ...steps
      .filter(({ outcome }) => outcome === 'failed')
      .map((step) => style.bad(`${showStep(step)} failed: ${step.error ?? ''}`)),
    ...steps.filter(({ outcome }) => outcome === 'left').map((step) => style.strong(`${showStep(step)} left undone`)),
  ];
};

/** `alive: pid 4711, 4712`, and what was seen. */
const aliveLine = ({ alive }: BundleReport): ReadonlyArray<string> => {
  if (alive === undefined) return [];
  const pids = alive.pids.length === 0 ? '' : ` pid ${alive.pids.join(', ')}`;
  return [`alive:${pids} (${alive.says})`];
};

/** What became of a bundle, where that is not what its verdict says. */
const outcomeLine = ({ verdict, outcome, steps }: BundleReport): ReadonlyArray<string> => {
  if (verdict !== 'adopt' || outcome === undefined || outcome === 'adopted' || outcome === 'left') return [];
  const isUnregistered = steps.some(({ step, outcome: became }) => step === 'register' && became === 'done');
  const why = isUnregistered ? 'its shim hung up' : 'a step failed';
  return [`not adopted: ${why}, and the bundle is ${outcome === 'removed' ? 'gone' : 'still there'}`];
};

/** What would be destroyed though it lives is the first thing to know of a host. */
const firstWhatLives = <A>(losesSome: (item: A) => boolean, items: ReadonlyArray<A>): ReadonlyArray<A> => [
  ...items.filter(losesSome),
  ...items.filter((item) => !losesSome(item)),
];

const workDirLines = (style: Style, command: Report['command'], namespace: NamespaceReport): ReadonlyArray<string> => {
  const removed = command === 'recover' ? 'removed' : 'would be removed';
  return namespace.workDirs.flatMap(({ name, error, reason, removed: isRemoved }) => {
    if (error !== undefined) return [style.bad(`  working directory ${name} is still there: ${error}`)];
    if (isRemoved) return [`  working directory ${name} ${removed}: no task of this id is registered`];
    return reason === 'not-planned'
      ? [
          style.strong(
            `  working directory ${name} stays: no task of this id is registered, but the plan does not name it`,
          ),
        ]
      : [];
  });
};

const headLines = (style: Style, { command, policy, state }: Report): ReadonlyArray<string> => [
  style.strong(`${headings[command]} as ${policy} of ${state}`),
  '',
];

const headings: Readonly<Record<Report['command'], string>> = {
  plan: 'Dry run',
  recover: 'Recovery',
  replay: 'Replay',
};

export const plainStyle: Style = { strong: unchanged, good: unchanged, bad: unchanged, faint: unchanged };

export const colourStyle: Style = { strong: marked(1), good: marked(32), bad: marked(31), faint: marked(2) };

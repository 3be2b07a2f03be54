/** `shim-recovery plan`: what a restart would do, and why. Changes nothing. */
import { Recovery } from '@shim-recovery/core';
import {
  changesSomething,
  headOf,
  makeReport,
  planOf,
  refuseTooMuch,
  type Report,
  savedPlanOf,
} from '@shim-recovery/core/documents';
import { type Capabilities, policies, type Settings } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { exitCode } from '../ExitCode.js';
import { capabilitiesOf, lackOfRoot, openStore, settingsOf } from './Host.js';
import {
  nothingToDo,
  surveyOfNothing,
  understandHost,
  understandingOf,
  type UnderstoodHost,
} from './HostDirectories.js';
import { listenForInterruption, sayEnding } from '../Interruption.js';
import type { HostOptions } from '../arguments/Options.js';
import { checkPlanFile, writePlanFile } from './PlanFile.js';
import { renderReport } from '../views/Render.js';
import { openRecording, type RecordingFile } from './RecordingFile.js';
import { optionsToSave } from './SavedOptions.js';
import type { Terminal } from '../views/Terminal.js';
import { both } from './Watch.js';

/** A report in the form that was asked for. */
export const formatReport = (options: Pick<HostOptions, 'isJson'>, terminal: Terminal, report: Report): string =>
  options.isJson ? `${JSON.stringify(report)}\n` : renderReport(terminal.style)(report);

/** Says which of the namespaces that were asked for are not there: most likely a slip of the pen. */
export const sayMissingNamespaces = (
  { namespaces, state }: Pick<HostOptions, 'namespaces' | 'state'>,
  terminal: Terminal,
  report: { readonly namespaces: ReadonlyArray<Pick<Report['namespaces'][number], 'name'>> },
): void => {
  const names = new Set(report.namespaces.map(({ name }) => name));
  for (const name of namespaces)
    if (!names.has(name)) terminal.say(`shim-recovery: there is no namespace ${name} in ${state}`);
};

/** Says which of the orphans that were to be reaped by name are no bundles. */
export const sayMissingOrphans = (
  { policy: { orphans, reapedOrphans }, state }: Pick<HostOptions, 'policy' | 'state'>,
  terminal: Terminal,
  { namespaces }: Report,
): void => {
  const names = new Set(
    namespaces.flatMap(({ name, bundles }) =>
      bundles.flatMap(({ id, reason }) => (reason === 'gone' ? [] : [`${name}/${id}`])),
    ),
  );
  for (const name of orphans === 'reaped' ? reapedOrphans : [])
    if (!names.has(name)) terminal.say(`shim-recovery: there is no bundle ${name} in ${state}`);
};

/** A run that went well, and whose recording did not, could not do all that was asked. */
export const withRecording = ({ isLost }: RecordingFile, outcome: number): number =>
  outcome === exitCode.done && isLost() ? exitCode.couldNotRun : outcome;

/** Says on stderr why nothing was done. */
export const refuse = (terminal: Terminal, why: string): number => {
  terminal.clearProgress();
  terminal.say(`shim-recovery: ${why}`);
  return exitCode.couldNotRun;
};

export interface PlanOptions {
  readonly isProbing: boolean;
  readonly recordPath: string | undefined;
  readonly outPath: string | undefined;
}

/** What the exit code of a plan says: first whether something that lives would be destroyed. */
export const plannedOutcome = (options: Pick<HostOptions, 'isDetailedExitCode'>, report: Report): number => {
  if ((report.summary.aliveDestroyed ?? 0) > 0) return exitCode.aliveDestroyed;
  return options.isDetailedExitCode && changesSomething(report) ? exitCode.somethingElse : exitCode.done;
};

/** Runs the command; the exit code. */
export const runPlan = async (typed: HostOptions, terminal: Terminal, planOptions: PlanOptions): Promise<number> => {
  const { outPath } = planOptions;
  const writable = outPath === undefined ? E.right(undefined) : checkPlanFile(outPath);
  if (E.isLeft(writable)) return refuse(terminal, writable.left);
  if (outPath !== undefined && typed.store._tag === 'Containerd')
    return refuse(
      terminal,
      'a plan is carried out while no daemon serves its shims, and then --store containerd:PATH tells nothing any more; stop the daemon, and make the plan with --store bolt:FILE',
    );
  const host = await understandHost(typed, terminal);
  if (E.isLeft(host)) return host.left;
  const nothing = nothingToDo(host.right);
  return nothing === undefined
    ? planHost(host.right, terminal, planOptions)
    : reportNothing(host.right, nothing, terminal, { command: 'plan', ...planOptions });
};

/** Plans for a host, once it is known in which directories. */
const planHost = async (
  options: UnderstoodHost,
  terminal: Terminal,
  { isProbing, recordPath, outPath }: PlanOptions,
): Promise<number> => {
  const store = await openStore(options, 'shared');
  if (E.isLeft(store)) return refuse(terminal, store.left);
  const interruption = listenForInterruption(sayEnding(terminal));
  const settings = settingsOf(options);
  // Only a recording wants to know what the other policies would ask.
  const others =
    recordPath === undefined ? [] : Object.values(policies).filter(({ name }) => name !== settings.policy.name);
  const recording = openRecording(
    recordPath,
    headOf('plan', settings, others, Date.now(), understandingOf(options)),
    terminal.say,
  );
  try {
    if (E.isLeft(recording)) return refuse(terminal, recording.left);
    const capabilities = capabilitiesOf(options, terminal, {
      stores: store.right.stores,
      interrupted: interruption.requested,
      observer: both(terminal.progress, recording.right.observer),
    });
    if (E.isLeft(capabilities)) return refuse(terminal, capabilities.left);
    const planned = await Recovery.plan(settings, capabilities.right, { probe: isProbing, others })();
    if (E.isLeft(planned)) return refuse(terminal, Recovery.showRecoveryError(planned.left));
    const { report } = planned.right;
    terminal.clearProgress();
    recording.right.end(report)();
    const lack = lackOfRoot(options);
    if (lack !== undefined) terminal.say(`shim-recovery: ${lack}`);
    sayMissingNamespaces(options, terminal, report);
    sayMissingOrphans(options, terminal, report);
    if (outPath === undefined) sayBrake(settings, terminal, planned.right);
    const saved =
      outPath === undefined ? E.right(undefined) : await save(options, outPath, capabilities.right, planned.right);
    if (E.isLeft(saved)) terminal.say(`shim-recovery: ${saved.left}`);
    await terminal.print(formatReport(options, terminal, { ...report, ...understandingOf(options) }));
    if (E.isLeft(saved)) return interruption.exitCode() ?? exitCode.couldNotRun;
    const outcome = plannedOutcome(options, report);
    return interruption.exitCode() ?? withRecording(recording.right, outcome);
  } finally {
    if (E.isRight(recording)) recording.right.close();
    store.right.close();
    interruption.stopListening();
  }
};

/** Says that recover would refuse to do this, as it would destroy too large a share. */
const sayBrake = (settings: Settings, terminal: Terminal, { plan: { namespaces } }: Recovery.Planned): void => {
  const verdicts = namespaces.flatMap(({ bundles }) => bundles.map(({ verdict }) => verdict));
  const braked = refuseTooMuch(settings.policy, verdicts);
  if (E.isLeft(braked))
    terminal.say(`shim-recovery: recover would refuse this plan: ${Recovery.showRecoveryError(braked.left)}`);
};

/** Writes down what is to be carried out later. Left: why there is nothing to be written, or it could not be. */
const save = async (
  options: UnderstoodHost,
  outPath: string,
  capabilities: Capabilities,
  { plan: planned, report }: Recovery.Planned,
): Promise<E.Either<string, void>> => {
  const settings = settingsOf(options);
  if (report.interrupted) return E.left('interrupted, so that the plan was not saved');
  const verdicts = planned.namespaces.flatMap(({ bundles }) => bundles.map(({ verdict }) => verdict));
  return pipe(
    TE.fromEither(refuseTooMuch(settings.policy, verdicts)),
    TE.mapLeft((error) => `the plan was not saved, as recover would refuse it: ${Recovery.showRecoveryError(error)}`),
    TE.chain(() => pipe(Recovery.identify(settings, capabilities, planned), TE.mapLeft(Recovery.showRecoveryError))),
    TE.map(savedPlanOf(settings, Date.parse(report.startedAt), optionsToSave(options))),
    TE.chainEitherK((saved) => writePlanFile(outPath, saved)),
  )();
};

/** What was asked for on a host that has nothing to look at, beside the report. */
export interface NothingOptions {
  readonly command: 'plan' | 'recover';
  readonly recordPath: string | undefined;
  readonly outPath?: string | undefined;
}

/**
 * Says why there is nothing to do, and reports, records and saves that, without a store, a lock or a shim; the exit code.
 */
export const reportNothing = async (
  host: UnderstoodHost,
  why: string,
  terminal: Terminal,
  { command, recordPath, outPath }: NothingOptions,
): Promise<number> => {
  const settings = settingsOf(host);
  const startedMs = Date.now();
  const recording = openRecording(
    recordPath,
    headOf(command, settings, [], startedMs, understandingOf(host)),
    terminal.say,
  );
  if (E.isLeft(recording)) return refuse(terminal, recording.left);
  try {
    const plan = planOf(settings.policy)(surveyOfNothing(host));
    const startedAt = new Date(startedMs).toISOString();
    const report = makeReport(
      { ...plan, ...understandingOf(host), command, startedAt, durationMs: 0, interrupted: false },
      [],
    );
    recording.right.end(report)();
    terminal.say(`shim-recovery: ${why}`);
    sayMissingOrphans(host, terminal, report);
    const saved =
      outPath === undefined
        ? E.right(undefined)
        : pipe(plan, savedPlanOf(settings, startedMs, optionsToSave(host)), (made) => writePlanFile(outPath, made));
    if (E.isLeft(saved)) terminal.say(`shim-recovery: ${saved.left}`);
    await terminal.print(formatReport(host, terminal, report));
    return E.isLeft(saved) ? exitCode.couldNotRun : withRecording(recording.right, exitCode.done);
  } finally {
    recording.right.close();
  }
};

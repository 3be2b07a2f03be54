/** `shim-recovery recover`: does what `plan` says, and with `--watch` stays attached. */
import { Recovery } from '@shim-recovery/core';
import {
  type Approval,
  asPlanned,
  changesSomething,
  everything,
  headOf,
  type Report,
  type SavedPlan,
  type WorkDirectoryReport,
} from '@shim-recovery/core/documents';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import { probeDaemon } from '../../daemon/DaemonProbe.js';
import { lineSink } from '../../events/EventSinks.js';
import { exitCode } from '../ExitCode.js';
import { capabilitiesOf, lackOfRoot, type OpenStore, openStore, settingsOf } from './Host.js';
import { nothingToDo, understandHost, understandingOf, type UnderstoodHost } from './HostDirectories.js';
import { type Interruption, listenForInterruption, sayEnding } from '../Interruption.js';
import { makeLogLines, taskName } from '../views/LogLines.js';
import { checkOutside, daemonSocketOf, type HostOptions, type RecoverSource } from '../arguments/Options.js';
import { readPlanFile } from './PlanFile.js';
import {
  formatReport,
  refuse,
  reportNothing,
  sayMissingNamespaces,
  sayMissingOrphans,
  withRecording,
} from './planCommand.js';
import { openRecording } from './RecordingFile.js';
import { lockDatabase, lockState } from './StateLock.js';
import type { Terminal } from '../views/Terminal.js';
import { both, followEnds, type HeldBack, holdBack } from './Watch.js';

export interface RecoverOptions {
  readonly isWatching: boolean;
  readonly isForced: boolean;
  readonly recordPath: string | undefined;
}

/** Runs the command; the exit code. */
export const runRecover = async (
  source: RecoverSource,
  terminal: Terminal,
  recoverOptions: RecoverOptions,
): Promise<number> => {
  const task = taskOf(source, recoverOptions);
  if (E.isLeft(task)) return refuse(terminal, task.left);
  const understood = await understandHost(task.right.host, terminal);
  if (E.isLeft(understood)) return understood.left;
  const host = understood.right;
  const { plan } = task.right;
  if (plan !== undefined && isElsewhere(host))
    return refuse(terminal, 'the plan was made before its directories became those of a daemon; make a new one');
  const nothing = nothingToDo(host);
  return nothing === undefined || (plan !== undefined && plansSomething(plan))
    ? recoverHost({ ...task.right, host }, terminal, source._tag, recoverOptions)
    : reportNothing(host, nothing, terminal, { command: 'recover', recordPath: recoverOptions.recordPath });
};

/** Left: one line that says why the plan cannot be carried out. */
const taskOf = (source: RecoverSource, { recordPath }: RecoverOptions): E.Either<string, Task> => {
  if (source._tag === 'Host') return E.right({ host: source.host, approval: everything });
  return pipe(
    readPlanFile(source.path, source.own),
    E.chainFirst(({ host }) =>
      recordPath === undefined
        ? E.right(undefined)
        : pipe(
            checkOutside({ option: 'record', path: recordPath }, host),
            E.mapLeft(({ message }) => message),
          ),
    ),
    E.map(({ saved, host }) => ({ host, approval: asPlanned(host.policy, saved), plan: saved.plan })),
  );
};

/** What to act on, and what of it may be done. */
interface Task {
  readonly host: HostOptions;
  readonly approval: Approval;
  /** The plan that is carried out, where it is one. */
  readonly plan?: SavedPlan['plan'];
}

/** Where the directories are other ones than the plan was made in, by what is in them now. */
const isElsewhere = ({ understood: { state, root } }: UnderstoodHost): boolean =>
  state.meaning === 'daemon' || root.meaning === 'daemon';

/** Whether a plan of something has to be carried out, also where there is nothing any more. */
const plansSomething = ({ namespaces }: SavedPlan['plan']): boolean => namespaces.length > 0;

/** Recovers a host, once it is known in which directories. */
const recoverHost = async (
  task: UnderstoodTask,
  terminal: Terminal,
  source: RecoverSource['_tag'],
  recoverOptions: RecoverOptions,
): Promise<number> => {
  const options = task.host;
  const objected = recoverOptions.isForced ? undefined : await objection(options, source);
  if (objected !== undefined) return refuse(terminal, objected);
  const locks = [lockState(options.state), lockDatabase(options)];
  const problems = locks.flatMap((lock) => (E.isLeft(lock) ? [lock.left] : []));
  try {
    for (const problem of problems) {
      if (!recoverOptions.isForced) return refuse(terminal, `${problem}; or insist with --force`);
      terminal.say(`shim-recovery: going on by force, although ${problem}`);
    }
    return await recoverLocked(task, terminal, recoverOptions);
  } finally {
    for (const lock of locks) if (E.isRight(lock)) lock.right();
  }
};

interface UnderstoodTask extends Task {
  readonly host: UnderstoodHost;
}

/** Why it must not be done here and now, unless it is forced. */
const objection = async (options: HostOptions, source: RecoverSource['_tag']): Promise<string | undefined> => {
  const { store, state, address } = options;
  const lack = lackOfRoot(options);
  if (lack !== undefined) return `${lack}; run it as root, or insist with --force`;
  if (store._tag === 'None') {
    const named = source === 'Host' ? 'name a store with --store' : 'make a plan with a store';
    return `without a store every container is unknown, and bundles without a recorded shim binary would be discarded; ${named}, or insist with --force`;
  }
  // What shim binaries are told may be any address; the daemon of these directories is also looked for where it would be.
  const sockets = new Set([address, daemonSocketOf(state), ...(store._tag === 'Containerd' ? [store.socketPath] : [])]);
  for (const socket of sockets) {
    const served = await probeDaemon(socket)();
    if (served._tag === 'NotServed') continue;
    const found =
      served._tag === 'Served'
        ? `a daemon serves ${socket}`
        : `whether a daemon serves ${socket} cannot be told: ${served.why}`;
    return `${found}; the shims of a daemon are its own: stop it first, look with plan instead, or insist with --force`;
  }
  return undefined;
};

/** Recovers a host, once this process holds the lock of its directories. */
const recoverLocked = async (
  { host: options, approval }: UnderstoodTask,
  terminal: Terminal,
  recoverOptions: RecoverOptions,
): Promise<number> => {
  const store = await openLocked(options, terminal, recoverOptions);
  if (E.isLeft(store)) return refuse(terminal, store.left);
  const interruption = listenForInterruption(sayEnding(terminal));
  const logs = makeLogLines(terminal.say, terminal.said);
  const settings = { ...settingsOf(options), staysAttached: recoverOptions.isWatching };
  const events = recoverOptions.isWatching ? printingEvents(terminal) : undefined;
  const recording = openRecording(
    recoverOptions.recordPath,
    headOf('recover', settings, [], Date.now(), understandingOf(options)),
    terminal.say,
  );
  try {
    if (E.isLeft(recording)) return refuse(terminal, recording.left);
    const progress = both(terminal.progress, recording.right.observer);
    const capabilities = capabilitiesOf(options, terminal, {
      stores: store.right.stores,
      interrupted: interruption.requested,
      observer: progress,
      ...(events !== undefined
        ? {
            eventSink: events.sink,
            logSink: logs.sink,
            observer: both(progress, followEnds(terminal.say, logs)),
          }
        : {}),
    });
    if (E.isLeft(capabilities)) return refuse(terminal, capabilities.left);
    const recovered = await Recovery.recover(settings, capabilities.right, approval)();
    if (E.isLeft(recovered)) return refuse(terminal, Recovery.showRecoveryError(recovered.left));
    const { report, stop } = recovered.right;
    terminal.clearProgress();
    recording.right.end(report)();
    sayMissingNamespaces(options, terminal, report);
    sayMissingOrphans(options, terminal, report);
    await terminal.print(formatReport(options, terminal, { ...report, ...understandingOf(options) }));
    await events?.release();
    if (recoverOptions.isWatching && !report.interrupted) {
      await watch(terminal, recovered.right, interruption);
      await stop();
      return withRecording(recording.right, exitCode.done);
    }
    await stop();
    return interruption.exitCode() ?? withRecording(recording.right, outcomeOf(options, report));
  } finally {
    logs.endAll();
    if (E.isRight(recording)) recording.right.close();
    store.right.close();
    interruption.stopListening();
  }
};

/** The store, locked against a daemon that is started meanwhile; with force, unlocked where somebody else holds it. */
const openLocked = async (
  options: HostOptions,
  terminal: Terminal,
  { isForced }: RecoverOptions,
): Promise<E.Either<string, OpenStore>> => {
  const locked = await openStore(options, 'exclusive');
  if (E.isRight(locked) || !isForced) return locked;
  const unlocked = await openStore(options, 'none');
  if (E.isRight(unlocked)) terminal.say(`shim-recovery: going on by force, although ${locked.left}`);
  return unlocked;
};

/** Prints each event as a line, once the report is out. */
const printingEvents = (terminal: Terminal): HeldBack =>
  holdBack(lineSink(terminal.stdout()), (event, reason) =>
    terminal.say(`shim-recovery: ${taskName(event)}: the event ${event._tag} could not be printed: ${reason}`),
  );

/** Stays until a signal comes; that is how a watch ends, and no interruption. */
const watch = async (terminal: Terminal, recovered: Recovery.Recovered, interruption: Interruption): Promise<void> => {
  const { length } = recovered.registry.instances();
  terminal.say(
    `shim-recovery: watching ${length === 1 ? '1 shim' : `${length} shims`}; SIGINT, SIGTERM or SIGHUP ends it`,
  );
  const keepAlive = setInterval(() => undefined, 2 ** 30);
  await interruption.requestedOnce();
  clearInterval(keepAlive);
};

const outcomeOf = (options: HostOptions, report: Report): number => {
  const { summary, namespaces } = report;
  const isHeldAlive = namespaces.some(({ bundles }) => bundles.some(({ reason }) => reason === 'would-kill'));
  if ((summary.aliveDestroyed ?? 0) > 0 || isHeldAlive) return exitCode.aliveDestroyed;
  const isIncomplete =
    summary.failedSteps + summary.hold > 0 ||
    namespaces.some(({ error, workDirs }) => error !== null || workDirs.some(isNotPlanned)) ||
    report.interrupted;
  const isDetailed = options.isDetailedExitCode && changesSomething(report);
  return isIncomplete || isDetailed ? exitCode.somethingElse : exitCode.done;
};

const isNotPlanned = ({ reason }: WorkDirectoryReport): boolean => reason === 'not-planned';

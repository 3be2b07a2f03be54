/**
 * The program: what a daemon does at its start with what an earlier one left behind.
 *
 *     snapshot ──▶ decide ⇄ answers ──▶ plan ──▶ steps ──▶ report
 *
 * {@link plan} goes as far as the plan and changes nothing; {@link recover} goes all the way and stays attached to the
 * shims that it took back.
 */
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import type { Task } from 'fp-ts/lib/Task.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { pipe } from 'fp-ts/lib/function.js';
import { carryOutAll } from '../apply/AllBundles.js';
import { type Approval, everything, type PlannedNamespace } from '../apply/Approval.js';
import { identifyPlan } from '../apply/PinnedWorkDirectories.js';
import { makeRegistry, type Registry } from '../apply/Registry.js';
import { noticeEnded } from '../apply/SharedShims.js';
import { makeStepRecords, type StepRecords } from '../apply/StepRecords.js';
import type { Executor } from '../apply/StepRunner.js';
import { carryOutDisconnect, makeSupervisor, type Supervisor } from '../apply/Supervision.js';
import { viewMountTable } from '../apply/Unmounting.js';
import { sweepWorkDirectories } from '../apply/WorkDirectorySweep.js';
import * as B from '../base/ByteString.js';
import { semaphore } from '../base/Semaphore.js';
import type { BundleEvidence } from '../decide/Evidence.js';
import type { Capabilities } from '../observe/Capabilities.js';
import { closeAll } from '../observe/Probing.js';
import * as Snapshot from '../observe/Snapshot.js';
import { evidenceFor, type HostFacts, planOf, type WorkListing } from '../plan/HostFacts.js';
import type { Plan } from '../plan/Plan.js';
import type { BundleId } from '../policy/Names.js';
import type { Policy } from '../policy/Policy.js';
import type { Settings } from '../policy/Settings.js';
import {
  type BundleReport,
  inOneLine,
  makeReport,
  type NamespaceReport,
  outcomeOf,
  type Report,
  reportBundle,
  reportPlannedNamespace,
} from '../report/Report.js';
import { refuseTooMuch } from './DestroyLimit.js';
import * as Inspection from './Inspection.js';
import { planHost, type PlannedHost } from './Planner.js';
import type { RecoveryError } from './RecoveryError.js';
import { closeRoots, openRoots, type Roots } from './Roots.js';

export { type RecoveryError, showRecoveryError } from './RecoveryError.js';

/** A plan, and the same as a report. */
export interface Planned {
  readonly plan: Plan;
  readonly report: Report;
}

/** A recovery that was carried out and stays attached to its live shims until it is told to stop. */
export interface Recovered {
  readonly report: Report;
  readonly registry: Registry;
  /** Completes when every clean-up that a disconnect set off so far has ended. */
  readonly settled: Task<void>;
  /** Lets go of every shim and log pipe; the shims go on. A clean-up that is under way is finished first. */
  readonly stop: Task<void>;
}

/** How a plan is made. */
export interface PlanOptions {
  /** Whether shims are asked. A plan that asks none holds every bundle whose shim it would have to ask. */
  readonly probe: boolean;
  /** Other policies whose questions are asked, too, so that the observer hears the answers. */
  readonly others?: ReadonlyArray<Policy>;
}

/**
 * All that `recover` would learn, and what the other policies would ask, too, without changing anything: shims are sent
 * Connect, Pids and State at most, or nothing when `probe` is false, and no log pipe is opened or made.
 */
export const inspectHost = (
  settings: Settings,
  capabilities: Capabilities,
  { probe, others = [] }: PlanOptions = { probe: true },
): TE.TaskEither<RecoveryError, HostFacts> =>
  withRoots(settings, capabilities, (roots) =>
    Inspection.inspectHost(capabilities, settings, others)(roots, probe ? 'asked' : 'not-asked'),
  );

/** Looks at something below the root directories, and closes them. */
const withRoots = <A>(
  settings: Settings,
  capabilities: Capabilities,
  use: (roots: Roots) => TE.TaskEither<RecoveryError, A>,
): TE.TaskEither<RecoveryError, A> =>
  TE.bracket(openRoots(capabilities, settings), use, (roots) => TE.fromTask(closeRoots(capabilities, roots)));

/** Lists the names of the bundles in the settings' namespaces; looks into none. */
export const listBundles = (
  settings: Settings,
  capabilities: Capabilities,
): TE.TaskEither<RecoveryError, ReadonlyArray<Snapshot.NamespaceListing>> =>
  withRoots(settings, capabilities, ({ state }) =>
    pipe(
      Snapshot.listBundles(capabilities.fileSystem)(state, settings.namespaces),
      TE.mapLeft((error): RecoveryError => ({ _tag: 'StateUnreadable', error })),
    ),
  );

/** The facts that a plan would learn of one bundle; no other is asked about. None where no bundle of this name exists. */
export const inspectBundle = (
  settings: Settings,
  capabilities: Capabilities,
  name: BundleId,
  { probe }: Pick<PlanOptions, 'probe'> = { probe: true },
): TE.TaskEither<RecoveryError, O.Option<BundleEvidence>> =>
  pipe(
    withRoots(settings, capabilities, (roots) =>
      Inspection.inspectBundle(capabilities, settings, name)(roots, probe ? 'asked' : 'not-asked'),
    ),
    TE.map(O.map(evidenceFor(settings.policy))),
  );

/**
 * The plan that `recover` would carry out, with its reasons, as {@link inspectHost} finds it. The answers to the other
 * policies go only to the observer.
 */
export const plan =
  (
    settings: Settings,
    capabilities: Capabilities,
    options: PlanOptions = { probe: true },
  ): TE.TaskEither<RecoveryError, Planned> =>
  async () => {
    const elapsed = startWatch(capabilities);
    const facts = await inspectHost(settings, capabilities, options)();
    if (E.isLeft(facts)) return facts;
    const { interrupted } = facts.right;
    const planned = planOf(settings.policy)(facts.right);
    const about = { ...planned, ...elapsed(), command: 'plan', interrupted } as const;
    const report = makeReport(about, planned.namespaces.map(reportPlannedNamespace(settings.policy)));
    return E.right({ plan: planned, report });
  };

/** When it started, in both clocks; reports want both. */
const startWatch = ({ clock }: Capabilities): (() => Pick<Report, 'startedAt' | 'durationMs'>) => {
  const startedAt = new Date(clock.nowMs()).toISOString();
  const startedMs = clock.elapsedMs();
  return () => ({ startedAt, durationMs: clock.elapsedMs() - startedMs });
};

/** A plan to be kept: the same, and of each working directory that it would remove it says which one it is. */
export const identify = (
  settings: Settings,
  capabilities: Capabilities,
  planned: Plan,
): TE.TaskEither<RecoveryError, Plan> =>
  withRoots(settings, capabilities, ({ root }) => TE.fromTask(identifyPlan(capabilities.fileSystem, root)(planned)));

/**
 * Takes back, reaps, cleans up and removes, as the policy decides, and stays attached: log pipes are drained, and when
 * a shim's connection ends, its bundle is cleaned up and the events of its task are published. Under an approval it does
 * only what that allows of what it decides.
 */
export const recover =
  (
    settings: Settings,
    capabilities: Capabilities,
    approval: Approval = everything,
  ): TE.TaskEither<RecoveryError, Recovered> =>
  async () => {
    const elapsed = startWatch(capabilities);
    const roots = await openRoots(capabilities, settings)();
    if (E.isLeft(roots)) return roots;
    const prepared = await planHost(capabilities, settings, approval)(roots.right)();
    if (E.isLeft(prepared)) {
      await closeRoots(capabilities, roots.right)();
      return prepared;
    }

    const bundles = prepared.right.namespaces.flatMap((namespace) => namespace.bundles);
    const allowed = refuseTooMuch(
      settings.policy,
      bundles.map(({ plan: { verdict } }) => verdict),
    );
    if (E.isLeft(allowed)) {
      for (const { open } of bundles) await closeAll(open)();
      await closeRoots(capabilities, roots.right)();
      return allowed;
    }

    const records = makeStepRecords();
    const { executor, supervisor } = startExecutor(capabilities, settings, roots.right, prepared.right, records);
    await carryOutAll(executor, records)(bundles)();
    await supervisor.settled();
    await noticeEnded(executor, records)(bundles)();
    await supervisor.settled();
    const namespaces: Array<NamespaceReport> = [];
    for (const namespace of prepared.right.namespaces)
      namespaces.push(await finishNamespace(executor, records, approval)(namespace)());
    await roots.right.namespaces.closeIdle();

    const { state, root, policy } = settings;
    return E.right({
      report: makeReport(
        {
          ...elapsed(),
          command: 'recover',
          policy: policy.name,
          state,
          root,
          interrupted: capabilities.interrupted(),
          ...(approval.plannedAt === undefined ? {} : { plannedAt: approval.plannedAt }),
        },
        namespaces,
      ),
      registry: executor.registry,
      settled: supervisor.settled,
      stop: async () => {
        await supervisor.stop();
        await closeRoots(capabilities, roots.right)();
      },
    });
  };

/** What carries out the steps of this run, and keeps watch over the shims that it takes back. */
const startExecutor = (
  capabilities: Capabilities,
  settings: Settings,
  roots: Roots,
  { found, pods }: PlannedHost,
  records: StepRecords,
): { readonly executor: Executor; readonly supervisor: Supervisor } => {
  const supervisor: Supervisor = makeSupervisor((instance) =>
    // A clean-up may come long after the walk over the bundles, so it reads the mount table afresh.
    carryOutDisconnect({ ...executor, mountTable: viewMountTable(capabilities) })(
      instance,
      records.of(instance.evidence),
    ),
  );
  const executor: Executor = {
    capabilities,
    settings,
    ...roots,
    inTurn: semaphore(settings.bounds.binaries),
    registry: makeRegistry(),
    mountTable: viewMountTable(capabilities),
    found,
    pods,
    watch: supervisor.watch,
  };
  return { executor, supervisor };
};

/** Its part of the report, once its working directories were seen to. */
const finishNamespace =
  (executor: Executor, records: StepRecords, approval: Approval) =>
  (namespace: PlannedNamespace): Task<NamespaceReport> =>
  async () => {
    const { capabilities, registry } = executor;
    const { name, error, bundles } = namespace;
    const removed = await sweepWorkDirectories(executor, approval, namespace, records)();
    if (E.isLeft(removed))
      capabilities.observer.notify({ _tag: 'NamespaceFailed', namespace: name, error: removed.left })();
    const workDirectories: WorkListing = E.isLeft(removed)
      ? { _tag: 'NotListed', error: removed.left }
      : { _tag: 'Listed', names: removed.right.map((entry) => entry.name) };
    capabilities.observer.notify({ _tag: 'NamespaceInspected', namespace: { name, error, workDirectories } })();
    const reports: Array<BundleReport> = [];
    for (const { plan: bundle, explanation } of bundles) {
      const others = capabilities.clock.yieldIfDue();
      if (others !== undefined) await others;
      const done = {
        registered: registry.get(bundle.evidence)() !== undefined,
        steps: [...records.of(bundle.evidence)],
      };
      reports.push(
        reportBundle(executor.settings.policy)(bundle, {
          ...(explanation === undefined ? {} : { explanation }),
          ...done,
          outcome: outcomeOf(bundle.verdict, done),
        }),
      );
    }
    return {
      name: B.show(name),
      error: E.isLeft(removed) ? inOneLine(removed.left) : null,
      bundles: reports,
      workDirs: E.isRight(removed) ? removed.right.map((entry) => ({ ...entry, name: B.show(entry.name) })) : [],
    };
  };

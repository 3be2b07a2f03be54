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
import { type Approval, everything, type PlannedBundle, type PlannedNamespace } from '../apply/Approval.js';
import { identifyPlan } from '../apply/PinnedWorkDirectories.js';
import { makeRegistry, type Registry } from '../apply/Registry.js';
import { refuseReplaced } from '../apply/Removal.js';
import { carryOut, type Executor, removalOfWork } from '../apply/StepRunner.js';
import { carryOutDisconnect, makeSupervisor, type Supervisor } from '../apply/Supervision.js';
import { viewMountTable } from '../apply/Unmounting.js';
import { type Remove as RemoveWork, removeWorkDirectories } from '../apply/WorkDirectorySweep.js';
import * as B from '../base/ByteString.js';
import { semaphore, traverse } from '../base/Semaphore.js';
import { hasNoListener } from '../capabilities/ShimConnector.js';
import { type BundleEvidence, formerIdOf } from '../decide/Evidence.js';
import { shimAddress } from '../decide/ShimAddress.js';
import type { Capabilities } from '../observe/Capabilities.js';
import { forEachAsked } from '../observe/Portions.js';
import { closeAll } from '../observe/Probing.js';
import * as Snapshot from '../observe/Snapshot.js';
import { socketOf } from '../observe/life/Pods.js';
import { type BundleId, keyOf } from '../policy/Names.js';
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
  type StepReport,
} from '../report/Report.js';
import { refuseTooMuch } from './DestroyLimit.js';
import * as Inspection from './Inspection.js';
import { planHost } from './Planner.js';
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

/** What the bundles of the settings' namespaces are called; none is looked into. */
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

/** What a plan would learn of one bundle; no other is asked about. None where no bundle of this name stands. */
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

/** What `recover` would do, and why, as {@link inspectHost} finds it. What the other policies ask is only told to its observer. */
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

    const { found, pods } = prepared.right;
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

    const registry = makeRegistry();
    const records = makeRecords();
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
      ...roots.right,
      inTurn: semaphore(settings.bounds.binaries),
      registry,
      mountTable: viewMountTable(capabilities),
      found,
      pods,
      watch: supervisor.watch,
    };
    await carryOutAll(executor, records)(bundles)();
    await supervisor.settled();
    await noticeEnded(executor, records)(bundles)();
    await supervisor.settled();
    const namespaces: Array<NamespaceReport> = [];
    for (const namespace of prepared.right.namespaces)
      namespaces.push(await finishNamespace(executor, records, approval, roots.right)(namespace)());
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
      registry,
      settled: supervisor.settled,
      stop: async () => {
        await supervisor.stop();
        await closeRoots(capabilities, roots.right)();
      },
    });
  };

const makeRecords = (): Records => {
  const records = new Map<string, Array<StepReport>>();
  return {
    of: (evidence) => {
      const key = keyOf(evidence);
      const list = records.get(key) ?? [];
      records.set(key, list);
      return list;
    },
  };
};

/** What became of each bundle's steps, gathered while they are taken. */
interface Records {
  readonly of: (evidence: BundleEvidence) => Array<StepReport>;
}

/** Every bundle's steps: many at once where shims are waited for, and else only as many as there is use for. */
const carryOutAll =
  (executor: Executor, records: Records) =>
  (bundles: ReadonlyArray<PlannedBundle>): Task<void> =>
  async () => {
    const { capabilities, settings } = executor;
    const { clock } = capabilities;
    const one =
      ({ plan: { evidence, steps }, open }: PlannedBundle): Task<void> =>
      async () => {
        await carryOut(executor)({ evidence, open, steps, records: records.of(evidence) })();
        const { namespace, id } = evidence;
        capabilities.observer.notify({ _tag: 'BundleCarriedOut', namespace, id })();
      };
    const leftovers: Array<PlannedBundle> = [];
    const asking: Array<PlannedBundle> = [];
    const others: Array<PlannedBundle> = [];
    const queueOf = ({ verdict, steps }: BundlePlan): Array<PlannedBundle> => {
      if (verdict.reason === 'leftover') return leftovers;
      return asksShim(steps) ? asking : others;
    };
    for (const bundle of bundles) {
      const turn = clock.yieldIfDue();
      if (turn !== undefined) await turn;
      queueOf(bundle.plan).push(bundle);
    }
    // First, and one by one in their order: each is moved behind one more dot, where none must stand any more (H11).
    await traverse({ ...clock, limit: 1 }, one)(leftovers)();
    await Promise.all([
      forEachAsked(capabilities, settings, one)(asking)(),
      traverse({ ...clock, limit: settings.bounds.files }, one)(others)(),
    ]);
  };

/**
 * A shim that was told to end for the sake of one bundle may be the shim of others, which were taken back meanwhile. Those are
 * asked again: where the shim has gone, the end of the connection means what it means to the policy, and is not hidden.
 */
const noticeEnded =
  (executor: Executor, records: Records) =>
  (bundles: ReadonlyArray<PlannedBundle>): Task<void> =>
  async () => {
    const { registry, settings } = executor;
    const toldToEnd = new Set(
      bundles
        .filter(({ plan }) =>
          records.of(plan.evidence).some(({ step, outcome }) => step === 'call-shutdown' && outcome === 'done'),
        )
        .map(({ plan }) => shimOf(settings.policy, plan)),
    );
    for (const { plan } of bundles) {
      const instance = registry.get(plan.evidence)();
      if (instance === undefined || settings.staysAttached || !toldToEnd.has(shimOf(settings.policy, plan))) continue;
      if (await hasEnded(executor, plan)()) await carryOutDisconnect(executor)(instance, records.of(plan.evidence))();
    }
  };

/** Where a bundle's shim was asked. */
const shimOf = (policy: Policy, { evidence }: BundlePlan): string | undefined => {
  const socket = socketOf(policy, evidence);
  return socket === undefined ? undefined : JSON.stringify([evidence.namespace, socket]);
};

/** Whether the shim of a bundle does not answer any more, or hangs up soon. */
const hasEnded =
  ({ capabilities, settings }: Executor, { evidence }: BundlePlan): Task<boolean> =>
  async () => {
    const { namespace, id, contents } = evidence;
    const address = contents?._tag === 'Listed' ? shimAddress(settings.policy)(contents) : undefined;
    if (address?._tag !== 'Target') return false;
    const timeoutMs = settings.timeouts.loadMs;
    const dialled = await capabilities.shimConnector.dial({ namespace, target: address.target, timeoutMs })();
    if (E.isLeft(dialled)) return hasNoListener(dialled.left);
    const connected = await dialled.right.connect({ id, timeoutMs })();
    const ended = E.isLeft(connected)
      ? connected.left._tag === 'Closed'
      : await Promise.race([
          dialled.right.disconnected().then(() => true),
          capabilities.clock
            .sleep(endingMs)()
            .then(() => false),
        ]);
    await dialled.right.close();
    return ended;
  };

/** How long a shim that was told to end may take to do so, in milliseconds, before it counts as one that goes on. */
const endingMs = 250;

/** Its part of the report, once its working directories were seen to. */
const finishNamespace =
  (executor: Executor, records: Records, approval: Approval, roots: Roots) =>
  (namespace: PlannedNamespace): Task<NamespaceReport> =>
  async () => {
    const { capabilities, registry } = executor;
    const { name, error, bundles } = namespace;
    const removed = await sweepWorkDirectories(executor, approval, roots, namespace, records)();
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

/** Removes what nobody owns of a namespace's working directories, from the registry that the bundles left. */
const sweepWorkDirectories = (
  executor: Executor,
  approval: Approval,
  { root }: Roots,
  { name: namespace, error, bundles }: PlannedNamespace,
  records: Records,
): TE.TaskEither<string, ReadonlyArray<WorkDirectoryOutcome>> => {
  const { capabilities, registry, settings } = executor;
  const held = isHeld(executor, approval, bundles, records);
  if (error !== null) return TE.left(error);
  if (capabilities.interrupted()) return TE.left('interrupted: working directories are left as they are');
  return pipe(
    standing(executor, namespace),
    TE.chain((names) =>
      removeWorkDirectories(
        { ...capabilities, root, policy: settings.policy },
        namespace,
        (id) => ({
          registered: registry.get({ namespace, id })() !== undefined,
          held: held(id) || names.has(id),
          planned: approval.workDirectory({ namespace, id })._tag !== 'None',
        }),
        removalWithin(executor, approval, namespace)(removalOfWork(executor, root, namespace)),
      ),
    ),
  );
};

/**
 * Whose working directory must stay: of what is held, and of what could not be finished and waits for another run; by its id,
 * and by the one that it had before it was renamed. Where a policy keeps what belongs to what stays, the same of what is adopted.
 */
const isHeld = (
  { registry, settings }: Executor,
  { plannedAt }: Approval,
  bundles: ReadonlyArray<PlannedBundle>,
  records: Records,
): ((name: B.ByteString) => boolean) => {
  const spares = !settings.allowKilling || plannedAt !== undefined;
  const held = bundles.filter(
    ({ plan: { verdict, evidence } }) =>
      verdict._tag === 'Hold' ||
      records.of(evidence).some(({ outcome }) => outcome === 'left') ||
      (spares && verdict._tag === 'Adopt' && registry.get(evidence)() === undefined),
  );
  const adopted = bundles.filter(({ plan: { verdict } }) => verdict._tag === 'Adopt');
  const names = new Set([
    ...held.map(({ plan }) => plan.evidence.id),
    ...formerIdsOf(settings.policy.keepsWorkOfWhatStays ? [...held, ...adopted] : held),
  ]);
  return (name) => names.has(name);
};

/** The names that still stand in a namespace's state directory, where the policy keeps what belongs to them (H20). */
const standing = ({ capabilities, settings, namespaces }: Executor, namespace: B.ByteString) =>
  settings.policy.keepsWorkOfWhatStays
    ? pipe(
        namespaces.use(namespace)(capabilities.fileSystem.list),
        TE.bimap(leftAsTheyAre, (entries): ReadonlySet<B.ByteString> => new Set(entries.map(({ name }) => name))),
      )
    : TE.right<string, ReadonlySet<B.ByteString>>(new Set());

/** A removal of what stands there, or only of what an approval names. */
const removalWithin =
  ({ capabilities: { fileSystem } }: Executor, { workDirectory }: Approval, namespace: B.ByteString) =>
  (remove: RemoveWork): RemoveWork =>
  (at) => {
    const allowed = workDirectory({ namespace, id: at.name });
    return allowed._tag === 'This'
      ? pipe(
          refuseReplaced(fileSystem, allowed.identity)(at),
          TE.chain(() => remove(at)),
        )
      : remove(at);
  };

const formerIdsOf = (bundles: ReadonlyArray<PlannedBundle>): ReadonlyArray<B.ByteString> =>
  bundles.flatMap(({ plan }) => formerIdOf(plan.evidence) ?? []);

import { evidenceFor, type HostFacts, planOf, type WorkListing } from '../plan/HostFacts.js';
import type { BundlePlan, Plan } from '../plan/Plan.js';
import { asksShim } from '../plan/Step.js';
import { leftAsTheyAre, type WorkDirectoryOutcome } from '../plan/WorkDirectory.js';

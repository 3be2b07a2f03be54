/**
 * The program: what a daemon does at its start with what an earlier one left behind.
 *
 *     snapshot ──▶ decide ⇄ answers ──▶ plan ──▶ steps ──▶ report
 *
 * {@link plan} goes as far as the plan and changes nothing; {@link recover} goes all the way and stays attached to the
 * shims that it took back.
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import type { ReaderTaskEither } from 'fp-ts/lib/ReaderTaskEither.js';
import type { Task } from 'fp-ts/lib/Task.js';
import type * as TE from 'fp-ts/lib/TaskEither.js';
import * as t from 'io-ts';
import * as B from './ByteString.js';
import { withDirectory } from './BundleDirectory.js';
import type { Capabilities } from './Capabilities.js';
import { traverse } from './Concurrency.js';
import type { BundleEvidence } from './Evidence.js';
import { carryOut, carryOutDisconnect, type Executor } from './Execution.js';
import { type Directory, type DirectoryEntry, FileError, showFileError } from './FileSystem.js';
import { type Inquirer, nothingOpen, type OpenShim, type Probing, settle } from './Inquiry.js';
import * as Layout from './Layout.js';
import {
  type BundlePlan,
  type NamespacePlan,
  type Plan,
  stepsOf,
  type WorkDirectoryPlan,
  workDirectoriesRemovedBy,
} from './Plan.js';
import { type Instance, makeRegistry, type Registry } from './Registry.js';
import * as Removal from './Removal.js';
import {
  makeReport,
  type NamespaceReport,
  type Report,
  reportBundle,
  reportPlannedNamespace,
  type StepReport,
  type WorkDirectoryReport,
} from './Report.js';
import { makeResolver } from './RuntimeName.js';
import type { Settings } from './Settings.js';
import { readSnapshot } from './Snapshot.js';
import { type StepTree } from './Step.js';
import { viewMountTable } from './Unmounting.js';
import { decideWorkDirectory } from './WorkDirectory.js';

/** Why nothing at all could be done: one of the two root directories cannot be read. */
export const RecoveryError = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('StateUnreadable'), error: FileError })),
    t.readonly(t.type({ _tag: t.literal('RootUnreadable'), error: FileError })),
  ],
  'RecoveryError',
);
export type RecoveryError = t.TypeOf<typeof RecoveryError>;

/** A sentence for people. */
export const showRecoveryError = (error: RecoveryError): string =>
  error._tag === 'StateUnreadable'
    ? `the state directory cannot be used: ${showFileError(error.error)}`
    : `the root directory cannot be used: ${showFileError(error.error)}`;

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
  /** Lets go of every shim and log pipe; the shims go on. What is under way is finished first. */
  readonly stop: Task<void>;
}

/** A bundle that was decided on, with what asking left open. */
interface Prepared {
  readonly plan: BundlePlan;
  readonly open: OpenShim;
}

interface PreparedNamespace {
  readonly name: B.ByteString;
  readonly error: string | null;
  readonly bundles: ReadonlyArray<Prepared>;
}

interface Roots {
  readonly state: Directory;
  readonly root: Directory;
}

const openRoots =
  ({ fileSystem }: Capabilities, settings: Settings): TE.TaskEither<RecoveryError, Roots> =>
  async () => {
    const state = await fileSystem.openPath(settings.state)();
    if (E.isLeft(state)) return E.left({ _tag: 'StateUnreadable', error: state.left });
    const root = await fileSystem.openPath(settings.root)();
    if (E.isRight(root)) return E.right({ state: state.right, root: root.right });
    await fileSystem.close(state.right)();
    return E.left({ _tag: 'RootUnreadable', error: root.left });
  };

/** Looks, asks and decides, for every bundle. Nothing is changed, but log pipes may be opened. */
const prepare =
  (capabilities: Capabilities, settings: Settings) =>
  ({ state }: Roots, probing: Probing): TE.TaskEither<RecoveryError, ReadonlyArray<PreparedNamespace>> =>
  async () => {
    const snapshot = await readSnapshot(capabilities.fileSystem)(state, settings.namespaces)();
    if (E.isLeft(snapshot)) return E.left({ _tag: 'StateUnreadable', error: snapshot.left });
    const { trace } = capabilities;
    const found = snapshot.right.flatMap(({ bundles }) => bundles);
    trace.tell({ _tag: 'BundlesFound', bundles: found.length })();
    const resolve = makeResolver(capabilities.programFiles, settings.programSearch);
    const inquirer: Inquirer = { capabilities, settings, state, resolve, probing };
    const prepareBundle =
      (evidence: BundleEvidence): Task<Prepared> =>
      async () => {
        const open = nothingOpen();
        const settled = await settle(inquirer)(evidence, open)();
        if (probing !== 'asked-with-log' || settled.verdict._tag === 'Hold') await release(open)();
        const { namespace, id } = evidence;
        trace.tell({ _tag: 'BundleSettled', namespace, id, verdict: settled.verdict })();
        return { plan: { ...settled, steps: stepsOf(settled.evidence)(settled.verdict) }, open };
      };
    const prepared = await traverse(settings.bounds.waiting, prepareBundle)(found)();
    let next = 0;
    return E.right(
      snapshot.right.map(({ name, error, bundles }) => ({
        name,
        error,
        bundles: prepared.slice(next, (next += bundles.length)),
      })),
    );
  };

const release =
  (open: OpenShim): Task<void> =>
  async () => {
    await open.session?.close();
    await open.logPipe?.close();
    open.session = undefined;
    open.logPipe = undefined;
  };

const listWorkDirectories = (
  { fileSystem }: Capabilities,
  root: Directory,
  namespace: B.ByteString,
): TE.TaskEither<string, ReadonlyArray<DirectoryEntry>> =>
  pipe(
    withDirectory(fileSystem)(fileSystem.openDirectory({ directory: root, name: namespace }), fileSystem.list),
    (listing) => async () => {
      const outcome = await listing();
      return E.isLeft(outcome)
        ? E.left(`working directories are left as they are: ${showFileError(outcome.left)}`)
        : outcome;
    },
  );

/** What would become of the working directories, if every step succeeded. */
const planWorkDirectories = (
  settings: Settings,
  { name: namespace, bundles }: PreparedNamespace,
  entries: ReadonlyArray<DirectoryEntry>,
): ReadonlyArray<WorkDirectoryPlan> => {
  const withVerdict = (tag: 'Adopt' | 'Hold'): ReadonlySet<B.ByteString> =>
    new Set(bundles.filter(({ plan }) => plan.verdict._tag === tag).map(({ plan }) => plan.evidence.id));
  const [registered, held] = [withVerdict('Adopt'), withVerdict('Hold')];
  const removed = new Set(bundles.flatMap(({ plan }) => workDirectoriesRemovedBy(plan.steps)));
  return entries
    .filter(({ name }) => !removed.has(Layout.below(settings.root, namespace, name)))
    .map(({ name }) => ({
      name,
      reason: decideWorkDirectory({ registered: registered.has(name), held: held.has(name) }),
    }));
};

const isoTime = (ms: number): string => new Date(ms).toISOString();

/**
 * What `recover` would do, and why, without changing anything: shims are sent Connect and Pids at most, and no log pipe
 * is opened or made.
 */
export const plan =
  (
    settings: Settings,
    options: { readonly probe: boolean } = { probe: true },
  ): ReaderTaskEither<Capabilities, RecoveryError, Planned> =>
  (capabilities) =>
  async () => {
    const { clock, fileSystem } = capabilities;
    const startedAtMs = clock.nowMs();
    const startedMs = clock.elapsedMs();
    const roots = await openRoots(capabilities, settings)();
    if (E.isLeft(roots)) return roots;
    const prepared = await prepare(capabilities, settings)(roots.right, options.probe ? 'asked' : 'not-asked')();
    const namespaces: Array<NamespacePlan> = [];
    for (const namespace of E.isRight(prepared) ? prepared.right : []) {
      const bundles = namespace.bundles.map(({ plan: bundle }) => bundle);
      const entries =
        namespace.error === null
          ? await listWorkDirectories(capabilities, roots.right.root, namespace.name)()
          : E.left(namespace.error);
      namespaces.push({
        name: namespace.name,
        error: E.isLeft(entries) ? entries.left : null,
        bundles,
        workDirectories: E.isRight(entries) ? planWorkDirectories(settings, namespace, entries.right) : [],
      });
    }
    await fileSystem.close(roots.right.state)();
    await fileSystem.close(roots.right.root)();
    if (E.isLeft(prepared)) return prepared;
    const { state, root, policy } = settings;
    const about = { policy: policy.name, state, root };
    return E.right({
      plan: { ...about, namespaces },
      report: makeReport(
        {
          ...about,
          command: 'plan',
          startedAt: isoTime(startedAtMs),
          durationMs: clock.elapsedMs() - startedMs,
          interrupted: capabilities.interrupted(),
        },
        namespaces.map(reportPlannedNamespace),
      ),
    });
  };

/** Keeps watch over open connections: when one ends, its bundle is cleaned up, once. */
interface Supervisor {
  readonly watch: (instance: Instance) => void;
  readonly settled: Task<void>;
  readonly stop: Task<void>;
}

const makeSupervisor = (cleanUp: (instance: Instance) => Task<void>): Supervisor => {
  const watched = new Set<Instance>();
  const underWay = new Set<Promise<void>>();
  let stopped = false;
  const settled = async (): Promise<void> => {
    while (underWay.size > 0) await Promise.all(underWay);
  };
  const onDisconnect = (instance: Instance): void => {
    if (stopped) return;
    watched.delete(instance);
    const work: Promise<void> = cleanUp(instance)().finally(() => underWay.delete(work));
    underWay.add(work);
  };
  return {
    watch: (instance) => {
      watched.add(instance);
      void instance.session.disconnected().then(() => onDisconnect(instance));
    },
    settled,
    stop: async () => {
      stopped = true;
      await settled();
      for (const { session, logPipe } of watched) {
        await session.close();
        await logPipe?.close();
      }
      watched.clear();
    },
  };
};

const runsBinary = (tree: StepTree): boolean =>
  tree._tag === 'Do' && (tree.step._tag === 'RunBinary' || runsBinary(tree.onSuccess) || runsBinary(tree.onFailure));

/** SPEC 15, from the registry that the bundles left. */
const removeWorkDirectories =
  (executor: Executor, root: Directory) =>
  ({ name: namespace, bundles }: PreparedNamespace): TE.TaskEither<string, ReadonlyArray<WorkDirectoryReport>> =>
  async () => {
    const { capabilities, registry } = executor;
    const entries = await listWorkDirectories(capabilities, root, namespace)();
    if (E.isLeft(entries)) return entries;
    const held = new Set(
      bundles.filter(({ plan: { verdict } }) => verdict._tag === 'Hold').map(({ plan: { evidence } }) => evidence.id),
    );
    const opened = await capabilities.fileSystem.openDirectory({ directory: root, name: namespace })();
    if (E.isLeft(opened)) return E.left(showFileError(opened.left));
    const reports: Array<WorkDirectoryReport> = [];
    for (const { name } of entries.right) {
      const registered = registry.get({ namespace, id: name })() !== undefined;
      const reason = decideWorkDirectory({ registered, held: held.has(name) });
      const shown = B.show(name);
      if (reason !== 'not-registered' || capabilities.interrupted()) {
        reports.push({ name: shown, removed: false, reason });
        continue;
      }
      const outcome = await Removal.removeRecursively(capabilities.fileSystem)({ directory: opened.right, name })();
      reports.push(
        E.isLeft(outcome)
          ? { name: shown, removed: false, reason, error: showFileError(outcome.left) }
          : { name: shown, removed: true, reason },
      );
    }
    await capabilities.fileSystem.close(opened.right)();
    return E.right(reports);
  };

/**
 * Takes back, reaps, cleans up and removes, as the policy decides, and stays attached: log pipes are drained, and when
 * a shim's connection ends, its bundle is cleaned up and the events of its task are published.
 */
export const recover =
  (settings: Settings): ReaderTaskEither<Capabilities, RecoveryError, Recovered> =>
  (capabilities) =>
  async () => {
    const { clock, fileSystem, trace } = capabilities;
    const startedAtMs = clock.nowMs();
    const startedMs = clock.elapsedMs();
    const roots = await openRoots(capabilities, settings)();
    if (E.isLeft(roots)) return roots;
    const { state, root } = roots.right;
    const closeRoots = async (): Promise<void> => {
      await fileSystem.close(state)();
      await fileSystem.close(root)();
    };
    const prepared = await prepare(capabilities, settings)(roots.right, 'asked-with-log')();
    if (E.isLeft(prepared)) {
      await closeRoots();
      return prepared;
    }

    const registry = makeRegistry();
    const records = new Map<string, Array<StepReport>>();
    const recordsOf = ({ namespace, id }: BundleEvidence): Array<StepReport> => {
      const key = `${namespace}/${id}`;
      const list = records.get(key) ?? [];
      records.set(key, list);
      return list;
    };
    // One reading of the mount table serves the whole walk over the bundles; later clean-ups read it afresh.
    let view = viewMountTable(capabilities.mounts);
    const supervisor = makeSupervisor((instance) =>
      carryOutDisconnect(executor)(instance, recordsOf(instance.evidence)),
    );
    const executor: Executor = {
      capabilities,
      settings,
      state,
      registry,
      mountTable: () => view,
      watch: supervisor.watch,
    };

    const bundles = prepared.right.flatMap((namespace) => namespace.bundles);
    const carryOutBundle =
      ({ plan: { evidence, steps }, open }: Prepared): Task<void> =>
      async () => {
        await carryOut(executor)({ evidence, open, steps, records: recordsOf(evidence) })();
        trace.tell({ _tag: 'BundleCarriedOut', namespace: evidence.namespace, id: evidence.id })();
      };
    await Promise.all([
      traverse(settings.bounds.binaries, carryOutBundle)(bundles.filter(({ plan }) => runsBinary(plan.steps)))(),
      traverse(settings.bounds.waiting, carryOutBundle)(bundles.filter(({ plan }) => !runsBinary(plan.steps)))(),
    ]);
    await supervisor.settled();
    view = viewMountTable(capabilities.mounts);

    const namespaces: Array<NamespaceReport> = [];
    for (const namespace of prepared.right) {
      const removed =
        namespace.error === null && !capabilities.interrupted()
          ? await removeWorkDirectories(executor, root)(namespace)()
          : E.left(namespace.error ?? 'interrupted: working directories are left as they are');
      if (E.isLeft(removed)) trace.tell({ _tag: 'NamespaceFailed', namespace: namespace.name, error: removed.left })();
      namespaces.push({
        name: B.show(namespace.name),
        error: E.isLeft(removed) ? removed.left : null,
        bundles: namespace.bundles.map(({ plan: bundle }) =>
          reportBundle(bundle, {
            registered: registry.get(bundle.evidence)() !== undefined,
            steps: [...recordsOf(bundle.evidence)],
          }),
        ),
        workDirs: E.isRight(removed) ? removed.right : [],
      });
    }
    const report = makeReport(
      {
        command: 'recover',
        policy: settings.policy.name,
        state: settings.state,
        root: settings.root,
        startedAt: isoTime(startedAtMs),
        durationMs: clock.elapsedMs() - startedMs,
        interrupted: capabilities.interrupted(),
      },
      namespaces,
    );
    return E.right({
      report,
      registry,
      settled: supervisor.settled,
      stop: async () => {
        await supervisor.stop();
        await closeRoots();
      },
    });
  };

/** Carrying out a tree of steps, one bundle at a time, over the capabilities. */
import * as E from 'fp-ts/lib/Either.js';
import { flow, pipe } from 'fp-ts/lib/function.js';
import type { IO } from 'fp-ts/lib/IO.js';
import type { Task } from 'fp-ts/lib/Task.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { type BundleKey, withBundle, withDirectory, withLocation } from './BundleDirectory.js';
import { adviceOn } from './Advice.js';
import * as B from './ByteString.js';
import type { Capabilities } from './Capabilities.js';
import { explain } from './Decision.js';
import type { BundleEvidence } from './Evidence.js';
import type { TaskEvent } from './EventSink.js';
import { type Directory, FileError, isAbsent, showFileError, systemError } from './FileSystem.js';
import { nothingOpen, type OpenShim, openLogPipe } from './Inquiry.js';
import { settleWithPatience } from './Patience.js';
import { makeInquirer } from './Preparation.js';
import * as Layout from './Layout.js';
import { showMountError } from './Mounts.js';
import { stepsAfterDisconnect } from './Plan.js';
import type { Instance, Registry } from './Registry.js';
import * as Removal from './Removal.js';
import { inOneLine, reportStep, type StepReport } from './Report.js';
import type { Settings } from './Settings.js';
import { showBinaryError } from './ShimBinary.js';
import { isTaskNotFound, type ShimError, showShimError } from './ShimConnector.js';
import { type Step, type StepTree, successPath } from './Step.js';
import { type TaskExitInfo, timestampFromMs } from './TaskExit.js';
import type { ShimEnding } from './Trace.js';
import type { Remove as WorkRemoval } from './WorkDirectory.js';
import { type MountTableView, refuseMounted, unmountAll, unmountBelow, unmountInside } from './Unmounting.js';

/** What carrying out steps needs, beyond the capabilities. */
export interface Executor {
  readonly capabilities: Capabilities;
  readonly settings: Settings;
  readonly state: Directory;
  readonly root: Directory;
  readonly registry: Registry;
  readonly mountTable: MountTableView;
  /** Told of every connection that stays open behind a bundle's steps, so that its end is noticed. */
  readonly watch: (instance: Instance) => void;
}

/** One bundle while its steps are taken. */
interface Subject {
  readonly evidence: BundleEvidence;
  readonly open: OpenShim;
  instance: Instance | undefined;
  exit: TaskExitInfo | undefined;
}

/** Left: what failed, as a sentence. Right: a remark, where there is one. */
type Outcome = TE.TaskEither<string, string | undefined>;

const done: Outcome = TE.right(undefined);

const silently = <L>(show: (error: L) => string): ((task: TE.TaskEither<L, void>) => Outcome) =>
  TE.bimap(show, () => undefined);

/** SPEC 2.5: what the reference publishes for a task of which its binary said nothing. */
const unknownExit = (nowMs: number): TaskExitInfo => ({ pid: 0, exitStatus: 255, exitedAt: timestampFromMs(nowMs) });

/** K2: that the shim knows no such task, or has gone, does not stop its reaping. */
const forgiveGone = (error: ShimError): Outcome =>
  isTaskNotFound(error) || error._tag === 'Closed' ? TE.right(showShimError(error)) : TE.left(showShimError(error));

const publish =
  (executor: Executor, subject: Subject) =>
  (event: TaskEvent['_tag'], known: boolean): Outcome => {
    const { clock, eventSink } = executor.capabilities;
    const nowMs = clock.nowMs();
    const { namespace, id } = subject.evidence;
    const exit = (known ? subject.exit : undefined) ?? unknownExit(nowMs);
    return pipe(
      eventSink.publish({ _tag: event, namespace, id, exit, publishedAt: timestampFromMs(nowMs) }),
      silently((error) => error.reason),
    );
  };

const register =
  (executor: Executor, subject: Subject): Outcome =>
  async () => {
    const { session, logPipe } = subject.open;
    if (session === undefined) return E.left('there is no connection to the shim any more');
    const instance: Instance = { evidence: subject.evidence, session, logPipe };
    if (!executor.registry.add(instance)()) return E.left('a task of this id is registered already');
    subject.instance = instance;
    return E.right(undefined);
  };

const removeRootfs = (executor: Executor, { evidence }: Subject): Outcome =>
  pipe(
    withBundle(executor.capabilities.fileSystem, executor.state)(evidence, (directory) =>
      Removal.remove(executor.capabilities.fileSystem)({ directory, name: Layout.entry.rootfs }),
    ),
    TE.orElse((error) => (isAbsent(error) ? TE.right(undefined) : TE.left(error))), // D3
    silently(showFileError),
  );

const runBinary =
  (executor: Executor, subject: Subject) =>
  (step: Extract<Step, { readonly _tag: 'RunBinary' }>): Outcome =>
    pipe(
      withBundle(executor.capabilities.fileSystem, executor.state)(subject.evidence, (bundle) =>
        executor.capabilities.shimBinary.delete({
          program: step.program,
          namespace: subject.evidence.namespace,
          id: subject.evidence.id,
          bundle,
          timeoutMs: executor.settings.timeouts.cleanUpMs,
        }),
      ),
      TE.bimap(
        (error) => (FileError.is(error) ? showFileError(error) : showBinaryError(error)),
        (exit) => {
          subject.exit = exit;
          return `pid ${exit.pid}, exit status ${exit.exitStatus}`;
        },
      ),
    );

/** For what acts on paths: nothing, unless the bundle is still the one that was looked at, or gone. */
const unlessReplaced = ({ capabilities: { fileSystem }, state }: Executor, { evidence }: Subject): Outcome =>
  pipe(
    withLocation(fileSystem, state)(evidence, Removal.refuseReplaced(fileSystem, evidence.identity)),
    TE.orElse((error) => (isAbsent(error) ? TE.right(undefined) : TE.left(error))),
    silently(showFileError),
  );

/** What a policy unmounts for a bundle. */
const unmountRootfs = (executor: Executor, { evidence }: Subject): Outcome => {
  const { capabilities, settings, state } = executor;
  const rootfs = Layout.below(state.path, evidence.namespace, evidence.id, Layout.entry.rootfs);
  const below = flow(unmountBelow({ ...capabilities, view: executor.mountTable }), silently(showMountError));
  switch (settings.policy.unmounts) {
    case 'rootfs':
      return pipe(rootfs, unmountAll(capabilities), silently(showMountError));
    case 'rootfs-and-below':
      return below(rootfs);
    case 'target-and-below':
      return pipe(
        capabilities.mounts.resolve(rootfs),
        TE.matchE(
          (error) => (isAbsent(error) ? done : TE.left(showFileError(error))),
          (target) => below(target),
        ),
      );
    case 'bundle':
      return unmountBundle(executor, { evidence });
  }
};

/** Where an entry below a root directory really is: what the mount table calls it (H13). No symlink in it is followed. */
const mountPath = (
  { capabilities: { mounts } }: Executor,
  { path: root }: Directory,
  ...names: ReadonlyArray<B.ByteString>
): TE.TaskEither<FileError, B.ByteString> =>
  pipe(
    mounts.resolve(root),
    TE.map((path) => Layout.below(path, ...names)),
  );

const unmountBundle = (executor: Executor, { evidence: { namespace, id } }: Pick<Subject, 'evidence'>): Outcome =>
  pipe(
    mountPath(executor, executor.state, namespace, id),
    TE.mapLeft(showFileError),
    TE.chain(flow(unmountInside({ ...executor.capabilities, view: executor.mountTable }), silently(showMountError))),
  );

const refuseMountedAt = (
  executor: Executor,
  path: TE.TaskEither<FileError, B.ByteString>,
): TE.TaskEither<FileError, void> =>
  pipe(
    path,
    TE.chain((resolved) =>
      pipe(
        refuseMounted(executor.capabilities.mounts)(resolved),
        TE.mapLeft((): FileError => systemError('remove', resolved, 'EBUSY')),
      ),
    ),
  );

/** How a working directory that nobody owns is removed. */
export const removalOfWork =
  (executor: Executor, root: Directory, namespace: B.ByteString): WorkRemoval =>
  (at) => {
    const { fileSystem } = executor.capabilities;
    if (executor.settings.policy.unmounts !== 'bundle') return Removal.removeRecursively(fileSystem)(at);
    return pipe(
      refuseMountedAt(executor, mountPath(executor, root, namespace, at.name)),
      TE.chain(() => Removal.removeWithinMount(fileSystem)(at)),
    );
  };

/** What was cleaned up after leaves nobody who owns its working directory, unless another bundle of its id stands there. */
const removeUnownedWork = (executor: Executor, { namespace, id }: BundleKey): Outcome => {
  const { capabilities, state, root } = executor;
  const { fileSystem } = capabilities;
  const ifAbsent = <A>(instead: A) =>
    TE.orElse((error: FileError) => (isAbsent(error) ? TE.right(instead) : TE.left(error)));
  const remove = pipe(
    withDirectory(fileSystem)(fileSystem.openDirectory({ directory: root, name: namespace }), (directory) =>
      removalOfWork(executor, root, namespace)({ directory, name: id }),
    ),
    ifAbsent<void>(undefined),
  );
  return pipe(
    withLocation(fileSystem, state)({ namespace, id }, fileSystem.status),
    TE.map(() => true),
    ifAbsent(false),
    TE.chain((isOwned) =>
      isOwned
        ? TE.right('another bundle of this id stands there')
        : pipe(
            remove,
            TE.map(() => undefined),
          ),
    ),
    TE.mapLeft(showFileError),
  );
};

/** Refuses to remove what is another one than was looked at, or what something is mounted in. */
const refuseChanged =
  (executor: Executor, { evidence }: Subject): Removal.Check =>
  (at) =>
    pipe(
      Removal.refuseReplaced(executor.capabilities.fileSystem, evidence.identity)(at),
      TE.chain(() => refuseMountedAt(executor, mountPath(executor, executor.state, evidence.namespace, at.name))),
    );

const removeBundle = (executor: Executor, subject: Subject): Outcome => {
  const { fileSystem } = executor.capabilities;
  const { unmounts } = executor.settings.policy;
  const removal =
    unmounts === 'bundle'
      ? Removal.deleteAtomically(fileSystem, refuseChanged(executor, subject), Removal.removeWithinMount)
      : Removal.deleteAtomically(fileSystem, Removal.refuseReplaced(fileSystem, subject.evidence.identity));
  return pipe(withLocation(fileSystem, executor.state)(subject.evidence, removal), silently(showFileError));
};

/** Made beside its name and moved there, so that nobody ever finds a part of it; a leftover of an earlier try goes. */
const writeBootstrap =
  (executor: Executor, { evidence }: Subject) =>
  (content: B.ByteString): Outcome => {
    const { fileSystem } = executor.capabilities;
    return pipe(
      withBundle(fileSystem, executor.state)(evidence, (directory) => {
        const aside = { directory, name: Layout.entry.newBootstrap };
        return pipe(
          fileSystem.unlink(aside),
          TE.orElse((error) => (isAbsent(error) ? TE.right(undefined) : TE.left(error))),
          TE.chain(() => fileSystem.createFile(aside, content)),
          TE.chain(() => fileSystem.rename(aside, { directory, name: Layout.entry.bootstrap })),
        );
      }),
      silently(showFileError),
    );
  };

const take =
  (executor: Executor, subject: Subject) =>
  (step: Step): Outcome => {
    const { capabilities, settings } = executor;
    const { evidence, open } = subject;
    const { id } = evidence;
    switch (step._tag) {
      case 'WriteBootstrap':
        return writeBootstrap(executor, subject)(step.content);
      case 'OpenLogPipe':
        return pipe(openLogPipe(executor)(evidence, open), silently(showFileError));
      case 'Register':
        return register(executor, subject);
      case 'CallDelete':
        return pipe(
          open.session?.delete({ id, timeoutMs: settings.timeouts.loadMs }) ?? TE.left<ShimError>({ _tag: 'Closed' }),
          TE.matchE(forgiveGone, () => done),
        );
      case 'CallShutdown':
        return pipe(
          open.session?.shutdown({ id, timeoutMs: settings.timeouts.shutdownMs }) ??
            TE.left<ShimError>({ _tag: 'Closed' }),
          TE.matchE(
            (error) => (error._tag === 'Closed' ? done : TE.left(showShimError(error))), // K4
            () => done,
          ),
        );
      case 'CloseConnection':
        return TE.fromTask(async () => {
          await open.session?.close();
          open.session = undefined;
          return undefined;
        });
      case 'CloseLogPipe':
        return TE.fromTask(async () => {
          await open.logPipe?.close();
          open.logPipe = undefined;
          return undefined;
        });
      case 'RunBinary':
        return runBinary(executor, subject)(step);
      case 'UnmountRootfs':
        return pipe(
          unlessReplaced(executor, subject),
          TE.chain(() => unmountRootfs(executor, subject)),
        );
      case 'RemoveRootfs':
        return removeRootfs(executor, subject);
      case 'UnmountBundle':
        return pipe(
          unlessReplaced(executor, subject),
          TE.chain(() => unmountBundle(executor, subject)),
        );
      case 'RemoveBundle':
      case 'RemoveLeftover':
        return removeBundle(executor, subject);
      case 'RemoveWorkDirectory':
        return pipe(
          unlessReplaced(executor, subject),
          TE.chain(() =>
            pipe(Removal.deletePathAtomically(capabilities.fileSystem)(step.path), silently(showFileError)),
          ),
        );
      case 'RemoveUnownedWorkDirectory':
        return removeUnownedWork(executor, evidence);
      case 'PublishExit':
        return publish(executor, subject)('TaskExit', step.known);
      case 'PublishDelete':
        return publish(executor, subject)('TaskDelete', step.known);
      case 'Unregister':
        return TE.fromIO(() => {
          if (subject.instance !== undefined) executor.registry.remove(subject.instance)();
          return undefined;
        });
    }
  };

const walk =
  (executor: Executor, subject: Subject, interrupted: IO<boolean>) =>
  (tree: StepTree, records: Array<StepReport>): Task<void> =>
  async () => {
    const { capabilities } = executor;
    const { namespace, id } = subject.evidence;
    for (let at = tree; at._tag === 'Do'; ) {
      if (interrupted()) {
        records.push(...successPath(at).map((step) => reportStep(step, 'left')));
        return;
      }
      const outcome = await take(executor, subject)(at.step)();
      const report = E.isLeft(outcome)
        ? reportStep(at.step, 'failed', { error: outcome.left })
        : reportStep(at.step, 'done', outcome.right === undefined ? {} : { detail: outcome.right });
      records.push(report);
      capabilities.trace.tell({ _tag: 'StepTaken', namespace, id, report })();
      at = E.isLeft(outcome) ? at.onFailure : at.onSuccess;
    }
  };

/**
 * Takes a bundle's steps and appends what became of each to `records`. A connection that is still open afterwards is
 * kept and watched, registered or not: a shim that would not be reaped is cleaned up when it ends (SPEC 12.2).
 */
export const carryOut =
  (executor: Executor) =>
  (bundle: {
    readonly evidence: BundleEvidence;
    readonly open: OpenShim;
    readonly steps: StepTree;
    readonly records: Array<StepReport>;
  }): Task<void> =>
  async () => {
    const { evidence, open } = bundle;
    const subject: Subject = { evidence, open, instance: undefined, exit: undefined };
    await walk(executor, subject, executor.capabilities.interrupted)(bundle.steps, bundle.records)();
    if (open.session === undefined) await open.logPipe?.close();
    else executor.watch(subject.instance ?? { evidence, session: open.session, logPipe: open.logPipe });
  };

/** Asks again, where the policy does not take the end of a connection for the shim's death (H26). */
const endingOf =
  (executor: Executor) =>
  (instance: Instance, open: OpenShim): Task<{ readonly ending: ShimEnding; readonly evidence: BundleEvidence }> =>
  async () => {
    const { capabilities, settings, state } = executor;
    const { policy } = settings;
    const { evidence } = instance;
    if (policy.disconnect === 'death') return { ending: { _tag: 'Dead' }, evidence };
    const inquirer = makeInquirer(capabilities, settings, state, 'asked-with-log', [evidence]);
    const settled = await settleWithPatience(inquirer)({ ...evidence, answers: {} }, open)();
    const { reason, _tag } = settled.verdict;
    // Only one that says more than that it is there: whoever hangs up at every question would be asked for ever.
    const isAlive = _tag === 'Adopt' && reason !== 'pids-unanswered' && open.session !== undefined;
    if (isAlive) return { ending: { _tag: 'Alive' }, evidence };
    await open.session?.close();
    open.session = undefined;
    if (_tag === 'CleanUp') return { ending: { _tag: 'Dead' }, evidence: settled.evidence };
    const explanation = inOneLine(explain(policy)(settled.evidence)(settled.verdict));
    const advice = adviceOn(reason, B.show(evidence.namespace));
    return { ending: { _tag: 'Unsure', explanation, advice }, evidence: settled.evidence };
  };

/** The same task behind a new connection; only a task that was known is known again. */
const takeBackAgain = (executor: Executor, instance: Instance, { session, logPipe }: OpenShim): void => {
  if (session === undefined) return;
  const again: Instance = { ...instance, session, logPipe };
  if (executor.registry.get(instance.evidence)() === instance) {
    executor.registry.remove(instance)();
    executor.registry.add(again)();
  }
  executor.watch(again);
};

/**
 * Acts on the end of a live shim's connection: all the steps that follow are taken, so that no event is lost. Where the
 * policy asks first, a shim that lives is taken back, and one of which nothing is known is left alone.
 */
export const carryOutDisconnect =
  (executor: Executor) =>
  (instance: Instance, records: Array<StepReport>): Task<void> =>
  async () => {
    const { capabilities, settings, registry } = executor;
    const { namespace, id } = instance.evidence;
    const registered = registry.get(instance.evidence)() === instance;
    capabilities.trace.tell({ _tag: 'ShimDisconnected', namespace, id, registered })();
    const open: OpenShim = { ...nothingOpen(), logPipe: instance.logPipe };
    const { ending, evidence } = await endingOf(executor)(instance, open)();
    capabilities.trace.tell({ _tag: 'DisconnectSettled', namespace, id, ending })();
    switch (ending._tag) {
      case 'Dead': {
        const subject: Subject = { evidence, open, instance, exit: undefined };
        const steps = stepsAfterDisconnect(settings.policy)(evidence)({ registered });
        return walk(executor, subject, () => false)(steps, records)();
      }
      case 'Alive':
        return takeBackAgain(executor, instance, open);
      case 'Unsure':
        registry.remove(instance)();
        return open.logPipe?.close();
    }
  };

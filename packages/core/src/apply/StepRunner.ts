/** Carrying out a tree of steps, one bundle at a time, over the capabilities. */
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import type * as TE from 'fp-ts/lib/TaskEither.js';
import type * as B from '../base/ByteString.js';
import type { semaphore } from '../base/Semaphore.js';
import * as Layout from '../capabilities/BundleLayout.js';
import type { EventError, TaskEvent } from '../capabilities/EventSink.js';
import {
  codeOf,
  type Directory,
  FileError,
  isAbsent,
  isExhaustionCode,
  showFileError,
  systemError,
} from '../capabilities/FileSystem.js';
import { showMountError } from '../capabilities/Mounts.js';
import { showProcessesError } from '../capabilities/Processes.js';
import { showBinaryError } from '../capabilities/ShimBinary.js';
import { isTaskNotFound, type ShimError, showShimError } from '../capabilities/ShimConnector.js';
import { isPid, type TaskExitInfo, timestampFromMs } from '../capabilities/TaskExit.js';
import type { BundleEvidence } from '../decide/Evidence.js';
import { livingContainer, pidsOf, showPids } from '../decide/Signs.js';
import { type Namespaces, withBundle, withDirectory, withLocation } from '../observe/BundleHandles.js';
import type { Capabilities } from '../observe/Capabilities.js';
import { closeAll, identityAfter, openLogPipe, type OpenShim } from '../observe/Probing.js';
import type { Pods } from '../observe/life/Pods.js';
import { knownAmong, survivorsOf } from '../observe/life/Survivors.js';
import { type Step, type StepTree, successPath } from '../plan/Step.js';
import type { BundleId } from '../policy/Names.js';
import type { Settings } from '../policy/Settings.js';
import { reportStep, type StepReport } from '../report/Report.js';
import type { Instance, Registry } from './Registry.js';
import * as Removal from './Removal.js';
import { type MountTableView, refuseMounted, unmountAll, unmountBelow, unmountInside } from './Unmounting.js';
import type { Remove as WorkRemoval } from './WorkDirectorySweep.js';

/** The means to carry out steps, beyond the capabilities. */
export interface Executor {
  readonly capabilities: Capabilities;
  readonly settings: Settings;
  readonly state: Directory;
  readonly namespaces: Namespaces;
  /** Lets so many programs run at once as the bounds allow; the others wait for their turn. */
  readonly inTurn: ReturnType<typeof semaphore>;
  readonly root: Directory;
  readonly registry: Registry;
  readonly mountTable: MountTableView;
  /** The bundles of this run's snapshot, and the pods among them. */
  readonly found: ReadonlyArray<BundleEvidence>;
  readonly pods: Pods;
  /** Told of every connection that stays open behind a bundle's steps, so that its end is noticed. */
  readonly watch: (instance: Instance) => void;
}

/** One bundle while its steps are taken. */
export interface Subject {
  /** Replaced where something that was made in the bundle gave its directory another identity. */
  evidence: BundleEvidence;
  readonly open: OpenShim;
  instance: Instance | undefined;
  exit: TaskExitInfo | undefined;
}

/** A failure as a sentence, and whether this process only ran out of descriptors or memory. */
interface Failure {
  readonly why: string;
  readonly isLocalExhaustion: boolean;
  /** The processes that the step was to end, and that live on or may. */
  readonly living?: ReadonlyArray<number>;
}

/**
 * Left: what failed. Right: a remark, where there is one. Written as plain functions that await, since
 * each is taken for every bundle: to put a pipeline together costs several times what most steps do.
 */
type Outcome = TE.TaskEither<Failure, string | undefined>;

const done = E.right(undefined);

/** How a working directory that has no owner is removed. */
export const removalOfWork =
  (executor: Executor, root: Directory, namespace: B.ByteString): WorkRemoval =>
  (at) => {
    const { fileSystem } = executor.capabilities;
    if (executor.settings.policy.unmounts !== 'bundle') return Removal.removeRecursively(fileSystem)(at);
    return async () => {
      const refused = await refuseMountedAt(executor, mountPath(executor, root, namespace, at.name))();
      return E.isLeft(refused) ? refused : Removal.removeWithinMount(fileSystem)(at)();
    };
  };

const refuseMountedAt =
  (executor: Executor, path: TE.TaskEither<FileError, B.ByteString>): TE.TaskEither<FileError, void> =>
  async () => {
    const resolved = await path();
    if (E.isLeft(resolved)) return resolved;
    const refused = await refuseMounted(executor.capabilities)(resolved.right)();
    return E.isLeft(refused) ? E.left(systemError('remove', resolved.right, 'EBUSY')) : refused;
  };

/** Where an entry below a root directory really is: what the mount table calls it (H13). No symlink in it is followed. */
const mountPath =
  (
    { capabilities: { mounts } }: Executor,
    { path: root }: Directory,
    ...names: ReadonlyArray<B.ByteString>
  ): TE.TaskEither<FileError, B.ByteString> =>
  async () => {
    const path = await mounts.resolve(root)();
    return E.isLeft(path) ? path : E.right(Layout.below(path.right, ...names));
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
    const { open } = bundle;
    const evidence = open.identity === undefined ? bundle.evidence : { ...bundle.evidence, identity: open.identity };
    const subject: Subject = { evidence, open, instance: undefined, exit: undefined };
    await walk(executor, subject, { mayStop: true })(bundle.steps, bundle.records)();
    if (open.session === undefined) await open.logPipe?.close();
    else
      executor.watch(subject.instance ?? { evidence: subject.evidence, session: open.session, logPipe: open.logPipe });
  };

/**
 * Takes the steps of a tree. Where it is allowed to, it stops in between in two cases. The run is interrupted; or a step failed
 * because this process lacks something. That says nothing of the bundle, and a step that follows from the failure could take
 * away what another run may still have.
 */
export const walk =
  (executor: Executor, subject: Subject, { mayStop }: { readonly mayStop: boolean }) =>
  (tree: StepTree, records: Array<StepReport>): Task<void> =>
  async () => {
    const { capabilities } = executor;
    const { namespace, id } = subject.evidence;
    const leave = (left: StepTree): void => {
      records.push(...successPath(left).map((step) => reportStep(step, 'left')));
    };
    // Of a container that outlived what was to end it, no end is published.
    let isAlive = false;
    for (let at = tree; at._tag === 'Do'; ) {
      const { step } = at;
      if (isAlive && (step._tag === 'PublishExit' || step._tag === 'PublishDelete')) {
        at = at.onSuccess;
        continue;
      }
      const unlessInterrupted = (): Promise<typeof interrupted | E.Either<Failure, string | undefined>> =>
        mayStop && capabilities.interrupted() ? Promise.resolve(interrupted) : take(executor, subject)(step)();
      const outcome = await (step._tag === 'RunBinary' ? executor.inTurn(unlessInterrupted) : unlessInterrupted)();
      if (outcome === interrupted) return leave(at);
      const report = E.isLeft(outcome)
        ? reportStep(step, 'failed', { error: outcome.left.why, living: outcome.left.living })
        : reportStep(step, 'done', outcome.right === undefined ? {} : { detail: outcome.right });
      isAlive ||= report.living !== undefined;
      records.push(report);
      capabilities.observer.notify({ _tag: 'StepTaken', namespace, id, report })();
      if (E.isLeft(outcome) && outcome.left.isLocalExhaustion && mayStop) {
        leave(at.onSuccess);
        // The shim goes on, and the next run finds it as it was.
        if (subject.instance === undefined) await closeAll(subject.open)();
        return;
      }
      at = E.isLeft(outcome) ? at.onFailure : at.onSuccess;
    }
  };

const interrupted = 'interrupted';

const take =
  (executor: Executor, subject: Subject) =>
  (step: Step): Outcome => {
    const { evidence, open } = subject;
    switch (step._tag) {
      case 'WriteBootstrap':
        return writeBootstrap(executor, subject)(step.content);
      case 'OpenLogPipe':
        return async () => {
          const opened = await openLogPipe(executor)(evidence, open)();
          if (open.identity !== undefined) subject.evidence = { ...subject.evidence, identity: open.identity };
          return toFileFailure(opened);
        };
      case 'Register':
        return register(executor, subject);
      case 'CallDelete':
        return callDelete(executor, subject);
      case 'CallShutdown':
        return callShutdown(executor, subject);
      case 'CloseConnection':
        return async () => {
          await open.session?.close();
          open.session = undefined;
          return done;
        };
      case 'CloseLogPipe':
        return async () => {
          await open.logPipe?.close();
          open.logPipe = undefined;
          return done;
        };
      case 'RunBinary':
        return runBinary(executor, subject)(step);
      case 'UnmountRootfs':
        return unmountRootfs(executor, subject);
      case 'RemoveRootfs':
        return goesAtOnce(executor, subject) ? async () => done : removeRootfs(executor, subject);
      case 'UnmountBundle':
        return unmountBundle(executor, subject);
      case 'RemoveBundle':
      case 'RemoveLeftover':
        return removeBundle(executor, subject);
      case 'RemoveWorkDirectory':
        return removeWorkDirectory(executor, subject, step);
      case 'RemoveUnownedWorkDirectory':
        return removeUnownedWork(executor, evidence);
      case 'PublishExit':
        return publish(executor, subject)('TaskExit', step.known);
      case 'PublishDelete':
        return publish(executor, subject)('TaskDelete', step.known);
      case 'Unregister':
        return async () => {
          if (subject.instance !== undefined) executor.registry.remove(subject.instance)();
          return done;
        };
    }
  };

/** Made beside its name and moved there, so that no reader ever finds a part of it; a leftover of an earlier try goes. */
const writeBootstrap =
  (executor: Executor, subject: Subject) =>
  (content: B.ByteString): Outcome =>
  async () => {
    const { fileSystem } = executor.capabilities;
    const written = await inBundle(
      executor,
      subject,
    )((directory) => async () => {
      const aside = { directory, name: Layout.entry.newBootstrap };
      const cleared = unlessAbsent(await fileSystem.unlink(aside)());
      if (E.isLeft(cleared)) return cleared;
      const created = await fileSystem.createFile(aside, content)();
      return E.isLeft(created) ? created : fileSystem.rename(aside, { directory, name: Layout.entry.bootstrap })();
    })();
    return toFileFailure(written);
  };

/**
 * Uses a bundle's open directory. On an overlay, a file made in it may give it another identity: it is the same directory as
 * long as it is open, and is known by the new identity from then on.
 */
const inBundle =
  (executor: Executor, subject: Subject) =>
  <L, A>(use: (bundle: Directory) => TE.TaskEither<L, A>): TE.TaskEither<L | FileError, A> => {
    const { fileSystem } = executor.capabilities;
    return withBundle(fileSystem, executor.namespaces)(subject.evidence, (bundle) => async () => {
      const used = await use(bundle)();
      const identity = await identityAfter(fileSystem, subject.evidence, bundle)();
      if (identity !== undefined) subject.evidence = { ...subject.evidence, identity };
      return used;
    });
  };

/** That there is nothing (any more) is fine. */
const unlessAbsent = <A>(outcome: E.Either<FileError, A>): E.Either<FileError, A | undefined> =>
  E.isLeft(outcome) && isAbsent(outcome.left) ? done : outcome;

const register =
  (executor: Executor, subject: Subject): Outcome =>
  async () => {
    const { session, logPipe } = subject.open;
    if (session === undefined) return failed('there is no connection to the shim any more');
    const instance: Instance = { evidence: subject.evidence, session, logPipe };
    if (!executor.registry.add(instance)()) return failed('a task of this id is registered already');
    subject.instance = instance;
    return E.right(undefined);
  };

const failed = (why: string, code?: string): E.Either<Failure, never> =>
  E.left({ why, isLocalExhaustion: code !== undefined && isExhaustionCode(code) });

const callDelete =
  (executor: Executor, { evidence: { id }, open }: Subject): Outcome =>
  async () => {
    const deleted = await open.session?.delete({ id, timeoutMs: executor.settings.timeouts.loadMs })();
    if (deleted === undefined) return forgiveGone({ _tag: 'Closed' });
    return E.isLeft(deleted) ? forgiveGone(deleted.left) : done;
  };

/** K2: that the shim knows no such task, or has gone, does not stop its reaping. */
const forgiveGone = (error: ShimError): E.Either<Failure, string> =>
  isTaskNotFound(error) || error._tag === 'Closed' ? E.right(showShimError(error)) : failed(showShimError(error));

const callShutdown =
  (executor: Executor, { evidence: { id }, open }: Subject): Outcome =>
  async () => {
    const accepted = await open.session?.shutdown({ id, timeoutMs: executor.settings.timeouts.shutdownMs })();
    return accepted !== undefined && E.isLeft(accepted) ? forgiveClosed(accepted.left) : done;
  };

/** K4: a shim that hangs up instead of answering has not failed. */
const forgiveClosed = (error: ShimError): E.Either<Failure, undefined> =>
  error._tag === 'Closed' ? done : failed(showShimError(error));

/**
 * Runs the shim's program. Where a container was seen to live, it is looked for again before the bundle counts as cleaned up:
 * without the record of its runtime a program ends nothing, and says that all is well.
 */
const runBinary =
  (executor: Executor, subject: Subject) =>
  (step: Extract<Step, { readonly _tag: 'RunBinary' }>): Outcome =>
  async () => {
    const seen = toBeEnded(executor, subject);
    if (seen.length === 0) return runProgram(executor, subject)(step)();
    const { capabilities } = executor;
    const known = await knownAmong(capabilities)(seen)();
    if (E.isLeft(known)) return survived(showProcessesError(known.left), seen);
    const ran = await runProgram(executor, subject)(step)();
    const living = await survivorsOf(capabilities)(known.right, E.isLeft(ran) ? 0 : endingPatienceMs)();
    const pids = E.isRight(living) ? living.right : known.right.map(({ pid }) => pid);
    if (pids.length === 0) return ran;
    if (E.isLeft(ran)) return E.left({ ...ran.left, living: pids });
    return survived(
      E.isRight(living)
        ? `${showPids(pids)} of the container still ${pids.length === 1 ? 'lives' : 'live'}`
        : `whether the container has ended is not known: ${showProcessesError(living.left)}`,
      pids,
    );
  };

/** The processes of the container that every step of a policy has to spare, unless they have ended. */
const toBeEnded = ({ settings }: Executor, { evidence }: Subject): ReadonlyArray<number> =>
  settings.policy.death === 'every-source' ? pidsOf(livingContainer(evidence.answers.signs ?? [])) : [];

const runProgram =
  (executor: Executor, subject: Subject) =>
  (step: Extract<Step, { readonly _tag: 'RunBinary' }>): Outcome =>
  async () => {
    const { evidence } = subject;
    const exit = await inBundle(
      executor,
      subject,
    )((bundle) =>
      executor.capabilities.shimBinary.delete({
        program: step.program,
        namespace: evidence.namespace,
        id: evidence.id,
        bundle,
        timeoutMs: executor.settings.timeouts.cleanUpMs,
      }),
    )();
    if (E.isLeft(exit)) {
      const error = exit.left;
      if (FileError.is(error)) return failed(showFileError(error), codeOf(error));
      const isLocalExhaustion = error._tag === 'CannotStart' && keepsAnyProgramFromRunning(error.code);
      return E.left({ why: showBinaryError(error), isLocalExhaustion });
    }
    subject.exit = exit.right;
    return E.right(`${isPid(exit.right.pid) ? `task ${exit.right.pid}, ` : ''}exit status ${exit.right.exitStatus}`);
  };

/** Where this process may have no more processes (`EAGAIN`), or its environment is too large, no program can be run at all. */
const keepsAnyProgramFromRunning = (code: string): boolean =>
  isExhaustionCode(code) || ['EAGAIN', 'E2BIG'].includes(code);

const survived = (why: string, living: ReadonlyArray<number>): E.Either<Failure, never> =>
  E.left({ why, isLocalExhaustion: false, living });

/** How long the processes of a container may take to end after its shim's program has answered, in milliseconds. */
const endingPatienceMs = 2_000;

/** Unmounts the mounts that the policy names for a bundle. */
const unmountRootfs =
  (executor: Executor, subject: Subject): Outcome =>
  async () => {
    const { capabilities, settings, state } = executor;
    const { namespace, id } = subject.evidence;
    const rootfs = Layout.below(state.path, namespace, id, Layout.entry.rootfs);
    switch (settings.policy.unmounts) {
      case 'rootfs': {
        const refused = await refuseElsewhere(executor, subject);
        return E.isLeft(refused) ? refused : toMountFailure(await unmountAll(capabilities)(rootfs)());
      }
      case 'rootfs-and-below':
        return unmountAtAndBelow(executor, subject, rootfs);
      case 'target-and-below': {
        const target = await capabilities.mounts.resolve(rootfs)();
        if (E.isLeft(target)) return toFileFailure(unlessAbsent(target));
        return unmountAtAndBelow(executor, subject, target.right);
      }
      case 'bundle':
        return unmountBundle(executor, subject)();
    }
  };

/** Refuses what acts on a path from the state directory on if another namespace or another bundle has that path by now. */
const refuseElsewhere = async (executor: Executor, subject: Subject): Promise<E.Either<Failure, undefined>> => {
  const { namespaces, capabilities, state } = executor;
  const { fileSystem } = capabilities;
  const { namespace } = subject.evidence;
  const same = await namespaces.use(namespace)((directory) => async () => {
    const held = await fileSystem.identify(directory)();
    return E.isLeft(held)
      ? held
      : Removal.refuseReplaced(fileSystem, held.right)({ directory: state, name: namespace })();
  })();
  const refused = toFileFailure(unlessAbsent(same));
  return E.isLeft(refused) ? refused : refuseReplaced(executor, subject);
};

/** For what acts on paths: nothing, unless the bundle is still the one that was looked at, or gone. */
const refuseReplaced = async (executor: Executor, { evidence }: Subject): Promise<E.Either<Failure, undefined>> => {
  const check = Removal.refuseReplaced(executor.capabilities.fileSystem, evidence.identity);
  return toFileFailure(unlessAbsent(await withLocation(executor.namespaces)(evidence, check)()));
};

/** Most often nothing is mounted there, and then it does not matter whose it is. */
const unmountAtAndBelow = async (
  executor: Executor,
  subject: Subject,
  path: B.ByteString,
): Promise<E.Either<Failure, undefined>> => {
  const points = await executor.mountTable.pointsBelow(path)();
  if (E.isRight(points) && points.right.length === 0) return done;
  const refused = await refuseElsewhere(executor, subject);
  if (E.isLeft(refused)) return refused;
  const unmount = unmountBelow(executor.capabilities, executor.mountTable);
  return toMountFailure(await unmount(path)());
};

const unmountBundle =
  (executor: Executor, subject: Subject): Outcome =>
  async () => {
    const { namespace, id } = subject.evidence;
    const refused = await refuseElsewhere(executor, subject);
    if (E.isLeft(refused)) return refused;
    const path = await mountPath(executor, executor.state, namespace, id)();
    if (E.isLeft(path)) return toFileFailure(path);
    const unmount = unmountInside(executor.capabilities, executor.mountTable);
    return toMountFailure(await unmount(path.right)());
  };

/**
 * Whether nothing was in a bundle: then one call removes it, which finds out, too, whether still nothing is in it, and what would
 * be done to what is in it waits until then. Where a removal has to be checked once more after a claim, it is claimed first.
 */
const goesAtOnce = ({ settings }: Executor, { evidence }: Subject): boolean =>
  evidence.contents?._tag === 'Empty' && settings.policy.unmounts !== 'bundle';

const removeRootfs =
  (executor: Executor, subject: Subject): Outcome =>
  async () => {
    const { fileSystem } = executor.capabilities;
    const removed = await inBundle(
      executor,
      subject,
    )((directory) => Removal.remove(fileSystem)({ directory, name: Layout.entry.rootfs }))();
    return toFileFailure(unlessAbsent(removed)); // D3
  };

const removeBundle =
  (executor: Executor, subject: Subject): Outcome =>
  async () => {
    const { fileSystem } = executor.capabilities;
    const { evidence } = subject;
    const inPlace = withLocation(executor.namespaces);
    const check = Removal.refuseReplaced(fileSystem, evidence.identity);
    if (goesAtOnce(executor, subject)) {
      const gone = await inPlace(evidence, Removal.deleteEmpty(fileSystem, check))();
      if (E.isLeft(gone) || gone.right) return toFileFailure(gone);
      const removed = await removeRootfs(executor, subject)();
      if (E.isLeft(removed)) return removed;
    }
    const removeAll = evidence.contents?._tag === 'Listed' ? Removal.removeFilled : Removal.removeRecursively;
    const removal =
      executor.settings.policy.unmounts === 'bundle'
        ? Removal.deleteAtomically(fileSystem, refuseChanged(executor, subject), Removal.removeWithinMount)
        : Removal.deleteAtomically(fileSystem, check, removeAll);
    return toFileFailure(await inPlace(evidence, removal)());
  };

/** Refuses to remove what is another one than was looked at, or what something is mounted in. */
const refuseChanged =
  (executor: Executor, { evidence }: Subject): Removal.Check =>
  (at) =>
  async () => {
    const refused = await Removal.refuseReplaced(executor.capabilities.fileSystem, evidence.identity)(at)();
    if (E.isLeft(refused)) return refused;
    return refuseMountedAt(executor, mountPath(executor, executor.state, evidence.namespace, at.name))();
  };

const removeWorkDirectory =
  (
    executor: Executor,
    subject: Subject,
    { path, identity }: Extract<Step, { readonly _tag: 'RemoveWorkDirectory' }>,
  ): Outcome =>
  async () => {
    const { fileSystem } = executor.capabilities;
    const refused = await refuseReplaced(executor, subject);
    if (E.isLeft(refused)) return refused;
    const check = identity === undefined ? undefined : Removal.refuseReplaced(fileSystem, identity);
    return toFileFailure(await Removal.deletePathAtomically(fileSystem, check)(path)());
  };

/** Once a bundle is gone, its working directory has no owner, unless another bundle of its id is there. */
const removeUnownedWork =
  (executor: Executor, { namespace, id }: BundleId): Outcome =>
  async () => {
    const { root, capabilities } = executor;
    const { fileSystem } = capabilities;
    const owner = unlessAbsent(await withLocation(executor.namespaces)({ namespace, id }, fileSystem.status)());
    if (E.isLeft(owner)) return toFileFailure(owner);
    if (owner.right !== undefined) return E.right('another bundle of this id stands there');
    const removed = await withDirectory(fileSystem)(
      fileSystem.openDirectory({ directory: root, name: namespace }),
      (directory) => removalOfWork(executor, root, namespace)({ directory, name: id }),
    )();
    return toFileFailure(unlessAbsent(removed));
  };

const publish =
  (executor: Executor, subject: Subject) =>
  (event: TaskEvent['_tag'], known: boolean): Outcome =>
  async () => {
    const { clock, eventSink } = executor.capabilities;
    const nowMs = clock.nowMs();
    const { namespace, id } = subject.evidence;
    const exit = (known ? subject.exit : undefined) ?? unknownExit(nowMs);
    const published = await eventSink.publish({
      _tag: event,
      namespace,
      id,
      exit,
      publishedAt: timestampFromMs(nowMs),
    })();
    return toFailure(({ reason }: EventError) => reason)(published);
  };

/** SPEC 2.5: what the reference publishes for a task of which its binary said nothing. */
const unknownExit = (nowMs: number): TaskExitInfo => ({ pid: 0, exitStatus: 255, exitedAt: timestampFromMs(nowMs) });

/** In words; `code` gives the errno, where there is one. */
const toFailure =
  <L>(show: (error: L) => string, code: (error: L) => string | undefined = () => undefined) =>
  (outcome: E.Either<L, unknown>): E.Either<Failure, undefined> =>
    E.isLeft(outcome) ? failed(show(outcome.left), code(outcome.left)) : done;

const toFileFailure = toFailure(showFileError, codeOf);

const toMountFailure = toFailure(showMountError, (error) => ('code' in error ? error.code : undefined));

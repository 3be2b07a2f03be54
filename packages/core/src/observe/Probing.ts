/** Getting the questions of a decision answered, until it is settled (SPEC 8, 10). */
import * as E from 'fp-ts/lib/Either.js';
import type * as T from 'fp-ts/lib/Task.js';
import type * as TE from 'fp-ts/lib/TaskEither.js';
import * as B from '../base/ByteString.js';
import {
  type Directory,
  type FileError,
  type FileStatus,
  type FileSystem,
  isSameFile,
} from '../capabilities/FileSystem.js';
import type { LogPipe } from '../capabilities/LogPipes.js';
import type { ShimError, ShimSession } from '../capabilities/ShimConnector.js';
import { decide } from '../decide/Decision.js';
import { type Answers, type BundleEvidence, type ConnectionAnswer, withAnswers } from '../decide/Evidence.js';
import { type Question, questionKey } from '../decide/Question.js';
import { livingContainer, unknownContainer } from '../decide/Signs.js';
import { because, type Verdict } from '../decide/Verdict.js';
import { isHidden } from '../policy/Names.js';
import { careful } from '../policy/Policy.js';
import { withBundle } from './BundleHandles.js';
import type { Prober } from './Prober.js';
import { nameOf, socketOf } from './life/Pods.js';
import { otherOwnersOfShim } from './life/ShimOwners.js';
import { signsOfLife } from './life/SignsOfLife.js';

/** The connection and the log that probing left open for one bundle; steps use them, and close them. */
export interface OpenShim {
  session: ShimSession | undefined;
  logPipe: LogPipe | undefined;
  /**
   * The identity that the bundle's directory got when we made a file in it: on an overlay the kernel then copies it up, and
   * it has another inode. Undefined where it is still the one that was looked at.
   */
  identity: FileStatus | undefined;
  /** Where several policies ask, what was asked so far by any of them: it is not asked twice, nor a shim dialled twice. */
  readonly asked: Map<string, { readonly answers: Answers; readonly session: ShimSession | undefined }> | undefined;
}

export const noHandles = (): OpenShim => ({
  session: undefined,
  logPipe: undefined,
  identity: undefined,
  asked: undefined,
});

/** For a bundle that several policies ask about. */
export const noneAsked = (): OpenShim => ({ ...noHandles(), asked: new Map() });

/** Lets go of what is open; the shim goes on. */
export const closeAll =
  (open: OpenShim): T.Task<void> =>
  async () => {
    const sessions = new Set([open.session]);
    for (const { session } of open.asked?.values() ?? []) sessions.add(session);
    for (const session of sessions) if (session !== undefined) await session.close();
    if (open.logPipe !== undefined) await open.logPipe.close();
    open.asked?.clear();
    open.session = undefined;
    open.logPipe = undefined;
  };

/** Lets go of the log of a shim that is given up, as it may be long until its steps' turn comes: they find it as it was. */
export const detachLog =
  (open: OpenShim): T.Task<void> =>
  async () => {
    if (open.logPipe === undefined) return;
    await open.logPipe.close();
    open.logPipe = detachedLog;
  };

const detachedLog: LogPipe = { close: async () => undefined };

/** Lets go of a shim that a caller takes back without staying attached: its steps find it as it was. */
export const detach =
  (open: OpenShim): T.Task<void> =>
  async () => {
    await detachLog(open)();
    const { logPipe } = open;
    await closeAll(open)();
    open.session = detachedSession;
    open.logPipe = logPipe;
  };

/** Whether the shim has ended the connection by now. One that has is not let go of: what its end means is acted upon. */
export const hasHungUp =
  ({ session }: OpenShim): T.Task<boolean> =>
  async () =>
    session !== undefined &&
    (await Promise.race([session.disconnected().then(() => true), aFewTurns().then(() => false)]));

/** As long as it takes to hear of an end that has come already. */
const aFewTurns = async (): Promise<void> => {
  for (let turns = 0; turns < 8; turns++) await Promise.resolve();
};

/** A settled bundle: all that was learnt, and what it comes to. */
export interface Decided {
  readonly evidence: BundleEvidence;
  readonly verdict: Verdict;
}

/** The present identity of an open bundle; undefined where it has not changed, or cannot be told. */
export const identityAfter =
  (
    files: FileSystem,
    { identity }: Pick<BundleEvidence, 'identity'>,
    bundle: Directory,
  ): T.Task<FileStatus | undefined> =>
  async () => {
    const now = await files.identify(bundle)();
    return E.isRight(now) && identity !== null && !isSameFile(identity, now.right) ? now.right : undefined;
  };

/** Opens a bundle's log pipe, unless it is open already. */
export const openLogPipe =
  ({ capabilities, namespaces, settings }: Pick<Prober, 'capabilities' | 'namespaces' | 'settings'>) =>
  (evidence: BundleEvidence, open: OpenShim): TE.TaskEither<FileError, void> =>
  async () => {
    if (open.logPipe !== undefined) return E.right(undefined);
    const { fileSystem, logPipes } = capabilities;
    const { namespace, id } = evidence;
    const followsLinks = settings.policy.logOpened !== 'optional';
    const known = open.identity === undefined ? evidence : { ...evidence, identity: open.identity };
    const opened = await withBundle(fileSystem, namespaces)(known, (bundle) => async () => {
      const log = await logPipes.open({ bundle, namespace, id, followsLinks })();
      open.identity = (await identityAfter(fileSystem, known, bundle)()) ?? open.identity;
      return log;
    })();
    if (E.isLeft(opened)) return opened;
    open.logPipe = opened.right;
    return E.right(undefined);
  };

/** Asks until the bundle is settled. When the run is interrupted meanwhile, it is held. */
export const probe =
  (prober: Prober) =>
  (evidence: BundleEvidence, open: OpenShim): T.Task<Decided> =>
  async () => {
    const { capabilities, settings } = prober;
    const { yieldIfDue } = capabilities.clock;
    let known = evidence;
    let shim = '';
    for (;;) {
      const decision = decide(settings.policy)(known);
      if (decision._tag === 'Decided') return { evidence: known, verdict: decision.verdict };
      const { question } = decision;
      const key = open.asked === undefined ? '' : questionKey(question, shim);
      if (question._tag === 'Connection') shim = key;
      const before = open.asked?.get(key);
      if (before === undefined && capabilities.interrupted())
        return { evidence: known, verdict: because('interrupted') };
      const answers = before?.answers ?? (await answer(prober)(known, open)(question)());
      // Where many get their answers at once, as those whose time-outs end together, they go on over several turns.
      for (let others = yieldIfDue(); others !== undefined; others = yieldIfDue()) await others;
      if (before === undefined) open.asked?.set(key, { answers, session: open.session });
      else open.session = before.session;
      known = withAnswers(answers)(known);
    }
  };

const answer =
  (prober: Prober) =>
  (evidence: BundleEvidence, open: OpenShim) =>
  (question: Question): T.Task<Answers> => {
    const { capabilities, settings } = prober;
    const session = open.session ?? detachedSession;
    const call = { id: evidence.id, timeoutMs: settings.timeouts.loadMs };
    switch (question._tag) {
      case 'Container':
        return () =>
          capabilities.containerStore
            .container(evidence)()
            .then((container) => ({ container }));
      case 'Program':
        return () =>
          prober
            .resolve(question.runtime, question.names)()
            .then((program) => ({ program }));
      case 'Connection':
        return () => connect(prober)(evidence, open, question)().then((connection) => ({ connection }));
      case 'Sandbox':
        return () =>
          capabilities.sandboxStore
            .sandbox({ namespace: evidence.namespace, id: evidence.id, records: question.records })()
            .then((sandbox) => ({ sandbox }));
      case 'Pids':
        return () =>
          session
            .pids(call)()
            .then((pids) => ({ pids }));
      case 'State':
        return () =>
          session
            .state(call)()
            .then((state) => ({ state }));
      case 'Signs':
        return () => signsOfLife(prober)(evidence)().then((signs) => ({ signs }));
      case 'Sharers':
        return () => findSharers(prober)(evidence)().then((sharers) => ({ sharers }));
    }
  };

/**
 * Dials, and asks whether anybody is there; opens the log when the policy does so. One function, as what waits here waits by
 * the thousand.
 */
const connect =
  (prober: Prober) =>
  (
    evidence: BundleEvidence,
    open: OpenShim,
    { target, fallback }: Extract<Question, { readonly _tag: 'Connection' }>,
  ): T.Task<ConnectionAnswer> =>
  async () => {
    if (prober.probing === 'not-asked') return { _tag: 'NotProbed' };
    const { capabilities, settings } = prober;
    const { logOpened } = settings.policy;
    if (logOpened !== 'after-dial' && !(logOpened === 'optional' && isWithoutLog(evidence))) {
      const error = await logProblem(prober)(evidence, open)();
      if (error !== undefined && logOpened !== 'optional') return { _tag: 'LogFailed', error };
    }
    const { namespace, id } = evidence;
    const timeoutMs = settings.timeouts.loadMs;
    for (let dialling = target; ; ) {
      const dialled = await capabilities.shimConnector.dial({ namespace, target: dialling, timeoutMs })();
      if (E.isLeft(dialled)) return { _tag: 'DialFailed', error: dialled.left };
      const session = dialled.right;
      const error = logOpened === 'after-dial' ? await logProblem(prober)(evidence, open)() : undefined;
      if (error !== undefined) {
        await session.close();
        return { _tag: 'LogFailed', error };
      }
      const connected = await session.connect({ id, timeoutMs })();
      if (E.isRight(connected)) {
        open.session = session;
        return { _tag: 'Connected', answer: connected.right };
      }
      await session.close();
      const isOver = fallback === undefined || dialling === fallback || !isNotImplemented(connected.left);
      if (isOver) return { _tag: 'ConnectFailed', error: connected.left };
      dialling = fallback;
    }
  };

/** Where the log may be missing, none is made before it is known that the bundle will be taken back. */
const isWithoutLog = ({ contents }: BundleEvidence): boolean =>
  contents?._tag === 'Listed' && contents.log._tag === 'Absent';

/** Why the log cannot be opened, where it may be. */
const logProblem =
  (prober: Prober) =>
  (evidence: BundleEvidence, open: OpenShim): T.Task<FileError | undefined> =>
  async () => {
    if (prober.probing === 'asked') return undefined; // what stands there is part of the evidence
    const opened = await openLogPipe(prober)(evidence, open)();
    return E.isLeft(opened) ? opened.left : undefined;
  };

const isNotImplemented = (error: ShimError): boolean => error._tag === 'Answered' && error.class === 'NotImplemented';

/**
 * Who else needs a bundle's shim: the others of its pod, in both trees. Where the bundle has no shim's process of its own, it
 * may share any shim of its namespace; and the one of a bundle that runs without one and does not say where its shim listens.
 */
const findSharers =
  (prober: Prober) =>
  (evidence: BundleEvidence): T.Task<ReadonlyArray<B.ByteString>> =>
  async () => {
    const { settings, sharersOf, processes, pods, find } = prober;
    const { sure, addressless, elsewhere } = sharersOf(settings.policy, evidence);
    const members = await pods.membersOf(evidence)();
    const problem = await pods.unknownMembers(evidence)();
    const all = await processes();
    const { namespace } = evidence;
    const isKnown = E.isRight(all);
    const hasShim = (id: B.ByteString): boolean => isKnown && all.right.table.shimsNaming(namespace, id).length > 0;
    const hasOwnShim = hasShim(evidence.id);
    const stays = async (id: B.ByteString): Promise<boolean> => !(await isLeaving(prober)(find({ namespace, id }))());
    const mayRun = async (id: B.ByteString): Promise<boolean> => {
      const bundle = find({ namespace, id });
      if (bundle?.kind !== 'directory') return false;
      const signs = await signsOfLife(prober)(bundle)();
      return livingContainer(signs).length > 0 || (!hasOwnShim && unknownContainer(signs).length > 0);
    };
    const found = new Set<B.ByteString>();
    const ofOtherTree = members.filter(({ tree }) => tree !== undefined).map(nameOf);
    const own = members.flatMap((member) => (member.tree === undefined ? [member.evidence.id] : []));
    for (const id of new Set([...sure, ...own])) if (await stays(id)) found.add(id);
    if (!hasOwnShim) {
      for (const id of [...addressless, ...elsewhere()]) if (hasShim(id) && (await stays(id))) found.add(id);
      // A sandbox of the other tree that does not say where its shim listens may have this one.
      for (const other of await pods.beside())
        if (other.kind === 'directory' && other.namespace === namespace && socketOf(careful, other) === undefined)
          ofOtherTree.push(nameOf({ tree: pods.treeBeside, evidence: other }));
    }
    for (const id of addressless) if (!isKnown || (!hasShim(id) && (await mayRun(id)))) found.add(id);
    for (const name of await otherOwnersOfShim(prober)(evidence)()) {
      const isOwn = find({ namespace, id: name }) !== undefined;
      if (!isOwn || (await stays(name))) found.add(name);
    }
    return [...new Set([...found, ...ofOtherTree, ...(problem === undefined ? [] : [B.fromText(problem)])])];
  };

/** Whether it is a leftover that goes in this run, whether it has a shim or not: it needs none. */
const isLeaving =
  (prober: Prober) =>
  (bundle: BundleEvidence | undefined): T.Task<boolean> =>
  async () => {
    if (bundle === undefined || !isHidden(bundle.id)) return false;
    const signs = await signsOfLife(prober)(bundle)();
    const decision = decide(prober.settings.policy)(withAnswers({ signs })(bundle));
    return decision._tag === 'Decided' && decision.verdict.reason === 'leftover';
  };

const askNobody = () => async () => closed;

/** The answer to every call on a connection that was closed meanwhile. */
const closed: E.Either<ShimError, never> = E.left({ _tag: 'Closed' });

/** A shim that answered, and that this program does not listen to any more. */
const detachedSession: ShimSession = {
  connect: askNobody,
  pids: askNobody,
  state: askNobody,
  delete: askNobody,
  shutdown: askNobody,
  close: async () => undefined,
  disconnected: () => new Promise(() => undefined),
};

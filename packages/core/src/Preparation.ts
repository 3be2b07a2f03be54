/** The first half of the program: look, ask and decide, for every bundle. Nothing is destroyed here. */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as O from 'fp-ts/lib/Option.js';
import * as T from 'fp-ts/lib/Task.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import * as t from 'io-ts';
import { type BundleKey, makeNamespaces, type Namespaces } from './BundleDirectory.js';
import type * as B from './ByteString.js';
import type { Capabilities } from './Capabilities.js';
import { atMostBusy, traverse } from './Concurrency.js';
import { type Answers, type BundleEvidence, withAnswers } from './Evidence.js';
import { type Directory, FileError, isAbsent, showFileError } from './FileSystem.js';
import {
  hasHungUp,
  type Inquirer,
  letGo,
  letGoOfLog,
  nothingAsked,
  nothingOpen,
  type OpenShim,
  type Probing,
  release,
  type Settled,
} from './Inquiry.js';
import { lifeOf } from './decide/Life.js';
import { explain } from './Decision.js';
import type { Allowed, Mandate } from './Mandate.js';
import { makeBudget, settleWithPatience } from './Patience.js';
import { type BundlePlan, stepsOf } from './Plan.js';
import { makeRuntimeRecords } from './observe/ContainerFiles.js';
import { foresee, makeIsReadOnly } from './observe/Foresight.js';
import { makeMountedRootOf } from './observe/MountedRoots.js';
import { makeProcessesBelow } from './observe/ProcessesBelow.js';
import { makePods, type Pods } from './observe/Pods.js';
import { signsOfLife } from './observe/SignsOfLife.js';
import { makeProcessesSince } from './observe/ProcessTable.js';
import type { DirectoryKey } from './Processes.js';
import type { Policy } from './Policy.js';
import { makeResolver } from './RuntimeName.js';
import type { Settings } from './Settings.js';
import { shimAddress } from './ShimAddress.js';
import { type NamespaceSnapshot, readSnapshot } from './Snapshot.js';
import type { Survey, SurveyedBundle, SurveyedNamespace, WorkListing } from './Survey.js';
import { stopAtFailure, succeeded } from './Step.js';
import { because, isDestructive, type Verdict } from './Verdict.js';
import { leftAsTheyAre, listWorkDirectories } from './WorkDirectory.js';

/** Why nothing at all was done: one of the two root directories cannot be read, or too much would be destroyed. */
export const RecoveryError = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('StateUnreadable'), error: FileError })),
    t.readonly(t.type({ _tag: t.literal('RootUnreadable'), error: FileError })),
    t.readonly(
      t.type({ _tag: t.literal('TooMuchDestroyed'), destroyed: t.number, bundles: t.number, mayDestroy: t.number }),
    ),
  ],
  'RecoveryError',
);
export type RecoveryError = t.TypeOf<typeof RecoveryError>;

/** The two root directories, open. */
export interface Roots {
  readonly state: Directory;
  readonly root: Directory;
  /** Those below the state directory. */
  readonly namespaces: Namespaces;
}

/** A bundle that was decided on, with what asking left open; `explanation` where it is held for want of a mandate. */
export interface Prepared {
  readonly plan: BundlePlan;
  readonly open: OpenShim;
  readonly explanation?: string;
}

/** `error` says why nothing in the namespace is touched. */
export interface PreparedNamespace {
  readonly name: B.ByteString;
  readonly error: string | null;
  readonly bundles: ReadonlyArray<Prepared>;
}

/** Opens both root directories, or neither. */
export const openRoots =
  ({ fileSystem }: Capabilities, settings: Settings): TE.TaskEither<RecoveryError, Roots> =>
  async () => {
    const state = await fileSystem.openPath(settings.state)();
    if (E.isLeft(state)) return E.left({ _tag: 'StateUnreadable', error: state.left });
    const root = await fileSystem.openPath(settings.root)();
    if (E.isRight(root))
      return E.right({ state: state.right, root: root.right, namespaces: makeNamespaces(fileSystem, state.right) });
    await fileSystem.close(state.right)();
    return E.left({ _tag: 'RootUnreadable', error: root.left });
  };

export const closeRoots =
  ({ fileSystem }: Capabilities, { state, root, namespaces }: Roots): T.Task<void> =>
  async () => {
    await namespaces.closeIdle();
    await fileSystem.close(state)();
    await fileSystem.close(root)();
  };

const tellSettled = (
  { capabilities }: Inquirer,
  { evidence, verdict }: Settled,
  answers: SurveyedBundle['answers'],
): SurveyedBundle => {
  const surveyed: SurveyedBundle = { evidence: { ...evidence, answers: {} }, answers };
  const { namespace, id } = evidence;
  capabilities.trace.tell({ _tag: 'BundleSettled', namespace, id, verdict, surveyed })();
  return surveyed;
};

/**
 * The same, with what every source says of its life, and what will go wrong with its steps: of what is to be destroyed an
 * operator is told whether it lives, under every policy. What the policy decided is not changed by it.
 */
const withLife =
  (inquirer: Inquirer, open: OpenShim) =>
  (decided: Settled): T.Task<Settled> =>
  async () => {
    const { asked } = open;
    const settled = await withTask(inquirer, open)(decided)();
    const { evidence, verdict } = settled;
    const { capabilities, settings } = inquirer;
    if (verdict._tag === 'Ignore' || capabilities.interrupted()) return settled;
    // A hint names the shim that does not answer.
    if (verdict._tag === 'Hold' && verdict.reason !== 'shim-unresponsive') return settled;
    const obstacles = await foresee(inquirer)(evidence, stepsOf(settings.policy)(evidence)(verdict))();
    const foreseen = obstacles.length === 0 ? {} : { obstacles };
    if (verdict._tag === 'Adopt' || evidence.answers.signs !== undefined)
      return obstacles.length === 0 ? settled : { evidence: withAnswers(foreseen)(evidence), verdict };
    const signs = asked?.get('Signs')?.answers.signs ?? (await signsOfLife(inquirer)(evidence)());
    asked?.set('Signs', { answers: { signs }, session: undefined });
    return { evidence: withAnswers({ signs, ...foreseen })(evidence), verdict };
  };

/**
 * The same, with what a shim says of its task that is to be reaped as it lists no process: one that is created or paused may
 * have none that it knows. Where a policy may do all that its daemon does, nothing is asked that this does not ask.
 */
const withTask =
  ({ settings, capabilities }: Inquirer, { session }: OpenShim) =>
  (settled: Settled): T.Task<Settled> =>
  async () => {
    const { evidence, verdict } = settled;
    const isAsked = evidence.answers.state !== undefined || settings.allowKilling || capabilities.interrupted();
    if (verdict._tag !== 'Reap' || isAsked || session === undefined) return settled;
    const state = await session.state({ id: evidence.id, timeoutMs: settings.timeouts.loadMs })();
    return { evidence: withAnswers({ state })(evidence), verdict };
  };

/**
 * Holds what would be destroyed though it lives, where the settings do not allow killing. There, and where a saved plan is
 * carried out, what is adopted is never destroyed because a step failed. An orphan that the operator named may be ended.
 */
const sparingLife =
  ({ policy, allowKilling }: Settings, { plannedAt }: Mandate) =>
  (allowed: Allowed): Allowed => {
    const { plan } = allowed;
    const { evidence, verdict, steps } = plan;
    if (verdict._tag === 'Adopt')
      return allowKilling && plannedAt === undefined
        ? allowed
        : { ...allowed, plan: { evidence, verdict, steps: stopAtFailure(steps) } };
    const life = allowKilling || verdict.reason === 'orphan-reaped' ? undefined : lifeOf(evidence)(verdict);
    if (life === undefined) return allowed;
    return {
      plan: { evidence, verdict: because('would-kill'), steps: succeeded },
      explanation: `${policy.name} would ${toIt[verdict._tag]}: ${explain(policy)(evidence)(verdict)}; but it is alive: ${life.says}`,
    };
  };

/** What is done to a bundle by a verdict, after `would`. */
const toIt: Readonly<Record<Verdict['_tag'], string>> = {
  Ignore: 'ignore it',
  Adopt: 'adopt it',
  Reap: 'reap it',
  CleanUp: 'clean it up',
  Discard: 'discard it',
  Hold: 'hold it',
};

const prepareBundle =
  (inquirer: Inquirer, mandate: Mandate) =>
  (evidence: BundleEvidence): T.Task<Prepared> =>
  async () => {
    const { capabilities, settings } = inquirer;
    const { policy } = settings;
    const open = nothingOpen();
    const probing = mandate.probing(evidence);
    const asking = probing === inquirer.probing ? inquirer : { ...inquirer, probing };
    const { evidence: learnt, verdict: decided } = await withLife(
      asking,
      open,
    )(await settleWithPatience(asking)(evidence, open)())();
    const allow = mandate.allow(capabilities.fileSystem);
    const planned = { evidence: learnt, verdict: decided, steps: stepsOf(policy)(learnt)(decided) };
    const { plan, explanation } = sparingLife(settings, mandate)(await allow(planned)());
    const { verdict } = plan;
    if (verdict._tag === 'Hold') await release(open)();
    // Given up: nobody is going to talk to its shim.
    if (isDestructive(verdict) && open.session === undefined) await letGoOfLog(open)();
    if (verdict._tag === 'Adopt' && !settings.staysAttached && !(await hasHungUp(open)())) await letGo(open)();
    tellSettled(inquirer, plan, { [policy.name]: learnt.answers });
    return explanation === undefined ? { plan, open } : { plan, open, explanation };
  };

/** What every policy learns of a bundle. What several ask is asked once; nothing stays open. */
const surveyBundle =
  (inquirer: Inquirer, others: ReadonlyArray<Policy>) =>
  (evidence: BundleEvidence): T.Task<SurveyedBundle> =>
  async () => {
    const { settings } = inquirer;
    const open = others.length === 0 ? nothingOpen() : nothingAsked();
    const ask = async (policy: Policy): Promise<Settled> => {
      const asking = policy === settings.policy ? inquirer : { ...inquirer, settings: { ...settings, policy } };
      return withLife(asking, open)(await settleWithPatience(asking)(evidence, open)())();
    };
    const settled = await ask(settings.policy);
    const answers: Record<string, Answers> = { [settings.policy.name]: settled.evidence.answers };
    for (const policy of others) answers[policy.name] = (await ask(policy)).evidence.answers;
    await release(open)();
    return tellSettled(inquirer, settled, answers);
  };

const listing = (
  { error }: NamespaceSnapshot,
  names: E.Either<FileError, ReadonlyArray<B.ByteString>>,
): WorkListing => {
  if (error !== null) return { _tag: 'NotListed', error };
  if (E.isRight(names)) return { _tag: 'Listed', names: names.right };
  return { _tag: isAbsent(names.left) ? 'Absent' : 'NotListed', error: leftAsTheyAre(names.left) };
};

/** Looks at everything and asks what the policy of the settings, and the others, want to know; changes nothing. */
export const survey =
  (capabilities: Capabilities, settings: Settings, others: ReadonlyArray<Policy>) =>
  (
    { state, root, namespaces: open }: Roots,
    probing: Exclude<Probing, 'asked-with-log'>,
  ): TE.TaskEither<RecoveryError, Survey> =>
  async () => {
    const snapshot = await look(capabilities, settings, state)();
    if (E.isLeft(snapshot)) return snapshot;
    const found = snapshot.right.flatMap(({ bundles }) => bundles);
    const inquirer = makeInquirer(capabilities, settings, open, probing, found);
    const surveyed = await forEachAsked(capabilities, settings, surveyBundle(inquirer, others))(found)();
    const queue = surveyed.values();
    const namespaces: Array<SurveyedNamespace> = [];
    for (const namespace of snapshot.right) {
      const { name, error } = namespace;
      const names = error === null ? await listWorkDirectories({ ...capabilities, root }, name)() : E.right([]);
      const about = { name, error, workDirectories: listing(namespace, names) };
      capabilities.trace.tell({ _tag: 'NamespaceSurveyed', namespace: about })();
      namespaces.push({ ...about, bundles: takeAsMany(queue, namespace.bundles) });
    }
    return E.right({
      state: settings.state,
      root: settings.root,
      interrupted: capabilities.interrupted(),
      namespaces,
    });
  };

/** The same, with what every source says: an operator who asks about one bundle wants to see them all. */
const withEverySign =
  (inquirer: Inquirer) =>
  ({ evidence, answers }: SurveyedBundle): T.Task<SurveyedBundle> =>
  async () => {
    const { name } = inquirer.settings.policy;
    const own = answers[name] ?? {};
    if (own.signs !== undefined || evidence.kind !== 'directory') return { evidence, answers };
    const signs = await signsOfLife(inquirer)(evidence)();
    return { evidence, answers: { ...answers, [name]: { ...own, signs } } };
  };

/**
 * What the policy of the settings learns of one bundle. All bundles are read that a plan reads: their files say who else needs
 * its shim, and whether shims of this tree are seen at all. No other shim or record is asked for.
 */
export const surveyOne =
  (capabilities: Capabilities, settings: Settings, name: BundleKey) =>
  (
    { state, namespaces }: Roots,
    probing: Exclude<Probing, 'asked-with-log'>,
  ): TE.TaskEither<RecoveryError, O.Option<SurveyedBundle>> =>
    pipe(
      readSnapshot(capabilities.fileSystem, capabilities.clock)(state, settings.namespaces),
      TE.mapLeft((error): RecoveryError => ({ _tag: 'StateUnreadable', error })),
      TE.map((snapshot) => snapshot.flatMap(({ bundles }) => bundles)),
      TE.chainTaskK((bundles) => {
        const inquirer = makeInquirer(capabilities, settings, namespaces, probing, bundles);
        return pipe(
          O.fromNullable(bundles.find(({ namespace, id }) => namespace === name.namespace && id === name.id)),
          O.traverse(T.ApplicativePar)((bundle) =>
            pipe(surveyBundle(inquirer, [])(bundle), T.chain(withEverySign(inquirer))),
          ),
        );
      }),
    );

/** After how long without any answer those that were asked count as waiting, in milliseconds. */
const patienceMs = 5;
/** However busy this process is: whoever shares it may never let it be otherwise. */
const mostPatienceMs = 50;

/**
 * Says whether that was all: where it took much longer, we were too busy ourselves to notice an answer. That is no excuse
 * for ever.
 */
const waitForAnswers = ({ sleep, elapsedMs }: Capabilities['clock']): T.Task<boolean> => {
  let doubtedMs = 0;
  return async () => {
    const startedMs = elapsedMs();
    await sleep(patienceMs)();
    const tookMs = elapsedMs() - startedMs;
    doubtedMs += tookMs;
    if (tookMs >= 4 * patienceMs && doubtedMs < mostPatienceMs) return false;
    doubtedMs = 0;
    return true;
  };
};

/** Does it for each of them: the quick in small portions, the slow all at once. */
export const forEachAsked =
  <A, C>({ clock }: Pick<Capabilities, 'clock'>, { bounds }: Pick<Settings, 'bounds'>, ask: (item: A) => T.Task<C>) =>
  (items: ReadonlyArray<A>): T.Task<ReadonlyArray<C>> => {
    const inPortions = atMostBusy({ ...clock, limit: bounds.busy, patience: waitForAnswers(clock) });
    return traverse({ ...clock, limit: bounds.waiting }, (item: A) => inPortions(ask(item)))(items);
  };

const look = (
  { fileSystem, clock, trace }: Capabilities,
  { namespaces }: Settings,
  state: Directory,
): TE.TaskEither<RecoveryError, ReadonlyArray<NamespaceSnapshot>> =>
  pipe(
    readSnapshot(fileSystem, clock)(state, namespaces),
    TE.bimap(
      (error) => ({ _tag: 'StateUnreadable' as const, error }),
      (snapshot) => {
        const bundles = snapshot.reduce((sum, namespace) => sum + namespace.bundles.length, 0);
        trace.tell({ _tag: 'BundlesFound', bundles })();
        return snapshot;
      },
    ),
  );

/** The bundles of both trees, by device and inode. */
const bundlesByDirectory = async (
  bundles: ReadonlyArray<BundleEvidence>,
  pods: Pods,
): Promise<(directory: DirectoryKey) => BundleEvidence | undefined> => {
  const known = new Map<string, BundleEvidence>();
  for (const bundle of [...bundles, ...(await pods.beside())])
    if (bundle.identity !== null) known.set(directoryKey(bundle.identity), bundle);
  return (directory) => known.get(directoryKey(directory));
};

/** Listed once. Where they cannot be, none is known, and no process is taken for that of another namespace. */
const namesBut = (namespaces: Namespaces): Inquirer['namespacesBut'] => {
  let all: Promise<E.Either<FileError, ReadonlyArray<B.ByteString>>> | undefined;
  const known = new Map<B.ByteString, ReadonlySet<string>>();
  return (name) => async () => {
    const names = await (all ??= namespaces.names());
    const others = known.get(name) ?? new Set(E.isRight(names) ? names.right.filter((other) => other !== name) : []);
    known.set(name, others);
    return others;
  };
};

const directoryKey = ({ device, inode }: DirectoryKey): string => `${device}:${inode}`;

const textOf = ({ namespace, id }: BundleKey): string => `${namespace}/${id}`;

/** For the bundles of one snapshot; what is the same for all of them is looked at once. */
export const makeInquirer = (
  capabilities: Capabilities,
  settings: Settings,
  namespaces: Namespaces,
  probing: Probing,
  bundles: ReadonlyArray<BundleEvidence>,
  pods: Pods = makePods(capabilities, settings, namespaces, bundles),
): Inquirer => {
  const processesSince = makeProcessesSince(capabilities.processes, capabilities.clock);
  let byKey: ReadonlyMap<string, BundleEvidence> | undefined;
  const find = (key: BundleKey): BundleEvidence | undefined =>
    (byKey ??= new Map(bundles.map((bundle) => [textOf(bundle), bundle]))).get(textOf(key));
  let byDirectory: ReturnType<Inquirer['bundleAt']> | undefined;
  return {
    capabilities,
    settings,
    namespaces,
    resolve: makeResolver(capabilities.programFiles, settings.programSearch),
    probing,
    processes: processesSince(Number.NEGATIVE_INFINITY),
    processesSince,
    exists: (key) => find(key) !== undefined,
    find,
    pods,
    bundleAt: () => (byDirectory ??= bundlesByDirectory(bundles, pods)),
    runtimeRecords: makeRuntimeRecords(capabilities.fileSystem),
    mountedRootOf: makeMountedRootOf(capabilities, settings),
    processesBelow: makeProcessesBelow(capabilities, settings),
    namespacesBut: namesBut(namespaces),
    timeoutMs: settings.timeouts.loadMs,
    sharersOf: sharersAmong(bundles),
    isReadOnly: makeIsReadOnly(capabilities, settings),
    storeBudgetMs: makeBudget(capabilities.clock, settings.timeouts.storeMs),
  };
};

const nowhere = ({ namespace }: BundleEvidence): string => JSON.stringify([namespace]);

/** Where a bundle's shim listens, as a key; one for all bundles of a namespace that do not say. */
const shimKey = (policy: Policy, evidence: BundleEvidence): string => {
  const { namespace, contents } = evidence;
  const address = contents?._tag === 'Listed' ? shimAddress(policy)(contents) : undefined;
  return address?._tag === 'Target' ? JSON.stringify([namespace, address.target.socket]) : nowhere(evidence);
};

/** The bundles by where their shims listen, and by namespace. */
interface Neighbours {
  readonly atShim: ReadonlyMap<string, ReadonlyArray<B.ByteString>>;
  readonly inNamespace: ReadonlyMap<B.ByteString, ReadonlyArray<B.ByteString>>;
}

const idsBy = <K>(
  keyOf: (bundle: BundleEvidence) => K,
  bundles: ReadonlyArray<BundleEvidence>,
): ReadonlyMap<K, ReadonlyArray<B.ByteString>> => {
  const groups = new Map<K, Array<B.ByteString>>();
  for (const bundle of bundles) {
    const key = keyOf(bundle);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [bundle.id]);
    else group.push(bundle.id);
  }
  return groups;
};

const sharersAmong = (bundles: ReadonlyArray<BundleEvidence>): Inquirer['sharersOf'] => {
  const byPolicy = new Map<Policy, Neighbours>();
  const neighboursFor = (policy: Policy): Neighbours => {
    const known = byPolicy.get(policy) ?? {
      atShim: idsBy((bundle) => shimKey(policy, bundle), bundles),
      inNamespace: idsBy(({ namespace }) => namespace, bundles),
    };
    byPolicy.set(policy, known);
    return known;
  };
  return (policy, evidence) => {
    const { atShim, inNamespace } = neighboursFor(policy);
    const others = (ids: ReadonlyArray<B.ByteString> = []): ReadonlyArray<B.ByteString> =>
      ids.filter((id) => id !== evidence.id);
    const sure = others(atShim.get(shimKey(policy, evidence)));
    const addressless = others(atShim.get(nowhere(evidence)));
    return {
      sure,
      addressless,
      elsewhere: () => {
        const known = new Set([...sure, ...addressless]);
        return others(inNamespace.get(evidence.namespace)).filter((id) => !known.has(id));
      },
    };
  };
};

/** The next results, one for each of the items that they were made of. */
const takeAsMany = <A>(queue: Iterator<A>, items: ReadonlyArray<unknown>): ReadonlyArray<A> =>
  items.flatMap(() => {
    const next = queue.next();
    return next.done === true ? [] : [next.value];
  });

/** What was decided on everything, the bundles that were found, and the pods among them. */
export interface PreparedHost {
  readonly namespaces: ReadonlyArray<PreparedNamespace>;
  readonly found: ReadonlyArray<BundleEvidence>;
  readonly pods: Pods;
}

/** Decides on every bundle, within a mandate; those that wait for a shim do not hold up the others. */
export const prepare =
  (capabilities: Capabilities, settings: Settings, mandate: Mandate) =>
  ({ state, namespaces }: Roots): TE.TaskEither<RecoveryError, PreparedHost> =>
  async () => {
    const snapshot = await look(capabilities, settings, state)();
    if (E.isLeft(snapshot)) return snapshot;
    const found = snapshot.right.flatMap(({ bundles }) => bundles);
    const pods = makePods(capabilities, settings, namespaces, found);
    const inquirer = makeInquirer(capabilities, settings, namespaces, 'asked-with-log', found, pods);
    const prepared = await forEachAsked(capabilities, settings, prepareBundle(inquirer, mandate))(found)();
    const queue = prepared.values();
    return E.right({
      namespaces: mandate.withMissing(
        snapshot.right.map(({ name, error, bundles }) => ({ name, error, bundles: takeAsMany(queue, bundles) })),
      ),
      found,
      pods,
    });
  };

/** So few that the brake of a policy does not mind them. */
const alwaysMayDestroy = 4;

/** What the policy's brake says to what a run is about to do. */
export const refuseTooMuch = (
  { mayDestroy }: Policy,
  verdicts: ReadonlyArray<Verdict>,
): E.Either<RecoveryError, void> => {
  const counts = ({ _tag, reason }: Verdict): boolean =>
    (_tag !== 'Ignore' || reason === 'gone') && reason !== 'leftover';
  const bundles = verdicts.filter(counts);
  const destroyed = bundles.filter(isDestructive).length;
  return destroyed > alwaysMayDestroy && destroyed > mayDestroy * bundles.length
    ? E.left({ _tag: 'TooMuchDestroyed', destroyed, bundles: bundles.length, mayDestroy })
    : E.right(undefined);
};

/** The smallest share, in hundredths, that lets this many be destroyed. */
const passingShare = ({ destroyed, bundles }: Extract<RecoveryError, { readonly _tag: 'TooMuchDestroyed' }>): string =>
  String(Math.min(1, Math.ceil((destroyed / bundles) * 100) / 100));

/** A sentence for people. */
export const showRecoveryError = (error: RecoveryError): string => {
  switch (error._tag) {
    case 'StateUnreadable':
      return `the state directory cannot be used: ${showFileError(error.error)}`;
    case 'RootUnreadable':
      return `the root directory cannot be used: ${showFileError(error.error)}`;
    case 'TooMuchDestroyed':
      return `${error.destroyed} of ${error.bundles} bundles would be destroyed, more than a share of ${error.mayDestroy}; nothing was done. Look at the plan, and if it is right, allow it with --may-destroy ${passingShare(error)}`;
  }
};

/** Looks at a host and asks about its bundles; changes nothing. */
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import * as T from 'fp-ts/lib/Task.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { pipe } from 'fp-ts/lib/function.js';
import type * as B from '../base/ByteString.js';
import { type Directory, type FileError, isAbsent } from '../capabilities/FileSystem.js';
import type { Answers, BundleEvidence } from '../decide/Evidence.js';
import type { Capabilities } from '../observe/Capabilities.js';
import { withLife } from '../observe/LifeCheck.js';
import { forEachAsked } from '../observe/Portions.js';
import { makeProber, type Prober, type Probing } from '../observe/Prober.js';
import { closeAll, type Decided, noHandles, noneAsked } from '../observe/Probing.js';
import { probeWithRetry } from '../observe/Retry.js';
import { type NamespaceSnapshot, readSnapshot } from '../observe/Snapshot.js';
import { listWorkDirectories } from '../observe/WorkListing.js';
import { signsOfLife } from '../observe/life/SignsOfLife.js';
import type { BundleFacts, HostFacts, NamespaceFacts, WorkListing } from '../plan/HostFacts.js';
import { leftAsTheyAre } from '../plan/WorkDirectory.js';
import type { BundleId } from '../policy/Names.js';
import type { Policy } from '../policy/Policy.js';
import type { Settings } from '../policy/Settings.js';
import type { RecoveryError } from './RecoveryError.js';
import type { Roots } from './Roots.js';

/** Looks at everything and asks what the policy of the settings, and the others, want to know; changes nothing. */
export const inspectHost =
  (capabilities: Capabilities, settings: Settings, others: ReadonlyArray<Policy>) =>
  (
    { state, root, namespaces: open }: Roots,
    probing: Exclude<Probing, 'asked-with-log'>,
  ): TE.TaskEither<RecoveryError, HostFacts> =>
  async () => {
    const snapshot = await look(capabilities, settings, state)();
    if (E.isLeft(snapshot)) return snapshot;
    const found = snapshot.right.flatMap(({ bundles }) => bundles);
    const prober = makeProber(capabilities, settings, open, probing, found);
    const facts = await forEachAsked(capabilities, settings, inspectFor(prober, others))(found)();
    const queue = facts.values();
    const namespaces: Array<NamespaceFacts> = [];
    for (const namespace of snapshot.right) {
      const { name, error } = namespace;
      const names = error === null ? await listWorkDirectories({ ...capabilities, root }, name)() : E.right([]);
      const about = { name, error, workDirectories: listing(namespace, names) };
      capabilities.observer.notify({ _tag: 'NamespaceInspected', namespace: about })();
      namespaces.push({ ...about, bundles: takeAsMany(queue, namespace.bundles) });
    }
    return E.right({
      state: settings.state,
      root: settings.root,
      interrupted: capabilities.interrupted(),
      namespaces,
    });
  };

/** Asks for every policy about a bundle. A question of several policies is asked once; nothing stays open. */
const inspectFor =
  (prober: Prober, others: ReadonlyArray<Policy>) =>
  (evidence: BundleEvidence): T.Task<BundleFacts> =>
  async () => {
    const { settings } = prober;
    const open = others.length === 0 ? noHandles() : noneAsked();
    const ask = async (policy: Policy): Promise<Decided> => {
      const asking = policy === settings.policy ? prober : { ...prober, settings: { ...settings, policy } };
      return withLife(asking, open)(await probeWithRetry(asking)(evidence, open)())();
    };
    const settled = await ask(settings.policy);
    const answers: Record<string, Answers> = { [settings.policy.name]: settled.evidence.answers };
    for (const policy of others) answers[policy.name] = (await ask(policy)).evidence.answers;
    await closeAll(open)();
    return notifyDecided(prober, settled, answers);
  };

const listing = (
  { error }: NamespaceSnapshot,
  names: E.Either<FileError, ReadonlyArray<B.ByteString>>,
): WorkListing => {
  if (error !== null) return { _tag: 'NotListed', error };
  if (E.isRight(names)) return { _tag: 'Listed', names: names.right };
  return { _tag: isAbsent(names.left) ? 'Absent' : 'NotListed', error: leftAsTheyAre(names.left) };
};

/**
 * Asks for the policy of the settings about one bundle. All bundles are read that a plan reads: their files say which others
 * need its shim, and whether shims of this tree are seen at all. No other shim or record is asked for.
 */
export const inspectBundle =
  (capabilities: Capabilities, settings: Settings, name: BundleId) =>
  (
    { state, namespaces }: Roots,
    probing: Exclude<Probing, 'asked-with-log'>,
  ): TE.TaskEither<RecoveryError, O.Option<BundleFacts>> =>
    pipe(
      readSnapshot(capabilities.fileSystem, capabilities.clock)(state, settings.namespaces),
      TE.mapLeft((error): RecoveryError => ({ _tag: 'StateUnreadable', error })),
      TE.map((snapshot) => snapshot.flatMap(({ bundles }) => bundles)),
      TE.chainTaskK((bundles) => {
        const prober = makeProber(capabilities, settings, namespaces, probing, bundles);
        return pipe(
          O.fromNullable(bundles.find(({ namespace, id }) => namespace === name.namespace && id === name.id)),
          O.traverse(T.ApplicativePar)((bundle) =>
            pipe(inspectFor(prober, [])(bundle), T.chain(withEverySign(prober))),
          ),
        );
      }),
    );

/** Adds what every source says: an operator who asks about one bundle wants to see them all. */
const withEverySign =
  (prober: Prober) =>
  ({ evidence, answers }: BundleFacts): T.Task<BundleFacts> =>
  async () => {
    const { name } = prober.settings.policy;
    const own = answers[name] ?? {};
    if (own.signs !== undefined || evidence.kind !== 'directory') return { evidence, answers };
    const signs = await signsOfLife(prober)(evidence)();
    return { evidence, answers: { ...answers, [name]: { ...own, signs } } };
  };

export const notifyDecided = (
  { capabilities }: Prober,
  { evidence, verdict }: Decided,
  answers: BundleFacts['answers'],
): BundleFacts => {
  const facts: BundleFacts = { evidence: { ...evidence, answers: {} }, answers };
  const { namespace, id } = evidence;
  capabilities.observer.notify({ _tag: 'BundleDecided', namespace, id, verdict, facts })();
  return facts;
};

export const look = (
  { fileSystem, clock, observer }: Capabilities,
  { namespaces }: Settings,
  state: Directory,
): TE.TaskEither<RecoveryError, ReadonlyArray<NamespaceSnapshot>> =>
  pipe(
    readSnapshot(fileSystem, clock)(state, namespaces),
    TE.bimap(
      (error) => ({ _tag: 'StateUnreadable' as const, error }),
      (snapshot) => {
        const bundles = snapshot.reduce((sum, namespace) => sum + namespace.bundles.length, 0);
        observer.notify({ _tag: 'BundlesFound', bundles })();
        return snapshot;
      },
    ),
  );

/** The next results, one for each of the items that they were made of. */
export const takeAsMany = <A>(queue: Iterator<A>, items: ReadonlyArray<unknown>): ReadonlyArray<A> =>
  items.flatMap(() => {
    const next = queue.next();
    return next.done === true ? [] : [next.value];
  });

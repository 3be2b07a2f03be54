/** Looks at a host and asks about its bundles; changes nothing. */
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import * as T from 'fp-ts/lib/Task.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { pipe } from 'fp-ts/lib/function.js';
import type { BundleKey } from '../observe/BundleHandles.js';
import type * as B from '../base/ByteString.js';
import type { Capabilities } from '../observe/Capabilities.js';
import type { Answers, BundleEvidence } from '../decide/Evidence.js';
import type { FileError } from '../capabilities/FileSystem.js';
import { type Directory, isAbsent } from '../capabilities/FileSystem.js';
import { nothingAsked, nothingOpen, release, type Settled } from '../observe/Probing.js';
import { withLife } from '../observe/LifeCheck.js';
import { settleWithPatience } from '../observe/Retry.js';
import type { Policy } from '../policy/Policy.js';
import { forEachAsked } from '../observe/Portions.js';
import { type Inquirer, makeInquirer, type Probing } from '../observe/Prober.js';
import type { RecoveryError } from './RecoveryError.js';
import type { Roots } from './Roots.js';
import type { Settings } from '../policy/Settings.js';
import { type NamespaceSnapshot, readSnapshot } from '../observe/Snapshot.js';
import type { SurveyedBundle, SurveyedNamespace, WorkListing } from '../plan/HostFacts.js';
import { type Survey } from '../plan/HostFacts.js';
import { leftAsTheyAre } from '../plan/WorkDirectory.js';
import { listWorkDirectories } from '../observe/WorkListing.js';
import { signsOfLife } from '../observe/life/SignsOfLife.js';
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

export const tellSettled = (
  { capabilities }: Inquirer,
  { evidence, verdict }: Settled,
  answers: SurveyedBundle['answers'],
): SurveyedBundle => {
  const surveyed: SurveyedBundle = { evidence: { ...evidence, answers: {} }, answers };
  const { namespace, id } = evidence;
  capabilities.trace.tell({ _tag: 'BundleSettled', namespace, id, verdict, surveyed })();
  return surveyed;
};

export const look = (
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

/** The next results, one for each of the items that they were made of. */
export const takeAsMany = <A>(queue: Iterator<A>, items: ReadonlyArray<unknown>): ReadonlyArray<A> =>
  items.flatMap(() => {
    const next = queue.next();
    return next.done === true ? [] : [next.value];
  });

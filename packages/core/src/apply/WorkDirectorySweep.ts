/** Removes the working directories of a namespace that have no owner, once every bundle is done (SPEC 15). */
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { pipe } from 'fp-ts/lib/function.js';
import type * as B from '../base/ByteString.js';
import type { Clock } from '../capabilities/Clock.js';
import {
  type Directory,
  type FileError,
  type FileSystem,
  isAbsent,
  type Location,
  showFileError,
} from '../capabilities/FileSystem.js';
import { formerIdOf } from '../decide/Evidence.js';
import { withDirectory } from '../observe/BundleHandles.js';
import { decideWorkDirectory, leftAsTheyAre, type Owner, type WorkDirectoryOutcome } from '../plan/WorkDirectory.js';
import type { Policy } from '../policy/Policy.js';
import type { Approval, PlannedBundle, PlannedNamespace } from './Approval.js';
import { refuseReplaced } from './Removal.js';
import type { StepRecords } from './StepRecords.js';
import { type Executor, removalOfWork } from './StepRunner.js';

/** Removes the working directories of a namespace that have no owner, by the registry that the bundles left. */
export const sweepWorkDirectories = (
  executor: Executor,
  approval: Approval,
  { name: namespace, error, bundles }: PlannedNamespace,
  records: StepRecords,
): TE.TaskEither<string, ReadonlyArray<WorkDirectoryOutcome>> => {
  const { capabilities, registry, settings, root } = executor;
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
  records: StepRecords,
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
  (remove: Remove): Remove =>
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

/** Where working directories stand, and whose rules they go by. */
interface WorkDirectories {
  readonly fileSystem: FileSystem;
  readonly root: Directory;
  readonly policy: Policy;
  readonly clock: Pick<Clock, 'yieldIfDue'>;
}

/** How a working directory is removed. */
export type Remove = (at: Location) => TE.TaskEither<FileError, void>;

/** Removes every entry whose owner neither is registered nor held, in the given way; goes on after an error. */
const removeWorkDirectories = (
  where: WorkDirectories,
  namespace: B.ByteString,
  ownerOf: (name: B.ByteString) => Owner,
  remove: Remove,
): TE.TaskEither<string, ReadonlyArray<WorkDirectoryOutcome>> =>
  inNamespace<ReadonlyArray<WorkDirectoryOutcome>>(where, namespace, [], (directory) =>
    pipe(
      names(where.fileSystem)(directory),
      TE.chainTaskK((entries) => async () => {
        const outcomes: Array<WorkDirectoryOutcome> = [];
        for (const name of entries) {
          const others = where.clock.yieldIfDue();
          if (others !== undefined) await others;
          const reason = decideWorkDirectory(ownerOf(name));
          outcomes.push(
            reason === 'not-registered'
              ? await removeOne(remove)({ directory, name })()
              : { name, reason, removed: false },
          );
        }
        return outcomes;
      }),
    ),
  );

/** Uses the namespace's own directory. Where the policy only removes entries without an owner, it need not be there. */
const inNamespace = <A>(
  { fileSystem: files, root, policy }: WorkDirectories,
  namespace: B.ByteString,
  ifAbsent: A,
  use: (directory: Directory) => TE.TaskEither<string, A>,
): TE.TaskEither<string, A> =>
  pipe(
    withDirectory(files)(files.openDirectory({ directory: root, name: namespace }), use),
    TE.orElse((error) => {
      if (typeof error === 'string') return TE.left(error);
      return policy.workDirectories === 'unowned' && isAbsent(error)
        ? TE.right(ifAbsent)
        : TE.left(leftAsTheyAre(error));
    }),
  );

const names =
  (files: FileSystem) =>
  (directory: Directory): TE.TaskEither<string, ReadonlyArray<B.ByteString>> =>
    pipe(
      files.list(directory),
      TE.bimap(leftAsTheyAre, (entries) => entries.map(({ name }) => name)),
    );

const removeOne =
  (remove: Remove) =>
  (at: Location): Task<WorkDirectoryOutcome> =>
  async () => {
    const outcome = await remove(at)();
    const { name } = at;
    return E.isLeft(outcome)
      ? { name, reason: 'not-registered', removed: false, error: showFileError(outcome.left) }
      : { name, reason: 'not-registered', removed: true };
  };

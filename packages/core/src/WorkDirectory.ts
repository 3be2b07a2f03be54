/** What becomes of the entries below a namespace's root directory, once every bundle is done (SPEC 15). */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import type { Task } from 'fp-ts/lib/Task.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import * as t from 'io-ts';
import type * as B from './ByteString.js';
import { withDirectory } from './BundleDirectory.js';
import type { Clock } from './Clock.js';
import {
  type Directory,
  type FileError,
  type FileSystem,
  isAbsent,
  type Location,
  showFileError,
} from './FileSystem.js';
import type { Policy } from './Policy.js';

/**
 * - `registered`: its task was taken back; it stays.
 * - `held`: its bundle is held, or could not be finished; it stays.
 * - `not-planned`: nobody owns it, but the plan that is carried out does not say to remove it; it stays.
 * - `not-registered`: nobody that was taken back owns it; it is removed, whatever it is (H20).
 */
export const WorkDirectoryReason = t.keyof(
  { registered: null, held: null, 'not-planned': null, 'not-registered': null },
  'WorkDirectoryReason',
);
export type WorkDirectoryReason = t.TypeOf<typeof WorkDirectoryReason>;

/** What is known of the owner of an entry. */
export interface Owner {
  readonly registered: boolean;
  readonly held: boolean;
  /** Whether it may be removed when nobody owns it. */
  readonly planned: boolean;
}

/** Every entry counts: files, symlinks, and hidden names, too. */
export const decideWorkDirectory = (owner: Owner): WorkDirectoryReason => {
  if (owner.registered) return 'registered';
  if (owner.held) return 'held';
  return owner.planned ? 'not-registered' : 'not-planned';
};

/** What became of an entry. An `error` says why one that should go is still there. */
export interface WorkDirectoryOutcome {
  readonly name: B.ByteString;
  readonly reason: WorkDirectoryReason;
  readonly removed: boolean;
  readonly error?: string;
}

/** Why nothing is done to them. */
export const leftAsTheyAre = (error: FileError): string =>
  `working directories are left as they are: ${showFileError(error)}`;

/** Uses the namespace's own directory. Where the policy only removes what nobody owns, it need not be there. */
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

/** Where working directories stand, and whose rules they go by. */
export interface WorkDirectories {
  readonly fileSystem: FileSystem;
  readonly root: Directory;
  readonly policy: Policy;
  readonly clock: Pick<Clock, 'breathe'>;
}

/** The names of a namespace's entries. */
export const listWorkDirectories = (
  { fileSystem, root }: Pick<WorkDirectories, 'fileSystem' | 'root'>,
  namespace: B.ByteString,
): TE.TaskEither<FileError, ReadonlyArray<B.ByteString>> =>
  withDirectory(fileSystem)(fileSystem.openDirectory({ directory: root, name: namespace }), (directory) =>
    pipe(
      fileSystem.list(directory),
      TE.map((entries) => entries.map(({ name }) => name)),
    ),
  );

/** How a working directory is removed. */
export type Remove = (at: Location) => TE.TaskEither<FileError, void>;

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

/** Removes every entry whose owner neither is registered nor held, in the given way; goes on after an error. */
export const removeWorkDirectories = (
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
          const others = where.clock.breathe();
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

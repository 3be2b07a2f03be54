/** What becomes of the entries below a namespace's root directory, once every bundle is done (SPEC 15). */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import type { Task } from 'fp-ts/lib/Task.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import * as t from 'io-ts';
import type * as B from './ByteString.js';
import { withDirectory } from './BundleDirectory.js';
import { type Directory, type FileSystem, type Location, showFileError } from './FileSystem.js';
import * as Removal from './Removal.js';

/**
 * - `registered`: its task was taken back; it stays.
 * - `held`: its bundle is held; it stays.
 * - `not-registered`: nobody that was taken back owns it; it is removed, whatever it is (H20).
 */
export const WorkDirectoryReason = t.keyof(
  { registered: null, held: null, 'not-registered': null },
  'WorkDirectoryReason',
);
export type WorkDirectoryReason = t.TypeOf<typeof WorkDirectoryReason>;

/** What is known of the owner of an entry. */
export interface Owner {
  readonly registered: boolean;
  readonly held: boolean;
}

/** Every entry counts: files, symlinks, and hidden names, too. */
export const decideWorkDirectory = (owner: Owner): WorkDirectoryReason => {
  if (owner.registered) return 'registered';
  return owner.held ? 'held' : 'not-registered';
};

/** What became of an entry. An `error` says why one that should go is still there. */
export interface WorkDirectoryOutcome {
  readonly name: B.ByteString;
  readonly reason: WorkDirectoryReason;
  readonly removed: boolean;
  readonly error?: string;
}

const inNamespace =
  (files: FileSystem, root: Directory) =>
  <A>(namespace: B.ByteString, use: (directory: Directory) => TE.TaskEither<string, A>): TE.TaskEither<string, A> =>
    pipe(
      withDirectory(files)(files.openDirectory({ directory: root, name: namespace }), use),
      TE.mapLeft((error) =>
        typeof error === 'string' ? error : `working directories are left as they are: ${showFileError(error)}`,
      ),
    );

const names =
  (files: FileSystem) =>
  (directory: Directory): TE.TaskEither<string, ReadonlyArray<B.ByteString>> =>
    pipe(
      files.list(directory),
      TE.bimap(
        (error) => `working directories are left as they are: ${showFileError(error)}`,
        (entries) => entries.map(({ name }) => name),
      ),
    );

/** The names of a namespace's entries. */
export const listWorkDirectories = (
  files: FileSystem,
  root: Directory,
  namespace: B.ByteString,
): TE.TaskEither<string, ReadonlyArray<B.ByteString>> => inNamespace(files, root)(namespace, names(files));

const removeOne =
  (files: FileSystem) =>
  (at: Location): Task<WorkDirectoryOutcome> =>
  async () => {
    const outcome = await Removal.removeRecursively(files)(at)();
    const about = { name: at.name, reason: 'not-registered' } as const;
    return E.isLeft(outcome)
      ? { ...about, removed: false, error: showFileError(outcome.left) }
      : { ...about, removed: true };
  };

/** Removes every entry whose owner neither is registered nor held; goes on after an error. */
export const removeWorkDirectories = (
  files: FileSystem,
  root: Directory,
  namespace: B.ByteString,
  ownerOf: (name: B.ByteString) => Owner,
): TE.TaskEither<string, ReadonlyArray<WorkDirectoryOutcome>> =>
  inNamespace(files, root)(namespace, (directory) =>
    pipe(
      names(files)(directory),
      TE.chainTaskK((entries) => async () => {
        const outcomes: Array<WorkDirectoryOutcome> = [];
        for (const name of entries) {
          const reason = decideWorkDirectory(ownerOf(name));
          outcomes.push(
            reason === 'not-registered'
              ? await removeOne(files)({ directory, name })()
              : { name, reason, removed: false },
          );
        }
        return outcomes;
      }),
    ),
  );

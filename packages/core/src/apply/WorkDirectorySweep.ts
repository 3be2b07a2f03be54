/** Removes the working directories of a namespace that have no owner, once every bundle is done (SPEC 15). */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import type { Task } from 'fp-ts/lib/Task.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import type * as B from '../base/ByteString.js';
import { withDirectory } from '../observe/BundleHandles.js';
import type { Clock } from '../capabilities/Clock.js';
import {
  type Directory,
  type FileError,
  type FileSystem,
  isAbsent,
  type Location,
  showFileError,
} from '../capabilities/FileSystem.js';
import type { Policy } from '../policy/Policy.js';
import { decideWorkDirectory, leftAsTheyAre, type Owner, type WorkDirectoryOutcome } from '../plan/WorkDirectory.js';

/** Where working directories stand, and whose rules they go by. */
export interface WorkDirectories {
  readonly fileSystem: FileSystem;
  readonly root: Directory;
  readonly policy: Policy;
  readonly clock: Pick<Clock, 'yieldIfDue'>;
}

/** How a working directory is removed. */
export type Remove = (at: Location) => TE.TaskEither<FileError, void>;

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

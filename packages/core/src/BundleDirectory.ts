/** Getting at a bundle's directory, one open directory at a time, for as long as it is needed. */
import * as E from 'fp-ts/lib/Either.js';
import type * as TE from 'fp-ts/lib/TaskEither.js';
import type * as B from './ByteString.js';
import type { Directory, FileError, FileSystem, Location } from './FileSystem.js';

/** Whose bundle. */
export interface BundleKey {
  readonly namespace: B.ByteString;
  readonly id: B.ByteString;
}

/** Opens a directory, uses it, and gives it back whatever happened. */
export const withDirectory =
  (files: FileSystem) =>
  <L, A>(
    open: TE.TaskEither<FileError, Directory>,
    use: (directory: Directory) => TE.TaskEither<L, A>,
  ): TE.TaskEither<L | FileError, A> =>
  async () => {
    const opened = await open();
    if (E.isLeft(opened)) return opened;
    const outcome = await use(opened.right)();
    await files.close(opened.right)();
    return outcome;
  };

/** Where the bundle stands: its namespace's directory, opened, and its id in it. */
export const withLocation =
  (files: FileSystem, state: Directory) =>
  <L, A>({ namespace, id }: BundleKey, use: (at: Location) => TE.TaskEither<L, A>): TE.TaskEither<L | FileError, A> =>
    withDirectory(files)(files.openDirectory({ directory: state, name: namespace }), (directory) =>
      use({ directory, name: id }),
    );

/** The bundle's own directory, opened. */
export const withBundle =
  (files: FileSystem, state: Directory) =>
  <L, A>(key: BundleKey, use: (bundle: Directory) => TE.TaskEither<L, A>): TE.TaskEither<L | FileError, A> =>
    withLocation(files, state)(key, (at) => withDirectory(files)(files.openDirectory(at), use));

/** Getting at a bundle's directory, one open directory at a time, for as long as it is needed. */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import type * as B from './ByteString.js';
import type { Directory, FileError, FileStatus, FileSystem, Location } from './FileSystem.js';
import { refuseReplaced } from './Removal.js';

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

/**
 * The bundle's own directory, opened. It is refused when it is another one than was looked at; asked only once it is
 * open, so that nothing that comes to stand under its name later is touched.
 */
export const withBundle =
  (files: FileSystem, state: Directory) =>
  <L, A>(
    bundle: BundleKey & { readonly identity: FileStatus | null },
    use: (directory: Directory) => TE.TaskEither<L, A>,
  ): TE.TaskEither<L | FileError, A> =>
    withLocation(files, state)(bundle, (at) =>
      withDirectory(files)(files.openDirectory(at), (directory) =>
        pipe(
          refuseReplaced(files, bundle.identity)(at),
          TE.chainW(() => use(directory)),
        ),
      ),
    );

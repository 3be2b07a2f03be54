/** Lists the entries below a namespace's root directory. */
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { withDirectory } from './BundleHandles.js';
import type * as B from '../base/ByteString.js';
import type { Directory, FileError, FileSystem } from '../capabilities/FileSystem.js';

/** The names of a namespace's entries. */
export const listWorkDirectories = (
  { fileSystem, root }: { readonly fileSystem: FileSystem; readonly root: Directory },
  namespace: B.ByteString,
): TE.TaskEither<FileError, ReadonlyArray<B.ByteString>> =>
  withDirectory(fileSystem)(fileSystem.openDirectory({ directory: root, name: namespace }), (directory) =>
    pipe(
      fileSystem.list(directory),
      TE.map((entries) => entries.map(({ name }) => name)),
    ),
  );

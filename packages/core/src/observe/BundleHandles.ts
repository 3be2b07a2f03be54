/** Getting at a bundle's directory, one open directory at a time, for as long as it is needed. */
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import type * as TE from 'fp-ts/lib/TaskEither.js';
import type * as B from '../base/ByteString.js';
import {
  type Directory,
  type FileError,
  type FileStatus,
  type FileSystem,
  isExpected,
  type Location,
  pathOf,
} from '../capabilities/FileSystem.js';
import type { BundleId } from '../policy/Names.js';

/** Opens a directory, uses it, and closes it in any case. */
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

/**
 * The directories of the namespaces, each opened when it is first needed and kept open for the next step that needs it: many
 * steps are taken in each, and all of them in the same one.
 */
export interface Namespaces {
  readonly use: (
    name: B.ByteString,
  ) => <L, A>(use: (directory: Directory) => TE.TaskEither<L, A>) => TE.TaskEither<L | FileError, A>;
  /** The names of all namespaces that have a directory, also of those that a run does not look at. */
  readonly names: TE.TaskEither<FileError, ReadonlyArray<B.ByteString>>;
  /** Closes the directories that no step uses at the moment. */
  readonly closeIdle: Task<void>;
}

export const makeNamespaces = (
  files: Pick<FileSystem, 'openDirectory' | 'close' | 'list'>,
  state: Directory,
): Namespaces => {
  const open = new Map<B.ByteString, OpenNamespace>();

  /** Once for all who want it at the same time. */
  const openOnce = (name: B.ByteString): OpenNamespace => {
    const known = open.get(name);
    if (known !== undefined) return known;
    const begun = { opened: files.openDirectory({ directory: state, name })(), users: 0 };
    open.set(name, begun);
    return begun;
  };

  const close = async (name: B.ByteString, namespace: OpenNamespace): Promise<void> => {
    // Closed already, and perhaps opened anew since.
    if (open.get(name) !== namespace) return;
    open.delete(name);
    const directory = await namespace.opened;
    if (E.isRight(directory)) await files.close(directory.right)();
  };

  return {
    use: (name) => (use) => async () => {
      const namespace = openOnce(name);
      namespace.users++;
      const directory = await namespace.opened;
      try {
        return E.isLeft(directory) ? directory : await use(directory.right)();
      } finally {
        namespace.users--;
        // One that could not be opened is tried again by the next who needs it.
        if (namespace.users === 0 && (E.isLeft(directory) || open.size > maxIdleNamespaces))
          await close(name, namespace);
      }
    },
    names: async () => {
      const entries = await files.list(state)();
      return E.isLeft(entries)
        ? entries
        : E.right(entries.right.filter(({ kind }) => kind === 'directory').map(({ name }) => name));
    },
    closeIdle: async () => {
      for (const [name, namespace] of open) if (namespace.users === 0) await close(name, namespace);
    },
  };
};

/** A directory that is open, or being opened for the first of its users. */
interface OpenNamespace {
  readonly opened: Promise<E.Either<FileError, Directory>>;
  /** Those who wait for it, too: it must not be closed between its opening and their first step. */
  users: number;
}

/** How many stay open that are not in use. */
const maxIdleNamespaces = 16;

/** Where the bundle stands: its namespace's directory, opened, and its id in it. */
export const withLocation =
  (namespaces: Namespaces) =>
  <L, A>({ namespace, id }: BundleId, use: (at: Location) => TE.TaskEither<L, A>): TE.TaskEither<L | FileError, A> =>
    namespaces.use(namespace)((directory) => use({ directory, name: id }));

/** The bundle's own directory, opened. It is refused when it is another one than was looked at. */
export const withBundle =
  (files: FileSystem, namespaces: Namespaces) =>
  <L, A>(
    bundle: BundleId & { readonly identity: FileStatus | null },
    use: (directory: Directory) => TE.TaskEither<L, A>,
  ): TE.TaskEither<L | FileError, A> =>
    withLocation(namespaces)(bundle, (at) =>
      withDirectory(files)(files.openDirectory(at), (directory) => async (): Promise<E.Either<L | FileError, A>> => {
        const status = await files.identify(directory)();
        if (E.isLeft(status)) return status;
        return isExpected(bundle.identity, status.right)
          ? use(directory)()
          : E.left({ _tag: 'Replaced', path: pathOf(at) });
      }),
    );

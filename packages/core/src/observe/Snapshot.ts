/** The contents of the state directory at one moment, read once (SPEC 1.4, 3, 4 steps 0 to 6). */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as T from 'fp-ts/lib/Task.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import type * as B from '../base/ByteString.js';
import type { Clock } from '../capabilities/Clock.js';
import type { BundleContents, BundleEvidence, LogState, Reading } from '../decide/Evidence.js';
import {
  codeOf,
  type Directory,
  type DirectoryEntry,
  type FileError,
  type FileKind,
  type FileSystem,
  isAbsent,
  isExhaustionCode,
  type Location,
  pathOf,
  showFileError,
  systemError,
} from '../capabilities/FileSystem.js';
import { isHidden, isValidNamespace } from '../policy/Names.js';
import * as Layout from '../capabilities/BundleLayout.js';

/** One namespace's directory. `error` says why nothing in it is looked at (SPEC 3). */
export interface NamespaceSnapshot {
  readonly name: B.ByteString;
  readonly error: string | null;
  readonly bundles: ReadonlyArray<BundleEvidence>;
}

/** Reads every namespace below the open state directory, or only those named. */
export const readSnapshot =
  (files: FileSystem, { yieldIfDue }: Pick<Clock, 'yieldIfDue'>) =>
  (
    state: Directory,
    namespaces: ReadonlyArray<B.ByteString>,
  ): TE.TaskEither<FileError, ReadonlyArray<NamespaceSnapshot>> =>
    inNamespaces(files)(state, namespaces, (at) =>
      pipe(
        listNamespace(files)(at, (directory, entries) => async () => {
          const bundles: Array<BundleEvidence> = [];
          for (const entry of entries) {
            const others = yieldIfDue();
            if (others !== undefined) await others;
            bundles.push(await readEntry(files, at.name)(directory, entry)());
          }
          return bundles;
        }),
        TE.match(
          (error): NamespaceSnapshot => ({ name: at.name, error, bundles: [] }),
          (bundles): NamespaceSnapshot => ({ name: at.name, error: null, bundles }),
        ),
      ),
    );

/** Goes to every namespace below the open state directory, or only to those named. */
const inNamespaces =
  (files: FileSystem) =>
  <A>(
    state: Directory,
    namespaces: ReadonlyArray<B.ByteString>,
    visit: (at: Location) => T.Task<A>,
  ): TE.TaskEither<FileError, ReadonlyArray<A>> =>
  async () => {
    const entries = await files.list(state)();
    if (E.isLeft(entries)) return entries;
    const visited: Array<A> = [];
    for (const { name, kind } of entries.right) {
      const wanted = namespaces.length === 0 || namespaces.includes(name);
      if (kind === 'directory' && !isHidden(name) && wanted) visited.push(await visit({ directory: state, name })());
    }
    return E.right(visited);
  };

/** Opens a namespace's directory and lists it. Left: why nothing in it is looked at. */
const listNamespace =
  (files: FileSystem) =>
  <A>(
    at: Location,
    use: (directory: Directory, entries: ReadonlyArray<DirectoryEntry>) => T.Task<A>,
  ): TE.TaskEither<string, A> =>
  async () => {
    if (!isValidNamespace(at.name)) return E.left('the name is not valid for a namespace; nothing in it is touched');
    const opened = await files.openDirectory(at)();
    if (E.isLeft(opened)) return E.left(showFileError(opened.left));
    const entries = await files.list(opened.right)();
    const outcome = E.isLeft(entries)
      ? E.left(showFileError(entries.left))
      : E.right(await use(opened.right, entries.right)());
    await files.close(opened.right)();
    return outcome;
  };

const readEntry =
  (files: FileSystem, namespace: B.ByteString) =>
  (directory: Directory, { name, kind }: DirectoryEntry): T.Task<BundleEvidence> =>
  async () => {
    const about = { namespace, id: name, kind, identity: null, contents: null, answers: {} };
    if (kind !== 'directory') return about;
    const bundle: Location = { directory, name };
    return { ...about, ...(await readBundle(files)(bundle)()) };
  };

/** Which directory it is, and what it holds; both of the very one that was opened. */
const readBundle =
  (files: FileSystem) =>
  (at: Location): T.Task<Pick<BundleEvidence, 'identity' | 'contents'>> =>
  async () => {
    const opened = await files.openDirectory(at)();
    if (E.isLeft(opened))
      return { identity: orNull(await files.status(at)()), contents: { _tag: 'Unreadable', error: opened.left } };
    const identity = await files.identify(opened.right)();
    // A lack of descriptors or memory in this process says nothing of the bundle. After any other error the bundle is
    // decided on, but nothing is done to it.
    const isOurs = E.isLeft(identity) && isExhaustionCode(codeOf(identity.left));
    const entries = isOurs ? identity : await files.list(opened.right)();
    const contents: BundleContents = E.isLeft(entries)
      ? { _tag: 'Unreadable', error: entries.left }
      : await readEntries(files)(opened.right, entries.right)();
    await files.close(opened.right)();
    return { identity: orNull(identity), contents };
  };

const orNull = <A>(outcome: E.Either<FileError, A>): A | null => (E.isRight(outcome) ? outcome.right : null);

const readEntries =
  (files: FileSystem) =>
  (directory: Directory, entries: ReadonlyArray<DirectoryEntry>): T.Task<BundleContents> =>
  async () => {
    if (entries.length === 0) return { _tag: 'Empty' };
    const kinds = new Map(entries.map(({ name, kind }) => [name, kind]));
    const foreign = entries.flatMap(({ name }) => (Layout.isBundleName(name) ? [] : [name])).slice(0, mostForeign);
    const readFile = async (name: B.ByteString): Promise<Reading> =>
      kinds.has(name)
        ? readingOf(await files.readSmallFile({ directory, name }, Layout.maxSmallFileBytes)())
        : { _tag: 'Absent' };
    return {
      _tag: 'Listed',
      shimBinaryPath: await readFile(Layout.entry.shimBinaryPath),
      address: await readFile(Layout.entry.address),
      bootstrap: await readFile(Layout.entry.bootstrap),
      log: await readLog(files)({ directory, name: Layout.entry.log }, kinds.get(Layout.entry.log))(),
      work:
        kinds.get(Layout.entry.work) === 'symlink'
          ? readingOf(await files.readLink({ directory, name: Layout.entry.work })())
          : { _tag: 'Absent' },
      sandbox: await readFile(Layout.entry.sandbox),
      foreign,
      present: Layout.ofContainer.filter((name) => kinds.has(name)),
    };
  };

/** So many names of what no bundle has are enough to show what stands there. */
const mostForeign = 3;

const readingOf = (read: E.Either<FileError, B.ByteString>): Reading => {
  if (E.isRight(read)) return { _tag: 'Read', content: read.right };
  return isAbsent(read.left) ? { _tag: 'Absent' } : { _tag: 'Failed', error: read.left };
};

const readLog =
  (files: FileSystem) =>
  (at: Location, kind: FileKind | undefined): T.Task<LogState> =>
  async () => {
    if (kind === undefined) return { _tag: 'Absent' };
    if (kind !== 'symlink') return openingLog(at, kind);
    const resolved = await files.resolvedStatus(at)();
    return E.isLeft(resolved) ? { _tag: 'Unusable', error: resolved.left } : openingLog(at, resolved.right.kind);
  };

/** Foretells the result of opening a log of this kind (SPEC 8.3). */
const openingLog = (at: Location, kind: FileKind): LogState => {
  switch (kind) {
    case 'directory':
      return { _tag: 'Unusable', error: systemError('open', pathOf(at), 'EISDIR') };
    case 'socket':
      return { _tag: 'Unusable', error: systemError('open', pathOf(at), 'ENXIO') };
    case 'fifo':
    case 'file':
    case 'device':
    case 'symlink':
      return { _tag: 'Usable', kind };
  }
};

/** The names of a namespace's bundles; `error` says why nothing in it could be looked at. */
export interface NamespaceListing {
  readonly name: B.ByteString;
  readonly error: string | null;
  readonly ids: ReadonlyArray<B.ByteString>;
}

/** Lists the names of all bundles, or of those in the named namespaces; looks into none. */
export const listBundles =
  (files: FileSystem) =>
  (
    state: Directory,
    namespaces: ReadonlyArray<B.ByteString>,
  ): TE.TaskEither<FileError, ReadonlyArray<NamespaceListing>> =>
    inNamespaces(files)(state, namespaces, (at) =>
      pipe(
        listNamespace(files)(at, (_, entries) => T.of(entries.map(({ name }) => name))),
        TE.match(
          (error): NamespaceListing => ({ name: at.name, error, ids: [] }),
          (ids): NamespaceListing => ({ name: at.name, error: null, ids }),
        ),
      ),
    );

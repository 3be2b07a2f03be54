/** What the state directory held at one moment, read once (SPEC 1.4, 3, 4 steps 0 to 6). */
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import type { Task } from 'fp-ts/lib/Task.js';
import type * as TE from 'fp-ts/lib/TaskEither.js';
import type * as B from './ByteString.js';
import type { BundleContents, BundleEvidence, LogState, Reading } from './Evidence.js';
import {
  type Directory,
  type DirectoryEntry,
  type FileError,
  type FileKind,
  type FileSystem,
  isAbsent,
  type Location,
  pathOf,
  showFileError,
  systemError,
} from './FileSystem.js';
import { isHidden, isValidNamespace } from './Identifier.js';
import * as Layout from './Layout.js';

/** One namespace's directory. `error` says why nothing in it is looked at (SPEC 3). */
export interface NamespaceSnapshot {
  readonly name: B.ByteString;
  readonly error: string | null;
  readonly bundles: ReadonlyArray<BundleEvidence>;
}

const readingOf = (read: E.Either<FileError, B.ByteString>): Reading => {
  if (E.isRight(read)) return { _tag: 'Read', content: read.right };
  return isAbsent(read.left) ? { _tag: 'Absent' } : { _tag: 'Failed', error: read.left };
};

/** What opening a log of this kind gives (SPEC 8.3). */
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

const readLog =
  (files: FileSystem) =>
  (at: Location, kind: FileKind | undefined): Task<LogState> =>
  async () => {
    if (kind === undefined) return { _tag: 'Absent' };
    if (kind !== 'symlink') return openingLog(at, kind);
    const resolved = await files.resolvedStatus(at)();
    return E.isLeft(resolved) ? { _tag: 'Unusable', error: resolved.left } : openingLog(at, resolved.right.kind);
  };

const readEntries =
  (files: FileSystem) =>
  (directory: Directory, entries: ReadonlyArray<DirectoryEntry>): Task<BundleContents> =>
  async () => {
    if (entries.length === 0) return { _tag: 'Empty' };
    const kinds = new Map(entries.map(({ name, kind }) => [name, kind]));
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
    };
  };

const readBundle =
  (files: FileSystem) =>
  (at: Location): Task<BundleContents> =>
  async () => {
    const opened = await files.openDirectory(at)();
    if (E.isLeft(opened)) return { _tag: 'Unreadable', error: opened.left };
    const entries = await files.list(opened.right)();
    const contents: BundleContents = E.isLeft(entries)
      ? { _tag: 'Unreadable', error: entries.left }
      : await readEntries(files)(opened.right, entries.right)();
    await files.close(opened.right)();
    return contents;
  };

const readNamespace =
  (files: FileSystem) =>
  (at: Location): Task<NamespaceSnapshot> =>
  async () => {
    const failed = (error: string): NamespaceSnapshot => ({ name: at.name, error, bundles: [] });
    if (!isValidNamespace(at.name)) return failed('the name is not valid for a namespace; nothing in it is touched');
    const opened = await files.openDirectory(at)();
    if (E.isLeft(opened)) return failed(showFileError(opened.left));
    const entries = await files.list(opened.right)();
    const bundles: Array<BundleEvidence> = [];
    for (const { name, kind } of E.isRight(entries) ? entries.right : []) {
      const bundle: Location = { directory: opened.right, name };
      const isDirectory = kind === 'directory';
      const identity = isDirectory ? O.toNullable(O.fromEither(await files.status(bundle)())) : null;
      const contents = isDirectory && !isHidden(name) ? await readBundle(files)(bundle)() : null;
      bundles.push({ namespace: at.name, id: name, kind, identity, contents, answers: {} });
    }
    await files.close(opened.right)();
    return E.isLeft(entries) ? failed(showFileError(entries.left)) : { name: at.name, error: null, bundles };
  };

/** Reads every namespace below the open state directory, or only those named. */
export const readSnapshot =
  (files: FileSystem) =>
  (
    state: Directory,
    namespaces: ReadonlyArray<B.ByteString>,
  ): TE.TaskEither<FileError, ReadonlyArray<NamespaceSnapshot>> =>
  async () => {
    const entries = await files.list(state)();
    if (E.isLeft(entries)) return entries;
    const snapshots: Array<NamespaceSnapshot> = [];
    for (const { name, kind } of entries.right) {
      const wanted = namespaces.length === 0 || namespaces.includes(name);
      if (kind === 'directory' && !isHidden(name) && wanted)
        snapshots.push(await readNamespace(files)({ directory: state, name })());
    }
    return E.right(snapshots);
  };

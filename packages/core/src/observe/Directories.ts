/**
 * Which directories the operator means by `--state` and `--root`, and whether a recovery may work on them.
 *
 * A wrong directory is worse than none: its entries would be taken for bundles, and removed. So every sign that a
 * directory is not what it is taken for is an error, and a recovery does nothing.
 */
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as B from '../base/ByteString.js';
import * as Layout from '../capabilities/BundleLayout.js';
import {
  codeOf,
  type Directory,
  type DirectoryEntry,
  type FileError,
  type FileStatus,
  isAbsent,
  isExhaustionCode,
  isSameFile,
  type Location,
  pathOf,
  showFileError,
} from '../capabilities/FileSystem.js';
import { type BundleId, unhidden } from '../policy/Names.js';
import { withDirectory } from './BundleHandles.js';
import type { Capabilities } from './Capabilities.js';
import * as MountTable from './MountTable.js';

/** The option that names a directory, without its dashes. */
export type DirectoryOption = 'state' | 'root';

/** A directory as it was named, what that was taken for, and where namespaces are looked for. */
export interface UnderstoodDirectory {
  readonly given: B.ByteString;
  readonly meaning: Layout.DirectoryMeaning;
  readonly path: B.ByteString;
}

/** `nothingIn` says why there is nothing to do, where there is not: the state directory is missing, or nothing is in it. */
export interface UnderstoodDirectories {
  readonly state: UnderstoodDirectory;
  readonly root: UnderstoodDirectory;
  readonly nothingIn: 'missing' | 'empty' | null;
}

/**
 * Why nothing may be done in these directories.
 *
 * - `Unusable`: one of them exists, but cannot be looked at.
 * - `RootMissing`: there is no root directory; `named` is the one that a `work` link names, where one does.
 * - `PluginInside`: a plugin of the daemon is where a namespace should be, in `path`: one level off.
 * - `OtherPlugin`: it is the directory of a plugin that keeps no bundles of this kind.
 * - `SameDirectory`, `Nested`: the two are one, or one is inside the other, also by a symlink or a bind mount.
 * - `OtherOwner`: `path` belongs to another user than the one that this process runs as.
 * - `TooDeep`: the state directory is a namespace: `bundle` is where a namespace should be.
 * - `NoBundles`: there is something in the state directory, and nothing looks like a bundle; `found` is an example.
 * - `OtherRoot`: no `work` link names the root directory, and that of `bundle` names another one.
 */
export type DirectoriesError =
  | { readonly _tag: 'Unusable'; readonly option: DirectoryOption; readonly error: FileError }
  | { readonly _tag: 'RootMissing'; readonly error: FileError; readonly named: B.ByteString | null }
  | {
      readonly _tag: 'PluginInside';
      readonly option: DirectoryOption;
      readonly path: B.ByteString;
      readonly plugin: B.ByteString;
    }
  | { readonly _tag: 'OtherPlugin'; readonly option: DirectoryOption; readonly path: B.ByteString }
  | { readonly _tag: 'SameDirectory'; readonly state: B.ByteString; readonly root: B.ByteString }
  | {
      readonly _tag: 'Nested';
      readonly inner: DirectoryOption;
      readonly state: B.ByteString;
      readonly root: B.ByteString;
    }
  | { readonly _tag: 'OtherOwner'; readonly path: B.ByteString; readonly owner: number; readonly uid: number }
  | { readonly _tag: 'TooDeep'; readonly path: B.ByteString; readonly bundle: B.ByteString }
  | { readonly _tag: 'NoBundles'; readonly path: B.ByteString; readonly found: B.ByteString }
  | {
      readonly _tag: 'OtherRoot';
      readonly root: B.ByteString;
      readonly named: B.ByteString;
      readonly bundle: B.ByteString;
    };

/** The operator's two directories as absolute, clean paths, and the user as whom this process acts. */
export interface AskedDirectories {
  readonly state: B.ByteString;
  readonly root: B.ByteString;
  readonly uid: number;
}

type Needs = Pick<Capabilities, 'fileSystem' | 'mounts'>;

/** Understands the two directories and checks them. It only looks: nothing is made, locked or changed. */
export const understandDirectories =
  (needs: Needs) =>
  ({ state, root, uid }: AskedDirectories): TE.TaskEither<DirectoriesError, UnderstoodDirectories> => {
    // Both directories are of one plugin: where one names it, it is looked for in the other.
    const isOfSandboxes = [state, root].some((path) => Layout.parentOf(path).name === Layout.plugin.sandboxes);
    const plugin = isOfSandboxes ? Layout.plugin.sandboxes : Layout.plugin.tasks;
    return withLocated(needs, plugin)('state', state, (stateThere) =>
      withLocated(needs, plugin)('root', root, (rootThere) =>
        pipe(
          nothingIn(stateThere) === null ? check(needs, uid)(stateThere, rootThere) : TE.right(undefined),
          TE.map(() => ({
            state: stateThere.understood,
            root: rootThere.understood,
            nothingIn: nothingIn(stateThere),
          })),
        ),
      ),
    );
  };

const withLocated =
  (needs: Needs, plugin: B.ByteString) =>
  <A>(
    option: DirectoryOption,
    given: B.ByteString,
    use: (located: Located) => TE.TaskEither<DirectoriesError, A>,
  ): TE.TaskEither<DirectoriesError, A> =>
    TE.bracket(locate(needs, plugin)(option, given), use, ({ there }) =>
      E.isLeft(there) ? TE.right(undefined) : TE.fromTask(needs.fileSystem.close(there.right.directory)),
    );

/** A directory that was named. Left: there is none. */
interface Located {
  readonly understood: UnderstoodDirectory;
  readonly there: E.Either<
    FileError,
    { readonly directory: Directory; readonly entries: ReadonlyArray<DirectoryEntry> }
  >;
}

/** Opens what was named, or the plugin's directory in it where that is the daemon's. */
const locate =
  (needs: Needs, plugin: B.ByteString) =>
  (option: DirectoryOption, given: B.ByteString): TE.TaskEither<DirectoriesError, Located> =>
  async () => {
    const { fileSystem: files } = needs;
    const isPlugin = keepsBundles(Layout.parentOf(given).name);
    const opened = await openListed(needs)(given)();
    if (E.isLeft(opened)) {
      if (!(await isMissing(needs)(given, opened.left)())) return E.left(unusable(option)(opened.left));
      return E.right({ understood: { given, meaning: isPlugin ? 'plugin' : 'as-given', path: given }, there: opened });
    }
    if (isPlugin) return E.right({ understood: { given, meaning: 'plugin', path: given }, there: opened });
    const within: Location = { directory: opened.right.directory, name: plugin };
    const inside = await files.resolvedStatus(within)();
    if (E.isLeft(inside) || inside.right.kind !== 'directory')
      return E.right({ understood: { given, meaning: 'as-given', path: given }, there: opened });
    await files.close(opened.right.directory)();
    const path = pathOf(within);
    return pipe(
      await openListed(needs)(path)(),
      E.bimap(unusable(option), (there) => ({
        understood: { given, meaning: 'daemon' as const, path },
        there: E.right(there),
      })),
    );
  };

const keepsBundles = (name: B.ByteString): boolean => name === Layout.plugin.tasks || name === Layout.plugin.sandboxes;

const openListed =
  ({ fileSystem: files }: Needs) =>
  (path: B.ByteString): TE.TaskEither<FileError, There> =>
  async () => {
    const directory = await files.openPath(path)();
    if (E.isLeft(directory)) return directory;
    const entries = await files.list(directory.right)();
    if (E.isRight(entries)) return E.right({ directory: directory.right, entries: entries.right });
    await files.close(directory.right)();
    return entries;
  };

type There = Extract<Located['there'], { readonly _tag: 'Right' }>['right'];

/** Whether nothing of this name exists. A symlink that leads nowhere exists: what it should lead to may be unmounted. */
const isMissing =
  ({ fileSystem: files }: Needs) =>
  (path: B.ByteString, error: FileError): Task<boolean> =>
  async () => {
    if (!isAbsent(error)) return false;
    const { directory: parent, name } = Layout.parentOf(path);
    const status = await withDirectory(files)(files.openPath(parent), (directory) =>
      files.status({ directory, name }),
    )();
    return E.isLeft(status) && isAbsent(status.left);
  };

const unusable =
  (option: DirectoryOption) =>
  (error: FileError): DirectoriesError => ({ _tag: 'Unusable', option, error });

const nothingIn = ({ there }: Located): UnderstoodDirectories['nothingIn'] => {
  if (E.isLeft(there)) return 'missing';
  return there.right.entries.length === 0 ? 'empty' : null;
};

const check =
  (needs: Needs, uid: number) =>
  (state: Located, root: Located): TE.TaskEither<DirectoriesError, void> =>
  async () => {
    if (E.isLeft(state.there)) return E.right(undefined);
    if (E.isRight(root.there)) {
      const apart = await checkApart(needs)(state, state.there.right, root, root.there.right)();
      if (E.isLeft(apart)) return apart;
    }
    for (const [option, { understood, there }] of [['state', state] as const, ['root', root] as const]) {
      const named = E.isLeft(there) ? E.right(undefined) : checkNames(option, understood, there.right.entries);
      if (E.isLeft(named)) return named;
    }
    const ofState = await checkOwner(needs, uid)('state', state.there)();
    if (E.isLeft(ofState)) return ofState;
    const look = await lookAround(needs, uid)(state.there.right, root)();
    if (E.isLeft(look)) return look;
    const judged = judge(state.understood.path, root, state.there.right.entries, uid, look.right);
    // Last: where the root directory is a wrong one, its owner says nothing of who is to run this.
    return E.isLeft(judged) ? judged : checkOwner(needs, uid)('root', root.there)();
  };

/** Refuses one directory under two names, and one inside the other: through symlinks and bind mounts, too. */
const checkApart =
  (needs: Needs) =>
  (state: Located, inState: There, root: Located, inRoot: There): TE.TaskEither<DirectoriesError, void> =>
  async () => {
    const { fileSystem: files } = needs;
    const [first, second] = [await files.identify(inState.directory)(), await files.identify(inRoot.directory)()];
    if (E.isLeft(first)) return E.left(unusable('state')(first.left));
    if (E.isLeft(second)) return E.left(unusable('root')(second.left));
    const both = { state: state.understood.path, root: root.understood.path };
    if (isSameFile(first.right, second.right)) return E.left({ _tag: 'SameDirectory', ...both });
    const resolved = {
      state: await resolve(needs)(both.state)(),
      root: await resolve(needs)(both.root)(),
    };
    const nested = (inner: DirectoryOption): E.Either<DirectoriesError, void> =>
      E.left({ _tag: 'Nested', inner, ...both });
    if (await isBelow(needs)(resolved.root, first.right)()) return nested('root');
    if (await isBelow(needs)(resolved.state, second.right)()) return nested('state');
    // A part of a file system that is mounted elsewhere is on the same device.
    if (first.right.device !== second.right.device) return E.right(undefined);
    const table = await needs.mounts.read();
    const mounts = E.isLeft(table) ? table : MountTable.parse(table.right);
    if (E.isLeft(mounts)) return E.right(undefined);
    const places = [MountTable.placeOf(mounts.right)(resolved.state), MountTable.placeOf(mounts.right)(resolved.root)];
    const [ofState, ofRoot] = places;
    if (ofState === undefined || ofRoot === undefined) return E.right(undefined);
    if (MountTable.isAtOrBelow(ofState)(ofRoot)) return nested('root');
    return MountTable.isAtOrBelow(ofRoot)(ofState) ? nested('state') : E.right(undefined);
  };

const resolve =
  ({ mounts }: Needs) =>
  (path: B.ByteString): Task<B.ByteString> =>
    pipe(
      mounts.resolve(path),
      TE.getOrElse(() => async () => path),
    );

/** Whether one of the directories above a path is this one, by device and inode. */
const isBelow =
  (needs: Needs) =>
  (path: B.ByteString, top: FileStatus): Task<boolean> =>
  async () => {
    for (let at = path; at !== '/' && at !== ''; ) {
      at = Layout.parentOf(at).directory;
      const found = await identityOf(needs)(at)();
      if (E.isRight(found) && isSameFile(found.right, top)) return true;
    }
    return false;
  };

const identityOf =
  ({ fileSystem: files }: Needs) =>
  (path: B.ByteString): TE.TaskEither<FileError, FileStatus> =>
    withDirectory(files)(files.openPath(path), files.identify);

/** Refuses the directory of another plugin, and one that holds plugins. */
const checkNames = (
  option: DirectoryOption,
  { path, meaning }: UnderstoodDirectory,
  entries: ReadonlyArray<DirectoryEntry>,
): E.Either<DirectoriesError, void> => {
  if (meaning === 'as-given' && Layout.isPluginName(Layout.parentOf(path).name))
    return E.left({ _tag: 'OtherPlugin', option, path });
  const names = entries.map(({ name }) => name).filter(Layout.isPluginName);
  const plugin = names.find((name) => name === Layout.plugin.tasks) ?? names[0];
  return plugin === undefined ? E.right(undefined) : E.left({ _tag: 'PluginInside', option, path, plugin });
};

const checkOwner =
  ({ fileSystem: files }: Needs, uid: number) =>
  (option: DirectoryOption, there: Located['there']): TE.TaskEither<DirectoriesError, void> =>
    E.isLeft(there)
      ? TE.right(undefined)
      : pipe(
          files.owner(there.right.directory),
          TE.mapLeft(unusable(option)),
          TE.chain((owner) =>
            owner === uid
              ? TE.right(undefined)
              : TE.left({ _tag: 'OtherOwner', path: there.right.directory.path, owner, uid }),
          ),
        );

/**
 * Looks at the bundles until it has seen what it needs: at one of each namespace, and at as many as it takes to find a
 * bundle, and a `work` link that names the root directory. On most hosts that is the first.
 */
const lookAround =
  (needs: Needs, uid: number) =>
  (state: There, root: Located): Looked =>
  async () => {
    const visitor: Visitor = { fileSystem: needs.fileSystem, uid, namesRoot: makeNamesRoot(needs, root) };
    const namespaces = state.entries.filter(({ kind }) => kind === 'directory');
    let look: Look = { hasDirectory: namespaces.length > 0, hasBundle: false, rootIsNamed: false };
    for (const { name } of namespaces) {
      const visited = await visitNamespace(visitor)({ directory: state.directory, name }, look)();
      if (E.isLeft(visited)) return visited;
      look = visited.right;
    }
    return E.right(look);
  };

type Looked = TE.TaskEither<DirectoriesError, Look>;

/** The means to look around, with the question whether a path is that of the root directory. */
interface Visitor {
  readonly fileSystem: Capabilities['fileSystem'];
  readonly uid: number;
  readonly namesRoot: (named: B.ByteString) => Task<boolean>;
}

/** Whether a path is that of the root directory, or leads to it. Each path is looked at once. */
const makeNamesRoot = (needs: Needs, { understood, there }: Located): Visitor['namesRoot'] => {
  const known = new Map<B.ByteString, boolean>([[understood.path, true]]);
  return (named) => async () => {
    const before = known.get(named);
    if (before !== undefined) return before;
    const own = E.isLeft(there) ? there : await needs.fileSystem.identify(there.right.directory)();
    const other = await identityOf(needs)(named)();
    const isSame = E.isRight(own) && E.isRight(other) && isSameFile(own.right, other.right);
    known.set(named, isSame);
    return isSame;
  };
};

/** The findings of a look into the state directory. Of each kind the first example counts. */
interface Look {
  /** Whether there is a namespace, or at least a directory where one would be. */
  readonly hasDirectory: boolean;
  readonly hasBundle: boolean;
  /** Something that is neither a bundle nor a namespace of bundles. */
  readonly stranger?: B.ByteString;
  /** A bundle where a namespace should be. */
  readonly misplaced?: B.ByteString;
  readonly otherOwner?: { readonly path: B.ByteString; readonly owner: number };
  readonly rootIsNamed: boolean;
  readonly otherRoot?: { readonly named: B.ByteString; readonly bundle: B.ByteString };
}

const visitNamespace =
  (visitor: Visitor) =>
  (at: Location, before: Look): Looked =>
    visit(visitor)(at, before, (namespace, entries, seen) => async () => {
      const plugin = entries.find(({ name }) => keepsBundles(name));
      if (plugin !== undefined)
        return E.left({ _tag: 'PluginInside', option: 'state', path: namespace.path, plugin: plugin.name });
      if (entries.some(isFileOfBundle)) return E.right({ misplaced: namespace.path, ...seen });
      const directories = entries.filter(({ kind }) => kind === 'directory');
      if (directories.length === 0 && entries.length > 0) return E.right({ stranger: namespace.path, ...seen });
      let look = seen;
      for (const [index, { name }] of directories.entries()) {
        if (index > 0 && look.hasBundle && look.rootIsNamed) break;
        const visited = await visitBundle(visitor, at.name)({ directory: namespace, name }, look)();
        if (E.isLeft(visited)) return visited;
        look = visited.right;
      }
      return E.right(look);
    });

/**
 * Opens and lists a directory and notes its owner. One that cannot be opened tells nothing, unless this process lacks
 * something.
 */
const visit =
  ({ fileSystem: files, uid }: Visitor) =>
  (
    at: Location,
    look: Look,
    use: (directory: Directory, entries: ReadonlyArray<DirectoryEntry>, look: Look) => Looked,
  ): Looked =>
    pipe(
      withDirectory(files)(files.openDirectory(at), (directory) =>
        pipe(
          TE.Do,
          TE.apS('owner', files.owner(directory)),
          TE.apS('entries', files.list(directory)),
          TE.chainTaskK(({ owner, entries }) => {
            const isOther = owner !== uid && look.otherOwner === undefined;
            return use(directory, entries, isOther ? { ...look, otherOwner: { path: directory.path, owner } } : look);
          }),
        ),
      ),
      TE.matchE(
        (error) => async () => (isExhaustionCode(codeOf(error)) ? E.left(unusable('state')(error)) : E.right(look)),
        (looked) => async () => looked,
      ),
    );

const isFileOfBundle = ({ name, kind }: DirectoryEntry): boolean => kind !== 'directory' && filesOfBundle.has(name);

/** The files that daemons and shims put into a bundle. A bundle's own name may be any of these. */
const filesOfBundle: ReadonlySet<string> = new Set<string>([
  Layout.entry.shimBinaryPath,
  Layout.entry.address,
  Layout.entry.bootstrap,
  Layout.entry.newBootstrap,
  Layout.entry.initPid,
  Layout.entry.log,
  Layout.entry.work,
  'config.json',
  'options.json',
  'runtime',
]);

const visitBundle =
  (visitor: Visitor, namespace: B.ByteString) =>
  (at: Location, before: Look): Looked =>
    visit(visitor)(at, before, (bundle, entries, seen) => async () => {
      if (entries.length === 0) return E.right(seen);
      if (!entries.some((entry) => isFileOfBundle(entry) || isRootfs(entry)))
        return E.right({ stranger: bundle.path, ...seen });
      const look = { ...seen, hasBundle: true };
      if (look.rootIsNamed || !entries.some(isWorkLink)) return E.right(look);
      const work = await visitor.fileSystem.readLink({ directory: bundle, name: Layout.entry.work })();
      const named = E.isLeft(work) ? undefined : rootNamedBy(work.right, { namespace, id: at.name });
      if (named === undefined) return E.right(look);
      return E.right(
        (await visitor.namesRoot(named)())
          ? { ...look, rootIsNamed: true }
          : { otherRoot: { named, bundle: bundle.path }, ...look },
      );
    });

const isRootfs = ({ name, kind }: DirectoryEntry): boolean => kind === 'directory' && name === Layout.entry.rootfs;

const isWorkLink = ({ name, kind }: DirectoryEntry): boolean => kind === 'symlink' && name === Layout.entry.work;

/** Concludes from the findings what a directory is. An empty one may be a bundle, unless all other findings deny it. */
const judge = (
  path: B.ByteString,
  root: Located,
  entries: ReadonlyArray<DirectoryEntry>,
  uid: number,
  { hasBundle, hasDirectory, stranger, misplaced, otherOwner, rootIsNamed, otherRoot }: Look,
): E.Either<DirectoriesError, void> => {
  if (!hasBundle) {
    if (misplaced !== undefined) return E.left({ _tag: 'TooDeep', path, bundle: misplaced });
    if (stranger !== undefined) return E.left({ _tag: 'NoBundles', path, found: stranger });
    const [first] = entries;
    if (!hasDirectory && first !== undefined)
      return E.left({ _tag: 'NoBundles', path, found: Layout.below(path, first.name) });
  }
  if (otherOwner !== undefined) return E.left({ _tag: 'OtherOwner', ...otherOwner, uid });
  const other = rootIsNamed ? undefined : otherRoot;
  if (E.isLeft(root.there)) return E.left({ _tag: 'RootMissing', error: root.there.left, named: other?.named ?? null });
  return other === undefined ? E.right(undefined) : E.left({ _tag: 'OtherRoot', root: root.understood.path, ...other });
};

/** The root directory that a bundle's `work` link names, `<root>/<namespace>/<id>`; a leftover has dots before its id. */
export const rootNamedBy = (work: B.ByteString, { namespace, id }: BundleId): B.ByteString | undefined => {
  const text = Layout.clean(work);
  const { directory, name } = Layout.parentOf(text);
  const { directory: root, name: within } = Layout.parentOf(directory);
  const isOurs = within === namespace && (name === id || name === unhidden(id));
  return text.startsWith('/') && isOurs ? root : undefined;
};

/** The problem, with what was expected; and the remedy, as words for the command line where there are some. */
export interface DirectoriesAdvice {
  readonly problem: string;
  readonly hint: string | undefined;
}

/** For people. `nameOf` is what a user is called, where that is known. */
export const showDirectoriesError =
  (nameOf: (uid: number) => string | undefined) =>
  (error: DirectoriesError): DirectoriesAdvice => {
    switch (error._tag) {
      case 'Unusable':
        return {
          problem: `the ${error.option} directory cannot be used: ${showFileError(error.error)}`,
          hint: undefined,
        };
      case 'RootMissing':
        return {
          problem: `the root directory cannot be used: ${showFileError(error.error)}${error.named === null ? '' : `; the work links of the bundles name --root ${B.show(error.named)}`}`,
          hint: undefined,
        };
      case 'PluginInside': {
        const right = Layout.below(error.path, keepsBundles(error.plugin) ? error.plugin : Layout.plugin.tasks);
        return {
          problem: `--${error.option} is one level off: ${B.show(error.plugin)} in ${B.show(error.path)} is a plugin of the daemon, where a namespace was expected`,
          hint: `--${error.option} ${B.show(right)}`,
        };
      }
      case 'OtherPlugin':
        return {
          problem: `--${error.option} ${B.show(error.path)} belongs to a plugin that keeps no bundles of this kind; the directory of ${Layout.plugin.tasks} was expected`,
          hint: `--${error.option} ${B.show(Layout.below(Layout.parentOf(error.path).directory, Layout.plugin.tasks))}`,
        };
      case 'SameDirectory':
        return {
          problem: `--state ${B.show(error.state)} and --root ${B.show(error.root)} are the same directory; two were expected, as each is cleaned of what does not belong there`,
          hint: "name the two directories of the daemon's configuration, state and root",
        };
      case 'Nested': {
        const [inner, outer] = error.inner === 'root' ? (['root', 'state'] as const) : (['state', 'root'] as const);
        return {
          problem: `--${inner} ${B.show(error[inner])} is inside --${outer} ${B.show(error[outer])}; two directories apart were expected, as each is cleaned of what does not belong there`,
          hint: "name the two directories of the daemon's configuration, state and root",
        };
      }
      case 'OtherOwner':
        return {
          problem: `${B.show(error.path)} belongs to ${showUser(nameOf, error.owner)}, and this process runs as ${showUser(nameOf, error.uid)}; only its owner sees what lives there`,
          hint: `run it as that user: sudo -u ${nameOf(error.owner) ?? `'#${error.owner}'`} shim-recovery …`,
        };
      case 'TooDeep':
        return {
          problem: `--state ${B.show(error.path)} is one level too deep: ${B.show(error.bundle)} is a bundle, where a namespace was expected`,
          hint: `--state ${B.show(Layout.parentOf(error.path).directory)}`,
        };
      case 'NoBundles':
        return {
          problem: `--state ${B.show(error.path)} holds no bundle: ${B.show(error.found)} does not look like one, nor like a namespace of bundles`,
          hint: isUsualState(error.path)
            ? 'a daemon that keeps its state here has no bundle to recover; of another daemon, name the directory that its configuration calls state'
            : `name the daemon's state directory, such as --state ${usualState}`,
        };
      case 'OtherRoot':
        return {
          problem: `no bundle keeps its work in --root ${B.show(error.root)}: the work link of ${B.show(error.bundle)} names another root directory`,
          hint: `--root ${B.show(error.named)}`,
        };
    }
  };

const showUser = (nameOf: (uid: number) => string | undefined, uid: number): string => {
  const name = nameOf(uid);
  return name === undefined ? `uid ${uid}` : `${name} (uid ${uid})`;
};

/** Whether it is containerd's usual state directory, or the one with bundles in it. A hint must not name it again then. */
const isUsualState = (path: B.ByteString): boolean => {
  const { directory, name } = Layout.parentOf(path);
  return path === usualState || (directory === usualState && keepsBundles(name));
};

const usualState = '/run/containerd';

/**
 * Reads the files of a bundle, and the record of its OCI runtime, for facts on its container. A file that exists and cannot
 * be understood is `Unknown`: its content is lost, and lost evidence is not the same as none.
 */
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import type { Task } from 'fp-ts/lib/Task.js';
import * as t from 'io-ts';
import { type Namespaces, withBundle, withDirectory } from '../BundleHandles.js';
import * as B from '../../base/ByteString.js';
import { parseJson } from '../../base/JsonDocument.js';
import type { BundleEvidence } from '../../decide/Evidence.js';
import {
  bornMsOf,
  type Directory,
  type FileError,
  type FileStatus,
  type FileSystem,
  isAbsent,
  showFileError,
} from '../../capabilities/FileSystem.js';
import * as Layout from '../../capabilities/BundleLayout.js';
import type { DirectoryKey } from '../../capabilities/Processes.js';

/** The content of a file; `Absent` where there is none. `Unknown`: why it could not be read, for the middle of a sentence. */
export type Said<A> =
  | { readonly _tag: 'Says'; readonly value: A }
  | { readonly _tag: 'Absent' }
  | { readonly _tag: 'Unknown'; readonly why: string };

const absent: Said<never> = { _tag: 'Absent' };

/** The facts in `config.json` on where the container runs, and with which others. */
export interface ContainerConfig {
  readonly cgroupsPath: B.ByteString | undefined;
  /** The pod that it belongs to: the id of its sandbox, or of the group that shares a shim. */
  readonly sandboxId: B.ByteString | undefined;
  /** Which directory it has for its root: an absolute path, or one below the bundle. */
  readonly rootPath: B.ByteString | undefined;
}

/** The pid in `init.pid`, and when it was written, in milliseconds since the epoch (infinite where that is not known). */
export interface InitPid {
  readonly pid: number;
  readonly writtenMs: number;
}

/** The process that the OCI runtime recorded, and when it began, in clock ticks since the kernel was started (0: not said). */
export interface RuntimeRecord {
  readonly path: B.ByteString;
  readonly pid: number;
  readonly startedTicks: number;
}

/** The largest `config.json` or record of a runtime that is read. */
const maxRecordBytes = 4 * 1024 * 1024;

const Config = t.partial({
  linux: t.union([t.partial({ cgroupsPath: t.string }), t.null]),
  annotations: t.union([t.record(t.string, t.string), t.null]),
  root: t.union([t.partial({ path: t.string }), t.null]),
});

const podAnnotations = [
  'io.kubernetes.cri.sandbox-id',
  'io.containerd.runc.v2.group',
  'io.kubernetes.cri-o.SandboxID',
] as const;

/** The root under which the runtime keeps its records, as the shim's options name it. */
const RuntimeOptions = t.partial({ root: t.string, Root: t.string });

const defaultRuntimeRoot = '/run/containerd/runc';

const RuncState = t.type({ init_process_pid: t.number });

const RuncStart = t.partial({ init_process_start: t.number });

/** Of youki and other programs that are made of its library: without a process before there is one. */
const YoukiState = t.type({ ociVersion: t.string, pid: t.union([t.number, t.null, t.undefined]) });

/** `state.json` has two forms. A process 0 is none. */
const OciState = t.union([t.intersection([RuncState, RuncStart]), YoukiState]);

const RunscState = t.type({ sandbox: t.type({ pid: t.number }) });

const CrunStatus = t.type({ pid: t.number });

const CrunStart = t.partial({ 'process-start-time': t.number });

/** A directory that a container may have for its root. `path` is where it stands, unless it is the bundle's `rootfs`. */
export interface ContainerRoot extends DirectoryKey {
  readonly path: B.ByteString | undefined;
}

/** All that the files of one bundle say. */
export interface ContainerFiles {
  readonly config: Said<ContainerConfig>;
  readonly initPid: Said<InitPid>;
  /** Which directories the container may have for its root: the bundle's `rootfs`, and the one that `config.json` names. */
  readonly roots: ReadonlyArray<Said<ContainerRoot>>;
  readonly runtimeRecord: Said<RuntimeRecord>;
}

/**
 * Of which containers runtimes keep records, by root and namespace: listed once a run, as most bundles have none. Left: why
 * that cannot be told.
 */
export type RuntimeRecords = (
  root: string,
  namespace: B.ByteString,
) => Task<E.Either<FileError, ReadonlySet<B.ByteString>>>;

const nothing: ContainerFiles = { config: absent, initPid: absent, roots: [], runtimeRecord: absent };

/** The control groups that a `linux.cgroupsPath` means. */
export interface MeantGroups {
  readonly isMeant: (path: string) => boolean;
  /** A text that the path of each of them contains. */
  readonly hint: B.ByteString;
}

/** Lists each directory of records when it is first asked for. */
export const makeRuntimeRecords = (files: FileSystem): RuntimeRecords => {
  const known = new Map<string, Promise<E.Either<FileError, ReadonlySet<B.ByteString>>>>();
  const list = async (path: B.ByteString): Promise<E.Either<FileError, ReadonlySet<B.ByteString>>> => {
    const entries = await withDirectory(files)(files.openPath(path), files.list)();
    if (E.isRight(entries)) return E.right(new Set(entries.right.map(({ name }) => name)));
    return isAbsent(entries.left) ? E.right(new Set()) : entries;
  };
  return (root, namespace) => () => {
    const path = Layout.below(B.fromText(root), namespace);
    const listed = known.get(path) ?? list(path);
    known.set(path, listed);
    return listed;
  };
};

/** Reads `config.json` of a bundle. */
export const readConfig =
  (files: FileSystem, namespaces: Namespaces) =>
  (evidence: BundleEvidence): Task<Said<ContainerConfig>> =>
  async () => {
    if (!mayHave(evidence)(Layout.entry.config)) return absent;
    const read = await withBundle(files, namespaces)(evidence, (directory) => async () => {
      const text = await files.readSmallFile({ directory, name: Layout.entry.config }, maxRecordBytes)();
      return E.right(unlessListed(evidence, Layout.entry.config)(fileSaid(text, configOf)));
    })();
    return E.isLeft(read) ? unknown(showFileError(read.left)) : read.right;
  };

/** Whether a bundle may have this entry, as far as its listing tells. */
const mayHave =
  ({ contents }: BundleEvidence) =>
  (name: B.ByteString): boolean =>
    contents?._tag !== 'Listed' || contents.present === undefined || contents.present.includes(name);

/** A file that the listing of its bundle showed, and that is not found any more: what it said is lost. */
const unlessListed =
  ({ contents }: BundleEvidence, name: B.ByteString) =>
  <A>(said: Said<A>): Said<A> =>
    said._tag === 'Absent' && contents?._tag === 'Listed' && contents.present?.includes(name) === true
      ? unknown(`${B.show(name)} is not there any more`)
      : said;

const unknown = (why: string): Said<never> => ({ _tag: 'Unknown', why });

const fileSaid = <A>(read: E.Either<FileError, B.ByteString>, decode: (text: B.ByteString) => Said<A>): Said<A> => {
  if (E.isRight(read)) return decode(read.right);
  return isAbsent(read.left) ? absent : unknown(showFileError(read.left));
};

const configOf = (text: B.ByteString): Said<ContainerConfig> =>
  andThen(decoded('config.json', Config)(text), ({ linux, annotations, root }) => {
    const group = linux?.cgroupsPath;
    const pod = podAnnotations.flatMap((name) => annotations?.[name] ?? []).find((id) => id !== '');
    return says({
      cgroupsPath: group === undefined || group === '' ? undefined : B.fromText(group),
      sandboxId: pod === undefined ? undefined : B.fromText(pod),
      rootPath: root?.path === undefined || root.path === '' ? undefined : B.fromText(root.path),
    });
  });

const andThen = <A, C>(said: Said<A>, next: (value: A) => Said<C>): Said<C> =>
  said._tag === 'Says' ? next(said.value) : said;

const decoded =
  <A>(name: string, codec: t.Type<A, unknown>) =>
  (text: B.ByteString): Said<A> => {
    const json = parseJson(B.toText(text));
    const value = O.isSome(json) ? codec.decode(json.value) : undefined;
    return value !== undefined && E.isRight(value) ? says(value.right) : unknown(`${name} cannot be understood`);
  };

const says = <A>(value: A): Said<A> => ({ _tag: 'Says', value });

/** Reads what the files of a bundle say of its container. */
export const readContainerFiles =
  (files: FileSystem, namespaces: Namespaces, records: RuntimeRecords) =>
  (evidence: BundleEvidence, knownConfig: Said<ContainerConfig> | undefined): Task<ContainerFiles> =>
  async () => {
    const has = mayHave(evidence);
    if (evidence.contents?._tag === 'Empty' || !Layout.ofContainer.some(has)) {
      const runtimeRecord = await runtimeRecordOf(files, records, defaultRuntimeRoot, evidence)();
      return { ...nothing, runtimeRecord };
    }
    const read = await withBundle(files, namespaces)(evidence, (directory) => async () => {
      const { entry, maxSmallFileBytes } = Layout;
      const ifHad = async <A>(name: B.ByteString, ask: () => Promise<Said<A>>): Promise<Said<A>> =>
        has(name) ? unlessListed(evidence, name)(await ask()) : absent;
      const config = await ifHad(
        entry.config,
        async () =>
          knownConfig ??
          fileSaid(await files.readSmallFile({ directory, name: entry.config }, maxRecordBytes)(), configOf),
      );
      const status = has(entry.rootfs) ? await files.status({ directory, name: entry.rootfs })() : undefined;
      const rootfs = status === undefined ? absent : rootSaid(status, undefined);
      // A container's root is a directory: anything else is none. An entry that is not found any more may have been one.
      const isLost = status !== undefined && E.isLeft(status);
      const roots = [
        isLost ? unlessListed(evidence, entry.rootfs)(rootfs) : rootfs,
        ...(await namedRoot(files, config)()),
      ];
      const initPid = await ifHad(entry.initPid, initPidOf(files, directory));
      const root = await ifHad(entry.options, async () =>
        fileSaid(await files.readSmallFile({ directory, name: entry.options }, maxSmallFileBytes)(), runtimeRootOf),
      );
      return E.right({ config, initPid, roots, root });
    })();
    // The bundle was there when it was listed: what its files said is lost, also where it is not found any more.
    if (E.isLeft(read)) {
      const lost = unknown(showFileError(read.left));
      return { config: lost, initPid: lost, roots: [lost], runtimeRecord: lost };
    }
    const { config, initPid, roots, root } = read.right;
    const runtimeRecord =
      root._tag === 'Unknown'
        ? root
        : await runtimeRecordOf(files, records, root._tag === 'Says' ? root.value : defaultRuntimeRoot, evidence)();
    return { config, initPid, roots, runtimeRecord };
  };

/** The container's record by runc or crun: each keeps it in another file of the same directory. */
const runtimeRecordOf =
  (
    files: FileSystem,
    records: RuntimeRecords,
    root: string,
    { namespace, id }: BundleEvidence,
  ): Task<Said<RuntimeRecord>> =>
  async () => {
    const recorded = await records(root, namespace)();
    if (E.isLeft(recorded)) return unknown(showFileError(recorded.left));
    if (!recorded.right.has(id))
      return runscRecordOf(files, Layout.below(B.fromText(root), namespace), id, recorded.right)();
    const directory = Layout.below(B.fromText(root), namespace, id);
    const read = readRecord(files, directory);
    const record = (name: string, pid: number, startedTicks: number): Said<RuntimeRecord> =>
      says({ path: Layout.below(directory, B.fromText(name)), pid, startedTicks });
    const runc = await read('state.json', (text) =>
      andThen(decoded('state.json', OciState)(text), (state) =>
        'init_process_pid' in state
          ? record('state.json', state.init_process_pid, state.init_process_start ?? 0)
          : record('state.json', state.pid ?? 0, 0),
      ),
    )();
    if (runc._tag !== 'Absent') return runc;
    return read('status', (text) =>
      andThen(decoded('status', t.intersection([CrunStatus, CrunStart]))(text), (status) =>
        record('status', status.pid, status['process-start-time'] ?? 0),
      ),
    )();
  };

/** The record of gVisor's runsc, the runtime of another shim: a file beside the directories, named after the sandbox too. */
const runscRecordOf =
  (
    files: FileSystem,
    directory: B.ByteString,
    id: B.ByteString,
    names: ReadonlySet<B.ByteString>,
  ): Task<Said<RuntimeRecord>> =>
  async () => {
    const name = [...names].find((one) => one.startsWith(`${id}_sandbox:`) && one.endsWith('.state'));
    if (name === undefined) return absent;
    return readRecord(files, directory)(name, (text) =>
      andThen(decoded(B.show(name), RunscState)(text), ({ sandbox }) =>
        says({ path: Layout.below(directory, name), pid: sandbox.pid, startedTicks: 0 }),
      ),
    )();
  };

/** Reads one record of a runtime below its directory for the container. */
const readRecord =
  (files: FileSystem, directory: B.ByteString) =>
  <A>(name: string, decode: (text: B.ByteString) => Said<A>): Task<Said<A>> =>
  async () => {
    const read = await withDirectory(files)(files.openPath(directory), (opened) =>
      files.readSmallFile({ directory: opened, name: B.fromText(name) }, maxRecordBytes),
    )();
    return fileSaid(read, decode);
  };

const rootSaid = (status: E.Either<FileError, FileStatus>, path: B.ByteString | undefined): Said<ContainerRoot> => {
  const what = path === undefined ? 'its rootfs' : `its root ${B.show(path)}`;
  if (E.isLeft(status)) return isAbsent(status.left) ? absent : unknown(`${what} cannot be looked at`);
  const { kind, device, inode } = status.right;
  if (kind === 'directory') return says({ device, inode, path });
  return path !== undefined && kind === 'symlink' ? unknown(`${what} is a symlink`) : absent;
};

/** The root that `config.json` names, where it is not the bundle's `rootfs`: with `ctr run --rootfs`, or under Docker. */
const namedRoot =
  (files: FileSystem, config: Said<ContainerConfig>) => async (): Promise<ReadonlyArray<Said<ContainerRoot>>> => {
    if (config._tag === 'Unknown') return [config];
    const path = config._tag === 'Says' ? config.value.rootPath : undefined;
    if (path === undefined || path === Layout.entry.rootfs) return [];
    if (!path.startsWith('/')) return [unknown(`its root ${B.show(path)} is not an absolute path`)];
    const clean = Layout.clean(path);
    const { directory: parent, name } = Layout.parentOf(clean);
    const status = await withDirectory(files)(files.openPath(parent), (directory) =>
      name === '' ? files.identify(directory) : files.status({ directory, name }),
    )();
    return [rootSaid(status, clean)];
  };

const initPidOf =
  (files: FileSystem, directory: Directory): Task<Said<InitPid>> =>
  async () => {
    const at = { directory, name: Layout.entry.initPid };
    const read = await files.readSmallFile(at, Layout.maxSmallFileBytes)();
    const said = fileSaid(read, (text) =>
      /^[1-9][0-9]{0,9}$/.test(text) ? says(Number(text)) : unknown('init.pid holds no number of a process'),
    );
    if (said._tag !== 'Says') return said;
    const status = await files.status(at)();
    // Some file systems tell no birth; then the process cannot be told from a later one, and counts as it.
    const writtenMs = E.isRight(status) ? bornMsOf(status.right) : undefined;
    return says({ pid: said.value, writtenMs: writtenMs ?? Number.POSITIVE_INFINITY });
  };

const runtimeRootOf = (text: B.ByteString): Said<string> =>
  andThen(decoded('options.json', RuntimeOptions)(text), ({ root = '', Root = '' }) =>
    says(root || Root || defaultRuntimeRoot),
  );

/** Which control groups a `linux.cgroupsPath` means, in either of its forms. The kernel tells paths that are clean. */
export const groupsOf = (cgroupsPath: B.ByteString): MeantGroups => {
  const rooted = (path: B.ByteString): B.ByteString => Layout.clean(Layout.below(B.fromText('/'), path));
  const literal = rooted(cgroupsPath);
  const isBelow = (path: string, group: string): boolean => `${path}/`.includes(`${group}/`);
  const [slice, prefix, name, ...more] = B.split(cgroupsPath, ':');
  if (slice === undefined || prefix === undefined || name === undefined || more.length > 0)
    return { isMeant: (path) => isBelow(path, literal), hint: literal };
  // systemd's form, `slice:prefix:name`: a runtime that does not drive systemd takes all of it for a name.
  const unit = name.endsWith('.slice') ? name : `${prefix === '' ? '' : `${prefix}-`}${name}.scope`;
  const group = rooted(B.fromLatin1(slice === '' ? unit : `${slice}/${unit}`));
  return { isMeant: (path) => isBelow(path, literal) || isBelow(path, group), hint: Layout.clean(name) };
};

/** Every process of one walk over the machine's table, indexed so that those of a bundle are found without looking at all. */
import * as E from 'fp-ts/lib/Either.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import * as B from '../../base/ByteString.js';
import type { SocketName } from '../../capabilities/ShimSocket.js';
import type { Clock } from '../../capabilities/Clock.js';
import {
  type DirectoryKey,
  type Listener,
  type OwnView,
  type Processes,
  type ProcessesError,
  type ProcessInfo,
  valueOf,
} from '../../capabilities/Processes.js';
import type { MeantGroups } from './ContainerFiles.js';

/** The bundle to which a shim belongs, by its command line. `undefined` where that names none. */
export interface ShimCommand {
  /** The base name of its first word. */
  readonly program: B.ByteString;
  /** The base name of each word before its flags: where there are several, the first program runs one of the others. */
  readonly programs: ReadonlyArray<B.ByteString>;
  readonly namespace: B.ByteString | undefined;
  readonly ids: ReadonlyArray<B.ByteString>;
  /** The text of `-bundle` and `-workdir`: a path whose last two parts are the namespace and the id. */
  readonly bundles: ReadonlyArray<B.ByteString>;
  /** Whether it is a shim's program at work for a daemon (`start`, `delete`), and not the shim itself. */
  readonly isAction: boolean;
}

const actions: ReadonlyArray<string> = ['start', 'delete'];

/**
 * Reads the command line of a process as that of a shim; `undefined` where it names no namespace and no bundle. The words
 * before the first flag of a shim are its program, which an interpreter or a loader may run.
 */
export const shimCommandOf = (words: ReadonlyArray<B.ByteString>): ShimCommand | undefined => {
  const commandLine = wordsOfCommand(words);
  const first = commandLine.findIndex((word) => shimFlag.test(word));
  if (first < 1) return undefined;
  const { values, action } = flagsOf(commandLine.slice(first));
  const programs = commandLine.slice(0, first);
  const valueOfFlag = (name: string): ReadonlyArray<B.ByteString> => {
    const value = values.get(name);
    return value === undefined || value === '' ? [] : [value];
  };
  const [namespace] = valueOfFlag('namespace');
  const bundles = [...valueOfFlag('bundle'), ...valueOfFlag('workdir')];
  return namespace === undefined && bundles.length === 0
    ? undefined
    : {
        program: baseName(programs[0] ?? B.empty),
        programs: programs.map(baseName),
        namespace,
        ids: valueOfFlag('id'),
        bundles,
        isAction: action !== undefined && actions.includes(action),
      };
};

/** The words of a command line. A process that sets its own title has all of them in the first one, with spaces between. */
const wordsOfCommand = ([title = B.empty, ...words]: ReadonlyArray<B.ByteString>): ReadonlyArray<B.ByteString> =>
  title.includes(' -') ? [...B.split(title, ' ').filter((word) => word !== ''), ...words] : [title, ...words];

/** A flag that shims have, and most other programs have not. */
const shimFlag = /^--?(?:namespace|id|bundle|workdir|address|publish-binary|containerd-binary|socket)(?:=|$)/;

/** Reads flags as Go's package `flag` does, and the parsers of Rust's shims, too: `-id web`, `--id web`, `-id=web`, `--id=web`. */
const flagsOf = (words: ReadonlyArray<B.ByteString>): Flags => {
  const values = new Map<string, B.ByteString>();
  let at = 0;
  for (let word = words[at]; word !== undefined && /^--?[^-]/.test(word); word = words[at]) {
    const name = word.replace(/^--?/, '');
    const equals = name.indexOf('=');
    if (equals >= 0) values.set(name.slice(0, equals), B.slice(word, word.indexOf('=') + 1));
    else if (!switches.includes(name)) values.set(name, words[++at] ?? B.empty);
    at++;
  }
  return { values, action: words[at] };
};

interface Flags {
  /** The last value of each flag. */
  readonly values: ReadonlyMap<string, B.ByteString>;
  /** The first word that is neither a flag nor its value. */
  readonly action: B.ByteString | undefined;
}

/** The flags of shims that take no value. All others take one. */
const switches: ReadonlyArray<string> = ['debug', 'v', 'version', 'h', 'help', 'info', 'systemd-cgroup'];

const baseName = (path: B.ByteString): B.ByteString => B.slice(path, path.lastIndexOf('/') + 1);

/**
 * Whether a command line ends with the words that tell a program what to do: it is that program's own, or that of another one
 * which runs it, such as `sudo`.
 */
export const runsSameCommand = (
  own: ReadonlyArray<B.ByteString>,
): ((other: ReadonlyArray<B.ByteString>) => boolean) => {
  const words = wordsOfCommand(own);
  // A program may have flags of its own before its command, and a file to run.
  const command = words.slice(Math.max(1, words.findIndex((word) => shimFlag.test(word)) - 1));
  return (other) => {
    const ending = wordsOfCommand(other).slice(-command.length);
    return command.length > 0 && ending.length === command.length && ending.every((word, at) => word === command[at]);
  };
};

/** A process that may be a shim, with what its command line says. */
export interface ShimProcess {
  readonly process: ProcessInfo;
  readonly command: ShimCommand;
}

export interface ProcessTable {
  readonly byPid: (pid: number) => ProcessInfo | undefined;
  /** The shims whose command line names this bundle. */
  readonly shimsNaming: (namespace: B.ByteString, id: B.ByteString) => ReadonlyArray<ProcessInfo>;
  /** Other processes whose command line names this bundle: a runtime at work, or the program of a shim. */
  readonly othersNaming: (namespace: B.ByteString, id: B.ByteString) => ReadonlyArray<ProcessInfo>;
  /** The shims of a namespace whose command line names no bundle at all. */
  readonly namelessShims: (namespace: B.ByteString) => ReadonlyArray<ShimProcess>;
  /** The processes whose current directory is this one. */
  readonly workingIn: (directory: DirectoryKey) => ReadonlyArray<ProcessInfo>;
  /** The processes whose root is this directory. */
  readonly rootedIn: (directory: DirectoryKey) => ReadonlyArray<ProcessInfo>;
  /** Processes whose root may not be looked at. */
  readonly hiddenRoots: ReadonlyArray<ProcessInfo>;
  /** Processes whose root is some directory of this device, and which one the kernel does not say (inode 0). */
  readonly rootedSomewhereOn: (device: string) => ReadonlyArray<ProcessInfo>;
  /** All processes whose root is on this device. */
  readonly rootedOn: (device: string) => ReadonlyArray<ProcessInfo>;
  /** The processes in exactly this control group, or below it. */
  readonly inGroup: (groups: MeantGroups) => ReadonlyArray<ProcessInfo>;
  /**
   * The processes in whose control group's path the id appears between characters that are neither letters nor digits.
   * Where the path shows one of `otherNamespaces` just before the id, it is that namespace's. A long id may be ours all the
   * same: what is before it may be a parent of that name. Where the container's own group is known, a short id in another
   * path is probably that of another daemon's container.
   */
  readonly inGroupOf: (
    id: B.ByteString,
    otherNamespaces: ReadonlySet<string>,
    isOwnGroupKnown: boolean,
  ) => Readonly<Record<GroupMatch, ReadonlyArray<ProcessInfo>>>;
  /** Every process that is a shim by its command line, of any namespace and bundle. */
  readonly shims: ReadonlyArray<ShimProcess>;
  readonly all: ReadonlyArray<ProcessInfo>;
}

/** The namespace and id at the end of a bundle's path. */
export const lastTwo = (path: B.ByteString): ReadonlyArray<B.ByteString> =>
  B.split(path, '/')
    .filter((part) => part !== '')
    .slice(-2);

class Index<K> {
  readonly #found = new Map<K, Set<ProcessInfo>>();
  add(key: K, process: ProcessInfo): void {
    const there = this.#found.get(key);
    if (there === undefined) this.#found.set(key, new Set([process]));
    else there.add(process);
  }
  get(key: K): ReadonlyArray<ProcessInfo> {
    return [...(this.#found.get(key) ?? [])];
  }
}

export const processTable = (processes: ReadonlyArray<ProcessInfo>): ProcessTable => {
  const byPid = new Map(processes.map((process) => [process.pid, process]));
  const byName = new Index<string>();
  const othersByName = new Index<string>();
  const nameless = new Map<B.ByteString, Array<ShimProcess>>();
  const byDirectory = new Index<string>();
  const byRoot = new Index<string>();
  const byRootDevice = new Index<string>();
  const shims: Array<ShimProcess> = [];
  for (const process of processes) {
    const directory = valueOf(process.currentDirectory);
    if (directory !== undefined) byDirectory.add(keyOf(directory), process);
    for (const other of process.otherDirectories ?? []) byDirectory.add(keyOf(other), process);
    const root = valueOf(process.rootDirectory);
    if (root !== undefined) {
      byRoot.add(keyOf(root), process);
      byRootDevice.add(root.device, process);
    }
    const command = shimCommandOf(process.commandLine);
    if (command === undefined) continue;
    const shim = { process, command };
    shims.push(shim);
    const { namespace, ids, bundles } = command;
    // A runtime names the bundle, too, but no namespace; the oldest shims name only their working directory.
    const isShim = !command.isAction && (namespace !== undefined || /shim/.test(command.program));
    const index = isShim ? byName : othersByName;
    for (const bundle of bundles) index.add(lastTwo(bundle).join('/'), process);
    if (namespace === undefined) continue;
    for (const id of ids) index.add(bundleKey(namespace, id), process);
    if (ids.length + bundles.length === 0) {
      const there = nameless.get(namespace);
      if (there === undefined) nameless.set(namespace, [shim]);
      else there.push(shim);
    }
  }
  const { members, candidates } = indexGroups(processes);
  return {
    all: processes,
    shims,
    byPid: (pid) => byPid.get(pid),
    shimsNaming: (namespace, id) => byName.get(bundleKey(namespace, id)),
    othersNaming: (namespace, id) => othersByName.get(bundleKey(namespace, id)),
    namelessShims: (namespace) => nameless.get(namespace) ?? [],
    workingIn: (directory) => byDirectory.get(keyOf(directory)),
    rootedSomewhereOn: (device) => byRoot.get(keyOf({ device, inode: '0' })),
    rootedOn: (device) => byRootDevice.get(device),
    rootedIn: (directory) => byRoot.get(keyOf(directory)),
    // The first process of a machine often hides its root, and is in no container.
    hiddenRoots: processes.filter(({ pid, rootDirectory }) => pid !== 1 && rootDirectory._tag === 'Hidden'),
    inGroup: ({ isMeant, hint }) => {
      const found: Array<ProcessInfo> = [];
      for (const path of candidates(hint)) if (isMeant(path)) found.push(...members.get(path));
      return sorted(found);
    },
    inGroupOf: (id, otherNamespaces, isOwnGroupKnown) => {
      const isShort = id.length < longIdBytes;
      const found: Record<GroupMatch, Array<ProcessInfo>> = { certain: [], possible: [] };
      for (const path of candidates(id)) {
        const match = matchPath(path, id, otherNamespaces);
        if (match === undefined) continue;
        found[isOwnGroupKnown && isShort ? 'possible' : match].push(...members.get(path));
      }
      return { certain: sorted(found.certain), possible: sorted(found.possible) };
    },
  };
};

const keyOf = ({ device, inode }: DirectoryKey): string => `${device}:${inode}`;

const bundleKey = (namespace: B.ByteString, id: B.ByteString): string => `${namespace}/${id}`;

/** The paths of control groups, and who is in each. */
const indexGroups = (processes: ReadonlyArray<ProcessInfo>) => {
  const members = new Index<B.ByteString>();
  const paths = new Set<B.ByteString>();
  for (const process of processes)
    for (const path of process.cgroups) {
      paths.add(path);
      members.add(path, process);
    }
  const byWord = new Map<string, Array<B.ByteString>>();
  for (const path of paths)
    for (const word of new Set(alphanumericsIn(path))) {
      const there = byWord.get(word);
      if (there === undefined) byWord.set(word, [path]);
      else there.push(path);
    }
  /** The paths that may hold this text: those with its longest word. */
  const candidates = (text: string): Iterable<B.ByteString> => {
    const longest = [...alphanumericsIn(text)].sort((one, other) => other.length - one.length)[0];
    return longest === undefined ? paths : (byWord.get(longest) ?? []);
  };
  return { members, candidates };
};

const alphanumericsIn = (text: string): ReadonlyArray<string> => text.match(/[A-Za-z0-9]+/g) ?? [];

const sorted = (processes: Iterable<ProcessInfo>): ReadonlyArray<ProcessInfo> =>
  [...new Set(processes)].sort((one, other) => one.pid - other.pid);

/** An id this long is not met by chance in the path of a control group. */
const longIdBytes = 12;

/** How surely a control group is that of a container of this id. */
type GroupMatch = 'certain' | 'possible';

const matchPath = (path: string, id: string, otherNamespaces: ReadonlySet<string>): GroupMatch | undefined => {
  const parts = path.split('/');
  let best: GroupMatch | undefined;
  for (const [index, part] of parts.entries()) {
    const match = matchIn(part, id);
    if (match === undefined) continue;
    const before = parts[index - 1];
    const isOfOther = before !== undefined && otherNamespaces.has(before);
    if (isOfOther && id.length < longIdBytes) continue;
    if (match === 'certain' && !isOfOther) return match;
    best = 'possible';
  }
  return best;
};

/** How one part of a control group's path tells of an id; `undefined` where it does not. */
const matchIn = (part: string, id: string): GroupMatch | undefined => {
  for (let at = part.indexOf(id); at >= 0; at = part.indexOf(id, at + 1)) {
    const isAlone = !isWordCharacter(part[at - 1]) && !isWordCharacter(part[at + id.length]);
    if (!isAlone) continue;
    const rest = part.slice(at + id.length);
    const isWhole = (at === 0 || /[-:]/.test(part[at - 1] ?? '')) && (rest === '' || rest === '.scope');
    return isWhole || id.length >= longIdBytes ? 'certain' : 'possible';
  }
  return undefined;
};

const isWordCharacter = (character: string | undefined): boolean =>
  character !== undefined && /[A-Za-z0-9]/.test(character);

/** One walk over the processes, and what goes with it. */
export interface ProcessesSeen {
  readonly table: ProcessTable;
  readonly view: OwnView;
  /** Who listens at a socket. All listening sockets are read when this is first asked for. */
  readonly listeners: TaskEither<ProcessesError, ListenersAt>;
  /** The processes that have a socket open, by its inode. Each is looked for once: that is a walk over all open files. */
  readonly holders: (inode: string) => TaskEither<ProcessesError, ReadonlyArray<number>>;
}

/** The processes as they were seen at a certain moment or later; they are looked at again only for a later moment. */
export type ProcessesSince = (elapsedMs: number) => TaskEither<ProcessesError, ProcessesSeen>;

/** Looks once for all that are content with the same moment. */
export const makeProcessesSince = (processes: Processes, clock: Pick<Clock, 'elapsedMs'>): ProcessesSince => {
  let latest: { readonly atMs: number; readonly seen: Promise<E.Either<ProcessesError, ProcessesSeen>> } | undefined;
  return (sinceMs) => () => {
    if (latest === undefined || latest.atMs < sinceMs) latest = { atMs: clock.elapsedMs(), seen: look(processes) };
    return latest.seen;
  };
};

const look = async (processes: Processes): Promise<E.Either<ProcessesError, ProcessesSeen>> => {
  const view = await processes.view();
  if (E.isLeft(view)) return view;
  const all = await processes.list();
  if (E.isLeft(all)) return all;
  const table = processTable(all.right);
  let listeners: Promise<E.Either<ProcessesError, ListenersAt>> | undefined;
  const holders = new Map<string, Promise<E.Either<ProcessesError, ReadonlyArray<number>>>>();
  return E.right({
    table,
    view: view.right,
    listeners: () =>
      (listeners ??= processes.listeners(inOtherNetworks(table, view.right))().then(E.map(listenersByName))),
    holders: (inode) => () => {
      const known = holders.get(inode) ?? processes.holders(inode)();
      holders.set(inode, known);
      return known;
    },
  });
};

/** The listeners that have this name, or one that leads to the same place. */
type ListenersAt = (socket: SocketName) => ReadonlyArray<Listener>;

/** One process of each network namespace that shims are in and we are not. */
const inOtherNetworks = ({ shims }: ProcessTable, { namespaces }: OwnView): ReadonlyArray<number> => {
  const own = valueOf(namespaces)?.network;
  const found = new Map<string, number>();
  for (const { process } of shims) {
    const network = valueOf(process.namespaces)?.network;
    if (network !== undefined && network !== own) found.set(network, process.pid);
  }
  return [...found.values()];
};

const listenersByName = (listeners: ReadonlyArray<Listener>): ListenersAt => {
  const known = new Map<string, Array<Listener>>();
  for (const listener of listeners)
    for (const key of keysOf(listener.name)) {
      const there = known.get(key);
      if (there === undefined) known.set(key, [listener]);
      else there.push(listener);
    }
  return (socket) => [...new Set(keysOf(socket).flatMap((key) => known.get(key) ?? []))];
};

/** The texts by which a socket may be known. */
const keysOf = (socket: SocketName): ReadonlyArray<string> => {
  if (socket._tag === 'Abstract') return [`@${withoutFilling(socket.name)}`];
  const last = baseName(socket.path);
  return last.length >= longNameBytes ? [socket.path, last] : [socket.path];
};

/** Some programs bind the whole of an abstract address, filled up with NULs, which the kernel prints as `@`. */
const withoutFilling = (name: string): string => name.replace(/[@\0]+$/, '');

/** The name of a shim's socket is a hash: one this long is not another's, even if it was bound by another path. */
const longNameBytes = 32;

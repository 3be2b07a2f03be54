/**
 * Asks every source whether a bundle's shim and its container live. The sources that all bundles share are looked
 * at once a run: the table of processes, the listening sockets, the pods.
 */
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import * as B from '../../base/ByteString.js';
import {
  type DirectoryKey,
  isSameDirectory,
  type ProcessesError,
  type ProcessInfo,
  showProcessesError,
  valueOf,
} from '../../capabilities/Processes.js';
import { hasNoListener } from '../../capabilities/ShimConnector.js';
import { type ShimTarget, showSocket, type SocketName } from '../../capabilities/ShimSocket.js';
import { processesAmong } from '../../capabilities/TaskExit.js';
import type { BundleEvidence } from '../../decide/Evidence.js';
import { shimAddress } from '../../decide/ShimAddress.js';
import { type BundleId, isHidden, unhidden } from '../../policy/Names.js';
import { careful } from '../../policy/Policy.js';
import { programNameOf } from '../../policy/ShimProgram.js';
import type { Namespaces } from '../BundleHandles.js';
import type { Capabilities } from '../Capabilities.js';
import { type ContainerFiles, groupsOf, readContainerFiles, type RuntimeRecords } from './ContainerFiles.js';
import type { MountedRootOf } from './MountedRoots.js';
import { nameOf, type Neighbour, type Pods } from './Pods.js';
import {
  type ProcessesSeen,
  runsSameCommand,
  type ShimCommand,
  shimCommandOf,
  type ShimProcess,
} from './ProcessTable.js';
import type { ProcessesBelow } from './ProcessesBelow.js';
import { otherOwnersOfShim } from './ShimOwners.js';
import {
  livingContainer,
  livingShim,
  pidsOf as pidsOfSigns,
  showPids,
  type Sign,
  sign,
  type Signs,
  type SignSource,
} from '../../decide/Signs.js';

/** The means and the looks that all bundles of a run share. */
export interface SignNeeds {
  readonly capabilities: Capabilities;
  readonly namespaces: Namespaces;
  readonly processes: TaskEither<ProcessesError, ProcessesSeen>;
  readonly pods: Pods;
  /** The bundles of the snapshot by device and inode, of both trees. */
  readonly bundleAt: Task<BundleAt>;
  /** Whether there is a bundle of this id. */
  readonly exists: (key: BundleId) => boolean;
  readonly runtimeRecords: RuntimeRecords;
  readonly mountedRootOf: MountedRootOf;
  readonly processesBelow: ProcessesBelow;
  /** The names of all namespaces that have a directory, but for one. */
  readonly namespacesBut: (name: B.ByteString) => Task<ReadonlySet<string>>;
  /** How long a shim of the same pod is dialled, in milliseconds. */
  readonly timeoutMs: number;
}

type BundleAt = (directory: DirectoryKey) => BundleEvidence | undefined;

/** Asks every source about one bundle. */
export const signsOfLife =
  (needs: SignNeeds) =>
  (evidence: BundleEvidence): Task<Signs> =>
  async () => {
    const seen = await needs.processes();
    if (E.isLeft(seen)) return [sign('own-view', 'unknown', showProcessesError(seen.left))];
    const { capabilities, namespaces, runtimeRecords, pods } = needs;
    const files = await readContainerFiles(
      capabilities.fileSystem,
      namespaces,
      runtimeRecords,
    )(evidence, await pods.configOf(evidence)())();
    const about: About = {
      needs,
      evidence,
      files,
      seen: seen.right,
      bundleAt: await needs.bundleAt(),
      otherNamespaces: await needs.namespacesBut(evidence.namespace)(),
      names: namesOf(needs, evidence),
    };
    const container = [
      initPidSign(about),
      controlGroupSign(about),
      runtimeStateSign(about),
      await rootFileSystemSign(about),
    ];
    const ofShim = [
      await listenerSign(about),
      shimProcessSign(about, new Set(pidsOfSigns(livingContainer(container)))),
    ];
    return [ownView(about), ...ofShim, await podSign(about, livingShim(ofShim)), ...container];
  };

/** All that the sources look at. */
interface About {
  readonly needs: SignNeeds;
  readonly evidence: BundleEvidence;
  readonly files: ContainerFiles;
  readonly seen: ProcessesSeen;
  readonly bundleAt: BundleAt;
  /** The names of the other namespaces. */
  readonly otherNamespaces: ReadonlySet<string>;
  /** The ids by which the bundle's processes may be known: a leftover's former one, too, unless another bundle has it now. */
  readonly names: ReadonlyArray<B.ByteString>;
}

/** Why shims of the tree, or what is mounted for them, may be in namespaces that this program is not in. */
const otherNamespaces = ({ table, view }: ProcessesSeen, shims: ReadonlyArray<ShimProcess>): string | undefined => {
  const own = valueOf(view.namespaces);
  if (own === undefined) return 'in which namespaces this program is cannot be seen';
  const sharing = shims.filter(({ command }) => !makesOwnMounts.test(command.program));
  for (const which of ['pid', 'mount'] as const) {
    const others = (which === 'mount' ? sharing : shims).flatMap(({ process }) => {
      const theirs = valueOf(process.namespaces);
      return theirs !== undefined && theirs[which] !== own[which] ? [process] : [];
    });
    if (others.length > 0)
      return `shims of this tree (${showPids(pidsOf(others))}) are in another ${which} namespace than this program`;
  }
  const hidden = shims.flatMap(({ process }) => (process.namespaces._tag === 'Hidden' ? [process] : []));
  if (hidden.length > 0)
    return `in which namespaces shims of this tree are (${showPids(pidsOf(hidden))}) cannot be seen`;
  if (!view.isFirstPidNamespace && shims.length === 0)
    return 'this program is in a pid namespace of its own, and no shim of this tree is seen in it: shims outside it cannot be seen';
  if (sharing.length > 0) return undefined;
  const first = table.byPid(1);
  const firstMount = first === undefined ? undefined : valueOf(first.namespaces)?.mount;
  if (firstMount === undefined)
    return view.isFirstMountNamespace ? undefined : 'in which mount namespace process 1 is cannot be seen';
  return firstMount === own.mount
    ? undefined
    : 'this program is in a mount namespace of its own: what is mounted for containers cannot be seen';
};

/** Shims of these runtimes give themselves a mount namespace, wherever their daemon is (docs/runtimes.md). */
const makesOwnMounts = /kata|wasm|spin|slight|lunatic|nerdbox/;

const pidsOf = (processes: Iterable<ProcessInfo>): ReadonlyArray<number> =>
  [...new Set(Array.from(processes, ({ pid }) => pid))].sort((one, other) => one - other);

const namesOf = ({ exists }: SignNeeds, { namespace, id }: BundleEvidence): ReadonlyArray<B.ByteString> => {
  const former = unhidden(id);
  return isHidden(id) && former !== '' && !exists({ namespace, id: former }) ? [id, former] : [id];
};

const initPidSign = ({ files: { initPid, runtimeRecord, roots }, seen: { table, view } }: About): Sign => {
  if (initPid._tag === 'Absent') return sign('init-pid', 'none', 'it has no init.pid');
  if (initPid._tag === 'Unknown') return sign('init-pid', 'unknown', initPid.why);
  const { pid, writtenMs } = initPid.value;
  const process = table.byPid(pid);
  if (process === undefined) return sign('init-pid', 'dead', `process ${pid}, which init.pid names, has ended`);
  const recorded =
    runtimeRecord._tag === 'Says' && runtimeRecord.value.pid === pid ? runtimeRecord.value.startedTicks : 0;
  if (recorded > 0)
    return recorded === process.startedTicks
      ? sign('init-pid', 'alive', `process ${pid}, which init.pid names, runs`, [pid])
      : sign('init-pid', 'dead', `process ${pid} began at another time than the one that the runtime recorded`);
  if (process.startedMs <= writtenMs + clockSlackMs)
    return sign('init-pid', 'alive', `process ${pid}, which init.pid names, runs`, [pid]);
  // By the clock, which may have been set, it began later. A process whose root is ours is in no container.
  const [root, ours] = [valueOf(process.rootDirectory), valueOf(view.rootDirectory)];
  const isOurs = root !== undefined && ours !== undefined && isSameDirectory(root, ours);
  const isOursRootfs = roots.some(
    (one) => one._tag === 'Unknown' || (one._tag === 'Says' && ours !== undefined && isSameDirectory(one.value, ours)),
  );
  return isOurs && !isOursRootfs
    ? sign('init-pid', 'dead', `process ${pid} began later than init.pid was written, and is in no container`)
    : sign(
        'init-pid',
        'unknown',
        `process ${pid} has the number in init.pid, but began later by the clock, which may have been set`,
        [pid],
      );
};

/** A process that began later than its pid was written, by more than clocks go wrong, has probably only got the number. */
const clockSlackMs = 60_000;

const controlGroupSign = ({ files: { config }, seen: { table }, names, otherNamespaces }: About): Sign => {
  const group = config._tag === 'Says' ? config.value.cgroupsPath : undefined;
  const exact = group === undefined ? [] : table.inGroup(groupsOf(group));
  const byName = names.map((id) => table.inGroupOf(id, otherNamespaces, group !== undefined));
  const certain = pidsOf([...exact, ...byName.flatMap((found) => found.certain)]);
  if (certain.length > 0)
    return sign(
      'control-group',
      'alive',
      `${showPids(certain)} ${certain.length === 1 ? 'is' : 'are'} in its control group`,
      certain,
    );
  const possible = pidsOf(byName.flatMap((found) => found.possible));
  if (possible.length > 0)
    return sign('control-group', 'unknown', `${showPids(possible)} may be in its control group`, possible);
  if (config._tag === 'Unknown') return sign('control-group', 'unknown', config.why);
  return sign('control-group', 'dead', 'no process is in its control group');
};

const runtimeStateSign = ({ files: { runtimeRecord }, seen: { table } }: About): Sign => {
  const source: SignSource = 'runtime-state';
  if (runtimeRecord._tag === 'Absent') return sign(source, 'none', 'its runtime has no record of it');
  if (runtimeRecord._tag === 'Unknown') return sign(source, 'unknown', runtimeRecord.why);
  const { pid, startedTicks, path } = runtimeRecord.value;
  const process = pid > 0 ? table.byPid(pid) : undefined;
  if (process === undefined) return sign(source, 'dead', `process ${pid}, which ${B.show(path)} names, has ended`);
  if (startedTicks <= 0)
    return sign(source, 'unknown', `process ${pid}, which ${B.show(path)} names, may be another one by now`, [pid]);
  return startedTicks === process.startedTicks
    ? sign(source, 'alive', `process ${pid}, which ${B.show(path)} names, runs`, [pid])
    : sign(source, 'dead', `process ${pid} began at another time than ${B.show(path)} says`);
};

/** Of all directories that the container may have for its root: what lives in one of them lives. */
const rootFileSystemSign = async (about: About): Promise<Sign> => {
  const signs: Array<Sign> = [];
  for (const root of about.files.roots) if (root._tag !== 'Absent') signs.push(await rootSign(about, root));
  signs.push(...(await belowSign(about)));
  const [first = sign('root-file-system', 'none', 'it has no rootfs')] = (
    ['alive', 'unknown', 'dead'] as const
  ).flatMap((state) => signs.filter((one) => one.state === state));
  return first;
};

const rootSign = async (
  { evidence, needs, seen: { table, view } }: About,
  root: Exclude<ContainerFiles['roots'][number], { readonly _tag: 'Absent' }>,
): Promise<Sign> => {
  const source: SignSource = 'root-file-system';
  if (root._tag === 'Unknown') return sign(source, 'unknown', root.why);
  const { path, ...key } = root.value;
  const what = path === undefined ? 'its rootfs' : B.show(path);
  const ours = valueOf(view.rootDirectory);
  if (ours !== undefined && isSameDirectory(key, ours))
    return sign(source, 'unknown', `${what} is this machine's own root, in which every process lives`);
  const pids = pidsOf(table.rootedIn(key));
  if (pids.length > 0)
    return sign(source, 'alive', `${showPids(pids)} ${pids.length === 1 ? 'has' : 'have'} ${what} for root`, pids);
  const isMounted = evidence.identity !== null && evidence.identity.device !== key.device;
  const somewhere = isMounted ? pidsOf(table.rootedSomewhereOn(key.device)) : [];
  if (somewhere.length > 0)
    return sign(source, 'unknown', `${showPids(somewhere)} may have ${what} for root`, somewhere);
  // A process of the container may have another root inside it. A part of a file system may be mounted for others, too.
  const within = isMounted && key.device !== ours?.device ? pidsOf(table.rootedOn(key.device)) : [];
  if (within.length > 0) {
    const mounted = await needs.mountedRootOf(evidence, path)();
    if (E.isLeft(mounted)) return sign(source, 'unknown', mounted.left);
    if (mounted.right === '/')
      return sign(
        source,
        'unknown',
        `${showPids(within)} ${within.length === 1 ? 'has its' : 'have their'} root on the file system that is mounted on ${what}`,
        within,
      );
  }
  return table.hiddenRoots.length > 0
    ? sign(source, 'unknown', 'the roots of some processes may not be looked at')
    : sign(source, 'dead', `no process has ${what} for root`);
};

/** A process that works or runs below the bundle may be of its container, even if its root is elsewhere. */
const belowSign = async ({ needs, seen, evidence }: About): Promise<ReadonlyArray<Sign>> => {
  const below = await needs.processesBelow(seen, evidence)();
  if (E.isLeft(below)) return [sign('root-file-system', 'unknown', below.left)];
  const pids = pidsOf(below.right);
  const verb = pids.length === 1 ? 'works or runs' : 'work or run';
  return pids.length === 0
    ? []
    : [sign('root-file-system', 'unknown', `${showPids(pids)} ${verb} below the bundle`, pids)];
};

const listenerSign = async (about: About): Promise<Sign> => {
  const { evidence, seen } = about;
  const sockets = socketsOf(evidence);
  if (sockets.length === 0) return sign('listener', 'none', 'its files name no socket to look for');
  const listeners = await seen.listeners();
  if (E.isLeft(listeners)) return sign('listener', 'unknown', showProcessesError(listeners.left));
  const found = new Set(sockets.flatMap(listeners.right));
  const [socket] = sockets;
  const shown = socket === undefined ? '' : showSocket(socket);
  if (found.size === 0) return sign('listener', 'dead', `no process listens at ${shown}`);
  // To find who holds a socket takes a look at every open file of the machine: mostly it is the shim that is known already.
  const pids = [...pidsOf(shimsOf(about, evidence, about.names).certain)];
  for (const { inode } of pids.length > 0 ? [] : found) {
    const holders = await seen.holders(inode)();
    if (E.isRight(holders)) pids.push(...holders.right);
  }
  const holders = [...new Set(pids)];
  const who = holders.length === 0 ? 'a process' : showPids(holders);
  return sign('listener', 'alive', `${who} ${holders.length > 1 ? 'listen' : 'listens'} at ${shown}`, holders);
};

/** Every socket that the files of a bundle name. */
const socketsOf = ({ contents }: BundleEvidence): ReadonlyArray<SocketName> => {
  const address = contents?._tag === 'Listed' ? shimAddress(careful)(contents) : undefined;
  if (address?._tag !== 'Target') return [];
  return address.disputed === undefined ? [address.target.socket] : [address.target.socket, address.disputed];
};

/** The shims of one bundle: certain ones, and processes that may be. */
const shimsOf = (
  { seen: { table, view }, bundleAt }: About,
  evidence: BundleEvidence,
  names: ReadonlyArray<B.ByteString>,
): { readonly certain: ReadonlyArray<ProcessInfo>; readonly possible: ReadonlyArray<ProcessInfo> } => {
  const { namespace, identity } = evidence;
  const program = shimProgramOf(evidence);
  const inside = identity === null ? [] : table.workingIn(identity).filter(({ pid }) => pid !== view.pid);
  const certain = new Set([
    ...names.flatMap((id) => table.shimsNaming(namespace, id)),
    ...inside.filter((process) => !isAtWork(process) && looksLikeShim(process, program)),
  ]);
  const isOurs = runsSameCommand(table.byPid(view.pid)?.commandLine ?? []);
  const mayBeOf = ({ process, command }: ShimProcess): boolean => {
    if (process.pid === view.pid || isOurs(process.commandLine)) return false;
    if (program !== '' && !mayRun(command, program)) return false;
    const directory = valueOf(process.currentDirectory);
    const other = directory === undefined ? undefined : bundleAt(directory);
    return other === undefined || other.identity === identity;
  };
  const nameless = table.namelessShims(namespace).flatMap((shim) => (mayBeOf(shim) ? [shim.process] : []));
  const others = names.flatMap((id) => table.othersNaming(namespace, id));
  const possible = [...inside, ...nameless, ...others].filter((process) => !certain.has(process));
  return { certain: [...certain], possible: [...new Set(possible)] };
};

/** The name of the program that started the shim, as far as the bundle or its container's record tells; empty where neither does. */
const shimProgramOf = ({ contents, answers }: BundleEvidence): string => {
  if (answers.program?._tag === 'Right') return lastPart(answers.program.right);
  const read = contents?._tag === 'Listed' ? contents.shimBinaryPath : undefined;
  const recorded = answers.container?._tag === 'Found' ? answers.container.value.runtimeName : B.empty;
  const runtime = read?._tag === 'Read' && read.content !== '' ? read.content : recorded;
  return runtime.startsWith('/') ? lastPart(runtime) : (programNameOf(runtime, 'any') ?? '');
};

const lastPart = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** A shim's program that a daemon runs, and not the shim itself. */
const isAtWork = ({ commandLine }: ProcessInfo): boolean => shimCommandOf(commandLine)?.isAction === true;

/** A process without any word is not a person's shell: what it was called is gone. */
const looksLikeShim = ({ commandLine }: ProcessInfo, program: string): boolean => {
  const [first] = commandLine;
  if (first === undefined) return true;
  const name = lastPart(first);
  return name === program || /shim/.test(name) || shimCommandOf(commandLine) !== undefined;
};

/** Whether a process may be a shim of this program, run by an interpreter or a loader perhaps. Other programs have namespaces, too. */
const mayRun = ({ programs }: ShimCommand, program: string): boolean =>
  programs.some((name) => name === program || (programs.length > 1 && /shim/.test(name)));

/** A runtime's own processes name the bundle, too (`runsc-sandbox`): those that are of the container are not its shim. */
const shimProcessSign = (about: About, ofContainer: ReadonlySet<number>): Sign => {
  const { certain, possible: all } = shimsOf(about, about.evidence, about.names);
  const possible = all.filter(({ pid, commandLine }) => {
    const command = shimCommandOf(commandLine);
    const isRuntime = command !== undefined && command.namespace === undefined;
    return !(isRuntime && ofContainer.has(pid));
  });
  if (certain.length > 0) {
    const pids = pidsOf(certain);
    return sign('shim-process', 'alive', `its shim is there (${showPids(pids)})`, pids);
  }
  const [first] = possible;
  if (first !== undefined) {
    const pids = pidsOf(possible);
    return sign('shim-process', 'unknown', `${showPids(pids)}${programOf(first)} may belong to it`, pids);
  }
  return sign('shim-process', 'dead', 'no process is its shim');
};

const programOf = ({ commandLine: [first] }: ProcessInfo): string =>
  first === undefined ? '' : ` (${B.show(B.slice(first, first.lastIndexOf('/') + 1))})`;

/**
 * Whether this process can see the shims at all. From a pid namespace that is not the machine's first, a shim outside it is
 * not seen; if a shim of this tree is seen inside, that is enough. Where shims live in another mount namespace, the mounts
 * there are not seen either. A namespace that may not be looked at may be another one.
 */
const ownView = (about: About): Sign => {
  const known = views.get(about.seen) ?? lookAtOwnView(about);
  views.set(about.seen, known);
  return known;
};

/** What this process may see is the same for all bundles of one walk over the processes. */
const views = new WeakMap<ProcessesSeen, Sign>();

const lookAtOwnView = (about: About): Sign => {
  const { table, view } = about.seen;
  const why =
    view.limitedBy ??
    otherNamespaces(
      about.seen,
      table.shims.filter((shim) => isOfTree(about, shim)),
    );
  return why === undefined
    ? sign('own-view', 'none', 'this program sees every process of its pid namespace')
    : sign('own-view', 'unknown', why);
};

/** Whether a shim works in a bundle of the tree, or is named after one. */
const isOfTree = ({ bundleAt, needs: { exists } }: About, { process, command }: ShimProcess): boolean => {
  const directory = valueOf(process.currentDirectory);
  if (directory !== undefined && bundleAt(directory) !== undefined) return true;
  const { namespace } = command;
  return namespace !== undefined && command.ids.some((id) => exists({ namespace, id }));
};

/** The shim that a bundle shares with the others of its pod: what lives for one of them lives for all. */
const podSign = async (about: About, ownShim: Signs): Promise<Sign> => {
  const { evidence, needs } = about;
  const members = await needs.pods.membersOf(evidence)();
  const problem = await needs.pods.unknownMembers(evidence)();
  const owner = (neighbour: Neighbour): string => `the shim of its pod, that of ${B.show(nameOf(neighbour))}`;
  // Those that do not say where their shim listens find it by this bundle alone.
  const dependent = members.filter((member) => socketsOf(member.evidence).length === 0);
  if (dependent.length > 0 && ownShim.length > 0) {
    const also = dependent.map((member) => B.show(nameOf(member))).join(', ');
    return sign('pod', 'alive', `its shim is also that of ${also}`, pidsOfSigns(ownShim));
  }
  for (const member of members) {
    const pids = pidsOf(shimsOf(about, member.evidence, [member.evidence.id]).certain);
    if (pids.length > 0) return sign('pod', 'alive', `${owner(member)}, is there (${showPids(pids)})`, pids);
  }
  const own = new Set(socketsOf(evidence).map(showSocket));
  const { connection } = evidence.answers;
  const sharers = members.filter((member) => socketsOf(member.evidence).some((socket) => own.has(showSocket(socket))));
  if (connection?._tag === 'Connected') {
    const names = new Set([...sharers.map(nameOf), ...(await otherOwnersOfShim(needs)(evidence)())]);
    const pids = processesAmong([connection.answer.shimPid]);
    const also = [...names].map(B.show).join(', ');
    if (names.size > 0) return sign('pod', 'alive', `its shim answers, which is also the shim of ${also}`, pids);
  }
  const tried = new Set<string>();
  let isUnknown = false;
  for (const member of members) {
    const { contents, namespace } = member.evidence;
    const address = contents?._tag === 'Listed' ? shimAddress(careful)(contents) : undefined;
    if (address?._tag !== 'Target') continue;
    const name = showSocket(address.target.socket);
    if (own.has(name) || tried.has(name)) continue;
    tried.add(name);
    const answer = await answersAt(needs, namespace, address.target);
    if (answer === 'yes') return sign('pod', 'alive', `${owner(member)}, listens at ${name}`);
    if (answer === 'unknown') isUnknown = true;
  }
  if (isUnknown) return sign('pod', 'unknown', 'whether the shim of its pod listens is not known');
  if (problem !== undefined) return sign('pod', 'unknown', problem);
  return members.length === 0
    ? sign('pod', 'none', 'no other bundle shares its shim')
    : sign(
        'pod',
        'dead',
        `no shim of its pod is there (shared with ${members.map((member) => B.show(nameOf(member))).join(', ')})`,
      );
};

/** Whether a shim listens where a member of the pod says: dialled, and hung up on. */
const answersAt = async (
  needs: SignNeeds,
  namespace: B.ByteString,
  target: ShimTarget,
): Promise<'yes' | 'no' | 'unknown'> => {
  const dialled = await needs.capabilities.shimConnector.dial({ namespace, target, timeoutMs: needs.timeoutMs })();
  if (E.isRight(dialled)) {
    await dialled.right.close();
    return 'yes';
  }
  return hasNoListener(dialled.left) ? 'no' : 'unknown';
};

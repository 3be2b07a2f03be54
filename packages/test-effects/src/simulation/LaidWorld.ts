/** A world laid on an imaginary machine, ready to be recovered, with everything to observe it by. */
import { ByteString as B, type Recovery } from '@shim-recovery/core';
import { type DirectoryKey, seen, type Settings, settingsFor, type SocketName } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import * as Entry from '../memory/Entry.js';
import {
  bootedBeforeMs,
  listTree,
  type Machine,
  makeDirectories,
  makeEntry,
  makeMachine,
  makeMount,
} from '../memory/Machine.js';
import { hostNamespaces, type MemoryProcess, type MemoryView } from '../memory/MemoryProcesses.js';
import { isEndedBy, type Listing, type Observation } from '../worlds/Outcome.js';
import type { Tree } from '../memory/Tree.js';
import {
  type EntryKey,
  hasTask,
  keyOf,
  processesOf,
  scriptOf,
  shimOwner,
  shimPrograms,
  type Start,
  type World,
} from '../worlds/World.js';
import type { Making } from '../worlds/Fixture.js';
import { controlGroupOf, shimProgramOf } from '../worlds/Container.js';
import {
  bundlePath,
  makingsOf,
  type Places,
  placesBelow,
  rootDirectory,
  runtimeNameOf,
  sharedMakings,
  stateDirectory,
} from '../worlds/WorldTree.js';

export interface LaidWorld {
  readonly world: World;
  readonly machine: Machine;
  readonly places: Places;
  /** The settings that the recordings were made with: the reference's policy, time-outs and bounds. */
  readonly settings: Settings;
  /** Whether the shim that an entry has lives now. */
  readonly livingShim: (start: Start) => boolean;
  /** How many processes of an entry's container live now. */
  readonly livingProcesses: (start: Start) => number;
  /** Everything that stands below the world's base now. */
  readonly list: () => Listing;
  /** What was seen from the moment of laying until now, given which tasks are registered. */
  readonly observe: (registered: ReadonlyArray<EntryKey>) => Observation;
}

/** Whose tasks a recovery took back. */
export const registeredBy = ({ registry }: Recovery.Recovered): ReadonlyArray<EntryKey> =>
  registry.instances().map(({ evidence: { namespace, id } }) => ({ namespace, id }));

/** Makes one thing where nothing stands yet. */
export const make =
  (tree: Tree) =>
  (making: Making): void => {
    const path = B.fromText(making.path);
    switch (making._tag) {
      case 'Directory':
        makeDirectories(tree, path, making.mode);
        return;
      case 'File':
        makeEntry(tree, path, { kind: 'file', mode: 0o644, content: B.fromText(making.text) });
        return;
      case 'Symlink':
        makeEntry(tree, path, { kind: 'symlink', mode: 0o777, content: B.fromText(making.target) });
        return;
      case 'Fifo':
        makeEntry(tree, path, { kind: 'fifo', mode: making.mode });
        return;
      case 'Tmpfs':
        makeMount(tree, path).isBusy = making.isBusy;
        return;
    }
  };

/** Whether a task was ended. */
export const isEnded = ({ shims, shimBinary }: Machine, key: EntryKey): boolean =>
  isEndedBy(key)({ calls: shims.calls(), binaryRuns: shimBinary.runs() });

/** Where the shim of an entry listens. */
export const socketOf = (places: Places, world: World, start: Start): SocketName => {
  const path = B.fromText(places.socketOf(start));
  return (shimOwner(world)(start) ?? start).socket === 'abstract'
    ? { _tag: 'Abstract', name: path }
    : { _tag: 'Path', path };
};

/** Lays a world on a new machine, below `/world`. */
export const layWorld = (world: World): LaidWorld => {
  const machine = makeMachine();
  const { tree, shims, shimBinary, fileSystem, clock, processes } = machine;
  const places = placesBelow('/world')(world);
  const running: Running = { shims: new Map(), containers: new Map() };
  sharedMakings(places).forEach(make(tree));
  layPrograms(tree, places);
  startOther(machine, places);
  world.entries.forEach(layEntry(machine, places, world, running));
  if (world.rebooted === true) reboot(machine);
  fileSystem.backdate(tree.root(), madeMs(world, clock.nowMs()));
  if (world.view !== undefined) processes.limit(viewOf(world.view));
  const list = (): Listing => listTree(tree, B.fromText(places.base));
  const before = list();
  return {
    world,
    machine,
    places,
    settings: settingsFor({
      state: B.fromText(stateDirectory(places)),
      root: B.fromText(rootDirectory(places)),
      programSearch: {
        workingDirectory: B.fromText('/'),
        path: B.fromText(places.programs),
        executableDirectory: B.fromText('/usr/bin'),
      },
    }),
    livingShim: (start) => {
      const owner = shimOwner(world)(start);
      return owner !== undefined && running.shims.get(owner)?.isRunning() === true;
    },
    livingProcesses: (start) => (running.containers.get(start) ?? []).filter(({ isRunning }) => isRunning()).length,
    list,
    observe: (registered) => ({
      before,
      after: list(),
      calls: shims.calls(),
      binaryRuns: shimBinary.runs(),
      registered,
    }),
  };
};

/** What the process of each shim, and those of each container, say of themselves while they run. */
interface Running {
  readonly shims: Map<Start, MemoryProcess>;
  readonly containers: Map<Start, ReadonlyArray<MemoryProcess>>;
}

const layPrograms = (tree: Tree, { programs }: Places): void => {
  for (const { name, behaviour } of shimPrograms)
    makeEntry(tree, B.fromText(`${programs}/${name}`), {
      kind: 'file',
      mode: behaviour === 'not-executable' ? 0o644 : 0o755,
      content: B.fromText(behaviour),
    });
};

/** A process that has nothing to do with any entry. */
const startOther = ({ processes, clock }: Machine, { otherPid }: Places): void => {
  processes.start({
    pid: otherPid,
    commandLine: ['/usr/sbin/cron', '-f'].map(B.fromText),
    cgroups: ['/system.slice/cron.service'].map(B.fromText),
    startedMs: clock.nowMs() - otherBeforeMs,
  });
};

/** What has nothing to do with any of it began later. */
const otherBeforeMs = 600_000;

const layEntry =
  (machine: Machine, places: Places, world: World, running: Running) =>
  (start: Start): void => {
    const { stores } = machine;
    makingsOf(places)(start).forEach(make(machine.tree));
    const runtimeName = runtimeNameOf(places)(start);
    if (runtimeName !== undefined) stores.putContainer(keyOf(start), runtimeName);
    if (start.sandbox === true) stores.putSandbox(keyOf(start));
    running.containers.set(start, startContainer(machine, places, world, start));
    const shim = startShim(machine, places, world, start);
    if (shim !== undefined) running.shims.set(start, shim);
  };

/** Starts what runs of an entry's container, for as long as its task is not ended. */
const startContainer = (machine: Machine, places: Places, world: World, start: Start): ReadonlyArray<MemoryProcess> => {
  const count = processesOf(world)(start);
  if (count === 0) return [];
  const { processes, clock } = machine;
  const { pid } = places.firstProcessOf(start);
  const rootDirectory = rootOf(machine, places, start);
  const cgroups = controlGroupOf(start).paths.map(B.fromText);
  const key = keyOf(start);
  const started = Array.from({ length: count }, (_, index) =>
    processes.start({
      pid: pid + index,
      commandLine: ['/bin/workload'].map(B.fromText),
      cgroups,
      rootDirectory,
      namespaces: { pid: `pid:[${pid}]`, mount: `mnt:[${pid}]`, network: `net:[${pid}]` },
      startedMs: clock.nowMs() - startedBeforeMs,
      threads: 2,
      isRunning: () => !isEnded(machine, key),
    }),
  );
  if (start.mainThreadEnded === true) started[0]?.endMainThread();
  return started;
};

const rootOf = ({ tree, fileSystem }: Machine, places: Places, start: Start): DirectoryKey => {
  const own = ownFileSystem(places.firstProcessOf(start).pid);
  if (start.containerRoot === 'host') return fileSystem.keyOf(tree.root());
  const rootfs = tree.walk(B.fromText(`${bundlePath(places, start)}/rootfs`), { followLast: false });
  if (E.isLeft(rootfs) || !Entry.isDirectory(rootfs.right)) return own;
  return start.containerRoot === 'rootfs' || Entry.isRoot(rootfs.right) ? fileSystem.keyOf(rootfs.right) : own;
};

/** A file system that no path leads to, as each container has one that was mounted in its own namespace. */
const ownFileSystem = (pid: number): DirectoryKey => ({ device: String(1_000_000 + pid), inode: '2' });

const startedBeforeMs = 2_400_000;

/** Starts an entry's own shim, or leaves the socket of one that is gone. */
const startShim = (
  { tree, shims, processes, clock }: Machine,
  places: Places,
  world: World,
  start: Start,
): MemoryProcess | undefined => {
  const script = scriptOf(world)(start);
  if (script === undefined || shimOwner(world)(start) !== start) return undefined;
  const socket = socketOf(places, world, start);
  if (socket._tag === 'Path' && start.socket !== 'lost') makeEntry(tree, socket.path, { kind: 'socket', mode: 0o600 });
  const withoutTask = world.entries.filter((other) => shimOwner(world)(other) === start && !hasTask(other));
  shims.listen(socket, script, { without: withoutTask.map(keyOf) });
  if (script.mode === 'refuse') return undefined;
  const cwd = start.shimCwd === 'bundle' ? tree.walk(B.fromText(bundlePath(places, start))) : E.left('ENOENT');
  const { shimNamespace } = start;
  return processes.start({
    commandLine: shimWords(places, start).map(B.fromText),
    cgroups: [B.fromText('/system.slice/containerd.service')],
    startedMs: clock.nowMs() - startedBeforeMs,
    listensAt: socket,
    ...(E.isRight(cwd) && Entry.isDirectory(cwd.right) ? { currentDirectory: cwd.right } : {}),
    ...(shimNamespace === undefined
      ? {}
      : { namespaces: { [shimNamespace]: `${shimNamespace}:[${places.firstProcessOf(start).pid}]` } }),
  });
};

const shimWords = (places: Places, start: Start): ReadonlyArray<string> => {
  const { ns, id, shimArgs = 'usual' } = start;
  const program = `${places.programs}/${shimProgramOf(start)}`;
  const address = ['-address', '/run/containerd/containerd.sock'];
  switch (shimArgs) {
    case 'usual':
      return [program, '-namespace', ns, '-id', id, ...address];
    case 'no-id':
      return [program, '-namespace', ns, ...address];
    case 'equals':
      return [program, `--namespace=${ns}`, `--id=${id}`, ...address];
    case 'bundle':
      return [program, '-namespace', ns, '-bundle', bundlePath(places, start), ...address];
  }
};

/** What a reboot leaves of a world: what was made a day before it, without what is mounted and what is kept in memory. */
const reboot = ({ tree }: Machine): void => {
  for (const mounted of Array.from(tree.mounts()).reverse()) {
    if (mounted.point === undefined) continue;
    mounted.isBusy = false;
    tree.unmount(mounted.root);
  }
  const run = Entry.childOf(tree.root(), B.fromText('run'));
  if (run !== undefined) Entry.detach(run);
};

/** When everything was made, by the clock as it goes now. */
const madeMs = ({ rebooted, clock: set }: World, nowMs: number): number => {
  const before = rebooted === true ? bootedBeforeMs + 86_400_000 : madeBeforeMs;
  const shift = { 'set-forward': -years, 'set-back': years };
  return nowMs - before + (set === undefined ? 0 : shift[set]);
};

/** How long ago everything was made and started when the story begins, in milliseconds. */
const madeBeforeMs = 1_800_000;

const years = 10 * 365 * 86_400_000;

/** What the program sees, for each way in which that can be limited. */
const viewOf = (view: NonNullable<World['view']>): MemoryView => {
  switch (view) {
    case 'hidepid':
      return { sees: () => false, limitedBy: '/proc is mounted with hidepid=invisible' };
    case 'no-ptrace':
      return { hides: ['currentDirectory', 'rootDirectory', 'namespaces'] };
    case 'own-pid-namespace':
      return { sees: () => false, isFirstPidNamespace: false, namespaces: ownNamespace('pid') };
    case 'own-mount-namespace':
      return { namespaces: ownNamespace('mount'), isFirstMountNamespace: false };
  }
};

const ownNamespace = (which: 'pid' | 'mount') => seen({ ...hostNamespaces, [which]: `${which}:[own]` });

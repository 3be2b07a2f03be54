/** A world laid on an imaginary machine, ready to be recovered, with everything to observe it by. */
import type { SocketName } from '@shim-recovery/core/Bootstrap';
import * as B from '@shim-recovery/core/ByteString';
import type { Recovered } from '@shim-recovery/core/Recovery';
import { type Settings, settingsFor } from '@shim-recovery/core/Settings';
import {
  bootedBeforeMs,
  listTree,
  type Machine,
  makeDirectories,
  makeEntry,
  makeMachine,
  makeMount,
} from './Machine.js';
import { isEndedBy, type Listing, type Observation } from './Outcome.js';
import type { Tree } from './Tree.js';
import {
  type EntryKey,
  keyOf,
  processesOf,
  scriptOf,
  shimOwner,
  shimPrograms,
  type Start,
  type World,
} from './World.js';
import type { Making } from './Making.js';
import {
  makingsOf,
  type Places,
  placesBelow,
  rootDirectory,
  runtimeNameOf,
  sharedMakings,
  stateDirectory,
} from './WorldTree.js';

export interface LaidWorld {
  readonly world: World;
  readonly machine: Machine;
  readonly places: Places;
  /** The settings that the recordings were made with: the reference's policy, time-outs and bounds. */
  readonly settings: Settings;
  /** Everything that stands below the world's base now. */
  readonly list: () => Listing;
  /** What was seen from the moment of laying until now, given which tasks are registered. */
  readonly observe: (registered: ReadonlyArray<EntryKey>) => Observation;
}

/** Whose tasks a recovery took back. */
export const registeredBy = ({ registry }: Recovered): ReadonlyArray<EntryKey> =>
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

const layPrograms = (tree: Tree, { programs }: Places): void => {
  for (const { name, behaviour } of shimPrograms)
    makeEntry(tree, B.fromText(`${programs}/${name}`), {
      kind: 'file',
      mode: behaviour === 'not-executable' ? 0o644 : 0o755,
      content: B.fromText(behaviour),
    });
};

/** Whether a task was ended. */
export const isEnded = ({ shims, shimBinary }: Machine, key: EntryKey): boolean =>
  isEndedBy(key)({ calls: shims.calls(), binaryRuns: shimBinary.runs() });

const layEntry =
  (machine: Machine, places: Places, world: World) =>
  (start: Start): void => {
    const { tree, processes, shims, stores } = machine;
    const key = keyOf(start);
    makingsOf(places)(start).forEach(make(tree));
    const runtimeName = runtimeNameOf(places)(start);
    if (runtimeName !== undefined) stores.putContainer(key, runtimeName);
    if (start.sandbox === true) stores.putSandbox(key);
    const script = scriptOf(world)(start);
    processes.put(key, () => (isEnded(machine, key) ? 0 : processesOf(world)(start)));
    if (script === undefined || shimOwner(world)(start) !== start) return;
    const path = B.fromText(places.socketOf(start));
    makeEntry(tree, path, { kind: 'socket', mode: 0o600 });
    const socket: SocketName = { _tag: 'Path', path };
    shims.listen(socket, script);
    processes.putShim(key, () => shims.listening().some((one) => one._tag === 'Path' && one.path === path));
  };

/** What a reboot leaves of a world: what was made a day before it. */
const reboot = ({ tree, fileSystem, clock }: Machine): void => {
  for (const mounted of Array.from(tree.mounts()).reverse()) {
    if (mounted.point === undefined) continue;
    mounted.isBusy = false;
    tree.unmount(mounted.root);
  }
  fileSystem.backdate(tree.root(), clock.nowMs() - bootedBeforeMs - 86_400_000);
};

/** Lays a world on a new machine, below `/world`. */
export const layWorld = (world: World): LaidWorld => {
  const machine = makeMachine();
  const { tree, shims, shimBinary } = machine;
  const places = placesBelow('/world')(world);
  sharedMakings(places).forEach(make(tree));
  layPrograms(tree, places);
  world.entries.forEach(layEntry(machine, places, world));
  if (world.rebooted === true) reboot(machine);
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

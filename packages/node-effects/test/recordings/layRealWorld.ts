/** A world laid on this machine, with real directories, mounts, FIFOs, sockets, programs and a store. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import type { Clock, Policy, Settings } from '@shim-recovery/core/interpreter';
import type { Listing, Observation } from '@shim-recovery/test-effects/worlds/Outcome';
import { type EntryKey, scriptOf, shimOwner, type World } from '@shim-recovery/test-effects/worlds/World';
import {
  makingsOf,
  type Places,
  placesBelow,
  rootDirectory,
  runtimeNameOf,
  sharedMakings,
  stateDirectory,
} from '@shim-recovery/test-effects/worlds/WorldTree';
import * as E from 'fp-ts/lib/Either.js';
import { systemClock } from '../../src/linux/LinuxClock.js';
import { linuxSettings } from '../../src/interpreter.js';
import { type ScriptedShim, startScriptedShim } from '../../src/demo/ScriptedShim.js';
import { listReal, makeReal, unmountBelow } from '../realTree.js';
import { writeMetadata } from '../bolt/writer.js';

export interface RealWorld {
  readonly places: Places;
  readonly state: string;
  readonly root: string;
  readonly store: string;
  readonly list: () => Listing;
  /** How each binary was run: its arguments, one a line, its directory and the environment that matters. */
  readonly runs: () => ReadonlyArray<ReadonlyArray<string>>;
  /** What shims were asked, and whose binaries were run, so far. */
  readonly done: () => Pick<Observation, 'calls' | 'binaryRuns'>;
  readonly observe: (before: Listing, registered: ReadonlyArray<EntryKey>) => Observation;
  readonly cleanUp: () => Promise<void>;
}

/** What is busy in a world stays busy: it is waited for as often as ever, but not for as long. */
export const hurriedClock: Clock = { ...systemClock, sleep: (ms) => systemClock.sleep(ms / 10) };

/** A DeleteResponse: pid 900, exit status 137, exited at 1,700,000,000 s. */
const answer = "printf '\\010\\204\\007\\020\\211\\001\\032\\006\\010\\200\\342\\317\\252\\006'";

/** What each program does after it has recorded its run. */
const programs: ReadonlyArray<readonly [string, string]> = [
  ['shim-ok', answer],
  ['containerd-shim-fake-v1', answer],
  ['shim-warn', `echo a warning >&2; ${answer}`],
  ['shim-fail', 'echo failed >&2; exit 7'],
  ['shim-garbage', "printf '\\377\\377\\377'"],
  ['shim-hang', 'sleep 30'],
  ['not-executable', answer],
];

/** Each run appends one record, in a single write: fields and records end with bytes that occur in none of them. */
const script = (runs: string, then: string): string => `#!/bin/sh
record=$(printf '%s\\037' "$@" "$(pwd)" "$NAMESPACE" "$GRPC_ADDRESS" "$TTRPC_ADDRESS" "$MAX_SHIM_VERSION" "$GOMAXPROCS")
printf '%s\\036' "$record" >> '${runs}'
${then}
`;

const layPrograms = (places: Places, runs: string): void => {
  for (const [name, then] of programs) {
    const file = path.join(places.programs, name);
    fs.writeFileSync(file, script(runs, then));
    fs.chmodSync(file, name === 'not-executable' ? 0o644 : 0o755);
  }
};

/** Lays a world below a new temporary directory, with sandboxes recorded where the daemon of a policy records them. */
export const layRealWorld = async (
  world: World,
  { sandboxRecords }: Pick<Policy, 'sandboxRecords'>,
): Promise<RealWorld> => {
  const base = fs.mkdtempSync(path.join(os.tmpdir(), 'sr-'));
  const places = placesBelow(base)(world);
  const runsFile = path.join(base, 'runs');
  const store = path.join(base, 'meta.db');
  const shims: Array<{ readonly namespace: B.ByteString; readonly shim: ScriptedShim }> = [];
  const busy: Array<number> = [];
  const cleanUp = async (): Promise<void> => {
    for (const { shim } of shims) await shim.stop();
    for (const descriptor of busy) fs.closeSync(descriptor);
    unmountBelow(base);
    fs.rmSync(base, { recursive: true, force: true });
  };
  try {
    sharedMakings(places).forEach(makeReal);
    layPrograms(places, runsFile);
    for (const start of world.entries) {
      for (const making of makingsOf(places)(start)) {
        makeReal(making);
        if (making._tag === 'Tmpfs' && making.isBusy) busy.push(fs.openSync(making.path, 'r'));
      }
      const script = scriptOf(world)(start);
      if (script === undefined || shimOwner(world)(start) !== start) continue;
      const shim = await startScriptedShim({ socketPath: places.socketOf(start), script })();
      if (E.isLeft(shim)) throw new Error(`cannot start a shim: ${shim.left.code}`);
      shims.push({ namespace: B.fromText(start.ns), shim: shim.right });
    }
    const starts = world.entries;
    fs.writeFileSync(
      store,
      writeMetadata(
        {
          containers: starts.flatMap((given) => {
            const runtimeName = runtimeNameOf(places)(given);
            return runtimeName === undefined
              ? []
              : [{ namespace: given.ns, id: given.id, runtimeName: B.toText(runtimeName) }];
          }),
          sandboxes: starts.filter(({ sandbox }) => sandbox === true).map(({ ns, id }) => ({ namespace: ns, id })),
        },
        // A daemon that records none may find those of a newer one.
        sandboxRecords === 'v1' ? 'v1' : 'root',
      ),
    );
  } catch (error) {
    await cleanUp();
    throw error;
  }
  const list = (): Listing => listReal(base);
  const runs = (): ReadonlyArray<ReadonlyArray<string>> =>
    fs.existsSync(runsFile)
      ? fs
          .readFileSync(runsFile, 'utf8')
          .split('\u001e')
          .filter((record) => record !== '')
          .map((record) => record.split('\u001f').slice(0, -1))
      : [];
  const done: RealWorld['done'] = () => ({
    calls: shims.flatMap(({ namespace, shim }) =>
      shim.calls().map(({ task, call }) => ({ namespace, id: task, call })),
    ),
    binaryRuns: runs().map((args) => ({
      namespace: B.fromText(args[args.indexOf('-namespace') + 1] ?? ''),
      id: B.fromText(args[args.indexOf('-id') + 1] ?? ''),
    })),
  });
  return {
    places,
    state: stateDirectory(places),
    root: rootDirectory(places),
    store,
    list,
    runs,
    done,
    observe: (before, registered) => ({ before, after: list(), ...done(), registered }),
    cleanUp,
  };
};

/** The recordings' daemon had its programs first on its PATH; it waited five seconds for those that never answer. */
export const realSettings = (laid: RealWorld, policy: Policy): Settings => ({
  ...linuxSettings({
    state: laid.state,
    root: laid.root,
    programSearch: {
      workingDirectory: B.fromText('/'),
      path: B.fromText(`${laid.places.programs}:${process.env['PATH'] ?? ''}`),
      executableDirectory: B.fromText('/usr/bin'),
    },
  }),
  policy,
  timeouts: { loadMs: 2_500, cleanUpMs: 2_500, shutdownMs: 2_500, storeMs: 1_500 },
});

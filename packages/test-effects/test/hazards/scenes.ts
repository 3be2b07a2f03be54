/** The hazards that no smallest case shows under every policy that has them: for each a world in which it can be met, and what is seen where it is. */
import type { Simulated } from '../../src/simulation/Simulation.js';
import { calm, type Schedule } from '../../src/simulation/Schedule.js';
import { dead, exited, leaked, running } from '../../src/worlds/Shim.js';
import { file, tmpfs } from '../../src/worlds/Fixture.js';
import { alive, findViolations } from '../../src/properties/Properties.js';
import { isEnded } from '../../src/simulation/LaidWorld.js';
import { type BundleStart, keyOf, ordinary, sameKey, type Start, world, type World } from '../../src/worlds/World.js';
import type { Policy } from '@shim-recovery/core/interpreter';

export interface Seen {
  readonly policy: Policy;
  readonly schedule: Schedule;
  readonly simulated: Simulated;
}

export interface Scene {
  readonly world: World;
  /** Whether the harm is done. */
  readonly isMet: (seen: Seen) => boolean | Promise<boolean>;
  /** Why `careful` has it, too. */
  readonly remains?: string;
}

const victim = { ns: 'ns1', id: 'b0' } as const;
const bundleOf = '$BASE/state/io.containerd.runtime.v2.task/ns1/b0';

const only = (start: Omit<Start, 'ns' | 'id'>): World => world({ ...victim, ...start });

const stands =
  (part: string) =>
  ({ simulated: { end } }: Seen): boolean =>
    end.entries.some((line) => line.includes(part));

const isDestroyed = async (seen: Seen): Promise<boolean> => {
  const found = await findViolations(seen, [alive]);
  return found.length > 0;
};

const binaryRuns = ({ simulated: { laid } }: Seen): number =>
  laid.machine.shimBinary.runs().filter((run) => sameKey(run, keyOf(victim))).length;

/** How long the runs waited, in milliseconds, the first run and those that were left alone. */
const isSerial =
  (each: number) =>
  ({ simulated: { runs } }: Seen): boolean =>
    runs.some(({ ending }) => ending._tag === 'Ended' && ending.report.durationMs > 2 * each);

const files = (own: Readonly<Record<string, string>>): BundleStart => ({
  ...ordinary,
  files: { 'shim-binary-path': '$BIN/shim-ok', ...own },
});

export const scenes = {
  H2: {
    world: only({ bundle: ordinary, shim: exited }),
    isMet: ({ simulated: { laid } }) => isEnded(laid.machine, keyOf(victim)),
  },
  H3: {
    world: only({ bundle: ordinary, shim: { ...running, pids: 'hang' } }),
    isMet: ({ simulated: { runs } }) => runs.some(({ ending }) => ending._tag !== 'Ended'),
  },
  H6: {
    world: only({ bundle: ordinary, shim: { ...running, connect: 'die' } }),
    isMet: (seen) => binaryRuns(seen) > 1,
  },
  H7: {
    world: only({ bundle: ordinary, shim: { ...running, connect: 'hang', diesAfterMs: 30_000 } }),
    isMet: (seen) => binaryRuns(seen) > 1,
  },
  H10: {
    world: only({ bundle: files({ address: 'unix://$SOCK', 'shim-binary-path': '$BIN/shim-fail' }), shim: dead }),
    isMet: stands('/ns1/b0'),
    remains: 'what could not be cleaned up is held, and the report says what failed and what to do',
  },
  H12: {
    world: only({
      bundle: ordinary,
      shim: dead,
      extras: [tmpfs(`${bundleOf}/volume`), file(`${bundleOf}/volume/precious`)],
    }),
    isMet: ({ simulated: { runs } }) =>
      runs.some(({ effects }) =>
        effects.some(({ operation, subject }) => operation === 'unlink' && subject.endsWith('/precious')),
      ),
  },
  H15: {
    world: only({ bundle: { ...ordinary, rootfs: 'tmpfs-busy' }, shim: dead }),
    isMet: stands('/ns1/b0'),
    remains:
      'what is in use cannot be unmounted without taking it from its user: the bundle stays, and the report says why',
  },
  H17: {
    world: world(
      ...['b0', 'b1', 'b2', 'b3'].map((id) => ({
        ns: 'ns1',
        id,
        bundle: ordinary,
        shim: { ...running, connect: 'hang' as const },
      })),
    ),
    isMet: isSerial(15_000),
  },
  H19: {
    world: world({ ns: 'ns1', id: 'b0', workdir: true, extras: [] }),
    isMet: stands('/root/io.containerd.runtime.v2.task/ns1/b0'),
    remains: 'without a state directory nothing says whose they are: nothing is lost, and they stay',
  },
  H21: {
    world: world({ ns: 'not a name', id: 'b0', bundle: 'empty' }),
    isMet: stands('/not a name/b0'),
    remains: "what no daemon could have made is nobody's to remove: it stays",
  },
  H23: {
    world: only({
      bundle: files({ address: '{"version":2,"address":"$SOCK","protocol":"grpc"}' }),
      shim: running,
    }),
    isMet: isDestroyed,
  },
  H25: {
    world: only({
      bundle: files({ address: 'unix://$SOCK', 'bootstrap.json': '{"version":3,"address":"unix://$SO' }),
      shim: running,
    }),
    isMet: isDestroyed,
  },
  H28: {
    world: only({ bundle: ordinary, shim: dead }),
    isMet: ({ simulated: { runs } }) => runs.every(({ events }) => events.length === 0),
    remains:
      'the reference publishes only for registered tasks, and its clients rely on it: the exit status is in the report',
  },
  H38: {
    world: only({ bundle: files({}), shim: leaked }),
    isMet: ({ simulated: { runs } }) => !runs.some(({ settled }) => settled.has('ns1/b0')),
  },
} as const satisfies Readonly<Record<string, Scene>>;

/** Nothing goes wrong but what the world brings. */
export const schedule = calm;

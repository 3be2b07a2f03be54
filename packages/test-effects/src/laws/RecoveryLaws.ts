/** What every interpreter as a whole must do: recover any world as the machine in memory does. */
import { ByteString as B, Recovery } from '@shim-recovery/core';
import type { Capabilities, Policy, Settings } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import { plainWorld } from '../arbitraries/World.js';
import { layWorld, registeredBy } from '../simulation/LaidWorld.js';
import { type Listing, matches, type Observation, outcomeOf } from '../worlds/Outcome.js';
import {
  type Daemon,
  loadRecordings,
  type RecordedOutcome,
  type RecordedWorld,
  toWorld,
  worldsOf,
} from '../worlds/Recordings.js';
import { endsInTime, running } from '../worlds/Shim.js';
import { type EntryKey, keyText, scriptOf, showWorld, type Start, type World } from '../worlds/World.js';
import type { Places } from '../worlds/WorldTree.js';
import { type Disposable, expectSame, type Law, type Trials } from './Law.js';

/** A world that was laid, ready to be recovered. */
export interface RecoveryArea extends Disposable {
  readonly capabilities: Capabilities;
  readonly settings: Settings;
  readonly places: Places;
  readonly list: () => Promise<Listing>;
  /** What was seen from the moment of laying until now, given which tasks are registered. */
  readonly observe: (registered: ReadonlyArray<EntryKey>) => Promise<Observation>;
}

type Outcomes = ReadonlyArray<readonly [string, RecordedOutcome]>;

/** The machine in memory, as an area. */
export const layInMemory = async (world: World): Promise<RecoveryArea> => {
  const laid = layWorld(world);
  return {
    capabilities: laid.machine.capabilities,
    settings: laid.settings,
    places: laid.places,
    list: async () => laid.list(),
    observe: async (registered) => laid.observe(registered),
    dispose: async () => undefined,
  };
};

/** Worlds in which nothing is a question of time: on a real machine, time is not to be relied on, nor set back. */
export const anySteadyWorld = (): fc.Arbitrary<World> =>
  plainWorld({ maxEntries: 3 }).filter(
    (all) =>
      !isRace(all) &&
      all.rebooted !== true &&
      !all.entries.some(isForGrpc) &&
      all.entries.every((start) => {
        const script = scriptOf(all)(start);
        return script === undefined || !endsInTime(script);
      }),
  );

/** Whether what becomes of a shim that several bundles share is a question of which of them comes first. */
const isRace = (all: World): boolean =>
  all.entries.some((start) => {
    const isShared = start.shim !== undefined && 'of' in start.shim;
    return isShared && JSON.stringify(scriptOf(all)(start)) !== JSON.stringify(running);
  });

/** Whether an entry says that its shim speaks gRPC. In memory every shim does; scripted ones on sockets speak ttrpc alone. */
const isForGrpc = ({ bundle }: Start): boolean =>
  typeof bundle === 'object' && Object.values(bundle.files).some((text) => text.includes('"protocol":"grpc"'));

/**
 * The laws of recovery, given how to lay a world: with the settings of a policy, and the daemon that it follows, where it
 * follows one.
 */
export const recoveryLaws = (
  lay: (world: World) => Promise<RecoveryArea>,
  daemon: Daemon | undefined,
  trials: Trials = {},
): ReadonlyArray<Law> => [
  ...E.getOrElseW((): ReadonlyArray<RecordedWorld> => [])(E.map(worldsOf)(loadRecordings())).flatMap((recorded) =>
    daemon === undefined ? [] : [recordedLaw(lay, daemon, recorded)],
  ),

  lawOfWorlds('any world ends as it does in memory', lay, trials, async (area, world) => {
    const model = await layInMemory(world);
    const expected = await recover({ ...model, settings: { ...model.settings, policy: area.settings.policy } }, world);
    const actual = await recover(area, world);
    return expected.flatMap(([key, outcome], index) => expectSame(key, actual[index]?.[1], outcome));
  }),

  lawOfWorlds('a dry run changes nothing, and only asks what its policy decides on', lay, trials, async (area) => {
    // Some shims die when they are asked, and take their sockets with them.
    const sockets = B.fromText(`${area.places.base}/s/`);
    const show = (listing: Listing): string => JSON.stringify(listing.filter(({ path }) => !path.startsWith(sockets)));
    const before = show(await area.list());
    const planned = await Recovery.plan(area.settings, area.capabilities)();
    const { after, calls, binaryRuns } = await area.observe([]);
    return [
      ...(E.isLeft(planned) ? ['it could not run'] : []),
      ...(show(after) === before ? [] : ['something changed']),
      ...calls.filter(({ call }) => !askedBy(area.settings.policy).test(call)).map(({ call }) => `it sent ${call}`),
      ...binaryRuns.map(() => 'it ran a program'),
    ];
  }),
];

/** What the reference left behind, world by world; those of a daemon whose policy the area's settings have. */
const recordedLaw = (lay: (world: World) => Promise<RecoveryArea>, daemon: Daemon, recorded: RecordedWorld): Law => ({
  name: `the ${recorded.cases.length} recorded entries of the ${recorded.set} world end as ${daemon} left them`,
  violations: async () => {
    const world = toWorld(recorded);
    const area = await lay(world);
    try {
      const outcomes = new Map(await recover(area, world));
      return recorded.cases.flatMap((one) => {
        const outcome = outcomes.get(keyText(one.given));
        return outcome !== undefined && matches(daemon, one)(outcome)
          ? []
          : [`${keyText(one.given)} ended otherwise: ${JSON.stringify(outcome)}`];
      });
    } finally {
      await area.dispose();
    }
  },
});

const recover = async (area: RecoveryArea, world: World): Promise<Outcomes> => {
  const recovered = await Recovery.recover(area.settings, area.capabilities)();
  if (E.isLeft(recovered)) throw new Error(`it could not run: ${JSON.stringify(recovered.left)}`);
  await recovered.right.settled();
  const observation = await area.observe(registeredBy(recovered.right));
  await recovered.right.stop();
  return world.entries.map((start) => [keyText(start), outcomeOf(area.places)(observation)(start)]);
};

const lawOfWorlds = (
  name: string,
  lay: (world: World) => Promise<RecoveryArea>,
  { numRuns = 100, seed }: Trials,
  check: (area: RecoveryArea, world: World) => Promise<ReadonlyArray<string>>,
): Law => ({
  name,
  violations: async () => {
    const worlds = [...fc.sample(anySteadyWorld(), { numRuns, ...(seed === undefined ? {} : { seed }) })];
    const found: Array<string> = [];
    const work = async (): Promise<void> => {
      for (let world = worlds.shift(); world !== undefined; world = worlds.shift()) {
        const shown = showWorld(world);
        const area = await lay(world);
        try {
          found.push(...(await check(area, world)).map((what) => `${what}\n${shown}`));
        } catch (error) {
          found.push(`it threw: ${String(error)}\n${shown}`);
        } finally {
          await area.dispose();
        }
      }
    };
    await Promise.all(Array.from({ length: atOnce }, work));
    return found;
  },
});

/** So many worlds at a time: they mostly wait. */
const atOnce = 8;

/** What is asked of shims before anything is decided. */
const askedBy = ({ death }: Policy): RegExp =>
  death === 'every-source' ? /\/(?:Connect|Pids|State)$/ : /\/(?:Connect|Pids)$/;

/** A machine that was started anew: nothing of what was made before lives, and every shim is dialled all the same. */
import { careful } from '../../../core/src/policy/Policy.js';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { schedule as anySchedule } from '../../src/arbitraries/Schedule.js';
import { world as anyWorld } from '../../src/arbitraries/World.js';
import { examine, showCase } from '../../src/campaign/Case.js';
import { showFound } from '../../src/properties/Properties.js';
import { calm, type Schedule } from '../../src/simulation/Schedule.js';
import { running } from '../../src/worlds/Shim.js';
import { type SimulatedRun, startSimulation } from '../../src/simulation/Simulation.js';
import { ordinary, type Start, type World } from '../../src/worlds/World.js';

const anyRebootedWorld: fc.Arbitrary<World> = anyWorld({ maxEntries: 4 }).map((world) => ({
  ...world,
  rebooted: true,
}));

const dialledBy = ({ effects }: SimulatedRun): ReadonlyArray<string> =>
  effects.flatMap(({ operation, subject }) => (operation === 'dial' ? [subject] : []));

it('every property holds, whatever goes wrong, and no age of a file decides', { timeout: 300_000 }, async () => {
  const reasons = new Map<string, number>();
  const calmly = fc.constant(calm);
  const anyTrouble: fc.Arbitrary<Schedule> = anySchedule({ runs: 2, most: 3 }).map((any) => ({ ...any, moves: [] }));
  await fc.assert(
    fc.asyncProperty(anyRebootedWorld, fc.oneof(calmly, anyTrouble), async (world, schedule) => {
      const { simulated, found } = await examine({ world, schedule }, careful);
      expect(found.filter(({ isKnown }) => !isKnown).map(showFound), showCase({ world, schedule })).toEqual([]);
      for (const { settled } of simulated.runs)
        for (const reason of settled.values()) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }),
    { numRuns: 1_000 },
  );
  expect(reasons.get('dial-failed')).toBeGreaterThan(100);
  expect(reasons.get('older-than-boot')).toBeUndefined();
});

const web: Omit<Start, 'bundle'> = { ns: 'main', id: 'web', shim: running };

/** What becomes of one bundle in the first run after the reboot, and how often a shim was dialled. */
const settledAs = async (start: Start, schedule: Schedule = calm): Promise<unknown> => {
  const simulation = startSimulation({ rebooted: true, entries: [start] }, careful);
  await simulation.run(schedule);
  const [run] = simulation.runs();
  return [run?.settled.get('main/web'), run === undefined ? 0 : dialledBy(run).length];
};

it('a bundle is cleaned up once its shim was dialled in vain', async () => {
  expect(await settledAs({ ...web, bundle: ordinary })).toEqual(['dial-failed', 1]);
});

it('a shim that listens there by now is taken back, though the bundle is older than the boot', async () => {
  const appears: Schedule = { ...calm, moves: [{ run: 0, at: 0, entry: 0, move: 'shim-appears' }] };
  expect(await settledAs({ ...web, bundle: ordinary }, appears)).toEqual(['task-running', 1]);
});

it('a number in init.pid that a process of the host has by now keeps nothing alive', async () => {
  const bundle = { ...ordinary, files: { ...ordinary.files, 'init.pid': '$OTHER' } };
  expect(await settledAs({ ...web, bundle })).toEqual(['dial-failed', 1]);
});

it('a record of its runtime that survived the reboot keeps nothing alive', async () => {
  const start: Start = { ...web, bundle: ordinary, runtimeState: 'right', runtimeRoot: 'own' };
  expect(await settledAs(start)).toEqual(['dial-failed', 1]);
});

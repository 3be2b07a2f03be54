/** A machine that was started anew: what is older than that is known to be dead, and nobody is dialled for it. */
import * as B from '@shim-recovery/core/ByteString';
import { careful, containerd17 } from '@shim-recovery/core/Policy';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { schedule as anySchedule } from '../../src/arbitraries/Schedule.js';
import { world as anyWorld } from '../../src/arbitraries/World.js';
import { examine, showCase } from '../../src/Case.js';
import { showFound } from '../../src/Properties.js';
import { calm, type Schedule } from '../../src/Schedule.js';
import { running } from '../../src/Shim.js';
import { type SimulatedRun, startSimulation } from '../../src/Simulation.js';
import { ordinary, type World } from '../../src/World.js';

const anyRebootedWorld: fc.Arbitrary<World> = anyWorld({ maxEntries: 4 }).map((world) => ({
  ...world,
  rebooted: true,
}));

/** What a run dialled though it knew how old the bundle is, and when the machine was started. */
const dialledBy = ({ effects, injected }: SimulatedRun): ReadonlyArray<string> => {
  const isInDoubt = injected.some(([{ operation }]) => operation === 'stat' || operation === 'boot time');
  return effects.flatMap(({ operation, subject }) => (operation === 'dial' && !isInDoubt ? [subject] : []));
};

it('no shim is dialled, and every property holds, whatever goes wrong', { timeout: 120_000 }, async () => {
  const reasons = new Map<string, number>();
  const calmly = fc.constant(calm);
  const anyTrouble: fc.Arbitrary<Schedule> = anySchedule({ runs: 2, most: 3 }).map((any) => ({ ...any, moves: [] }));
  await fc.assert(
    fc.asyncProperty(anyRebootedWorld, fc.oneof(calmly, anyTrouble), async (world, schedule) => {
      const { simulated, found } = await examine({ world, schedule }, careful);
      expect(found.filter(({ isKnown }) => !isKnown).map(showFound)).toEqual([]);
      expect(simulated.runs.flatMap(dialledBy), showCase({ world, schedule })).toEqual([]);
      for (const { settled } of simulated.runs)
        for (const reason of settled.values()) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }),
    { numRuns: 1_000 },
  );
  expect(reasons.get('older-than-boot')).toBeGreaterThan(100);
});

it('a shim that listens there by now is not dialled either, and as its process is there, the bundle is held', async () => {
  const world: World = { rebooted: true, entries: [{ ns: 'main', id: 'web', bundle: ordinary, shim: running }] };
  const appears: Schedule = { ...calm, moves: [{ run: 0, at: 0, entry: 0, move: 'shim-appears' }] };
  const dialled = async (policy: typeof careful): Promise<unknown> => {
    const simulation = startSimulation(world, policy);
    await simulation.run(appears);
    const [run] = simulation.runs();
    return [run?.settled.get('main/web'), run === undefined ? 0 : dialledBy(run).length];
  };
  expect(await dialled(careful)).toEqual(['shim-unreachable', 0]);
  expect(await dialled(containerd17)).toEqual(['task-running', 1]);
});

it('a bundle that was made since is dialled as ever', async () => {
  const world: World = { rebooted: true, entries: [{ ns: 'main', id: 'web', bundle: ordinary, shim: running }] };
  const simulation = startSimulation(world, careful);
  const again: Schedule = {
    ...calm,
    moves: [
      { run: 0, at: 0, entry: 0, move: 'bundle-recreated' },
      { run: 0, at: 0, entry: 0, move: 'shim-appears' },
    ],
  };
  await simulation.run(again);
  const [run] = simulation.runs();
  expect(run?.settled.get('main/web')).toBe('task-running');
  expect(run && dialledBy(run).map((socket) => B.show(B.fromText(socket)))).toHaveLength(1);
});

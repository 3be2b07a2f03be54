/**
 * Every recorded world, stopped dead before and after every call of a run, and then left alone: does it end as it would
 * have without the crash? What does not is a hazard that the policy is known for, and is told by what is left over.
 */
import { policies, type Policy, type PolicyName } from '@shim-recovery/core/interpreter';
import { describe, expect, it } from 'vitest';
import type { Hazard } from '../../src/simulation/Hazards.js';
import { brokenBy, convergence } from '../../src/properties/Properties.js';
import { differences } from '../../src/properties/Convergence.js';
import { calm, disturbedRuns, type Schedule, type ScheduledCrash } from '../../src/simulation/Schedule.js';
import { mutations, showEnd, simulate, startSimulation } from '../../src/simulation/Simulation.js';
import type { World } from '../../src/worlds/World.js';
import { recordedWorlds, type SmallWorld, someWorlds } from './recorded.js';

interface Met {
  readonly crashes: number;
  readonly hazards: ReadonlySet<string>;
  readonly unexplained: ReadonlyArray<string>;
}

/**
 * Crashes a world in each of these ways, and compares each end with that of a run that was left alone. Where the same
 * stands there after two crashes, what follows is the same, and is run once.
 */
const crashAll = async (
  policy: Policy,
  worlds: ReadonlyArray<SmallWorld>,
  waysOf: (world: World, policy: Policy) => Promise<ReadonlyArray<ReadonlyArray<ScheduledCrash>>>,
): Promise<Met> => {
  const knownHazards = brokenBy[policy.name].get(convergence) ?? [];
  const hazards = new Set<string>();
  const unexplained: Array<string> = [];
  let crashed = 0;
  for (const { name, world } of worlds) {
    const undisturbed = await simulate(world, calm, policy, 1);
    const known = new Set<string>();
    for (const crashes of await waysOf(world, policy)) {
      const schedule: Schedule = { ...calm, crashes };
      const simulation = startSimulation(world, policy);
      let left = '';
      while (simulation.runs().length < disturbedRuns(schedule)) left = showEnd(await simulation.run(schedule));
      crashed += simulation.runs().filter(({ ending }) => ending._tag === 'Crashed').length;
      if (known.has(left)) continue;
      known.add(left);
      const end = await simulation.run(calm);
      const found = differences(undisturbed, end);
      if (found.length === 0) hazards.add('none');
      for (const { what, hazard } of found) {
        if (hazard !== undefined && knownHazards.includes(hazard)) hazards.add(hazard);
        else unexplained.push(`${name}, ${JSON.stringify(crashes)}: ${what}`);
      }
      if (showEnd(await simulation.run(calm)) !== showEnd(end)) unexplained.push(`${name} does not settle`);
    }
  }
  return { crashes: crashed, hazards, unexplained };
};

const moments = ['before', 'after'] as const;

/** Before the first call, and after each: before the next one is the same. */
const everyCall = async (world: World, policy: Policy): Promise<ReadonlyArray<ReadonlyArray<ScheduledCrash>>> => {
  const [run] = (await simulate(world, calm, policy, 1)).runs;
  const after = (run?.effects ?? []).map(({ number }) => [{ run: 0, at: number, when: 'after' as const }]);
  return [[{ run: 0, at: 0, when: 'before' }], ...after];
};

/** Before and after each change, and again in the run that follows, at each of its changes: once for each state that is left. */
const everyPairOfChanges = async (
  world: World,
  policy: Policy,
): Promise<ReadonlyArray<ReadonlyArray<ScheduledCrash>>> => {
  const pairs: Array<ReadonlyArray<ScheduledCrash>> = [];
  const known = new Set<string>();
  const [first] = (await simulate(world, calm, policy, 1)).runs;
  for (const at of first === undefined ? [] : mutations(first))
    for (const when of moments) {
      const crash: ScheduledCrash = { run: 0, at, when };
      const simulation = startSimulation(world, policy);
      const left = showEnd(await simulation.run({ ...calm, crashes: [crash] }));
      if (known.has(left)) continue;
      known.add(left);
      await simulation.run(calm);
      const [, second] = simulation.runs();
      for (const later of second === undefined ? [] : mutations(second))
        for (const laterWhen of moments) pairs.push([crash, { run: 1, at: later, when: laterWhen }]);
    }
  return pairs;
};

/** `met` are the hazards that a single bundle shows: that each of them is met shows that the comparison can fail. */
export const testCrashes = (name: PolicyName, { met }: { readonly met: ReadonlyArray<Hazard> }): void => {
  describe(`a crash, and a run that is left alone (${name})`, () => {
    const policy = policies[name];

    it('at every call of all 306 recorded worlds', async () => {
      const { crashes, hazards, unexplained } = await crashAll(policy, recordedWorlds, everyCall);
      expect(unexplained).toEqual([]);
      expect([...hazards].sort()).toEqual([...met, 'none'].sort());
      expect(crashes).toBeGreaterThan(5_000);
    }, 300_000);

    // `careful` destroys so little that it takes more of them to meet as many crashes.
    const count = name === 'careful' ? 60 : 20;

    it(`at every pair of changes, the second one in the run after the first crash, of ${count} recorded worlds`, async () => {
      const { crashes, hazards, unexplained } = await crashAll(policy, someWorlds(count), everyPairOfChanges);
      expect(unexplained).toEqual([]);
      expect(hazards.has('H11')).toBe(brokenBy[name].get(convergence)?.includes('H11') ?? false);
      expect(crashes).toBeGreaterThan(name === 'careful' ? 100 : 1_000);
    }, 300_000);
  });
};

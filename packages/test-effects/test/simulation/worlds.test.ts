import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { schedule } from '../../src/arbitraries/Schedule.js';
import { world } from '../../src/arbitraries/World.js';
import {
  bundlesAreIndependent,
  neverGivesUp,
  planForetells,
  replays,
  settlesDown,
  staysConnected,
  tellsDeathsOnce,
  type Violations,
} from '../../src/Properties.js';
import { simulate } from '../../src/Simulation.js';
import type { RecordedWorld } from '../../src/World.js';

const small = world({ maxEntries: 3 });

describe('whatever the world (containerd-1.7)', () => {
  const holds = (property: (any: RecordedWorld) => Promise<Violations>, numRuns: number): Promise<void> =>
    fc.assert(
      fc.asyncProperty(small, async (any) => {
        expect(await property(any)).toEqual([]);
      }),
      { numRuns },
    );

  it('the same evidence gives the same verdict, in any order', () => holds(replays, 500), 60_000);
  it('a dry run foretells what is done, and changes nothing', () => holds(planForetells, 500), 60_000);
  it('what becomes of a bundle does not depend on the others', () => holds(bundlesAreIndependent, 500), 60_000);
});

describe('whatever the world, and whatever goes wrong (containerd-1.7)', () => {
  it('connections, events and the end are in order', async () => {
    await fc.assert(
      fc.asyncProperty(small, schedule({ runs: 2, maxFaults: 4, maxCrashes: 2 }), async (any, wrong) => {
        const simulated = await simulate(any, wrong);
        expect([
          ...staysConnected(simulated),
          ...tellsDeathsOnce(simulated),
          ...neverGivesUp(simulated),
          ...settlesDown(simulated),
        ]).toEqual([]);
      }),
      { numRuns: 2_000 },
    );
  }, 120_000);
});

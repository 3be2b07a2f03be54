import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { anyCase } from '../../src/campaign/Campaign.js';
import { simulate } from '../../src/simulation/Simulation.js';

it('the same world under the same schedule takes the same course, call for call', async () => {
  await fc.assert(
    fc.asyncProperty(anyCase(), async ({ world, schedule }) => {
      const [first, second] = [await simulate(world, schedule), await simulate(world, schedule)];
      expect(second.runs).toEqual(first.runs);
      expect(second.end).toEqual(first.end);
    }),
    { numRuns: 200 },
  );
}, 60_000);

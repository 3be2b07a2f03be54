/** Somebody who moves, mounts, takes away and makes anew before every call: what a recovery promises holds all the same. */
import { policies, type PolicyName } from '@shim-recovery/core/interpreter';
import { describe, expect, it } from 'vitest';
import { allMoves } from '../../src/simulation/Interference.js';
import { alive, connections, containment, events } from '../../src/properties/Properties.js';
import { calm } from '../../src/simulation/Schedule.js';
import { findAll, rotating } from './everyCall.js';
import { someWorlds } from './recorded.js';

export const testMeddlers = (name: PolicyName): void => {
  describe(`somebody else who meddles (${name})`, () => {
    it('with any move before any call: nothing outside is touched, and nothing that was made anew', async () => {
      const worlds = someWorlds(200).filter(({ world }) => world.entries.some(({ bundle }) => bundle !== undefined));
      const { unknown } = await findAll(
        policies[name],
        worlds,
        ({ number }) =>
          rotating(allMoves, number, 10).map((move) => ({ ...calm, moves: [{ run: 0, at: number, entry: 0, move }] })),
        [connections, events, containment, alive],
      );
      expect(unknown).toEqual([]);
    }, 300_000);
  });
};

/** Which properties hold under which policy: what is claimed, each exception with its smallest case, and the table. */
import { policies } from '@shim-recovery/core/interpreter';
import { allPolicyNames } from '../../../core/src/policy/Policy.js';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { decodeCase, examine } from '../../src/campaign/Case.js';
import { loadCounterexamples } from '../../src/campaign/Counterexamples.js';
import { allHazards } from '../../src/simulation/Hazards.js';
import { allProperties, brokenBy, findViolations, showFound } from '../../src/properties/Properties.js';
import { document } from '../../src/campaign/PropertyTable.js';
import { calm } from '../../src/simulation/Schedule.js';
import { simulate } from '../../src/simulation/Simulation.js';
import { recordedWorlds } from './recorded.js';

const counterexamples = ((): Extract<ReturnType<typeof loadCounterexamples>, { readonly _tag: 'Right' }>['right'] => {
  const loaded = loadCounterexamples();
  if (E.isLeft(loaded)) throw new Error(loaded.left);
  return loaded.right;
})();

describe('the smallest case of each hazard', () => {
  it.each(counterexamples.map((one) => [one.policy, one.property, one.hazard, one] as const))(
    '%s breaks property %s: %s',
    async (policy, number, hazard, { world, schedule }) => {
      expect(E.isRight(decodeCase({ world, schedule }))).toBe(true);
      const { found } = await examine({ world, schedule }, policies[policy]);
      expect(found.map((one) => [one.property.number, one.hazard])).toContainEqual([number, hazard]);
      expect(found.filter(({ isKnown }) => !isKnown).map(showFound)).toEqual([]);
    },
  );

  it('is there for each exception that is claimed, and for nothing else', () => {
    const claimed = allPolicyNames.flatMap((policy) =>
      Array.from(brokenBy[policy]).flatMap(([{ number }, hazards]) =>
        hazards.map((hazard) => `${policy} ${number} ${hazard}`),
      ),
    );
    const shown = counterexamples.map(({ policy, property, hazard }) => `${policy} ${property} ${hazard}`);
    expect(shown.sort()).toEqual(claimed.sort());
    expect([...new Set(counterexamples.map(({ hazard }) => hazard))].sort()).toEqual([...allHazards].sort());
  });
});

describe.each(allPolicyNames)('every property over all 306 recorded worlds (%s)', (policy) => {
  it('is broken only by what is claimed', async () => {
    const unknown: Array<string> = [];
    for (const { name, world } of recordedWorlds) {
      const simulated = await simulate(world, calm, policies[policy]);
      const found = await findViolations({ policy: policies[policy], schedule: calm, simulated });
      unknown.push(...found.filter(({ isKnown }) => !isKnown).map((one) => `${name}: ${showFound(one)}`));
    }
    expect(unknown).toEqual([]);
  }, 300_000);
});

it('the table in the documentation says so', async () => {
  expect(allProperties.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  await expect(`${document(allPolicyNames, counterexamples).trimEnd()}\n`).toMatchFileSnapshot(
    '../../../../docs/properties.md',
  );
});

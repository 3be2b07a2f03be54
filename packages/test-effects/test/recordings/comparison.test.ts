/** What a comparison foretells of two daemons, beside what these daemons were seen to leave behind. */
import { compare, type Comparison, differs } from '@shim-recovery/core/Comparison';
import { containerd16, containerd17, containerd21, type Policy, policies } from '@shim-recovery/core/Policy';
import * as Recovery from '@shim-recovery/core/Recovery';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { layWorld } from '../../src/LaidWorld.js';
import { loadRecordings, type RecordedCase, toWorld, worldsOf } from '../../src/Recordings.js';

const orFail = <L, A>(outcome: E.Either<L, A>): A => {
  if (E.isLeft(outcome)) throw new Error(JSON.stringify(outcome.left));
  return outcome.right;
};

const worlds = worldsOf(orFail(loadRecordings()));

const compared = async (first: Policy, second: Policy, set: string): Promise<Comparison> => {
  const recorded = worlds.find((world) => world.set === set);
  if (recorded === undefined) throw new Error(set);
  const laid = layWorld(toWorld(recorded));
  const settings = { ...laid.settings, policy: first };
  const options = { probe: true, others: [second] };
  return compare(first, second)(orFail(await Recovery.survey(settings, options)(laid.machine.capabilities)()));
};

/** What was left of the two directories, in each of the runs. */
const leftBy = (policy: Policy, { then }: RecordedCase): ReadonlyArray<string> =>
  then[policy.name].map(({ state, work }) => JSON.stringify({ state, work }));

describe.each([
  [containerd16, containerd17],
  [containerd17, containerd21],
  [containerd16, containerd21],
])('$name and the other', (first, second) => {
  it.each(worlds.map(({ set, cases }) => [set, cases] as const))('%s', async (set, cases) => {
    const comparison = await compared(first, second, set);
    const named = new Set([
      ...comparison.bundles.map(({ namespace, id }) => `${namespace}/${id}`),
      ...comparison.workDirs.map(({ namespace, name }) => `${namespace}/${name}`),
    ]);
    const apart = cases
      .filter((recorded) => !leftBy(first, recorded).some((left) => leftBy(second, recorded).includes(left)))
      .map(({ given }) => `${given.ns}/${given.id}`);
    console.log(first.name, second.name, set, cases.length, 'apart', apart.length, 'named', comparison.bundles.length, JSON.stringify(comparison.summary.differences));
    expect(apart.filter((name) => !named.has(name))).toEqual([]);
  });
});

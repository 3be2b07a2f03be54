/** What a comparison foretells of two daemons, beside what these daemons were seen to leave behind. */
import { Recovery } from '@shim-recovery/core';
import { compare, type Comparison } from '@shim-recovery/core/documents';
import { containerd17, policies, type Policy } from '@shim-recovery/core/interpreter';
import { containerd21 } from '../../../core/src/policy/Policy.js';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { layWorld } from '../../src/simulation/LaidWorld.js';
import { type Daemon, loadRecordings, type RecordedCase, toWorld, worldsOf } from '../../src/worlds/Recordings.js';

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
  return compare(first, second)(orFail(await Recovery.inspectHost(settings, laid.machine.capabilities, options)()));
};

/** What was left of the two directories, in each of the runs. */
const leftBy = (daemon: Daemon, { then }: RecordedCase): ReadonlyArray<string> =>
  then[daemon].map(({ state, work }) => JSON.stringify({ state, work }));

const nameOf = ({ namespace, id }: Comparison['bundles'][number]): string => `${namespace}/${id}`;

describe.each<[Daemon, Daemon]>([
  ['containerd-1.6', 'containerd-1.7'],
  ['containerd-1.7', 'containerd-2.1'],
  ['containerd-1.6', 'containerd-2.1'],
])('the comparison of %s and %s', (first, second) => {
  it.each(worlds.map(({ set, cases }) => [set, cases] as const))(
    'of the %s world names all that they left otherwise, and what it says that one alone destroys is so',
    async (set, cases) => {
      const { bundles, workDirs } = await compared(policies[first], policies[second], set);
      const leftOtherwise = cases
        .filter((recorded) => !leftBy(first, recorded).some((left) => leftBy(second, recorded).includes(left)))
        .map(({ given }) => `${given.ns}/${given.id}`);
      const named = new Set([...bundles.map(nameOf), ...workDirs.map(({ namespace, name }) => `${namespace}/${name}`)]);
      expect(leftOtherwise.filter((name) => !named.has(name))).toEqual([]);
      const destroyedByOne = bundles.filter(({ difference }) => difference.endsWith('destroyed')).map(nameOf);
      expect(destroyedByOne.length).toBeGreaterThan(0);
      expect(destroyedByOne.filter((name) => !leftOtherwise.includes(name))).toEqual([]);
    },
  );
});

describe('what an upgrade from containerd 1.7 to 2.1 does', () => {
  it('to a live task whose address is JSON: its shim is given up, as 2.1 takes that for the address itself (H23)', async () => {
    const { bundles } = await compared(containerd17, containerd21, 'hand');
    const found = bundles.find(({ id }) => id === 'address-json-v2');
    expect(found).toMatchObject({
      difference: 'alive-destroyed',
      alive: true,
      parts: [{ choices: ['bootstrap'] }],
      first: { verdict: 'adopt', reason: 'task-running' },
      second: { verdict: 'cleanUp', reason: 'address-unsupported' },
    });
    expect(found?.parts[0]?.why).toEqual([
      'containerd-1.7 reads the address from address; containerd-2.1 reads it from bootstrap.json, which it makes of address where it is missing',
    ]);
  });

  it('to an ordinary live task: its address is written down as bootstrap.json, and nothing else', async () => {
    const { bundles } = await compared(containerd17, containerd21, 'hand');
    const found = bundles.find(({ id }) => id === 'live');
    expect(found).toMatchObject({ difference: 'steps', parts: [{ choices: ['bootstrap'] }] });
    const [before, after] = [found?.first, found?.second].map((side) => side?.steps.map(({ step }) => step));
    expect(before).toEqual(['open-log-pipe', 'register']);
    expect(after).toEqual(['open-log-pipe', 'write-bootstrap', 'register']);
  });
});

/** `explain` looks at one bundle, and comes to the verdict that `plan` gives it among all others. */
import { Recovery } from '@shim-recovery/core';
import { explainBundle } from '@shim-recovery/core/documents';
import { policies, type Policy } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { world as anyWorld } from '../src/arbitraries/World.js';
import { layWorld } from '../src/simulation/LaidWorld.js';
import { canDie, dead, isSteady, leaked, running } from '../src/worlds/Shim.js';
import { ordinary, scriptOf, type Start, type World, world } from '../src/worlds/World.js';
import { recordedWorlds } from './simulation/recorded.js';

const orFail = <L, A>(outcome: E.Either<L, A>): A => {
  if (E.isLeft(outcome)) throw new Error(JSON.stringify(outcome.left));
  return outcome.right;
};

type Verdicts = ReadonlyArray<readonly [string, string, string]>;

const planned = async (of: World, policy: Policy): Promise<Verdicts> => {
  const { settings, machine } = layWorld(of);
  const { report } = orFail(await Recovery.plan({ ...settings, policy }, machine.capabilities)());
  return report.namespaces.flatMap(({ name, bundles }) =>
    bundles.map(({ id, reason, explanation }) => [`${name}/${id}`, reason, explanation] as const),
  );
};

/** Each bundle by itself, in a world of its own that nobody has asked anything. */
const explained = async (of: World, policy: Policy): Promise<Verdicts> => {
  const first = layWorld(of);
  const listed = orFail(await Recovery.listBundles({ ...first.settings, policy }, first.machine.capabilities)());
  const keys = listed.flatMap(({ name: namespace, ids }) => ids.map((id) => ({ namespace, id })));
  const verdicts: Array<Verdicts[number]> = [];
  for (const key of keys) {
    const { settings, machine } = layWorld(of);
    const found = orFail(await Recovery.inspectBundle({ ...settings, policy }, machine.capabilities, key)());
    if (O.isNone(found)) throw new Error(`${key.id} is gone`);
    const { namespace, id, reason, explanation } = explainBundle(policy)(found.value);
    verdicts.push([`${namespace}/${id}`, reason, explanation]);
    const asked = machine.shims.calls().map((call) => `${call.namespace}/${call.id}`);
    expect(asked.filter((name) => name !== `${key.namespace}/${key.id}`)).toEqual([]);
  }
  return verdicts;
};

/**
 * What is learnt of a bundle must not depend on what was asked about the others: a shim that is shared answers the same
 * whatever it was asked before, and none is gone, for whoever looks at the processes, because somebody has asked it.
 */
const isAskedAlike = (all: World): boolean =>
  all.entries.every((start) => {
    const script = scriptOf(all)(start);
    if (script !== undefined && canDie(script)) return all.entries.length === 1;
    return start.shim === undefined || !('of' in start.shim) || (script !== undefined && isSteady(script));
  });

describe.each(Object.values(policies).map((policy) => [policy.name, policy] as const))('under %s', (_, policy) => {
  it('a bundle is explained as it is planned, in every random world', { timeout: 60_000 }, async () => {
    const met = new Set<string>();
    await fc.assert(
      fc.asyncProperty(anyWorld({ maxEntries: 5 }).filter(isAskedAlike), async (any) => {
        const plan = await planned(any, policy);
        for (const [, reason] of plan) met.add(reason);
        expect(await explained(any, policy)).toEqual(plan);
      }),
      { numRuns: 300 },
    );
    expect(met.size).toBeGreaterThan(7);
  });

  it('and in every recorded one', { timeout: 60_000 }, async () => {
    for (const { world: recorded } of recordedWorlds)
      expect(await explained(recorded, policy)).toEqual(await planned(recorded, policy));
  });
});

it('who else needs a shim is seen, though only the one bundle is asked about (H18)', async () => {
  const pod: Start = { ns: 'k8s.io', id: 'pod', bundle: ordinary, shim: leaked, processes: 0 };
  const member: Start = { ns: 'k8s.io', id: 'member', bundle: ordinary, shim: { of: 'pod' }, processes: 0 };
  const other: Start = { ns: 'default', id: 'web', bundle: ordinary, shim: running };
  const verdicts = await explained(world(pod, member, other), policies.careful);
  expect(verdicts.map(([name, reason]) => `${name} ${reason}`)).toEqual([
    'default/web task-running',
    'k8s.io/member shim-shared',
    'k8s.io/pod shim-shared',
  ]);
});

it('shims of other namespaces are seen, which show whether this program sees the tree at all', async () => {
  const gone: Start = { ns: 'a', id: 'gone', bundle: ordinary, shim: dead };
  const alive: Start = { ns: 'b', id: 'alive', bundle: ordinary, shim: running };
  for (const view of ['own-pid-namespace', 'own-mount-namespace'] as const) {
    const limited: World = { ...world(gone, alive), view };
    expect(await explained(limited, policies.careful)).toEqual(await planned(limited, policies.careful));
  }
});

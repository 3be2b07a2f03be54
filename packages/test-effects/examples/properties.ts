/** A property of one's own, over worlds that no test machine has, with anything going wrong. */
import { Recovery } from '@shim-recovery/core';
import { schedule } from '@shim-recovery/test-effects/arbitraries/Schedule';
import { world } from '@shim-recovery/test-effects/arbitraries/World';
import { layWorld } from '@shim-recovery/test-effects/simulation/LaidWorld';
import { dead, running } from '@shim-recovery/test-effects/worlds/Shim';
import { simulate } from '@shim-recovery/test-effects/simulation/Simulation';
import * as World from '@shim-recovery/test-effects/worlds/World';
import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';

/** A host as one would describe it: a database that runs, and a web server that died with its root file system mounted. */
export const host = World.world(
  { ns: 'default', id: 'db', bundle: World.ordinary, shim: running },
  { ns: 'default', id: 'web', bundle: { ...World.ordinary, rootfs: 'tmpfs' }, shim: dead },
);

/** What becomes of each bundle of a world, in memory: nothing is mounted, run or deleted. */
export const verdicts = async (of: World.World): Promise<ReadonlyArray<string>> => {
  const { machine, settings } = layWorld(of);
  const recovered = await Recovery.recover(settings, machine.capabilities)();
  if (E.isLeft(recovered)) return [recovered.left._tag];
  await recovered.right.stop();
  return recovered.right.report.namespaces.flatMap(({ bundles }) =>
    bundles.map(({ id, verdict, reason }) => `${id}: ${verdict} (${reason})`),
  );
};

/** Whatever stands there, and whatever fails: no run takes more than so many calls of its capabilities. */
export const isBounded = fc.asyncProperty(
  world({ maxEntries: 3 }),
  schedule({ runs: 2, most: 3 }),
  async (any, wrong) => {
    const { runs } = await simulate(any, wrong);
    return runs.every(({ effects }) => effects.length < 2_000);
  },
);

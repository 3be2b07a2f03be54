import { ByteString as B, Recovery } from '@shim-recovery/core';
import { BundleEvidence, type BundlePlan, decide, type Policy, type Settings } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { layWorld } from '../simulation/LaidWorld.js';
import { hasSteadyShim, type World } from '../worlds/World.js';
import { type Property, type Violations, violation } from './Property.js';

const planned = async (world: World, change: (settings: Settings) => Settings): Promise<ReadonlyArray<BundlePlan>> => {
  const laid = layWorld(world);
  const outcome = await Recovery.plan(change(laid.settings), laid.machine.capabilities)();
  return E.isRight(outcome) ? outcome.right.plan.namespaces.flatMap(({ bundles }) => bundles) : [];
};

const decidesAgain =
  (policy: Policy) =>
  (bundle: BundlePlan): Violations => {
    const travelled = BundleEvidence.decode(JSON.parse(JSON.stringify(BundleEvidence.encode(bundle.evidence))));
    const decision = E.isRight(travelled) ? decide(policy)(travelled.right) : undefined;
    return decision?._tag === 'Decided' && decision.verdict.reason === bundle.verdict.reason
      ? []
      : [violation(`${nameOf(bundle)} is decided otherwise from its evidence alone`)];
  };

const nameOf = ({ evidence: { namespace, id } }: BundlePlan): string => `${B.show(namespace)}/${B.show(id)}`;

/** Whether the answers of each shim are the same whenever it is asked, and in whatever order. */
const isOrderless = (world: World): boolean => world.entries.every(hasSteadyShim(world));

export const replay: Property = {
  number: 1,
  name: 'replay',
  statement: 'The same evidence gives the same verdicts, whatever the order and concurrency of the answers.',
  isCostly: true,
  check: async ({ policy, simulated: { world } }) => {
    const together = await planned(world, (settings) => ({ ...settings, policy }));
    const inTurn = await planned(world, (settings) => ({
      ...settings,
      policy,
      bounds: { waiting: 1, busy: 1, binaries: 1, files: 1 },
    }));
    const reordered = together.flatMap((bundle, index) =>
      !isOrderless(world) || JSON.stringify(bundle) === JSON.stringify(inTurn[index])
        ? []
        : [violation(`${nameOf(bundle)} depends on the order`)],
    );
    return [...reordered, ...together.flatMap(decidesAgain(policy))];
  },
};

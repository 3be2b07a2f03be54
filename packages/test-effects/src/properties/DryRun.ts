import { Recovery } from '@shim-recovery/core';
import type { BundleReport } from '@shim-recovery/core/documents';
import * as E from 'fp-ts/lib/Either.js';
import { layWorld } from '../simulation/LaidWorld.js';
import { hasSteadyShim, type World } from '../worlds/World.js';
import { type Property, type Violations, violation } from './Property.js';

/** Being asked changes a shim that answers in turns, or that dies; and one bundle's reaping ends a shared shim. */
export const isForetellable = (world: World): boolean =>
  world.entries.every((start) => {
    const isShared = start.shim !== undefined && 'of' in start.shim;
    return !isShared && hasSteadyShim(world)(start);
  });

/** Steps after a disconnect are no part of the plan: a shim that dies later is none that the plan was about. */
const compare = (foretold: BundleReport, real: BundleReport | undefined): Violations => {
  if (real?.id !== foretold.id || real.reason !== foretold.reason)
    return [violation(`${foretold.id} was decided otherwise`)];
  const taken = real.steps.slice(0, foretold.steps.length);
  const firstFailure = taken.findIndex(({ outcome }) => outcome === 'failed');
  const smooth = firstFailure < 0 ? taken : taken.slice(0, firstFailure);
  const isForetold = smooth.every(({ step }, at) => foretold.steps[at]?.step === step);
  const isWhole = firstFailure >= 0 || taken.length === foretold.steps.length;
  return isForetold && isWhole ? [] : [violation(`${foretold.id} took other steps than planned`)];
};

export const dryRun: Property = {
  number: 2,
  name: 'dry run',
  statement: 'A dry run predicts what a fault-free run does, step for step, and changes nothing.',
  isCostly: true,
  check: async ({ policy, simulated: { world } }) => {
    const laid = layWorld(world);
    const settings = { ...laid.settings, policy };
    const before = JSON.stringify(laid.list());
    const planned = await Recovery.plan(settings, laid.machine.capabilities)();
    const isUntouched = JSON.stringify(laid.list()) === before;
    const asked = laid.machine.shims.calls().filter(({ call }) => !/\/(?:Connect|Pids|State)$/.test(call));
    const unasked = asked.map(({ call }) => violation(`the dry run sent ${call}`));
    const touched = isUntouched ? [] : [violation('the dry run changed the tree')];
    if (!isForetellable(world)) return [...touched, ...unasked];
    const recovered = await Recovery.recover(settings, laid.machine.capabilities)();
    if (E.isLeft(planned) || E.isLeft(recovered)) return [violation('it could not run')];
    await recovered.right.stop();
    const real = recovered.right.report.namespaces.flatMap(({ bundles }) => bundles);
    const differences = planned.right.report.namespaces
      .flatMap(({ bundles }) => bundles)
      .flatMap((bundle, index) => compare(bundle, real[index]));
    return [...differences, ...touched, ...unasked];
  },
};

/** What goes wrong at every call of a run, one simulation for each, and what is found then. */
import type { Policy } from '@shim-recovery/core/interpreter';
import { examine } from '../../src/campaign/Case.js';
import type { Effect, Fault } from '../../src/simulation/FaultInjection.js';
import { type Property, showFound } from '../../src/properties/Properties.js';
import { calm, type Schedule } from '../../src/simulation/Schedule.js';
import { simulate } from '../../src/simulation/Simulation.js';
import type { SmallWorld } from './recorded.js';

type Injected = readonly [Effect, Fault];

/** What is found under each schedule, but for what the policy is known for. */
export const findAll = async (
  policy: Policy,
  worlds: ReadonlyArray<SmallWorld>,
  schedulesOf: (effect: Effect) => ReadonlyArray<Schedule>,
  properties: ReadonlyArray<Property>,
): Promise<{ readonly unknown: ReadonlyArray<string>; readonly injected: ReadonlyArray<Injected> }> => {
  const unknown: Array<string> = [];
  const injected: Array<Injected> = [];
  for (const { name, world } of worlds) {
    const [run] = (await simulate(world, calm, policy, 1)).runs;
    for (const schedule of (run?.effects ?? []).flatMap(schedulesOf)) {
      const { found, simulated } = await examine({ world, schedule }, policy, properties);
      injected.push(...simulated.runs.flatMap((one) => one.injected));
      for (const one of found)
        if (!one.isKnown) unknown.push(`${name}, ${JSON.stringify(schedule)}: ${showFound(one)}`);
    }
  }
  return { unknown, injected };
};

/** So many of each, in turn, so that every call meets some, and every kind of call meets all. */
export const rotating = <A>(all: ReadonlyArray<A>, number: number, oneIn: number): ReadonlyArray<A> =>
  all.filter((_, index) => index % oneIn === number % oneIn);

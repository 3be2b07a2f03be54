/** Random schedules of what goes wrong. */
import * as fc from 'fast-check';
import { allFaults } from '../Effect.js';
import type { Schedule, ScheduledCrash, ScheduledFault } from '../Schedule.js';

/** How many calls of a run are within reach: a run over a small world makes some forty for each bundle. */
const reach = 90;

/** A fault at any call of one of the first `runs` runs. Shrinks towards the first run and the first call. */
export const scheduledFault = (runs: number): fc.Arbitrary<ScheduledFault> =>
  fc.record({
    run: fc.nat(runs - 1),
    at: fc.nat(reach),
    fault: fc.constantFrom(...allFaults),
    when: fc.constantFrom('instead' as const, 'after' as const),
  });

/** The end of a run, at any of its calls. */
export const scheduledCrash = (runs: number): fc.Arbitrary<ScheduledCrash> =>
  fc.record({
    run: fc.nat(runs - 1),
    at: fc.nat(reach),
    when: fc.constantFrom('before' as const, 'after' as const),
  });

/** Up to so many faults and crashes, spread over up to `runs` runs. Shrinks to fewer. */
export const schedule = (limits: {
  readonly runs: number;
  readonly maxFaults: number;
  readonly maxCrashes: number;
}): fc.Arbitrary<Schedule> =>
  fc.record({
    faults: fc.array(scheduledFault(limits.runs), { maxLength: limits.maxFaults }),
    crashes: fc.array(scheduledCrash(limits.runs), { maxLength: limits.maxCrashes }),
  });

/** Random schedules of what goes wrong. */
import * as fc from 'fast-check';
import { errnos, otherFaults } from '../simulation/FaultInjection.js';
import { allMoves } from '../simulation/Interference.js';
import {
  calm,
  type Schedule,
  type ScheduledCrash,
  type ScheduledFault,
  type ScheduledMove,
} from '../simulation/Schedule.js';

/** How many calls of a run are within reach: a run over a small world makes some forty for each bundle. */
const reach = 90;

/** A fault at any call of one of the first `runs` runs, or from there on. Shrinks towards the first run and call. */
export const scheduledFault = (runs: number): fc.Arbitrary<ScheduledFault> =>
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        ...anywhere(runs),
        fault: fc.oneof(fc.constantFrom(...errnos), fc.constantFrom(...otherFaults)),
        when: fc.constantFrom('instead' as const, 'instead' as const, 'after' as const),
        lasts: fc.constantFrom(false, false, false, true),
      }),
    },
    { weight: 1, arbitrary: standingFault(runs) },
  );

/** Somebody does not answer, or not well, all through a run or from some call on. */
const standingFault = (runs: number): fc.Arbitrary<ScheduledFault> =>
  fc.record({
    run: fc.nat(runs - 1),
    at: fc.oneof(fc.constant(0), fc.nat(reach)),
    fault: fc.constantFrom(...otherFaults),
    when: fc.constantFrom('instead' as const, 'after' as const),
    lasts: fc.constant(true),
  });

/** The end of a run, at any of its calls. */
export const scheduledCrash = (runs: number): fc.Arbitrary<ScheduledCrash> =>
  fc.record({ ...anywhere(runs), when: fc.constantFrom('before' as const, 'after' as const) });

/** Something that somebody else does meanwhile. */
export const scheduledMove = (runs: number): fc.Arbitrary<ScheduledMove> =>
  fc.record({ ...anywhere(runs), entry: fc.nat(3), move: fc.constantFrom(...allMoves) });

/**
 * Up to so many of each, over up to so many runs: crashes alone, which recoveries are to make good; faults and crashes;
 * or what somebody else does, and faults. Shrinks to fewer.
 */
export const schedule = ({ runs, most }: { readonly runs: number; readonly most: number }): fc.Arbitrary<Schedule> => {
  const faults = fc.array(scheduledFault(runs), { maxLength: most });
  const crashes = fc.array(scheduledCrash(runs), { maxLength: most });
  const moves = fc.array(scheduledMove(runs), { maxLength: most });
  return fc.oneof(
    crashes.map((some) => ({ ...calm, crashes: some })),
    fc.record({ faults, crashes, moves: fc.constant([]) }),
    fc.record({ faults, crashes: fc.constant([]), moves }),
  );
};

const anywhere = (runs: number) => ({ run: fc.nat(runs - 1), at: fc.nat(reach) });

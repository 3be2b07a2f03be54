/** What goes wrong in a simulation, as data: it can be printed, saved, replayed and shrunk. */
import * as t from 'io-ts';
import { type Effect, Fault, type Intervention, proceed } from './FaultInjection.js';
import { Move } from './Interference.js';

/**
 * A fault at one call of one run: `run` counts the runs from 0, `at` the run's calls from 0. With `lasts`, every later
 * call of that run fails in the same way. A call that cannot give this fault goes on as if nothing were scheduled.
 */
export const ScheduledFault = t.readonly(
  t.type({
    run: t.number,
    at: t.number,
    fault: Fault,
    when: t.keyof({ instead: null, after: null }),
    lasts: t.boolean,
  }),
  'ScheduledFault',
);

export type ScheduledFault = t.TypeOf<typeof ScheduledFault>;

/** The end of one run, at one of its calls: before it is made, or right after it was. */
export const ScheduledCrash = t.readonly(
  t.type({ run: t.number, at: t.number, when: t.keyof({ before: null, after: null }) }),
  'ScheduledCrash',
);

export type ScheduledCrash = t.TypeOf<typeof ScheduledCrash>;

/** What somebody else does just before a call, to the entry of the world with this number (counted round and round). */
export const ScheduledMove = t.readonly(
  t.type({ run: t.number, at: t.number, entry: t.number, move: Move }),
  'ScheduledMove',
);

export type ScheduledMove = t.TypeOf<typeof ScheduledMove>;

export const Schedule = t.readonly(
  t.type({
    faults: t.readonlyArray(ScheduledFault),
    crashes: t.readonlyArray(ScheduledCrash),
    moves: t.readonlyArray(ScheduledMove),
  }),
  'Schedule',
);

export type Schedule = t.TypeOf<typeof Schedule>;

/** Nothing goes wrong. */
export const calm: Schedule = { faults: [], crashes: [], moves: [] };

/** What becomes of a call of the given run. */
export const interventionOf =
  ({ faults, crashes }: Schedule, run: number) =>
  ({ number }: Effect): Intervention => {
    const crash = crashes.find((scheduled) => scheduled.run === run && scheduled.at === number);
    if (crash !== undefined) return { _tag: 'Crash', when: crash.when };
    const fault = faults.find(({ run: its, at, lasts }) => its === run && (at === number || (lasts && at < number)));
    return fault === undefined ? proceed : { _tag: 'Fail', fault: fault.fault, when: fault.when };
  };

/** The moves that come just before a call of the given run. */
export const movesBefore = ({ moves }: Schedule, run: number, { number }: Effect): ReadonlyArray<ScheduledMove> =>
  moves.filter((scheduled) => scheduled.run === run && scheduled.at === number);

/** How many runs the schedule has something for; those after them are undisturbed. */
export const disturbedRuns = ({ faults, crashes, moves }: Schedule): number =>
  Math.max(0, ...[...faults, ...crashes, ...moves].map(({ run }) => run + 1));

/** A line for each thing that goes wrong. */
export const showSchedule = ({ faults, crashes, moves }: Schedule): string =>
  [
    ...faults.map(
      ({ run, at, fault, when, lasts }) =>
        `run ${run}, call ${at}${lasts ? ' and all after it' : ''}: ${fault} ${when === 'after' ? 'after it was done' : 'instead'}`,
    ),
    ...crashes.map(({ run, at, when }) => `run ${run}: crash ${when} call ${at}`),
    ...moves.map(({ run, at, entry, move }) => `run ${run}, before call ${at}: ${move}, entry ${entry}`),
  ].join('\n');

/** What goes wrong in a simulation, as data: it can be printed, saved, replayed and shrunk. */
import * as t from 'io-ts';
import { type Effect, Fault, type Intervention, proceed } from './Effect.js';

/**
 * A fault at one call of one run. `run` counts the runs from 0, `at` the run's calls from 0. A call that cannot give
 * this fault goes on as if nothing were scheduled.
 */
export const ScheduledFault = t.readonly(
  t.type({ run: t.number, at: t.number, fault: Fault, when: t.keyof({ instead: null, after: null }) }),
  'ScheduledFault',
);
export type ScheduledFault = t.TypeOf<typeof ScheduledFault>;

/** The end of one run, at one of its calls: before it is made, or right after it was. */
export const ScheduledCrash = t.readonly(
  t.type({ run: t.number, at: t.number, when: t.keyof({ before: null, after: null }) }),
  'ScheduledCrash',
);
export type ScheduledCrash = t.TypeOf<typeof ScheduledCrash>;

export const Schedule = t.readonly(
  t.type({ faults: t.readonlyArray(ScheduledFault), crashes: t.readonlyArray(ScheduledCrash) }),
  'Schedule',
);
export type Schedule = t.TypeOf<typeof Schedule>;

/** Nothing goes wrong. */
export const calm: Schedule = { faults: [], crashes: [] };

/** What becomes of a call of the given run. */
export const interventionOf =
  (schedule: Schedule, run: number) =>
  (effect: Effect): Intervention => {
    const crash = schedule.crashes.find((scheduled) => scheduled.run === run && scheduled.at === effect.number);
    if (crash !== undefined) return { _tag: 'Crash', when: crash.when };
    const fault = schedule.faults.find((scheduled) => scheduled.run === run && scheduled.at === effect.number);
    return fault === undefined ? proceed : { _tag: 'Fail', fault: fault.fault, when: fault.when };
  };

/** How many runs the schedule has something for; the one after them is undisturbed. */
export const disturbedRuns = ({ faults, crashes }: Schedule): number =>
  Math.max(0, ...[...faults, ...crashes].map(({ run }) => run + 1));

/** What a property of recoveries is, and what it finds. */
import type { Policy } from '@shim-recovery/core/interpreter';
import type { Hazard } from '../simulation/Hazards.js';
import type { Schedule } from '../simulation/Schedule.js';
import type { Simulated } from '../simulation/Simulation.js';

/** What was found, as a sentence; and the known hazard that it is a case of, where it is one. */
export interface Violation {
  readonly what: string;
  readonly hazard?: Hazard;
}

/** None is good news. */
export type Violations = ReadonlyArray<Violation>;

/** A world with what went wrong in it, and how the recoveries of it went. */
export interface Subject {
  readonly policy: Policy;
  readonly schedule: Schedule;
  readonly simulated: Simulated;
}

export interface Property {
  /** Its number in the documentation. */
  readonly number: number;
  readonly name: string;
  readonly statement: string;
  /** Whether it takes recoveries of its own, so that long campaigns check it for only some of their worlds. */
  readonly isCostly: boolean;
  /** Holds for this subject when it gives no violation; a property that says nothing about a subject gives none. */
  readonly check: (subject: Subject) => Promise<Violations>;
}

export const violation = (what: string, hazard?: Hazard): Violation => ({
  what,
  ...(hazard === undefined ? {} : { hazard }),
});

/**
 * What must be true of a recovery, whatever world it meets and whatever goes wrong; and for each policy, whether it is.
 *
 * ```ts
 * const simulated = await simulate(world, schedule, policy);
 * const violations = await findViolations({ policy, schedule, simulated });
 * ```
 */
import type { PolicyName } from '@shim-recovery/core/interpreter';
import type { Hazard } from '../simulation/Hazards.js';
import { alive } from './Alive.js';
import { connections } from './Connections.js';
import { containment } from './Containment.js';
import { convergence } from './Convergence.js';
import { dryRun } from './DryRun.js';
import { events } from './Events.js';
import { independence } from './Independence.js';
import type { Property, Subject, Violation } from './Property.js';
import { replay } from './Replay.js';
import { settling } from './Settling.js';

export { alive, connections, containment, convergence, dryRun, events, independence, replay, settling };

export type { Property, Subject, Violation, Violations } from './Property.js';

/** All of them, by their numbers. */
export const allProperties: ReadonlyArray<Property> = [
  replay,
  dryRun,
  convergence,
  settling,
  independence,
  connections,
  events,
  containment,
  alive,
];

/**
 * By policy and property, the hazards that are the policy's own choice: only what falls under one of them may violate
 * the property. A property that is not named holds.
 */
export const brokenBy: Readonly<Record<PolicyName, ReadonlyMap<Property, ReadonlyArray<Hazard>>>> = {
  'containerd-1.6': new Map([
    [convergence, ['H11', 'H30']],
    [containment, ['H30']],
    [alive, ['H4', 'H5', 'H8', 'H9', 'H20', 'H22', 'H24', 'L1', 'L2', 'L5']],
  ]),
  'containerd-1.7': new Map([
    [convergence, ['H10', 'H11', 'H30']],
    [containment, ['H30']],
    [alive, ['H1', 'H2', 'H4', 'H5', 'H8', 'H9', 'H18', 'H20', 'H22', 'H24', 'H26', 'L1', 'L2', 'L5']],
  ]),
  'containerd-2.1': new Map([
    [convergence, ['H11', 'H30', 'L4']],
    [settling, ['L4']],
    [containment, ['H14', 'H30']],
    [alive, ['H1', 'H2', 'H4', 'H5', 'H8', 'H9', 'H18', 'H20', 'H22', 'H24', 'H26', 'L1', 'L2', 'L3', 'L5']],
  ]),
  careful: new Map(),
};

export interface Found extends Violation {
  readonly property: Property;
  /** Whether the policy is known to do this. */
  readonly isKnown: boolean;
}

/** What the given properties find in one simulation. */
export const findViolations = async (
  subject: Subject,
  properties: ReadonlyArray<Property> = allProperties,
): Promise<ReadonlyArray<Found>> => {
  const found: Array<Found> = [];
  for (const property of properties) {
    const known = brokenBy[subject.policy.name].get(property) ?? [];
    for (const one of await property.check(subject))
      found.push({ ...one, property, isKnown: one.hazard !== undefined && known.includes(one.hazard) });
  }
  return found;
};

/** As `3 convergence: left over: … (H11)`. */
export const showFound = ({ property, what, hazard }: Found): string =>
  `${property.number} ${property.name}: ${what}${hazard === undefined ? '' : ` (${hazard})`}`;

/** A world and what goes wrong in it, as one document: what a simulation that found something leaves behind. */
import { containerd17, type Policy } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as t from 'io-ts';
import { failure } from 'io-ts/lib/PathReporter.js';
import { allProperties, findViolations, type Found, type Property, settling } from '../properties/Properties.js';
import { Schedule, showSchedule } from '../simulation/Schedule.js';
import { simulate, type Simulated } from '../simulation/Simulation.js';
import { decodeWorld, showWorld, World, type WorldError } from '../worlds/World.js';

export const Case = t.exact(t.type({ world: World, schedule: Schedule }), 'Case');

export type Case = t.TypeOf<typeof Case>;

/** Reads a case, and refuses one that cannot be simulated. */
export const decodeCase = (document: unknown): E.Either<WorldError, Case> =>
  pipe(
    Case.decode(document),
    E.mapLeft((errors): WorldError => ({ _tag: 'WorldMalformed', reason: failure(errors).slice(0, 5).join('\n') })),
    E.chainFirst(({ world }) => decodeWorld(World.encode(world))),
  );

/** How a case went, and what the properties say about it. */
export interface Examined {
  readonly simulated: Simulated;
  readonly found: ReadonlyArray<Found>;
}

/** Simulates a case and checks the given properties, or all. */
export const examine = async (
  { world, schedule }: Case,
  policy: Policy = containerd17,
  properties: ReadonlyArray<Property> = allProperties,
): Promise<Examined> => {
  // Only that property says anything of a run after the end.
  const simulated = await simulate(world, schedule, policy, properties.includes(settling) ? 2 : 1);
  return { simulated, found: await findViolations({ policy, schedule, simulated }, properties) };
};

/** In words: the entries of the world, then what goes wrong. */
export const showCase = ({ world, schedule }: Case): string =>
  [showWorld(world), showSchedule(schedule)].filter((part) => part !== '').join('\n');

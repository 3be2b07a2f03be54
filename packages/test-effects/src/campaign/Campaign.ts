/** Random cases by the thousand, from a seed: what `pnpm simulate` and the tests run. */
import type { Policy, PolicyName } from '@shim-recovery/core/interpreter';
import * as fc from 'fast-check';
import { schedule } from '../arbitraries/Schedule.js';
import { world } from '../arbitraries/World.js';
import * as E from 'fp-ts/lib/Either.js';
import { Case, decodeCase, examine, showCase } from './Case.js';
import type { Hazard } from '../simulation/Hazards.js';
import { allProperties, type Found, type Property, showFound } from '../properties/Properties.js';
import type { Schedule } from '../simulation/Schedule.js';
import * as Coverage from './Coverage.js';
import type { World } from '../worlds/World.js';

/** Any small world with anything going wrong. Shrinks to a plainer one in which less does. */
export const anyCase = (): fc.Arbitrary<Case> =>
  fc.record({ world: world({ maxEntries: 3 }), schedule: schedule({ runs: 2, most: 3 }) });

export interface Campaign {
  readonly policy: Policy;
  readonly seed: number;
  readonly cases: number;
  /** Only the case at this place of fast-check's tree, as printed with a failure. */
  readonly path?: string;
  /** What to look for: by default what no policy may do. */
  readonly wanted?: Wanted;
  readonly properties?: ReadonlyArray<Property>;
}

/** A known hazard to find the smallest case of. */
export interface Wanted {
  readonly property: Property;
  readonly hazard: Hazard;
}

/** A case that shows what was looked for, as small as could be found. */
export interface Failure {
  readonly seed: number;
  readonly path: string;
  readonly policy: PolicyName;
  readonly wanted: Wanted | undefined;
  readonly smallest: Case;
  readonly found: ReadonlyArray<string>;
}

export interface Outcome {
  readonly tally: Coverage.Coverage;
  readonly failure: Failure | undefined;
}

/** Examines cases until one shows what is looked for, or all are done. */
export const run = async ({ policy, seed, cases, path, wanted, properties }: Campaign): Promise<Outcome> => {
  const looked = properties ?? (wanted === undefined ? allProperties : [wanted.property]);
  const cheap = looked.filter(({ isCostly }) => !isCostly);
  let tally = Coverage.empty;
  const draw = fc.noShrink(fc.nat(costlyOnceIn - 1));
  const property = fc.asyncProperty(anyCase(), draw, async (any, drawn) => {
    const examined = await examine(any, policy, drawn === 0 || wanted !== undefined ? looked : cheap);
    tally = Coverage.add(tally, Coverage.count(examined));
    return !examined.found.some((found) => isWanted(wanted, found));
  });
  const details = await fc.check(property, { seed, numRuns: cases, ...(path === undefined ? {} : { path }) });
  if (!details.failed) return { tally, failure: undefined };
  const [shrunk] = details.counterexample ?? [];
  if (shrunk === undefined) throw new Error(fc.defaultReportMessage(details));
  // Throws what made the property throw, if that was it.
  const find = async (one: Case): Promise<ReadonlyArray<Found>> =>
    (await examine(one, policy, looked)).found.filter((found) => isWanted(wanted, found));
  const smallest = await minimise(shrunk, async (one) => (await find(one)).length > 0);
  return {
    tally,
    failure: {
      seed,
      path: details.counterexamplePath ?? '',
      policy: policy.name,
      wanted,
      smallest,
      found: (await find(smallest)).map(showFound),
    },
  };
};

/** Costly properties are checked for one case in so many. */
const costlyOnceIn = 10;

const isWanted = (wanted: Wanted | undefined, { property, hazard, isKnown }: Found): boolean =>
  wanted === undefined ? !isKnown : property === wanted.property && hazard === wanted.hazard;

/** Leaves out of a case whatever it can do without. */
const minimise = async (large: Case, isStillSo: (one: Case) => Promise<boolean>): Promise<Case> => {
  for (const one of simpler(large))
    if (one.world.entries.length > 0 && E.isRight(decodeCase(Case.encode(one))) && (await isStillSo(one)))
      return minimise(one, isStillSo);
  return large;
};

/** The case with one thing less, in every way. */
const simpler = ({ world: whole, schedule: wrong }: Case): ReadonlyArray<Case> => {
  const schedules: ReadonlyArray<Schedule> = [
    ...indexes(wrong.faults).map((index) => ({ ...wrong, faults: without(wrong.faults, index) })),
    ...indexes(wrong.crashes).map((index) => ({ ...wrong, crashes: without(wrong.crashes, index) })),
    ...indexes(wrong.moves).map((index) => ({ ...wrong, moves: without(wrong.moves, index) })),
  ];
  const { rebooted: _, ...running } = whole;
  const worlds: ReadonlyArray<World> = [
    ...(whole.rebooted === true ? [running] : []),
    ...indexes(whole.entries).map((index) => ({ ...whole, entries: without(whole.entries, index) })),
  ];
  return [
    ...schedules.map((less) => ({ world: whole, schedule: less })),
    ...worlds.flatMap((less) => earlier(wrong).map((schedule) => ({ world: less, schedule }))),
  ];
};

const without = <A>(list: ReadonlyArray<A>, index: number): ReadonlyArray<A> => list.filter((_, at) => at !== index);

/** The schedule itself, and with everything at any one earlier call: a smaller world comes to the same point sooner. */
const earlier = ({ faults, crashes, moves }: Schedule): ReadonlyArray<Schedule> => {
  const last = Math.max(0, ...[...faults, ...crashes, ...moves].map(({ at }) => at));
  return [
    { faults, crashes, moves },
    ...Array.from({ length: last }, (_, at) => ({
      faults: faults.map((fault) => ({ ...fault, at })),
      crashes: crashes.map((crash) => ({ ...crash, at })),
      moves: moves.map((move) => ({ ...move, at })),
    })),
  ];
};

/** For people, with how to see it again. */
export const showFailure = ({ smallest, found, seed, path, policy, wanted }: Failure): string => {
  const what = wanted === undefined ? '' : ` --find ${wanted.property.number}/${wanted.hazard}`;
  return [
    ...found,
    '',
    showCase(smallest),
    '',
    `as a document: ${JSON.stringify(smallest)}`,
    `again: pnpm simulate --runs 1 --seed ${seed} --policy ${policy} --path ${path}${what}`,
    '',
  ].join('\n');
};

const indexes = (list: ReadonlyArray<unknown>): ReadonlyArray<number> => list.map((_, index) => index);

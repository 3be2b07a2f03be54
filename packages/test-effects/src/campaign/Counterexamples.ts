/** For each property that a policy is known to break, and each hazard: the smallest case in which it does. */
import { readFileSync } from 'node:fs';
import { policies, PolicyName } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import type * as IOE from 'fp-ts/lib/IOEither.js';
import * as t from 'io-ts';
import { failure } from 'io-ts/lib/PathReporter.js';
import { Case, examine } from './Case.js';
import { Hazard } from '../simulation/Hazards.js';
import type { Schedule } from '../simulation/Schedule.js';

/** `property` is its number. Found and shrunk by `pnpm simulate --find`. */
export const Counterexample = t.intersection(
  [t.exact(t.type({ policy: PolicyName, property: t.number, hazard: Hazard })), Case],
  'Counterexample',
);

export type Counterexample = t.TypeOf<typeof Counterexample>;

/** The file that comes with this package. */
export const counterexamplesFile = new URL('../../corpus/counterexamples.json', import.meta.url);

/** Reads them; or says, in a sentence, why that cannot be done. */
export const loadCounterexamples: IOE.IOEither<string, ReadonlyArray<Counterexample>> = () =>
  pipe(
    E.tryCatch((): unknown => JSON.parse(readFileSync(counterexamplesFile, 'utf8')), String),
    E.chain((document) =>
      pipe(
        t.readonlyArray(Counterexample).decode(document),
        E.mapLeft((errors) => failure(errors).slice(0, 5).join('\n')),
      ),
    ),
  );

/** Whether it does what it is there to show, and nothing that its policy is not known for. */
export const isShown = async ({ policy, property, hazard, ...one }: Counterexample): Promise<boolean> => {
  const { found } = await examine(one, policies[policy]);
  return (
    found.some((each) => each.property.number === property && each.hazard === hazard) &&
    found.every(({ isKnown }) => isKnown)
  );
};

/**
 * A counterexample whose calls have other numbers by now, as a recovery makes more or fewer of them than it did. Undefined
 * where that does not show it either.
 */
export const mend = async (broken: Counterexample): Promise<Counterexample | undefined> => {
  if (await isShown(broken)) return broken;
  for (const schedule of movedSchedules(broken.schedule))
    if (await isShown({ ...broken, schedule })) return { ...broken, schedule };
  return undefined;
};

/** The schedule with one of its events at each other call. */
const movedSchedules = ({ faults, crashes, moves }: Schedule): ReadonlyArray<Schedule> =>
  Array.from({ length: reach }, (_, at) => at).flatMap((at) => [
    ...faults.map((one) => ({ faults: faults.map((each) => (each === one ? { ...each, at } : each)), crashes, moves })),
    ...crashes.map((one) => ({
      faults,
      crashes: crashes.map((each) => (each === one ? { ...each, at } : each)),
      moves,
    })),
  ]);

/** So many calls are within reach of a run over one or two bundles. */
const reach = 120;

/** As the file has them. */
export const printCounterexamples = (all: ReadonlyArray<Counterexample>): string =>
  `${JSON.stringify(all.map(Counterexample.encode), undefined, 1)}\n`;

/** For each property that a policy is known to break, and each hazard: the smallest case in which it does. */
import { readFileSync } from 'node:fs';
import { PolicyName } from '@shim-recovery/core/Policy';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import type * as IOE from 'fp-ts/lib/IOEither.js';
import * as t from 'io-ts';
import { failure } from 'io-ts/lib/PathReporter.js';
import { Case } from './Case.js';
import { Hazard } from './Hazards.js';

/** `property` is its number. Found and shrunk by `pnpm simulate --find`. */
export const Counterexample = t.intersection(
  [t.exact(t.type({ policy: PolicyName, property: t.number, hazard: Hazard })), Case],
  'Counterexample',
);
export type Counterexample = t.TypeOf<typeof Counterexample>;

/** The file that comes with this package. */
export const counterexamplesFile = new URL('../corpus/counterexamples.json', import.meta.url);

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

/** The largest share of the bundles that a policy destroys in one run. */
import * as E from 'fp-ts/lib/Either.js';
import type { Policy } from '../policy/Policy.js';
import type { RecoveryError } from './RecoveryError.js';
import { isDestructive, type Verdict } from '../decide/Verdict.js';

/** So few that the brake of a policy does not mind them. */
const alwaysMayDestroy = 4;

/** Asks the policy's brake about the verdicts that a run is about to carry out. */
export const refuseTooMuch = (
  { mayDestroy }: Policy,
  verdicts: ReadonlyArray<Verdict>,
): E.Either<RecoveryError, void> => {
  const counts = ({ _tag, reason }: Verdict): boolean =>
    (_tag !== 'Ignore' || reason === 'gone') && reason !== 'leftover';
  const bundles = verdicts.filter(counts);
  const destroyed = bundles.filter(isDestructive).length;
  return destroyed > alwaysMayDestroy && destroyed > mayDestroy * bundles.length
    ? E.left({ _tag: 'TooMuchDestroyed', destroyed, bundles: bundles.length, mayDestroy })
    : E.right(undefined);
};

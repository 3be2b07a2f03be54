/** The verdict on a bundle, and its reason. */
import * as t from 'io-ts';
import { Reason, verdictOf } from './Reasons.js';

/**
 * - `Ignore`: it is not a bundle; the reference passes over it.
 * - `Adopt`: the shim lives and is taken back.
 * - `Reap`: the shim lives without a task: the task is deleted, the shim told to end, the bundle removed.
 * - `CleanUp`: the shim is dead: its binary cleans up, then the bundle is removed.
 * - `Discard`: the bundle has no owner. It is removed, and no shim is asked.
 * - `Hold`: left exactly as it is, and said so.
 */
export const VerdictTag = t.keyof(
  { Ignore: null, Adopt: null, Reap: null, CleanUp: null, Discard: null, Hold: null },
  'VerdictTag',
);

export type VerdictTag = t.TypeOf<typeof VerdictTag>;

export const Verdict = t.readonly(t.type({ _tag: VerdictTag, reason: Reason }), 'Verdict');

export interface Verdict extends t.TypeOf<typeof Verdict> {}

/** The verdict that a reason stands for. */
export const because = (reason: Reason): Verdict => ({ _tag: verdictOf(reason), reason });

/** Whether carrying it out removes something that cannot be brought back. */
export const isDestructive = (verdict: Verdict): boolean =>
  verdict._tag === 'Reap' || verdict._tag === 'CleanUp' || verdict._tag === 'Discard';

/** What is to become of a bundle, and why. */
import * as t from 'io-ts';

/** Each reason belongs to one verdict; the sentence is what an operator reads. */
const reasons = {
  'not-a-directory': 'Ignore',
  hidden: 'Ignore',
  gone: 'Ignore',
  'task-running': 'Adopt',
  'shim-answers': 'Adopt',
  'task-exited': 'Adopt',
  'pids-unanswered': 'Adopt',
  'sandbox-recorded': 'Adopt',
  'sandbox-unknown': 'Adopt',
  'no-processes': 'Reap',
  'task-not-found': 'Reap',
  'pids-failed': 'Reap',
  'address-unreadable': 'CleanUp',
  'address-unsupported': 'CleanUp',
  'log-unusable': 'CleanUp',
  'dial-failed': 'CleanUp',
  'connect-failed': 'CleanUp',
  'older-than-boot': 'CleanUp',
  'orphan-reaped': 'CleanUp',
  unreadable: 'Discard',
  empty: 'Discard',
  'container-not-found': 'Discard',
  'container-unknown': 'Discard',
  'shim-binary-not-found': 'Discard',
  leftover: 'Discard',
  'bundle-unreadable': 'Hold',
  'container-unanswered': 'Hold',
  'address-unknown': 'Hold',
  'shim-unresponsive': 'Hold',
  'shim-unreachable': 'Hold',
  'shim-shared': 'Hold',
  'no-container': 'Hold',
  'task-disputed': 'Hold',
  'orphan-workload': 'Hold',
  'processes-unknown': 'Hold',
  'leftover-in-use': 'Hold',
  'not-a-bundle': 'Hold',
  'would-kill': 'Hold',
  'out-of-resources': 'Hold',
  'not-probed': 'Hold',
  'not-recorded': 'Hold',
  'plan-stale': 'Hold',
  'not-planned': 'Hold',
  interrupted: 'Hold',
} as const;

export const Reason = t.keyof(reasons, 'Reason');

export type Reason = t.TypeOf<typeof Reason>;

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
export const because = (reason: Reason): Verdict => ({ _tag: reasons[reason], reason });

/** Every reason there is: for tables and for coverage. */
export const allReasons: ReadonlyArray<Reason> = Object.keys(reasons).filter(Reason.is);

/** Whether carrying it out removes something that cannot be brought back. */
export const isDestructive = (verdict: Verdict): boolean =>
  verdict._tag === 'Reap' || verdict._tag === 'CleanUp' || verdict._tag === 'Discard';

/** The places where runtimes differ, as data. */
import * as t from 'io-ts';

export const PolicyName = t.keyof({ 'containerd-1.7': null }, 'PolicyName');
export type PolicyName = t.TypeOf<typeof PolicyName>;

export interface Policy {
  readonly name: PolicyName;
  /**
   * Whether an error from Pids that is not "no such task" still counts as "no processes", so that a shim that merely
   * failed to answer is reaped (H1).
   */
  readonly failedPidsCountAsNone: boolean;
  /** Where the metadata store keeps sandboxes: at its root, or below `v1` (SPEC 18.6). */
  readonly sandboxRecords: 'root' | 'v1';
}

/** The reference: containerd 1.7, decision by decision. */
export const containerd17: Policy = {
  name: 'containerd-1.7',
  failedPidsCountAsNone: true,
  sandboxRecords: 'root',
};

/** Every policy, by its name. */
export const policies: Readonly<Record<PolicyName, Policy>> = { 'containerd-1.7': containerd17 };

export const allPolicyNames: ReadonlyArray<PolicyName> = Object.keys(PolicyName.keys).filter(PolicyName.is);

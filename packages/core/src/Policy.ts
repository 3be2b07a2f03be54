/**
 * The places where runtimes differ, as data: what a policy chooses, and which hazard each choice decides. A policy of
 * one's own is one of these with some parts replaced.
 */
import * as t from 'io-ts';
import type { SandboxRecords } from './Stores.js';

export const PolicyName = t.keyof(
  { 'containerd-1.6': null, 'containerd-1.7': null, 'containerd-2.1': null },
  'PolicyName',
);
export type PolicyName = t.TypeOf<typeof PolicyName>;

export interface Policy {
  readonly name: PolicyName;
  /**
   * What says where the shim listens (SPEC 9):
   * - `address-text`: the whole `address` file is the address of a ttrpc socket;
   * - `address`: that, or JSON of version 2 in it (a newer one is refused, H24);
   * - `bootstrap`: `bootstrap.json`, of version 2 or 3; where it is missing, it is made from the text of `address` (H23).
   */
  readonly bootstrap: 'address-text' | 'address' | 'bootstrap';
  /** When the shim's log is opened, and made where it is missing; one that cannot be opened ends the attempt (SPEC 8.1). */
  readonly logOpened: 'before-address' | 'after-address' | 'after-dial';
  /** Whether a shim that answers is asked for its processes, and reaped when it has none (SPEC 4, steps 11 and 12; H2). */
  readonly reapsLeakedShims: boolean;
  /**
   * Whether an error from Pids that is not "no such task" still counts as "no processes", so that a shim that merely
   * failed to answer is reaped (H1).
   */
  readonly failedPidsCountAsNone: boolean;
  /** Whether a bundle whose shim could not be taken back is removed although its binary failed to clean up (H10, H4). */
  readonly removesAfterFailedCleanUp: boolean;
  /**
   * What is unmounted before a bundle is removed (SPEC 7.4):
   * - `rootfs`: what is mounted on it, and nothing below;
   * - `rootfs-and-below`: all that the mount table names at or below its path as it is written (H13);
   * - `target-and-below`: the same, at or below where that path leads (H14).
   */
  readonly unmounts: 'rootfs' | 'rootfs-and-below' | 'target-and-below';
  /** Whether a runtime's name may be without its first part, or hold a slash, which leads to the working directory (H32). */
  readonly runtimeNames: 'any' | 'checked';
  /** Where sandboxes are looked up (SPEC 18.6). 1.6 knows none. */
  readonly sandboxRecords: 'none' | SandboxRecords;
}

/** containerd 1.7, decision by decision: the reference. */
export const containerd17: Policy = {
  name: 'containerd-1.7',
  bootstrap: 'address',
  logOpened: 'after-address',
  reapsLeakedShims: true,
  failedPidsCountAsNone: true,
  removesAfterFailedCleanUp: false,
  unmounts: 'rootfs-and-below',
  runtimeNames: 'checked',
  sandboxRecords: 'root',
};

/** containerd 1.6: a shim that answers is taken back, whatever it has. */
export const containerd16: Policy = {
  ...containerd17,
  name: 'containerd-1.6',
  bootstrap: 'address-text',
  logOpened: 'after-dial',
  reapsLeakedShims: false,
  unmounts: 'rootfs',
  runtimeNames: 'any',
  sandboxRecords: 'none',
};

/** containerd 2.1: a bundle that could not be taken back is always removed. */
export const containerd21: Policy = {
  ...containerd17,
  name: 'containerd-2.1',
  bootstrap: 'bootstrap',
  logOpened: 'before-address',
  removesAfterFailedCleanUp: true,
  unmounts: 'target-and-below',
  sandboxRecords: 'v1',
};

/** Every policy, by its name. */
export const policies: Readonly<Record<PolicyName, Policy>> = {
  'containerd-1.6': containerd16,
  'containerd-1.7': containerd17,
  'containerd-2.1': containerd21,
};

export const allPolicyNames: ReadonlyArray<PolicyName> = Object.keys(PolicyName.keys).filter(PolicyName.is);

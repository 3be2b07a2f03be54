/**
 * The places where runtimes differ, as data: what a policy chooses, and which hazard each choice decides. A policy of
 * one's own is one of these with some parts replaced.
 */
import * as t from 'io-ts';
import * as B from '../base/ByteString.js';
import type { SandboxRecords } from '../capabilities/Stores.js';

export const PolicyName = t.keyof(
  { 'containerd-1.6': null, 'containerd-1.7': null, 'containerd-2.1': null, careful: null },
  'PolicyName',
);

export type PolicyName = t.TypeOf<typeof PolicyName>;

export interface Policy {
  readonly name: PolicyName;
  /**
   * The file that says where the shim listens (SPEC 9):
   * - `address-text`: the whole `address` file is the address of a ttrpc socket;
   * - `address`: that, or JSON of version 2 in it (a newer one is refused, H24);
   * - `bootstrap`: `bootstrap.json`, of version 2 or 3; where it is missing, it is made from the text of `address` (H23);
   * - `either`: whichever of the two can be understood, in any version up to 3; nothing is made (H22, H23, H24, H25).
   */
  readonly bootstrap: 'address-text' | 'address' | 'bootstrap' | 'either';
  /**
   * When the shim's log is opened, and made where it is missing; one that cannot be opened ends the attempt (SPEC 8.1),
   * but where it is `optional` (L1).
   */
  readonly logOpened: 'before-address' | 'after-address' | 'after-dial' | 'optional';
  /**
   * The proof that a shim is dead, so that its bundle may go:
   * - `one-sign`: anything but an answer in time (H4, H5, H8, H9, H22 to H26, L1, L2);
   * - `every-source`: the shim does not answer, and every other source says that neither it nor its container lives. A fact
   *   that could not be found out is unknown, never absent: the bundle is held.
   */
  readonly death: 'one-sign' | 'every-source';
  /** A container that runs though its shim is dead, where death needs every source: held, or ended by the shim's program. */
  readonly orphans: 'held' | 'reaped';
  /** The bundles to which `orphans: 'reaped'` is limited, each as reports show it: `NAMESPACE/ID`; empty means all. */
  readonly reapedOrphans: ReadonlyArray<string>;
  /** After the connection to a shim that was taken back ends: the shim counts as dead (H26), or is asked again. */
  readonly disconnect: 'death' | 'asked-again';
  /** Whether a shim that answers is asked for its processes, and reaped when it has none (SPEC 4, steps 11 and 12; H2). */
  readonly reapsLeakedShims: boolean;
  /**
   * Whether an error from Pids that is not "no such task" still counts as "no processes", so that a shim that merely
   * failed to answer is reaped (H1).
   */
  readonly failedPidsCountAsNone: boolean;
  /** Which bundles are removed although the shim's program failed to clean up (H10, H4). */
  readonly removesAfterFailedCleanUp: 'none' | 'reaped' | 'all';
  /**
   * The mounts that are undone before a bundle is removed (SPEC 7.4):
   * - `rootfs`: what is mounted on it, and nothing below;
   * - `rootfs-and-below`: all that the mount table names at or below its path as it is written (H13);
   * - `target-and-below`: the same, at or below where that path leads (H14);
   * - `bundle`: all below the bundle, also where the state directory's path is a symlink, but never beyond a symlink in it.
   *   Then the table is read again, and nothing is removed unless nothing is mounted there any more (H12, H13, H14).
   */
  readonly unmounts: 'rootfs' | 'rootfs-and-below' | 'target-and-below' | 'bundle';
  /**
   * Which working directory goes with a bundle: the one that its `work` names, wherever that leads (H30); or none, so
   * that only entries without an owner in the namespace's own directory go, last.
   */
  readonly workDirectories: 'named' | 'unowned';
  /** Whether a working directory stays when its bundle is still there though it was not taken back (H20). */
  readonly keepsWorkOfWhatStays: boolean;
  /** Whether what an interrupted removal left behind a dot is removed (H11). */
  readonly sweepsLeftovers: boolean;
  /** Whether a runtime's name may be without its first part, or hold a slash, which leads to the working directory (H32). */
  readonly runtimeNames: 'any' | 'checked';
  /**
   * The brake: the largest share of all bundles that one run may destroy. A run that would destroy more, and more than
   * four, does nothing at all: most likely it was given the wrong store or the wrong directories.
   */
  readonly mayDestroy: number;
  /** Where sandboxes are looked up (SPEC 18.6). 1.6 knows none. */
  readonly sandboxRecords: 'none' | SandboxRecords;
}

/** containerd 1.7, decision by decision: the reference. */
export const containerd17: Policy = {
  name: 'containerd-1.7',
  bootstrap: 'address',
  logOpened: 'after-address',
  death: 'one-sign',
  orphans: 'held',
  reapedOrphans: [],
  disconnect: 'death',
  reapsLeakedShims: true,
  failedPidsCountAsNone: true,
  removesAfterFailedCleanUp: 'reaped',
  unmounts: 'rootfs-and-below',
  workDirectories: 'named',
  keepsWorkOfWhatStays: false,
  sweepsLeftovers: false,
  runtimeNames: 'checked',
  mayDestroy: 1,
  sandboxRecords: 'root',
};

/** containerd 1.6: a shim that answers is taken back, with or without processes. */
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
  removesAfterFailedCleanUp: 'all',
  unmounts: 'target-and-below',
  sandboxRecords: 'v1',
};

/**
 * Ours: nothing that may be alive is destroyed, nothing outside the two directories is touched, and every run converges.
 * It is the reference but for each choice that loses something.
 */
export const careful: Policy = {
  ...containerd17,
  name: 'careful',
  bootstrap: 'either',
  logOpened: 'optional',
  death: 'every-source',
  disconnect: 'asked-again',
  failedPidsCountAsNone: false,
  removesAfterFailedCleanUp: 'none',
  unmounts: 'bundle',
  workDirectories: 'unowned',
  keepsWorkOfWhatStays: true,
  sweepsLeftovers: true,
  mayDestroy: 0.5,
  sandboxRecords: 'either',
};

/**
 * The values of a policy that one run may choose otherwise (`--orphans`, `--may-destroy`); an absent one is the policy's
 * own. A document that names a policy holds these, too, so that it can be read back as the policy that was meant.
 */
export const PolicyChoices = t.readonly(
  t.partial({
    orphans: t.keyof({ held: null, reaped: null }),
    /** Absent: not limited, where `orphans` is said. */
    reapedOrphans: t.readonlyArray(t.string),
    mayDestroy: t.refinement(t.number, (share) => share >= 0 && share <= 1, 'share from 0 to 1'),
  }),
  'PolicyChoices',
);

export interface PolicyChoices extends t.TypeOf<typeof PolicyChoices> {}

/** All of a policy's values that a run may choose. */
export const choicesOf = ({ orphans, reapedOrphans, mayDestroy }: Policy): PolicyChoices => ({
  orphans,
  ...(reapedOrphans.length === 0 ? {} : { reapedOrphans }),
  mayDestroy,
});

/** A policy with the values that were chosen. The fate of orphans is chosen as a whole, with those it is limited to. */
export const withChoices =
  ({ orphans, reapedOrphans, mayDestroy }: PolicyChoices) =>
  (policy: Policy): Policy => ({
    ...policy,
    orphans: orphans ?? policy.orphans,
    reapedOrphans: reapedOrphans ?? (orphans === undefined ? policy.reapedOrphans : []),
    mayDestroy: mayDestroy ?? policy.mayDestroy,
  });

/** Whether a policy looks for containers that run without their shim, so that it matters what becomes of them. */
export const looksForOrphans = ({ death }: Policy): boolean => death === 'every-source';

/** Whether this run was asked to end the container of this bundle, should it run without its shim. */
export const mayReapOrphan = (
  { orphans, reapedOrphans }: Pick<Policy, 'orphans' | 'reapedOrphans'>,
  { namespace, id }: { readonly namespace: B.ByteString; readonly id: B.ByteString },
): boolean =>
  orphans === 'reaped' && (reapedOrphans.length === 0 || reapedOrphans.includes(`${B.show(namespace)}/${B.show(id)}`));

/** Every policy, by its name. */
export const policies: Readonly<Record<PolicyName, Policy>> = {
  'containerd-1.6': containerd16,
  'containerd-1.7': containerd17,
  'containerd-2.1': containerd21,
  careful,
};

export const allPolicyNames: ReadonlyArray<PolicyName> = Object.keys(PolicyName.keys).filter(PolicyName.is);

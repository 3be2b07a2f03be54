/**
 * The approval of a run's decisions: of all, or only of those that a saved plan names. An approval only ever takes away: each
 * step that is taken was decided afresh, and is allowed.
 */
import * as T from 'fp-ts/lib/Task.js';
import type * as B from '../base/ByteString.js';
import type { FileStatus, FileSystem } from '../capabilities/FileSystem.js';
import type { BundleEvidence } from '../decide/Evidence.js';
import type { Probing } from '../observe/Prober.js';
import type { OpenShim } from '../observe/Probing.js';
import type { BundlePlan } from '../plan/Plan.js';
import type { BundleId } from '../policy/Names.js';

/** The allowed plan for a bundle; `explanation` says why it is less than was decided. */
export interface Allowed {
  readonly plan: BundlePlan;
  readonly explanation?: string;
}

/** Which working directories without an owner may be removed: any, none, or the one that was looked at. */
type WorkApproval =
  | { readonly _tag: 'Any' }
  | { readonly _tag: 'None' }
  | { readonly _tag: 'This'; readonly identity: FileStatus };

export interface Approval {
  /** When the plan was made that says what may be done. */
  readonly plannedAt: string | undefined;
  /** How far a bundle's shim may be asked: what may not be touched has no log made in it. */
  readonly probing: (found: BundleEvidence) => Exclude<Probing, 'not-asked'>;
  /** Returns the part of a bundle's decided plan that may be carried out. */
  readonly allow: (files: FileSystem) => (decided: BundlePlan) => T.Task<Allowed>;
  /** With what should be there and is not, so that it is reported. */
  readonly withMissing: (found: ReadonlyArray<PlannedNamespace>) => ReadonlyArray<PlannedNamespace>;
  readonly workDirectory: (key: BundleId) => WorkApproval;
}

/** Approves every decision. */
export const everything: Approval = {
  plannedAt: undefined,
  probing: () => 'asked-with-log',
  allow: () => (plan) => T.of({ plan }),
  withMissing: (found) => found,
  workDirectory: () => ({ _tag: 'Any' }),
};

/** A bundle that was decided on, with what asking left open; `explanation` where it is held for want of an approval. */
export interface PlannedBundle {
  readonly plan: BundlePlan;
  readonly open: OpenShim;
  readonly explanation?: string;
}

/** `error` says why nothing in the namespace is touched. */
export interface PlannedNamespace {
  readonly name: B.ByteString;
  readonly error: string | null;
  readonly bundles: ReadonlyArray<PlannedBundle>;
}

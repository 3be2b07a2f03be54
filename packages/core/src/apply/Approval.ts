/**
 * What a run may do of what it decides: everything, or only what a saved plan says. A mandate only ever takes away: what is
 * done was decided afresh, and is allowed.
 */
import * as T from 'fp-ts/lib/Task.js';
import type { BundleKey } from '../observe/BundleHandles.js';
import type * as B from '../base/ByteString.js';
import type { BundleEvidence } from '../decide/Evidence.js';
import type { FileStatus, FileSystem } from '../capabilities/FileSystem.js';
import type { OpenShim } from '../observe/Probing.js';
import type { BundlePlan } from '../plan/Plan.js';
import type { Probing } from '../observe/Prober.js';

/** What may be done to a bundle; `explanation` says why it is less than was decided. */
export interface Allowed {
  readonly plan: BundlePlan;
  readonly explanation?: string;
}

/** Whether a working directory may be removed that nobody owns: any, none, or the one that was looked at. */
export type WorkMandate =
  | { readonly _tag: 'Any' }
  | { readonly _tag: 'None' }
  | { readonly _tag: 'This'; readonly identity: FileStatus };

export interface Mandate {
  /** When the plan was made that says what may be done. */
  readonly plannedAt: string | undefined;
  /** How far a bundle's shim may be asked: what may not be touched has no log made in it. */
  readonly probing: (found: BundleEvidence) => Exclude<Probing, 'not-asked'>;
  /** What may be done to a bundle, of what was decided. */
  readonly allow: (files: FileSystem) => (decided: BundlePlan) => T.Task<Allowed>;
  /** With what should be there and is not, so that it is reported. */
  readonly withMissing: (found: ReadonlyArray<PreparedNamespace>) => ReadonlyArray<PreparedNamespace>;
  readonly workDirectory: (key: BundleKey) => WorkMandate;
}

/** Whatever is decided is done. */
export const everything: Mandate = {
  plannedAt: undefined,
  probing: () => 'asked-with-log',
  allow: () => (plan) => T.of({ plan }),
  withMissing: (found) => found,
  workDirectory: () => ({ _tag: 'Any' }),
};

/** A bundle that was decided on, with what asking left open; `explanation` where it is held for want of a mandate. */
export interface Prepared {
  readonly plan: BundlePlan;
  readonly open: OpenShim;
  readonly explanation?: string;
}

/** `error` says why nothing in the namespace is touched. */
export interface PreparedNamespace {
  readonly name: B.ByteString;
  readonly error: string | null;
  readonly bundles: ReadonlyArray<Prepared>;
}

/** The fate of the entries below a namespace's root directory, once every bundle is done (SPEC 15). */
import * as t from 'io-ts';
import type * as B from '../base/ByteString.js';
import { type FileError, showFileError } from '../capabilities/FileSystem.js';

/**
 * - `registered`: its task was taken back; it stays.
 * - `held`: its bundle is held, or could not be finished; it stays.
 * - `not-planned`: it has no owner, but the plan that is carried out does not say to remove it; it stays.
 * - `not-registered`: no task that was taken back owns it; it is removed, whatever it is (H20).
 */
export const WorkDirectoryReason = t.keyof(
  { registered: null, held: null, 'not-planned': null, 'not-registered': null },
  'WorkDirectoryReason',
);

export type WorkDirectoryReason = t.TypeOf<typeof WorkDirectoryReason>;

/** The facts on the owner of an entry. */
export interface Owner {
  readonly registered: boolean;
  readonly held: boolean;
  /** Whether it may be removed when it has no owner. */
  readonly planned: boolean;
}

/** Every entry counts: files, symlinks, and hidden names, too. */
export const decideWorkDirectory = (owner: Owner): WorkDirectoryReason => {
  if (owner.registered) return 'registered';
  if (owner.held) return 'held';
  return owner.planned ? 'not-registered' : 'not-planned';
};

/** The outcome for an entry. An `error` says why one that should go is still there. */
export interface WorkDirectoryOutcome {
  readonly name: B.ByteString;
  readonly reason: WorkDirectoryReason;
  readonly removed: boolean;
  readonly error?: string;
}

/** Why nothing is done to them. */
export const leftAsTheyAre = (error: FileError): string =>
  `working directories are left as they are: ${showFileError(error)}`;

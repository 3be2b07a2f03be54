/** What becomes of the entries below a namespace's root directory, once every bundle is done (SPEC 15). */
import * as t from 'io-ts';

/**
 * - `registered`: its task was taken back; it stays.
 * - `not-registered`: nobody that was taken back owns it; it is removed, whatever it is (H20).
 * - `held`: its bundle is held; it stays.
 */
export const WorkDirectoryReason = t.keyof(
  { registered: null, 'not-registered': null, held: null },
  'WorkDirectoryReason',
);
export type WorkDirectoryReason = t.TypeOf<typeof WorkDirectoryReason>;

/** Every entry counts: files, symlinks, and hidden names, too. */
export const decideWorkDirectory = (owner: {
  readonly registered: boolean;
  readonly held: boolean;
}): WorkDirectoryReason => {
  if (owner.registered) return 'registered';
  return owner.held ? 'held' : 'not-registered';
};

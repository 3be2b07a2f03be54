/**
 * The capability through which the kernel's mount table is read and changed. Rules about order, retries and what
 * failures mean are in `Unmounting`; an interpreter only makes the calls.
 */
import type { Task } from 'fp-ts/lib/Task.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import * as t from 'io-ts';
import * as B from '../base/ByteString.js';
import type { FileError } from './FileSystem.js';

/**
 * - `TableUnreadable`: the table could not be read or has a line that cannot be understood (H39).
 * - `UnmountRefused`: `umount2(2)` failed with this errno's name.
 * - `HelperFailed`: neither `fusermount3` nor `fusermount` could unmount a FUSE file system.
 * - `StillMounted`: something is mounted where nothing may be; nothing was removed.
 * - `Unsupported`: this interpreter cannot unmount at all (its native part could not be loaded).
 */
export const MountError = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('TableUnreadable'), reason: t.string })),
    t.readonly(t.type({ _tag: t.literal('UnmountRefused'), path: B.ByteString, code: t.string })),
    t.readonly(t.type({ _tag: t.literal('HelperFailed'), path: B.ByteString, reason: t.string })),
    t.readonly(t.type({ _tag: t.literal('StillMounted'), path: B.ByteString })),
    t.readonly(t.type({ _tag: t.literal('Unsupported'), reason: t.string })),
  ],
  'MountError',
);

export type MountError = t.TypeOf<typeof MountError>;

/**
 * No call waits for ever for a file system that does not answer (H3): one that is not unmounted, or resolved, in time fails with
 * `ETIMEDOUT`, and may still be unmounted later.
 */
export interface Mounts {
  /** The mount table of this process, as the kernel prints it (`/proc/self/mountinfo`). */
  readonly read: TaskEither<MountError, B.ByteString>;
  /** One `umount2(path, UMOUNT_NOFOLLOW)`. No component of the path may be a symlink. */
  readonly unmount: (path: B.ByteString) => TaskEither<MountError, void>;
  /** Whether a FUSE file system stands at the path; any error counts as no (SPEC 7.1), and so does no answer. */
  readonly isFuse: (path: B.ByteString) => Task<boolean>;
  /** Runs `fusermount3 -u`, then `fusermount -u`, each within a deadline. */
  readonly unmountFuse: (path: B.ByteString) => TaskEither<MountError, void>;
  /** The path with every symlink in it resolved, as `realpath(3)` gives it: what the mount table calls the place. */
  readonly resolve: (path: B.ByteString) => TaskEither<FileError, B.ByteString>;
  /** False only where the path certainly does not exist (`ENOENT`); all else counts as existing (SPEC 7.2). */
  readonly exists: (path: B.ByteString) => Task<boolean>;
}

const refusals: Readonly<Partial<Record<string, string>>> = {
  EBUSY: ' (still in use)',
  ETIMEDOUT: ' (its file system, or another one, does not answer)',
};

/** A sentence for people. */
export const showMountError = (error: MountError): string => {
  switch (error._tag) {
    case 'TableUnreadable':
      return `the mount table cannot be used: ${error.reason}`;
    case 'UnmountRefused':
      return `cannot unmount ${B.show(error.path)}: ${error.code}${refusals[error.code] ?? ''}`;
    case 'HelperFailed':
      return `cannot unmount the FUSE file system ${B.show(error.path)}: ${error.reason}`;
    case 'StillMounted':
      return `something is mounted at ${B.show(error.path)}; nothing was removed`;
    case 'Unsupported':
      return `unmounting is not possible here: ${error.reason}`;
  }
};

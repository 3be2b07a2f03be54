/** The capability to look at programs by path, as the search for a shim's binary needs it (SPEC 5). */
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import type * as B from '../base/ByteString.js';
import type { FileError } from './FileSystem.js';

/** The file at a path, after following symlinks. `executable` is the kernel's answer for this process (`X_OK`). */
export interface ProgramFile {
  readonly isDirectory: boolean;
  readonly executable: boolean;
}

export interface ExecutableLookup {
  readonly look: (path: B.ByteString) => TaskEither<FileError, ProgramFile>;
}

/** The capability to hold a bundle's log pipe open, so that a shim can always write to it (SPEC 8.3). */
import type { Task } from 'fp-ts/lib/Task.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import type * as B from '../base/ByteString.js';
import type { Directory, FileError } from './FileSystem.js';

/** A log that is held open. Closing it twice is harmless. */
export interface LogPipe {
  readonly close: Task<void>;
}

export interface LogPipes {
  /**
   * Opens `log` in the bundle, reading and writing, without blocking; creates the FIFO (mode 0700) when nothing is
   * there. What shims write is copied to the interpreter's sink until it is closed. A directory (`EISDIR`), a socket
   * (`ENXIO`) and a dangling symlink (`ENOENT`) are errors. Anything else that is not a FIFO counts as open, and is left
   * unread: what a link put there must not end up in a log (containerd CVE-2026-53489). Where links are not to be followed,
   * a symlink counts as open and is left unread, too: it may lead to the FIFO of another program, which would lose what we
   * read of it.
   */
  readonly open: (log: {
    readonly bundle: Directory;
    readonly namespace: B.ByteString;
    readonly id: B.ByteString;
    readonly followsLinks: boolean;
  }) => TaskEither<FileError, LogPipe>;
}

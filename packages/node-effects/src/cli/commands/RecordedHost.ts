/** A recording as a command reads it. */
import { parseRecording, type Recording, showRecordingError } from '@shim-recovery/core/documents';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import { readTextFile } from '../../native/TextFile.js';
import type { Terminal } from '../views/Terminal.js';

/** What the text of this program's largest recordings stays far below, and what fits into one string. */
const maxFileBytes = 384 * 1024 * 1024;

/** Left: why it cannot be read, in one line. */
export const readRecording = (path: string): E.Either<string, Recording> =>
  pipe(
    readTextFile(path, { maxBytes: maxFileBytes }),
    E.chain((text) => pipe(parseRecording(text), E.mapLeft(showRecordingError))),
  );

/** Says that something may be missing. */
export const sayIncomplete = (path: string, terminal: Terminal, { isComplete }: Recording): void => {
  if (!isComplete)
    terminal.say(
      `shim-recovery: the recording ${path} ends early: of bundles that it does not name nothing is known, and working directories may be missing`,
    );
};

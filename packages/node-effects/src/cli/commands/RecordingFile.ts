/** `--record`: what a run learns goes to a file of its own as soon as it is known. The run goes on whatever becomes of it. */
import * as fs from 'node:fs';
import { type Head, type Report, startRecording } from '@shim-recovery/core/documents';
import { type Observer, silent } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';

export interface RecordingFile {
  /** Is told what is to be recorded. */
  readonly observer: Observer;
  /** The last line; what is told afterwards is not recorded. */
  readonly end: (report: Report) => IO<void>;
  /** Gives the file back. One in which nothing but the first line stands goes: the run was refused. */
  readonly close: IO<void>;
  /** Whether something could not be written, which was said then. */
  readonly isLost: IO<boolean>;
}

/** Makes the file and begins it; without a path, nothing is recorded. Left: one line that says what to do. */
export const openRecording = (
  path: string | undefined,
  head: Head,
  say: (line: string) => void,
): E.Either<string, RecordingFile> => {
  if (path === undefined) return E.right(noRecording);
  const opened = E.tryCatch(
    () => fs.openSync(path, 'ax', mode),
    (error) => whyNotMade(path, error),
  );
  if (E.isLeft(opened)) return opened;
  const descriptor = opened.right;
  let lines = 0;
  let isLost = false;
  const attempt = (act: IO<void>): void => {
    const done = E.tryCatch(act, messageOf);
    if (E.isRight(done) || isLost) return;
    isLost = true;
    say(`shim-recovery: the recording ${path} ends here, and the run goes on: ${done.left}`);
  };
  /** After a failure nothing more is written, so that what stands there is a beginning without gaps. */
  const write = (line: string) => () => {
    if (isLost) return;
    attempt(() => {
      writeWhole(descriptor, line);
      lines++;
    });
  };
  const { observer, end } = startRecording(write)(head)();
  return E.right({
    observer,
    end: (report) => () => {
      end(report)();
      attempt(() => fs.fsyncSync(descriptor));
    },
    close: () =>
      attempt(() => {
        fs.closeSync(descriptor);
        if (lines <= 1) fs.unlinkSync(path);
      }),
    isLost: () => isLost,
  });
};

/** Only its owner reads it: it tells of every container of the host. */
const mode = 0o600;

const whyNotMade = (path: string, error: unknown): string =>
  error instanceof Error && 'code' in error && error.code === 'EEXIST'
    ? `${path} exists already, and nothing is written over: name a file with --record that does not exist yet`
    : `the recording ${path} cannot be made: ${messageOf(error)}`;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** All of it, also where the kernel takes a part only. */
const writeWhole = (descriptor: number, line: string): void => {
  for (let rest = Buffer.from(line); rest.length > 0; ) rest = rest.subarray(fs.writeSync(descriptor, rest));
};

const doNothing: IO<void> = () => undefined;

const noRecording: RecordingFile = {
  observer: silent,
  end: () => doNothing,
  close: doNothing,
  isLost: () => false,
};

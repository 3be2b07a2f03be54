/** `shim-recovery replay`: what a policy would do on a host that was recorded. Reads that one file, and nothing else. */
import * as B from '@shim-recovery/core/ByteString';
import { parseRecording, showRecordingError } from '@shim-recovery/core/Recording';
import { replay, showReplayError } from '@shim-recovery/core/Replay';
import { changesSomething } from '@shim-recovery/core/Report';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import { readTextFile } from '../TextFile.js';
import type { ReplayOptions } from './Options.js';
import { exitCode, formatReport, refuse, sayMissingNamespaces } from './planCommand.js';
import type { Terminal } from './Terminal.js';

/** What the text of this program's largest recordings stays far below, and what fits into one string. */
const maxFileBytes = 384 * 1024 * 1024;

/** Runs the command; the exit code. */
export const runReplay = async (options: ReplayOptions, terminal: Terminal): Promise<number> => {
  const { path, policy, isDetailedExitCode } = options;
  const replayed = pipe(
    E.Do,
    E.bind('text', () => readTextFile(path, { maxBytes: maxFileBytes })),
    E.bind('recording', ({ text }) => pipe(parseRecording(text), E.mapLeft(showRecordingError))),
    E.bind('report', ({ recording }) =>
      pipe(
        recording,
        replay({
          ...(policy === undefined ? {} : { policy: policy.name }),
          namespaces: options.namespaces.map(B.fromText),
        }),
        E.mapLeft(showReplayError),
      ),
    ),
  );
  if (E.isLeft(replayed)) return refuse(terminal, `the recording ${path} cannot be replayed: ${replayed.left}`);
  const { recording, report } = replayed.right;
  if (!recording.isComplete)
    terminal.say(
      `shim-recovery: the recording ${path} ends early: of bundles that it does not name nothing is known, and working directories may be missing`,
    );
  sayMissingNamespaces({ namespaces: options.namespaces, state: path }, terminal, report);
  await terminal.print(formatReport(options, terminal, report));
  return isDetailedExitCode && (changesSomething(report) || !recording.isComplete)
    ? exitCode.somethingElse
    : exitCode.done;
};

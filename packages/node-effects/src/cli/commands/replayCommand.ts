/** `shim-recovery replay`: what a policy would do on a host that was recorded. Reads that one file, and nothing else. */
import { ByteString as B } from '@shim-recovery/core';
import { replay, showReplayError } from '@shim-recovery/core/documents';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import { exitCode } from '../ExitCode.js';
import type { ReplayOptions } from '../arguments/Options.js';
import { formatReport, plannedOutcome, refuse, sayMissingNamespaces } from './planCommand.js';
import { readRecording, sayIncomplete } from './RecordedHost.js';
import type { Terminal } from '../views/Terminal.js';

/** Runs the command; the exit code. */
export const runReplay = async (options: ReplayOptions, terminal: Terminal): Promise<number> => {
  const { path, policy, choices, isDetailedExitCode } = options;
  const replayed = pipe(
    E.Do,
    E.bind('recording', () => readRecording(path)),
    E.bind('report', ({ recording }) =>
      pipe(
        recording,
        replay({ policy, choices, namespaces: options.namespaces.map(B.fromText) }),
        E.mapLeft(showReplayError),
      ),
    ),
  );
  if (E.isLeft(replayed)) return refuse(terminal, `the recording ${path} cannot be replayed: ${replayed.left}`);
  const { recording, report } = replayed.right;
  sayIncomplete(path, terminal, recording);
  sayMissingNamespaces({ namespaces: options.namespaces, state: path }, terminal, report);
  await terminal.print(formatReport(options, terminal, report));
  const outcome = plannedOutcome(options, report);
  return outcome === exitCode.done && isDetailedExitCode && !recording.isComplete ? exitCode.somethingElse : outcome;
};

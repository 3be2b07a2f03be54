/** `shim-recovery compare`: what two policies would do differently, on this host or on a recorded one. Changes nothing. */
import * as B from '@shim-recovery/core/ByteString';
import { compare, type Comparison, differs } from '@shim-recovery/core/Comparison';
import { showRecoveryError } from '@shim-recovery/core/Preparation';
import { surveyOf } from '@shim-recovery/core/Recording';
import { survey } from '@shim-recovery/core/Recovery';
import { showReplayError, surveyedPolicy } from '@shim-recovery/core/Replay';
import type { Survey } from '@shim-recovery/core/Survey';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import { exitCode } from './ExitCode.js';
import { askHost } from './Asking.js';
import type { ComparedPolicies, CompareOptions } from './Options.js';
import { refuse, sayMissingNamespaces } from './planCommand.js';
import { readRecording, sayIncomplete } from './RecordedHost.js';
import { renderComparison } from './RenderComparison.js';
import type { Terminal } from './Terminal.js';

const print = async (
  { policies: { first, second }, isJson, isDetailedExitCode, source }: CompareOptions,
  terminal: Terminal,
  surveyed: Survey,
  isComplete: boolean,
): Promise<number> => {
  const comparison: Comparison = compare(first, second)(surveyed);
  const asked = source._tag === 'Host' ? source.host : { namespaces: source.namespaces, state: source.path };
  sayMissingNamespaces(asked, terminal, {
    namespaces: surveyed.namespaces.map(({ name }) => ({ name: B.show(name) })),
  });
  await terminal.print(isJson ? `${JSON.stringify(comparison)}\n` : renderComparison(terminal.style)(comparison));
  return isDetailedExitCode && (differs(comparison) || !isComplete) ? exitCode.somethingElse : exitCode.done;
};

const only = (namespaces: ReadonlyArray<string>, surveyed: Survey): Survey => ({
  ...surveyed,
  namespaces: surveyed.namespaces.filter(({ name }) => namespaces.length === 0 || namespaces.includes(B.show(name))),
});

const readSurvey = (
  { path, namespaces }: { readonly path: string; readonly namespaces: ReadonlyArray<string> },
  { first, second }: ComparedPolicies,
) =>
  pipe(
    readRecording(path),
    E.chainFirst((recording) =>
      pipe(
        surveyedPolicy(recording, first.name),
        E.chain(() => surveyedPolicy(recording, second.name)),
        E.mapLeft(showReplayError),
      ),
    ),
    E.map((recording) => ({ recording, surveyed: only(namespaces, surveyOf(recording)) })),
  );

/** Runs the command; the exit code. */
export const runCompare = async (options: CompareOptions, terminal: Terminal): Promise<number> => {
  const { source, policies } = options;
  if (source._tag === 'Recording') {
    const read = readSurvey(source, policies);
    if (E.isLeft(read)) return refuse(terminal, `the recording ${source.path} cannot be compared: ${read.left}`);
    sayIncomplete(source.path, terminal, read.right.recording);
    return print(options, terminal, read.right.surveyed, read.right.recording.isComplete);
  }
  const { host, isProbing } = source;
  return askHost(host, terminal, async (settings, capabilities) => {
    const surveyed = await survey(settings, { probe: isProbing, others: [policies.second] })(capabilities)();
    if (E.isLeft(surveyed)) return refuse(terminal, showRecoveryError(surveyed.left));
    terminal.clearProgress();
    return print(options, terminal, surveyed.right, true);
  });
};

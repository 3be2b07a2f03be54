/** `shim-recovery compare`: what two policies would do differently, on this host or on a recorded one. Changes nothing. */
import { ByteString as B, Recovery } from '@shim-recovery/core';
import {
  compare,
  type Comparison,
  differs,
  factsOf,
  type HostFacts,
  type Recording,
  showReplayError,
  surveyedPolicy,
} from '@shim-recovery/core/documents';
import { looksForOrphans, type Policy, type PolicyChoices, withChoices } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import { exitCode } from '../ExitCode.js';
import { askHost } from './Asking.js';
import { surveyOfNothing } from './HostDirectories.js';
import type { ComparedPolicies, CompareOptions, HostOptions } from '../arguments/Options.js';
import { refuse, sayMissingNamespaces } from './planCommand.js';
import { readRecording, sayIncomplete } from './RecordedHost.js';
import { renderComparison } from '../views/RenderComparison.js';
import type { Terminal } from '../views/Terminal.js';

/** Runs the command; the exit code. */
export const runCompare = async (options: CompareOptions, terminal: Terminal): Promise<number> => {
  const { source } = options;
  if (source._tag === 'Recording') {
    const read = readSurvey(source, options);
    if (E.isLeft(read)) return refuse(terminal, `the recording ${source.path} cannot be compared: ${read.left}`);
    const { recording, policies, facts } = read.right;
    sayIncomplete(source.path, terminal, recording);
    const asked = { namespaces: source.namespaces, state: source.path };
    return print(options, asked, terminal, policies, facts, recording.isComplete);
  }
  const chosen = (policy: Policy): Policy => withChoices(choicesFor(policy, options.choices))(policy);
  const policies = { first: chosen(options.policies.first), second: chosen(options.policies.second) };
  const { host, isProbing } = source;
  return askHost({ ...host, policy: policies.first }, terminal, {
    nothing: (asked, why) => {
      terminal.say(`shim-recovery: ${why}`);
      return print(options, asked, terminal, policies, surveyOfNothing(asked), true);
    },
    host: async (asked, settings, capabilities) => {
      const facts = await Recovery.inspectHost(settings, capabilities, {
        probe: isProbing,
        others: [policies.second],
      })();
      if (E.isLeft(facts)) return refuse(terminal, Recovery.showRecoveryError(facts.left));
      terminal.clearProgress();
      return print(options, asked, terminal, policies, facts.right, true);
    },
  });
};

const readSurvey = (
  { path, namespaces }: { readonly path: string; readonly namespaces: ReadonlyArray<string> },
  { policies: { first, second }, choices }: CompareOptions,
) => {
  const asRecorded = (recording: Recording, policy: Policy) =>
    surveyedPolicy(recording, { policy: policy.name, choices: choicesFor(policy, choices) });
  return pipe(
    readRecording(path),
    E.bindTo('recording'),
    E.bind('policies', ({ recording }) =>
      pipe(
        E.Do,
        E.bind('first', () => asRecorded(recording, first)),
        E.bind('second', () => asRecorded(recording, second)),
        E.mapLeft(showReplayError),
      ),
    ),
    E.map(({ recording, policies }) => ({ recording, policies, facts: only(namespaces, factsOf(recording)) })),
  );
};

/** What was chosen, as far as it says something to a policy. */
const choicesFor = (policy: Policy, choices: PolicyChoices): PolicyChoices => (looksForOrphans(policy) ? choices : {});

const only = (namespaces: ReadonlyArray<string>, facts: HostFacts): HostFacts => ({
  ...facts,
  namespaces: facts.namespaces.filter(({ name }) => namespaces.length === 0 || namespaces.includes(B.show(name))),
});

const print = async (
  { isJson, isDetailedExitCode }: CompareOptions,
  asked: Pick<HostOptions, 'namespaces' | 'state'>,
  terminal: Terminal,
  { first, second }: ComparedPolicies,
  facts: HostFacts,
  isComplete: boolean,
): Promise<number> => {
  const comparison: Comparison = compare(first, second)(facts);
  sayMissingNamespaces(asked, terminal, {
    namespaces: facts.namespaces.map(({ name }) => ({ name: B.show(name) })),
  });
  for (const { namespace, error } of comparison.problems)
    terminal.say(`shim-recovery: nothing in namespace ${namespace} was compared: ${error}`);
  await terminal.print(isJson ? `${JSON.stringify(comparison)}\n` : renderComparison(terminal.style)(comparison));
  return isDetailedExitCode && (differs(comparison) || comparison.problems.length > 0 || !isComplete)
    ? exitCode.somethingElse
    : exitCode.done;
};

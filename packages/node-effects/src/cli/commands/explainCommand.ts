/** `shim-recovery explain`: one bundle's way through the decisions, on this host or on a recorded one. Changes nothing. */
import { ByteString as B, Recovery } from '@shim-recovery/core';
import { evidenceFor, explainBundle, factsOf, showReplayError, surveyedPolicy } from '@shim-recovery/core/documents';
import type { BundleEvidence, Policy } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as O from 'fp-ts/lib/Option.js';
import { exitCode } from '../ExitCode.js';
import { chooseBundle, showBundleId } from '../arguments/BundleChoice.js';
import { askHost } from './Asking.js';
import type { ExplainOptions } from '../arguments/Options.js';
import { refuse } from './planCommand.js';
import { readRecording, sayIncomplete } from './RecordedHost.js';
import { renderExplanation } from '../views/RenderExplanation.js';
import type { Terminal } from '../views/Terminal.js';

/** Runs the command; the exit code. */
export const runExplain = async (options: ExplainOptions, terminal: Terminal): Promise<number> => {
  const { source, bundle } = options;
  if (source._tag === 'Recording') return explainRecorded(options, terminal, source);
  return askHost(source.host, terminal, {
    nothing: async ({ state }, why) => {
      const chosen = chooseBundle([], bundle, state);
      return refuse(terminal, E.isLeft(chosen) ? chosen.left : why);
    },
    host: async ({ state }, settings, capabilities) => {
      const listed = await Recovery.listBundles(settings, capabilities)();
      if (E.isLeft(listed)) return refuse(terminal, Recovery.showRecoveryError(listed.left));
      const names = listed.right.flatMap(({ name: namespace, ids }) => ids.map((id) => ({ namespace, id })));
      const notSeen = listed.right.flatMap(({ name, error }) =>
        error === null ? [] : [`the namespace ${B.show(name)} could not be looked at: ${error}`],
      );
      const chosen = chooseBundle(names, bundle, state, notSeen);
      if (E.isLeft(chosen)) return refuse(terminal, chosen.left);
      const facts = await Recovery.inspectBundle(settings, capabilities, chosen.right, { probe: source.isProbing })();
      if (E.isLeft(facts)) return refuse(terminal, Recovery.showRecoveryError(facts.left));
      if (O.isNone(facts.right)) return refuse(terminal, `${showBundleId(chosen.right)} went while it was looked for`);
      terminal.clearProgress();
      return print(options, terminal, settings.policy, facts.right.value);
    },
  });
};

const explainRecorded = async (
  options: ExplainOptions,
  terminal: Terminal,
  { path, policy, choices }: Extract<ExplainOptions['source'], { readonly _tag: 'Recording' }>,
): Promise<number> => {
  const read = pipe(
    E.Do,
    E.bind('recording', () => readRecording(path)),
    E.bind('chosen', ({ recording }) =>
      pipe(surveyedPolicy(recording, { policy, choices }), E.mapLeft(showReplayError)),
    ),
    E.mapLeft((why) => `the recording ${path} cannot be explained: ${why}`),
    E.bind('evidence', ({ recording, chosen }) => {
      const bundles = factsOf(recording).namespaces.flatMap((namespace) => namespace.bundles);
      return pipe(
        chooseBundle(
          bundles.map(({ evidence }) => evidence),
          options.bundle,
          path,
        ),
        E.chain((name) =>
          pipe(
            bundles.find(({ evidence }) => evidence.namespace === name.namespace && evidence.id === name.id),
            E.fromNullable(`${showBundleId(name)} is gone`),
          ),
        ),
        E.map(evidenceFor(chosen)),
      );
    }),
  );
  if (E.isLeft(read)) return refuse(terminal, read.left);
  const { recording, chosen, evidence } = read.right;
  sayIncomplete(path, terminal, recording);
  return print(options, terminal, chosen, evidence);
};

const print = async (
  { isJson }: ExplainOptions,
  terminal: Terminal,
  policy: Policy,
  evidence: BundleEvidence,
): Promise<number> => {
  const explanation = explainBundle(policy)(evidence);
  await terminal.print(isJson ? `${JSON.stringify(explanation)}\n` : renderExplanation(terminal.style)(explanation));
  return exitCode.done;
};

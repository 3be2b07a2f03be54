/** A decision made again from answers that were given before: which questions it asked on its way, and how it ended. */
import { decide } from './Decision.js';
import { type Answers, type BundleEvidence, withAnswers } from './Evidence.js';
import { type Question, questionKey } from './Question.js';
import type { Policy } from '../policy/Policy.js';
import type { Verdict } from './Verdict.js';

/** A question that was asked, its key (`questionKey`), and the answer. */
interface Asked {
  readonly question: Question;
  readonly key: string;
  readonly answers: Answers;
}

/** `evidence` holds what was asked for and no more. It is stuck at a question to which there is no answer. */
export type DecisionReplay = { readonly evidence: BundleEvidence; readonly asked: ReadonlyArray<Asked> } & (
  | { readonly _tag: 'Decided'; readonly verdict: Verdict }
  | { readonly _tag: 'Stuck'; readonly question: Question }
);

/** Decides from what stands in the bundle alone, and puts in each answer as it is asked for. */
export const replayDecision =
  (policy: Policy, answerTo: (question: Question, key: string) => Answers | undefined) =>
  (evidence: BundleEvidence): DecisionReplay => {
    const asked: Array<Asked> = [];
    let known: BundleEvidence = { ...evidence, answers: {} };
    let shim = '';
    for (;;) {
      const decision = decide(policy)(known);
      if (decision._tag === 'Decided') return { _tag: 'Decided', evidence: known, asked, verdict: decision.verdict };
      const { question } = decision;
      const key = questionKey(question, shim);
      if (question._tag === 'Connection') shim = key;
      const answers = answerTo(question, key);
      if (answers === undefined) return { _tag: 'Stuck', evidence: known, asked, question };
      asked.push({ question, key, answers });
      known = withAnswers(answers)(known);
    }
  };

/** The answer to a question among those that a policy got; undefined where it got none. */
export const answerAmong =
  ({ container, program, connection, sandbox, pids, state, signs, sharers }: Answers) =>
  (question: Question): Answers | undefined => {
    switch (question._tag) {
      case 'Container':
        return container && { container };
      case 'Program':
        return program && { program };
      case 'Connection':
        return connection && { connection };
      case 'Sandbox':
        return sandbox && { sandbox };
      case 'Pids':
        return pids && { pids };
      case 'State':
        return state && { state };
      case 'Signs':
        return signs && { signs };
      case 'Sharers':
        return sharers && { sharers };
    }
  };

import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import * as B from '../../src/base/ByteString.js';
import { decide } from '../../src/decide/Decision.js';
import { type HostFacts, planOf } from '../../src/plan/HostFacts.js';
import { anyEvidence, anyPolicy } from '../evidence.js';

const text = B.fromText;

const factsOf = (bundles: HostFacts['namespaces'][number]['bundles'], interrupted = false): HostFacts => ({
  state: text('/state'),
  root: text('/root'),
  interrupted,
  namespaces: [
    {
      name: text('default'),
      error: null,
      bundles,
      workDirectories: { _tag: 'Listed', names: ['web', 'old'].map(text) },
    },
  ],
});

it('a plan is what the policy decides on the answers that were given to it', () => {
  fc.assert(
    fc.property(anyPolicy(), anyEvidence(), fc.boolean(), (policy, { answers, ...evidence }, interrupted) => {
      const facts = factsOf(
        [{ evidence: { ...evidence, answers: {} }, answers: { [policy.name]: answers } }],
        interrupted,
      );
      const [bundle] = planOf(policy)(facts).namespaces.flatMap(({ bundles }) => bundles);
      const decision = decide(policy)({ ...evidence, answers });
      if (decision._tag === 'Decided') expect(bundle?.verdict).toEqual(decision.verdict);
      else expect(bundle?.verdict).toEqual({ _tag: 'Hold', reason: interrupted ? 'interrupted' : 'not-recorded' });
      expect(bundle?.evidence).toEqual({ ...evidence, answers });
    }),
  );
});

it('the answers of another policy count for nothing', () => {
  fc.assert(
    fc.property(anyPolicy(), anyEvidence(), (policy, { answers, ...evidence }) => {
      const given = { other: answers, toString: answers };
      const [bundle] = planOf(policy)(
        factsOf([{ evidence: { ...evidence, answers: {} }, answers: given }]),
      ).namespaces.flatMap(({ bundles }) => bundles);
      expect(bundle?.evidence.answers).toEqual({});
    }),
  );
});

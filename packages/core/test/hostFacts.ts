import * as fc from 'fast-check';
import * as B from '../src/base/ByteString.js';
import type { BundleEvidence } from '../src/decide/Evidence.js';
import { policies } from '../src/policy/Policy.js';
import type { HostFacts, BundleFacts } from '../src/plan/HostFacts.js';
import { anyEvidence } from './evidence.js';

const text = B.fromText;

/** The facts of a host with one namespace with these bundles, and working directories of these names. */
export const factsOf = (
  bundles: ReadonlyArray<BundleFacts>,
  more: { readonly interrupted?: boolean; readonly names?: ReadonlyArray<string> } = {},
): HostFacts => ({
  state: text('/state'),
  root: text('/root'),
  interrupted: more.interrupted ?? false,
  namespaces: [
    {
      name: text('default'),
      error: null,
      bundles,
      workDirectories: { _tag: 'Listed', names: (more.names ?? []).map(text) },
    },
  ],
});

/** A bundle of which every policy learnt the same. */
export const learntByAll = ({ answers, ...evidence }: BundleEvidence): BundleFacts => ({
  evidence: { ...evidence, answers: {} },
  answers: Object.fromEntries(Object.keys(policies).map((name) => [name, answers])),
});

/** The facts of any host: each policy has answers of its own, all or some. Shrinks towards no bundles. */
export const anySurvey = (): fc.Arbitrary<HostFacts> =>
  fc
    .record({
      bundles: fc.array(
        fc
          .tuple(anyEvidence(), fc.array(anyEvidence(), { minLength: 3, maxLength: 3 }))
          .map(([evidence, others]): BundleFacts => {
            const names = Object.keys(policies);
            return {
              evidence: { ...evidence, answers: {} },
              answers: Object.fromEntries(others.map(({ answers }, at) => [names[at] ?? '', answers])),
            };
          }),
        { maxLength: 4 },
      ),
      interrupted: fc.boolean(),
      names: fc.subarray(['web', 'old', '.web']),
    })
    .map(({ bundles, ...more }) => factsOf(bundles, more));

import { readdirSync, readFileSync } from 'node:fs';
import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import * as t from 'io-ts';
import { describe, expect, it, test } from 'vitest';
import * as B from '../../src/base/ByteString.js';
import type { FileStatus } from '../../src/capabilities/FileSystem.js';
import { type BundlePlan, type Plan, stepsOf } from '../../src/plan/Plan.js';
import { careful, policies, type Policy } from '../../src/policy/Policy.js';
import { verdictNameOf } from '../../src/report/Report.js';
import {
  allowsKilling,
  encodeSavedPlan,
  parseSavedPlan,
  policyOf,
  type SavedPlan,
  savedPlanOf,
  showSavedPlanError,
} from '../../src/documents/SavedPlan.js';
import { type Settings, settingsFor } from '../../src/policy/Settings.js';
import { mapSteps } from '../../src/plan/Step.js';
import { because } from '../../src/decide/Verdict.js';
import { allReasons } from '../../src/decide/Reasons.js';
import { anyEvidence, anyPolicy, bundle, running } from '../evidence.js';

const text = B.fromText;

const search = { workingDirectory: text('/'), path: text('/bin'), executableDirectory: text('/bin') };
const settingsOf = (policy: Policy): Settings => ({
  ...settingsFor({ state: text('/state'), root: text('/root'), programSearch: search }),
  policy,
});

const status: FileStatus = { kind: 'directory', device: '1', inode: '2', bornNs: '3' };

const planOf = (policy: Policy, bundles: ReadonlyArray<BundlePlan>, error: string | null = null): Plan => ({
  policy: policy.name,
  state: text('/state'),
  root: text('/root'),
  namespaces: [
    {
      name: text('default'),
      error,
      bundles,
      workDirectories: [
        { name: text('öld\n'), reason: 'not-registered', identity: status },
        { name: text('lost'), reason: 'not-registered', identity: null },
        { name: text('web'), reason: 'registered' },
      ],
    },
  ],
});

const saved = savedPlanOf({ ...settingsOf({ ...careful, orphans: 'reaped' }), namespaces: [text('default')] }, 0, {
  store: 'json:/ä\u2028',
})(
  planOf(careful, [
    { evidence: bundle({}, running), verdict: because('empty'), steps: stepsOf(careful)(bundle())(because('empty')) },
  ]),
);
const written = encodeSavedPlan(saved);

const parsed = (of: string): SavedPlan => {
  const outcome = parseSavedPlan(of);
  if (E.isLeft(outcome)) throw new Error(showSavedPlanError(outcome.left));
  return outcome.right;
};

/** The sentence why it is refused. */
const refusal = (of: string): string => {
  const outcome = parseSavedPlan(of);
  return E.isLeft(outcome) ? showSavedPlanError(outcome.left) : 'it is read';
};

describe('the version of a saved plan', () => {
  const made = (change: Partial<Settings>): SavedPlan =>
    parsed(encodeSavedPlan(savedPlanOf({ ...settingsOf(careful), allowKilling: false, ...change }, 0, {})(saved.plan)));
  const fields = (of: SavedPlan): ReadonlyArray<string> => [
    ...Object.keys(of),
    ...Object.keys(of.policy).map((name) => `policy.${name}`),
  ];
  const ofFirst = [
    'schema',
    'madeAt',
    'policy',
    'namespaces',
    'options',
    'plan',
    'policy.name',
    'policy.orphans',
    'policy.mayDestroy',
  ];

  it('is the first where an older program reads all that it says', () => {
    for (const policy of Object.values(policies)) {
      const plain = made({ policy });
      expect([plain.schema, allowsKilling(plain)]).toEqual(['shim-recovery/plan@1', false]);
      expect(new Set(fields(plain))).toEqual(new Set(ofFirst));
    }
    expect(made({ policy: { ...careful, orphans: 'reaped' } }).schema).toBe('shim-recovery/plan@1');
  });

  it('is the second, which an older program refuses, where killing is allowed or orphans are named', () => {
    const killing = made({ allowKilling: true });
    expect([killing.schema, allowsKilling(killing)]).toEqual(['shim-recovery/plan@2', true]);
    const limited: Policy = { ...careful, orphans: 'reaped', reapedOrphans: ['default/web'] };
    const naming = made({ policy: limited });
    expect([naming.schema, allowsKilling(naming), policyOf(naming)]).toEqual(['shim-recovery/plan@2', false, limited]);
  });

  it('does not allow killing where it is the first, whatever else the file says', () => {
    const forged = encodeSavedPlan({ ...made({}), allowKilling: true });
    expect(allowsKilling(parsed(forged))).toBe(false);
  });
});

describe('a saved plan', () => {
  it('is read as it was, and written again to the byte, whatever is in it', () => {
    const anyBundle = fc
      .tuple(anyPolicy(), anyEvidence(), fc.constantFrom(...allReasons), fc.constantFrom(null, status), fc.string())
      .map(
        ([policy, evidence, reason, identity, id]): BundlePlan => ({
          evidence: { ...evidence, id: text(id) },
          verdict: because(reason),
          steps: mapSteps((step) => (step._tag === 'RemoveWorkDirectory' ? { ...step, identity } : step))(
            stepsOf(policy)(evidence)(because(reason)),
          ),
        }),
      );
    const anything = fc.string({ unit: 'binary' });
    fc.assert(
      fc.property(anyPolicy(), fc.array(anyBundle), anything, anything, (policy, bundles, error, store) => {
        const one = savedPlanOf(settingsOf(policy), 1, { store })(planOf(policy, bundles, error));
        const encoded = encodeSavedPlan(one);
        expect(parsed(encoded)).toEqual(one);
        expect(encodeSavedPlan(parsed(encoded))).toBe(encoded);
        expect(encoded).toMatch(/^[\u0020-\u007e]+\n$/);
      }),
    );
  });

  it('has what was chosen of the policy', () => {
    expect(policyOf(parsed(written))).toEqual({ ...careful, orphans: 'reaped' });
    const sparing = savedPlanOf(settingsOf({ ...careful, mayDestroy: 0.25 }), 0, {})(planOf(careful, []));
    expect(policyOf(parsed(encodeSavedPlan(sparing)))).toEqual({ ...careful, mayDestroy: 0.25 });
  });
});

describe('what is refused', () => {
  it('is a plan that was cut off anywhere', () => {
    for (let length = 0; length < written.length; length++)
      expect(refusal(written.slice(0, length))).toMatch(
        /^(?:it is no saved plan: it is (?:empty|no JSON); plan --out FILE makes one|its end is missing; make a new one|it is not as it was)/,
      );
  });

  it('is a plan of which any character was changed, left out or added', () => {
    for (let at = 0; at < written.length; at++)
      for (const put of ['', 'x', '7', `${written[at]}${written[at]}`]) {
        if (put === written[at]) continue;
        const outcome = parseSavedPlan(`${written.slice(0, at)}${put}${written.slice(at + 1)}`);
        expect(E.isLeft(outcome), `${at}`).toBe(true);
      }
  });

  const newer = written.replace('plan@2', 'plan@3');
  test.each<readonly [string, string, RegExp]>([
    ['nothing', '', /^it is no saved plan: it is empty; plan --out FILE makes one$/],
    ['text', 'hello\n', /^it is no saved plan: it is no JSON/],
    ['another document', '{"a":1}\n', /it names no schema/],
    ['a report', '{"schema":"shim-recovery/report@1"}\n', /its schema is "shim-recovery\/report@1"/],
    [
      'a newer schema',
      newer,
      /^it is written as shim-recovery\/plan@3, and this version reads shim-recovery\/plan@1 and shim-recovery\/plan@2; /,
    ],
    [
      'a newer schema that was cut off',
      newer.slice(0, 50),
      /plan@3, and this version reads .* the version that made it/,
    ],
    [
      'a plan that was edited',
      written.replace('"held"', '"reaped"').replace('empty', 'hidden'),
      /^it is not as it was/,
    ],
    ['a plan that was laid out anew', JSON.stringify(JSON.parse(written), null, 2), /^it is not as it was written/],
    ['half a plan', written.slice(0, written.length / 2), /^its end is missing; make a new one with plan --out FILE$/],
    ['more after its end', `${written}${written}`, /^it is not as it was written/],
  ])('%s', (_, of, sentence) => {
    expect(refusal(of)).toMatch(sentence);
    expect(refusal(of)).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
  });

  it('is one that was written well and says nothing that is known', () => {
    const odd: SavedPlan = { ...saved, madeAt: 'yesterday' };
    expect(refusal(encodeSavedPlan(odd))).toMatch(/^it is damaged: \/madeAt is "yesterday", which is no time such as/);
  });
});

describe('a plan of the first version that saves plans', () => {
  const directory = new URL('../fixtures/plan@1/', import.meta.url);
  const names = readdirSync(directory).flatMap((name) => /^(.*)\.verdicts\.json$/.exec(name)?.[1] ?? []);
  const Verdicts = t.record(t.string, t.string);

  it('there is one for each policy of then', () => {
    expect(names).toEqual(['careful', 'containerd-1.6', 'containerd-1.7', 'containerd-2.1']);
  });

  it.each(names)('%s is read, with the verdicts that were committed beside it', (name) => {
    const read = (file: string): string => readFileSync(new URL(file, directory), 'utf8');
    const expected: unknown = JSON.parse(read(`${name}.verdicts.json`));
    const old = parsed(read(`${name}.json`));
    expect(policyOf(old).name).toBe(name);
    const found = old.plan.namespaces.flatMap((namespace) => [
      ...namespace.bundles.map(({ evidence, verdict }) => [
        `${B.show(namespace.name)}/${B.show(evidence.id)}`,
        `${verdictNameOf(verdict)} ${verdict.reason}`,
      ]),
      ...namespace.workDirectories.map((entry) => [
        `${B.show(namespace.name)}/${B.show(entry.name)} (working directory)`,
        entry.reason,
      ]),
    ]);
    expect(Verdicts.is(expected) && Object.fromEntries(found)).toEqual(expected);
    for (const { verdict, steps } of old.plan.namespaces.flatMap(({ bundles }) => bundles))
      expect(steps._tag).toBe(['Hold', 'Ignore'].includes(verdict._tag) ? 'End' : 'Do');
  });
});

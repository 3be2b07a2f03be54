import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as B from '../../src/base/ByteString.js';
import { allDifferences, compare, Comparison, differs, isRemoved } from '../../src/documents/Comparison.js';
import type { BundleEvidence } from '../../src/decide/Evidence.js';
import { containerd16, containerd17, containerd21, type Policy } from '../../src/policy/Policy.js';
import { isDestructive } from '../../src/decide/Verdict.js';
import { planOf } from '../../src/plan/HostFacts.js';
import { anyPolicy, bundle, running } from '../evidence.js';
import { anySurvey, learntByAll, factsOf } from '../hostFacts.js';

const text = B.fromText;
const closed = { _tag: 'Closed' } as const;
const read = (content: string) => ({ _tag: 'Read', content: text(content) }) as const;
const made = { bootstrap: read('{"version":2,"address":"unix:///s","protocol":"ttrpc"}') } as const;

const named = (id: string, evidence: BundleEvidence): BundleEvidence => ({ ...evidence, id: text(id) });
const dead: BundleEvidence['answers'] = { ...running, connection: { _tag: 'DialFailed', error: closed } };

describe('a comparison', () => {
  it('of a policy with itself finds no difference', () => {
    fc.assert(
      fc.property(anyPolicy(), anySurvey(), (policy, facts) => {
        const comparison = compare(policy, policy)(facts);
        expect(differs(comparison)).toBe(false);
        expect(comparison.summary.same).toBe(facts.namespaces.flatMap(({ bundles }) => bundles).length);
      }),
    );
  });

  it('is the same the other way round, with the sides exchanged', () => {
    fc.assert(
      fc.property(anyPolicy(), anyPolicy(), anySurvey(), (one, other, facts) => {
        const there = compare(one, other)(facts);
        const back = compare(other, one)(facts);
        const turned = <A extends { readonly first: unknown; readonly second: unknown }>(pair: A) => ({
          ...pair,
          first: pair.second,
          second: pair.first,
        });
        // Why they differ is said of the first one first.
        const unsaid = ({ parts, ...rest }: Comparison['bundles'][number]) => ({
          ...rest,
          parts: parts.map((part) => ({ ...part, why: part.why.length })),
        });
        expect(back.bundles.map(turned).map(unsaid)).toEqual(there.bundles.map(unsaid));
        expect(back.workDirs.map(turned)).toEqual(there.workDirs);
        expect(back.summary).toEqual(there.summary);
      }),
      { numRuns: 500 },
    );
  });

  it('names every bundle that one policy destroys and the other leaves, and none but those it may be unsure of more', () => {
    fc.assert(
      fc.property(anyPolicy(), anyPolicy(), anySurvey(), (one, other, facts) => {
        const named = compare(one, other)(facts).bundles;
        const [first = [], second = []] = [one, other].map((policy) =>
          planOf(policy)(facts).namespaces.flatMap(({ bundles }) =>
            bundles.map(({ verdict }) => isDestructive(verdict)),
          ),
        );
        const apart = first.filter((destroyed, at) => destroyed !== second[at]).length;
        const worst = named.filter(
          ({ difference, first: a, second: b }) =>
            difference === 'alive-destroyed' ||
            difference === 'destroyed' ||
            (difference === 'undecided' &&
              [a, b].some(({ verdict }) => ['reap', 'cleanUp', 'discard'].includes(verdict))),
        );
        expect(worst.length).toBe(apart);
      }),
    );
  });

  it('has the worst on top, and says why each differs in one line', () => {
    fc.assert(
      fc.property(anyPolicy(), anyPolicy(), anySurvey(), (one, other, facts) => {
        const { bundles } = compare(one, other)(facts);
        const ranks = bundles.map(({ difference }) => allDifferences.indexOf(difference));
        expect(ranks).toEqual([...ranks].sort((first, second) => first - second));
        for (const { why, difference, choices } of bundles.flatMap(({ parts }) => parts)) {
          for (const sentence of why) expect(sentence).toMatch(/^.{5,}$/);
          expect(why.length).toBeGreaterThan(0);
          expect(choices.length > 0).toBe(difference !== 'undecided');
        }
      }),
    );
  });

  it('has what is destroyed above what is done otherwise, wherever they stand', () => {
    const changed = named('a', bundle({}, running));
    const destroyed = named('b', bundle({ ...made, address: { _tag: 'Absent' } }, running));
    const { bundles } = compare(containerd17, containerd21)(factsOf([changed, destroyed].map(learntByAll)));
    expect(bundles.map(({ id, difference }) => `${id} ${difference}`)).toEqual(['b alive-destroyed', 'a steps']);
  });

  it('travels as JSON', () => {
    fc.assert(
      fc.property(anyPolicy(), anyPolicy(), anySurvey(), (one, other, facts) => {
        const comparison = compare(one, other)(facts);
        expect(Comparison.decode(JSON.parse(JSON.stringify(comparison)))).toEqual(E.right(comparison));
      }),
    );
  });
});

describe('why two policies differ', () => {
  const difference = (one: Policy, other: Policy, evidence: BundleEvidence) => {
    const [found] = compare(one, other)(factsOf([learntByAll(evidence)])).bundles;
    return found && found.parts.map(({ difference, choices }) => [difference, ...choices].join(' ')).join(', ');
  };

  it.each<readonly [string, Policy, Policy, BundleEvidence, string | undefined]>([
    [
      'a shim without processes',
      containerd16,
      containerd17,
      bundle({}, { ...running, pids: E.right([]) }),
      'alive-destroyed reapsLeakedShims',
    ],
    ['a shim with processes', containerd16, containerd17, bundle({}, running), undefined],
    ['an address that is not written down anew', containerd17, containerd21, bundle({}, running), 'steps bootstrap'],
    [
      'nothing but an address of JSON',
      containerd16,
      containerd17,
      bundle({ address: read('{"version":3}') }, running),
      'alive-destroyed bootstrap',
    ],
    ['a bundle that nobody owns', containerd17, containerd21, bundle({ _tag: 'Empty' }), 'unmounting unmounts'],
    [
      'a dead shim',
      containerd17,
      containerd21,
      bundle(made, dead),
      'after-failure removesAfterFailedCleanUp, unmounting unmounts',
    ],
    [
      'no address',
      containerd17,
      containerd21,
      bundle({ address: { _tag: 'Absent' } }, dead),
      'steps logOpened, after-failure removesAfterFailedCleanUp, unmounting unmounts',
    ],
    [
      'a shim that nobody asked',
      containerd17,
      containerd21,
      bundle({}, { ...running, connection: { _tag: 'NotProbed' } }),
      'undecided',
    ],
  ])('%s', (_, one, other, evidence, expected) => {
    expect(difference(one, other, evidence)).toBe(expected);
  });

  it('keeps apart what two shims say of the same task', () => {
    const listed = bundle({
      address: read('unix:///old'),
      bootstrap: read('{"version":2,"address":"unix:///new","protocol":"ttrpc"}'),
    });
    const leaked = { ...running, pids: E.right([]) };
    const facts = factsOf([{ evidence: listed, answers: { 'containerd-1.7': running, 'containerd-2.1': leaked } }]);
    expect(
      compare({ ...containerd21, name: 'containerd-1.7', bootstrap: 'address' }, containerd21)(facts),
    ).toMatchObject({
      bundles: [{ difference: 'alive-destroyed', parts: [{ choices: ['bootstrap'] }] }],
    });
    const apart = compare(containerd17, { ...containerd21, sandboxRecords: 'root' })(facts).bundles;
    expect(apart).toMatchObject([{ parts: [{ choices: ['bootstrap'] }] }]);
  });

  it('follows the shim that each of them asked', () => {
    const listed = bundle({
      address: read('unix:///old'),
      bootstrap: read('{"version":2,"address":"unix:///new","protocol":"ttrpc"}'),
    });
    const facts = factsOf([{ evidence: listed, answers: { 'containerd-1.7': dead, 'containerd-2.1': running } }]);
    expect(compare(containerd17, containerd21)(facts).bundles).toMatchObject([
      { difference: 'alive-destroyed', alive: true, parts: [{ choices: ['bootstrap'] }] },
    ]);
  });
});

describe('working directories', () => {
  it('fare differently where their bundle is destroyed by one policy only', () => {
    const leaked = bundle({}, { ...running, pids: E.right([]) });
    const facts = factsOf([learntByAll(leaked), learntByAll(named('db', bundle({}, running)))], {
      names: ['web', 'db', 'old'],
    });
    const { workDirs, summary } = compare(containerd16, containerd17)(facts);
    expect(workDirs).toEqual([{ namespace: 'default', name: 'web', first: 'registered', second: 'with-bundle' }]);
    expect(summary).toMatchObject({ same: 1, workDirs: 1, differences: { 'alive-destroyed': 1 } });
    expect(isRemoved('held')).toBe(false);
  });
});

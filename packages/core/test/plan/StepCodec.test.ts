import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import { expect, it, test } from 'vitest';
import { stepsAfterDisconnect, stepsOf } from '../../src/plan/Plan.js';
import { failed, isSameTree, perform, type StepTree, succeeded } from '../../src/plan/Step.js';
import { StepCodec } from '../../src/plan/StepCodec.js';
import { because } from '../../src/decide/Verdict.js';
import { allReasons } from '../../src/decide/Reasons.js';
import { anyEvidence, anyPolicy, bundle, running } from '../evidence.js';
import { containerd21 } from '../../src/policy/Policy.js';

const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

it('gives every tree of steps as it was', () => {
  fc.assert(
    fc.property(anyPolicy(), anyEvidence(), fc.constantFrom(...allReasons), (policy, evidence, reason) => {
      for (const tree of [
        stepsOf(policy)(evidence)(because(reason)),
        stepsAfterDisconnect(policy)(evidence)({ registered: true }),
      ]) {
        const read = StepCodec.decode(throughJson(StepCodec.encode(tree)));
        expect(read).toEqual(E.right(tree));
        expect(E.isRight(read) && isSameTree(read.right, tree)).toBe(true);
        expect(E.isRight(read) && StepCodec.encode(read.right)).toEqual(StepCodec.encode(tree));
      }
    }),
  );
});

const unshared = (tree: StepTree): StepTree =>
  tree._tag === 'End' ? tree : perform(tree.step, unshared(tree.onSuccess), unshared(tree.onFailure));

it('is a fraction of the tree', () => {
  const tree = stepsOf(containerd21)(bundle({}, running))(because('no-processes'));
  const table = JSON.stringify(StepCodec.encode(tree));
  expect(JSON.stringify(tree).length).toBeGreaterThan(100_000);
  expect(table.length).toBeLessThan(3_000);
  // However the tree came about: branches that are the same are one, also where they are not one object.
  expect(JSON.stringify(StepCodec.encode(unshared(tree)))).toBe(table);
});

it('tells trees apart by what they do, and by what follows a failure', () => {
  const open = (onFailure = succeeded) => perform({ _tag: 'OpenLogPipe' }, succeeded, onFailure);
  expect(isSameTree(open(), open())).toBe(true);
  expect(isSameTree(open(), open(failed))).toBe(false);
  expect(isSameTree(open(), perform({ _tag: 'Register' }, succeeded, succeeded))).toBe(false);
  expect(isSameTree(succeeded, failed)).toBe(false);
  expect(isSameTree(open(), succeeded)).toBe(false);
});

const step = { _tag: 'Register' };
test.each<readonly [string, unknown]>([
  ['no table', []],
  ['a first row that is not there', { first: 0, rows: [] }],
  ['a row that leads to itself', { first: 0, rows: [{ step, onSuccess: 0, onFailure: 'failed' }] }],
  [
    'a row that leads back',
    {
      first: 0,
      rows: [
        { step, onSuccess: 1, onFailure: 'failed' },
        { step, onSuccess: 0, onFailure: 'failed' },
      ],
    },
  ],
  ['an end that is none', { first: 'done', rows: [] }],
  ['half a row', { first: 0, rows: [{ step, onSuccess: 0.5, onFailure: 'failed' }] }],
])('%s is refused', (_, document) => {
  expect(E.isLeft(StepCodec.decode(document))).toBe(true);
});

import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as B from '../../src/base/ByteString.js';
import { decide } from '../../src/decide/Decision.js';
import { sign } from '../../src/decide/Signs.js';
import { type BundleEvidence, withAnswers } from '../../src/decide/Evidence.js';
import { explainBundle, type ExplainedPath, Explanation } from '../../src/documents/Explanation.js';
import { careful, containerd16, containerd17, containerd21, type Policy } from '../../src/policy/Policy.js';
import { ruleUnder } from '../../src/decide/Reasons.js';
import { answered } from '../../src/capabilities/ShimConnector.js';
import { anyEvidence, anyPolicy, bundle, fileError, running } from '../evidence.js';

const questions = ({ rows }: Explanation): ReadonlyArray<string> =>
  rows.map(({ question, answer, rule }) => `${question} ${answer} (${rule.step})`);

const stepsOf = ({ steps }: ExplainedPath): ReadonlyArray<string> => steps.map(({ step }) => step);

describe('an explanation', () => {
  it('ends with the verdict that was decided, and with its rule', () => {
    fc.assert(
      fc.property(anyPolicy(), anyEvidence(), (policy, evidence) => {
        const decision = decide(policy)(evidence);
        const { reason, rows } = explainBundle(policy)(evidence);
        expect(reason).toBe(decision._tag === 'Decided' ? decision.verdict.reason : 'not-recorded');
        expect(rows.at(-1)?.rule).toEqual(ruleUnder(policy)(reason));
      }),
    );
  });

  it('of what seems dead to careful ends with what every source says', () => {
    const dead: BundleEvidence['answers'] = {
      ...running,
      connection: { _tag: 'DialFailed', error: { _tag: 'DialFailed', code: 'ENOENT', message: 'nobody' } },
      signs: [sign('listener', 'dead', 'no process listens there')],
    };
    const { rows, reason } = explainBundle(careful)(bundle({}, dead));
    expect(reason).toBe('dial-failed');
    expect(rows.slice(-2)).toEqual([
      expect.objectContaining({ rule: { step: null, text: 'the other sources are asked whether it lives' } }),
      {
        question: 'what do the other sources say of its life?',
        answer: 'every source says that it is dead',
        rule: { step: null, text: 'every source says that it is dead: its binary cleans up' },
      },
    ]);
  });

  it('has everything in one line, whatever a shim said', () => {
    fc.assert(
      fc.property(anyPolicy(), anyEvidence(), fc.string(), (policy, evidence, said) => {
        const noise: BundleEvidence['answers'] = { ...running, pids: E.left(answered(13, `no\n\u001b${said}`)) };
        const noisy = [withAnswers(noise)(evidence), bundle({}, noise)];
        for (const { question, answer, rule } of noisy.flatMap((each) => explainBundle(policy)(each).rows)) {
          expect(question).toMatch(/^[^\n].*\?$/);
          expect(answer).toMatch(/^[^\p{Cc}]+$/u);
          expect(rule.text).toMatch(/^.{5,}$/);
        }
      }),
    );
  });

  it('does not say of what is hidden what it holds: nobody looked into it', () => {
    const hidden = { ...bundle({}, {}), id: B.fromText('.web') };
    const questions = explainBundle(careful)(hidden).rows.map(({ question }) => question);
    expect(questions).toEqual(['what stands there?', 'is it hidden?', 'what do the other sources say of its life?']);
  });

  it('asks nothing twice', () => {
    fc.assert(
      fc.property(anyPolicy(), anyEvidence(), (policy, evidence) => {
        const asked = explainBundle(policy)(evidence).rows.map(({ question }) => question);
        expect(new Set(asked).size).toBe(asked.length);
      }),
    );
  });

  it('travels as JSON', () => {
    fc.assert(
      fc.property(anyPolicy(), anyEvidence(), (policy, evidence) => {
        const explanation = explainBundle(policy)(evidence);
        expect(Explanation.decode(JSON.parse(JSON.stringify(explanation)))).toEqual(E.right(explanation));
      }),
    );
  });
});

describe('the way to a verdict', () => {
  const started = [
    'what stands there? a directory (2)',
    'is it hidden? no (4)',
    'can it be listed? yes (5)',
    'is anything in it? yes (6)',
    'which program does shim-binary-path name? /opt/bin/containerd-shim-runc-v2 (6a)',
    'where is the program of /opt/bin/containerd-shim-runc-v2? /opt/bin/containerd-shim-runc-v2 (9)',
  ];
  const address = 'where does its shim listen? /run/containerd/s/1, over ttrpc (9)';
  const log = 'can its log be opened? yes, it is a fifo (9)';
  const dead: BundleEvidence['answers'] = {
    ...running,
    connection: { _tag: 'DialFailed', error: { _tag: 'DialFailed', code: 'ECONNREFUSED', message: 'nobody' } },
  };
  const answers = 'does the shim answer at /run/containerd/s/1? yes, as process 7';
  const gone = 'does the shim answer at /run/containerd/s/1? no: the shim cannot be reached: nobody (ECONNREFUSED) (9)';
  const noLog = { log: { _tag: 'Unusable', error: fileError } } as const;
  const badLog = 'can its log be opened? no: cannot read /state/default/web/x: EIO (9)';

  it.each<readonly [string, Policy, BundleEvidence, ReadonlyArray<string>]>([
    ['of a file', containerd17, bundle(null, {}, { kind: 'file' }), ['what stands there? a file (1)']],
    [
      'of what is hidden',
      containerd17,
      bundle(null, {}, { id: B.fromText('.x') }),
      [...started.slice(0, 1), 'is it hidden? yes, its name starts with a dot (2)'],
    ],
    [
      'of a live task in 1.7',
      containerd17,
      bundle({}, running),
      [
        ...started,
        address,
        log,
        `${answers} (11)`,
        'is a sandbox of this id recorded? no (11)',
        'which processes has its task? 8 (13)',
      ],
    ],
    [
      'of a live task in 1.6, which opens the log later and asks less',
      containerd16,
      bundle({}, running),
      [...started, address, log, `${answers} (4.1)`],
    ],
    ['of a dead shim in 1.7', containerd17, bundle({}, dead), [...started, address, log, gone]],
    [
      'of a dead shim in 1.6, which does not come to the log',
      containerd16,
      bundle({}, dead),
      [...started, address, gone],
    ],
    ['of a bad log in 1.7', containerd17, bundle(noLog, running), [...started, address, badLog]],
    ['of a bad log in 2.1, which looks there first', containerd21, bundle(noLog, running), [...started, badLog]],
    ['of a bad log in 1.6', containerd16, bundle(noLog, running), [...started, address, badLog]],
    [
      'of a recording that ends',
      containerd17,
      bundle({}, { program: E.right(B.fromText('/opt/bin/containerd-shim-runc-v2')) }),
      [...started, address, log, 'does the shim answer at /run/containerd/s/1? it was not asked (null)'],
    ],
  ])('%s', (_, policy, evidence, expected) => {
    expect(questions(explainBundle(policy)(evidence))).toEqual(expected);
  });

  it('is followed by the steps, and what follows where one fails', () => {
    const { path } = explainBundle(containerd17)(bundle({}, dead));
    expect(stepsOf(path)).toEqual([
      'open-log-pipe',
      'close-log-pipe',
      'run-binary',
      'unmount-rootfs',
      'remove-rootfs',
      'remove-bundle',
      'remove-work-directory',
    ]);
    const [openLog, , runBinary, , , removeBundle] = path.steps;
    expect(openLog?.onFailure).toBe(null);
    expect(runBinary?.onFailure).toEqual({ steps: [], succeeds: false });
    expect(removeBundle?.onFailure && stepsOf(removeBundle.onFailure)).toEqual(['remove-work-directory']);
  });
});

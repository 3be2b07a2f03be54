import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as B from '../../src/base/ByteString.js';
import { decide } from '../../src/decide/Decision.js';
import { explain, allReasons, type Reason } from '../../src/decide/Reasons.js';
import { type Answers, BundleEvidence, withAnswers } from '../../src/decide/Evidence.js';
import { systemError } from '../../src/capabilities/FileSystem.js';
import { containerd16, containerd17, containerd21, type Policy } from '../../src/policy/Policy.js';
import type { Decision } from '../../src/decide/Question.js';
import { answered } from '../../src/capabilities/ShimConnector.js';
import { anyEvidence, anyPolicy, bundle, fileError, running } from '../evidence.js';

/** They have rows of their own (`decide/CarefulDecision.test.ts`), and `older-than-boot` is only in old documents. */
const reasonsOfCareful: ReadonlyArray<Reason> = [
  'not-a-bundle',
  'task-exited',
  'pids-unanswered',
  'older-than-boot',
  'orphan-reaped',
  'leftover',
  'bundle-unreadable',
  'container-unanswered',
  'address-unknown',
  'shim-unresponsive',
  'shim-unreachable',
  'shim-shared',
  'no-container',
  'task-disputed',
  'orphan-workload',
  'processes-unknown',
  'leftover-in-use',
];

const decide17 = decide(containerd17);

const outcome = (decision: Decision): string =>
  decision._tag === 'Decided' ? `${decision.verdict._tag} ${decision.verdict.reason}` : `ask ${decision.question._tag}`;

const settled = (evidence: BundleEvidence): Reason | undefined => {
  const decision = decide17(evidence);
  return decision._tag === 'Decided' ? decision.verdict.reason : undefined;
};

const without = (key: keyof Answers, answers: Answers): Answers =>
  Object.fromEntries(Object.entries(answers).filter(([name]) => name !== key));

const unknown = { _tag: 'Unknown', error: { _tag: 'RecordMalformed', reason: 'x' } } as const;
const exhausted = systemError('open', B.fromText('/state/default/web'), 'EMFILE');
const closed = { _tag: 'Closed' } as const;
const noPath = { shimBinaryPath: { _tag: 'Absent' } } as const;
const failedPath = { shimBinaryPath: { _tag: 'Failed', error: fileError } } as const;
const emptyPath = { shimBinaryPath: { _tag: 'Read', content: B.empty } } as const;
const recordOf = (runtime: string): Answers => ({
  container: { _tag: 'Found', value: { runtimeName: B.fromText(runtime) } },
});
const address = (content: string) => ({ address: { _tag: 'Read', content: B.fromText(content) } }) as const;
const program: Answers = { program: { _tag: 'Right', right: B.fromText('/bin/shim') } };

describe('decide, row by row (SPEC 4)', () => {
  const rows: ReadonlyArray<readonly [string, BundleEvidence, string]> = [
    ['1 a file', bundle(null, {}, { kind: 'file' }), 'Ignore not-a-directory'],
    ['1 a symlink', bundle(null, {}, { kind: 'symlink' }), 'Ignore not-a-directory'],
    ['2 hidden', bundle(null, {}, { id: B.fromText('.web') }), 'Ignore hidden'],
    ['4 unreadable', bundle({ _tag: 'Unreadable', error: fileError }), 'Discard unreadable'],
    ['5 empty', bundle({ _tag: 'Empty' }), 'Discard empty'],
    ['6a a path', bundle(), 'ask Program'],
    ['6b no path', bundle(noPath), 'ask Container'],
    ['6c an unreadable path', bundle(failedPath), 'ask Container'],
    ['6a an empty path', bundle(emptyPath), 'ask Container'],
    ['7a no record', bundle(noPath, { container: { _tag: 'NotFound' } }), 'Discard container-not-found'],
    ['7a an unknown record', bundle(noPath, { container: unknown }), 'Discard container-unknown'],
    ['7b a record', bundle(noPath, recordOf('io.containerd.runc.v2')), 'ask Program'],
    ['7b a record without a runtime', bundle(noPath, recordOf('')), 'ask Program'],
    [
      '8 no program',
      bundle({}, { program: { _tag: 'Left', left: { _tag: 'NoName' } } }),
      'Discard shim-binary-not-found',
    ],
    ['9 no address', bundle({ address: { _tag: 'Absent' } }, program), 'CleanUp address-unreadable'],
    [
      '9 an unreadable address',
      bundle({ address: { _tag: 'Failed', error: fileError } }, program),
      'CleanUp address-unreadable',
    ],
    [
      '9 a log that cannot be opened',
      bundle({ log: { _tag: 'Unusable', error: fileError } }, program),
      'CleanUp log-unusable',
    ],
    ['9 a newer address', bundle(address('{"version":3}'), program), 'CleanUp address-unsupported'],
    ['9 an address of no socket', bundle(address('unix://'), program), 'CleanUp address-unsupported'],
    ['9 an address', bundle({}, program), 'ask Connection'],
    ['9 dial', bundle({}, { ...program, connection: { _tag: 'DialFailed', error: closed } }), 'CleanUp dial-failed'],
    [
      '9 Connect',
      bundle({}, { ...program, connection: { _tag: 'ConnectFailed', error: closed } }),
      'CleanUp connect-failed',
    ],
    [
      '9 the log, when opened',
      bundle({}, { ...program, connection: { _tag: 'LogFailed', error: fileError } }),
      'CleanUp log-unusable',
    ],
    ['no descriptors, listing', bundle({ _tag: 'Unreadable', error: exhausted }), 'Hold out-of-resources'],
    [
      'no descriptors, reading',
      bundle({ shimBinaryPath: { _tag: 'Failed', error: exhausted } }),
      'Hold out-of-resources',
    ],
    [
      'no descriptors, reading the address',
      bundle({ address: { _tag: 'Failed', error: exhausted } }, program),
      'Hold out-of-resources',
    ],
    [
      'no descriptors, opening the log',
      bundle({}, { ...program, connection: { _tag: 'LogFailed', error: exhausted } }),
      'Hold out-of-resources',
    ],
    [
      'no descriptors, dialling',
      bundle(
        {},
        { ...program, connection: { _tag: 'DialFailed', error: { _tag: 'DialFailed', code: 'EMFILE', message: '' } } },
      ),
      'Hold out-of-resources',
    ],
    [
      'no memory, asking',
      bundle(
        {},
        {
          ...program,
          connection: { _tag: 'ConnectFailed', error: { _tag: 'DialFailed', code: 'ENOBUFS', message: '' } },
        },
      ),
      'Hold out-of-resources',
    ],
    [
      'no memory, asking for the pids',
      bundle({}, { ...running, pids: E.left({ _tag: 'DialFailed', code: 'ENOMEM', message: '' }) }),
      'Hold out-of-resources',
    ],
    ['not asked', bundle({}, { ...program, connection: { _tag: 'NotProbed' } }), 'Hold not-probed'],
    ['11 first the sandbox', bundle({}, without('sandbox', running)), 'ask Sandbox'],
    ['11 then the pids', bundle({}, without('pids', running)), 'ask Pids'],
    ['12 running', bundle({}, running), 'Adopt task-running'],
    ['12 none', bundle({}, { ...running, pids: E.right([]) }), 'Reap no-processes'],
    ['12 not found', bundle({}, { ...running, pids: E.left(answered(5, '')) }), 'Reap task-not-found'],
    ['12 any other error', bundle({}, { ...running, pids: E.left(answered(13, '')) }), 'Reap pids-failed'],
    ['12 closed', bundle({}, { ...running, pids: E.left(closed) }), 'Reap pids-failed'],
    [
      '13 a sandbox',
      bundle({}, { ...running, sandbox: { _tag: 'Found', value: { id: B.fromText('web') } }, pids: E.right([]) }),
      'Adopt sandbox-recorded',
    ],
    [
      '13 an unknown sandbox',
      bundle({}, { ...running, sandbox: unknown, pids: E.left(closed) }),
      'Adopt sandbox-unknown',
    ],
  ];

  it.each(rows)('step %s', (_, evidence, expected) => {
    expect(outcome(decide17(evidence))).toBe(expected);
  });

  it.each<[string, Policy, BundleEvidence, string]>([
    [
      '1.6 asks for no processes (H2)',
      containerd16,
      bundle({}, { ...running, pids: E.right([]) }),
      'Adopt shim-answers',
    ],
    [
      '1.6 takes JSON for an address',
      containerd16,
      bundle(
        { address: { _tag: 'Read', content: B.fromText('{"version":3}') } },
        { ...running, connection: { _tag: 'DialFailed', error: closed } },
      ),
      'CleanUp dial-failed',
    ],
    [
      '2.1 needs no address where there is a bootstrap.json',
      containerd21,
      bundle(
        {
          address: { _tag: 'Absent' },
          bootstrap: { _tag: 'Read', content: B.fromText('{"version":3,"address":"unix:///s","protocol":"ttrpc"}') },
        },
        running,
      ),
      'Adopt task-running',
    ],
    [
      '2.1 opens the log before it reads the address',
      containerd21,
      bundle({ address: { _tag: 'Absent' }, log: { _tag: 'Unusable', error: fileError } }, running),
      'CleanUp log-unusable',
    ],
  ])('%s', (_, policy, evidence, expected) => {
    expect(outcome(decide(policy)(evidence))).toBe(expected);
  });

  it('has a row for every reason, but for those that do not come from a decision', () => {
    const reached = new Set(rows.flatMap(([, evidence]) => settled(evidence) ?? []));
    const others = [
      'shim-answers',
      'not-recorded',
      'plan-stale',
      'not-planned',
      'gone',
      'interrupted',
      'would-kill',
      ...reasonsOfCareful,
    ];
    expect(allReasons.filter((reason) => !reached.has(reason) && !others.includes(reason))).toEqual([]);
  });
});

describe('decide', () => {
  it('settles, or asks what was not answered yet', () => {
    const answerTo = {
      Container: 'container',
      Program: 'program',
      Connection: 'connection',
      Sandbox: 'sandbox',
      Pids: 'pids',
      State: 'state',
      Signs: 'signs',
      Sharers: 'sharers',
    } as const;
    fc.assert(
      fc.property(anyPolicy(), anyEvidence(), (policy, evidence) => {
        const decision = decide(policy)(evidence);
        if (decision._tag === 'Ask') expect(evidence.answers[answerTo[decision.question._tag]]).toBeUndefined();
      }),
    );
  });

  it('does not change its mind when it learns more', () => {
    fc.assert(
      fc.property(anyPolicy(), anyEvidence(), anyEvidence(), (policy, evidence, { answers }) => {
        const decision = decide(policy)(evidence);
        if (decision._tag === 'Decided')
          expect(decide(policy)(withAnswers(evidence.answers)(withAnswers(answers)(evidence)))).toEqual(decision);
      }),
    );
  });

  it('decides the same on evidence that went through JSON', () => {
    fc.assert(
      fc.property(anyPolicy(), anyEvidence(), (policy, evidence) => {
        const travelled = BundleEvidence.decode(JSON.parse(JSON.stringify(BundleEvidence.encode(evidence))));
        expect(E.isRight(travelled) && decide(policy)(travelled.right)).toEqual(decide(policy)(evidence));
      }),
    );
  });

  it('explains every verdict in one line', () => {
    fc.assert(
      fc.property(anyPolicy(), anyEvidence(), (policy, evidence) => {
        const decision = decide(policy)(evidence);
        if (decision._tag === 'Decided') expect(explain(policy)(evidence)(decision.verdict)).toMatch(/^.{5,}$/);
      }),
    );
  });
});

/** What counts as a change since a plan was made, and what does not. */
import * as fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import * as B from '../../src/base/ByteString.js';
import { decide } from '../../src/decide/Decision.js';
import { type Answers, type BundleEvidence, withAnswers } from '../../src/decide/Evidence.js';
import { sign } from '../../src/decide/Signs.js';
import type { FileStatus } from '../../src/capabilities/FileSystem.js';
import { type BundlePlan, stepsOf } from '../../src/plan/Plan.js';
import { careful, containerd17, containerd21, type Policy } from '../../src/policy/Policy.js';
import { changesSince, showChange } from '../../src/report/PlanDrift.js';
import { mapSteps } from '../../src/plan/Step.js';
import { because } from '../../src/decide/Verdict.js';
import { anyEvidence, anyPolicy, bundle, type listed, running } from '../evidence.js';

const text = B.fromText;
const directory: FileStatus = { kind: 'directory', device: '1', inode: '2', bornNs: '3' };
const work: FileStatus = { ...directory, inode: '20' };

const planOf = (policy: Policy, evidence: BundleEvidence, workIdentity: FileStatus | null = work): BundlePlan => {
  const decision = decide(policy)(evidence);
  const verdict = decision._tag === 'Decided' ? decision.verdict : because('interrupted');
  const identify = mapSteps((step) =>
    step._tag === 'RemoveWorkDirectory' ? { ...step, identity: workIdentity } : step,
  );
  return { evidence, verdict, steps: identify(stepsOf(policy)(evidence)(verdict)) };
};

const found = (more: Partial<typeof listed> = {}, answers: Answers = running): BundleEvidence => ({
  ...bundle(more, answers),
  identity: directory,
});

const dead: Answers = {
  ...running,
  connection: { _tag: 'DialFailed', error: { _tag: 'DialFailed', code: 'ECONNREFUSED', message: 'nobody' } },
};
/** To careful, which asks every source, too. */
const orphan: Answers = {
  ...dead,
  signs: [sign('control-group', 'alive', 'process 8 is in its control group', [8])],
};
const pids = (...right: ReadonlyArray<number>): Answers => ({ ...running, pids: { _tag: 'Right', right } });
const answering = (answer: {
  readonly shimPid: number;
  readonly taskPid: number;
  readonly version: string;
}): Answers => ({
  ...running,
  connection: { _tag: 'Connected', answer },
});

const changes = (planned: BundlePlan, now: BundlePlan, policy: Policy = containerd17): string =>
  changesSince(planned)(now).map(showChange(policy)).join('; ');

describe('no change is', () => {
  test.each<readonly [string, BundlePlan, BundlePlan]>([
    ['nothing', planOf(containerd17, found()), planOf(containerd17, found())],
    ['one more process', planOf(containerd17, found({}, pids(8))), planOf(containerd17, found({}, pids(8, 9)))],
    [
      'another error of a dead shim',
      planOf(containerd17, found({}, dead)),
      planOf(
        containerd17,
        found(
          {},
          {
            ...dead,
            connection: { _tag: 'DialFailed', error: { _tag: 'DialFailed', code: 'ENOENT', message: 'gone' } },
          },
        ),
      ),
    ],
    [
      'a working directory that is gone already',
      planOf(containerd17, found({}, dead)),
      planOf(containerd17, found({}, dead), null),
    ],
    [
      'a bootstrap.json that was written already',
      planOf(containerd21, found()),
      planOf(
        containerd21,
        found({ bootstrap: { _tag: 'Read', content: text('{"version":2,"address":"unix:///s","protocol":"ttrpc"}') } }),
      ),
    ],
    [
      'what happens to a bundle that is left alone for the same reason',
      planOf(careful, found({}, orphan)),
      planOf(careful, { ...found({}, orphan), identity: work }),
    ],
  ])('%s', (_, planned, now) => {
    for (const { verdict } of [planned, now]) expect(verdict.reason).not.toBe('interrupted');
    expect(changes(planned, now)).toBe('');
  });
});

describe('a change is', () => {
  test.each<readonly [string, BundlePlan, BundlePlan, RegExp]>([
    [
      'another directory',
      planOf(containerd17, found()),
      planOf(containerd17, { ...found(), identity: { ...directory, bornNs: '4' } }),
      /^another directory stands there$/,
    ],
    [
      'a directory that cannot be looked at',
      planOf(containerd17, found()),
      planOf(containerd17, { ...found(), identity: null }),
      /^another directory stands there$/,
    ],
    [
      'a shim that died',
      planOf(containerd17, found()),
      planOf(containerd17, found({}, dead)),
      /^planned was adopt, as the shim answers and its task has 1 process; now it would be clean up, as the shim cannot be reached: nobody \(ECONNREFUSED\)$/,
    ],
    [
      'a shim that came alive',
      planOf(containerd17, found({}, dead)),
      planOf(containerd17, found()),
      /^planned was clean up, as .*; now it would be adopt, as the shim answers/,
    ],
    [
      'the same verdict for another reason',
      planOf(containerd17, found({}, dead)),
      planOf(containerd17, found({ address: { _tag: 'Absent' } })),
      /^it would still be clean up, but for another reason: planned was the shim cannot.*; now there is no address/,
    ],
    [
      'another shim',
      planOf(containerd17, found()),
      planOf(containerd17, found({}, answering({ shimPid: 70, taskPid: 8, version: '2' }))),
      /^another shim answers, or for another task: planned was shim 7, task 8, now it is shim 70, task 8, version 2$/,
    ],
    [
      'another task',
      planOf(containerd17, found()),
      planOf(containerd17, found({}, answering({ shimPid: 7, taskPid: 80, version: '' }))),
      /^another shim answers, or for another task/,
    ],
    [
      'another program',
      planOf(containerd17, found({}, dead)),
      planOf(containerd17, found({}, { ...dead, program: { _tag: 'Right', right: text('/other') } })),
      /^other steps would be taken: planned were .*run-binary \/opt\/bin\/\S+, .*; now they are .*run-binary \/other, /,
    ],
    [
      'another program that would be run only where a step fails',
      planOf(containerd17, found()),
      planOf(containerd17, found({}, { ...running, program: { _tag: 'Right', right: text('/other') } })),
      /^after a step that fails, other steps would follow$/,
    ],
    [
      'another link to the working directory',
      planOf(containerd17, found({}, dead)),
      planOf(containerd17, found({ work: { _tag: 'Read', content: text('/elsewhere') } }, dead)),
      /now they are .*remove-work-directory \/elsewhere$/,
    ],
    [
      'another working directory',
      planOf(containerd17, found({}, dead)),
      planOf(containerd17, found({}, dead), { ...work, inode: '21' }),
      /^another working directory stands at \/root\/default\/web$/,
    ],
    [
      'a working directory where there was none',
      planOf(containerd17, found({}, dead), null),
      planOf(containerd17, found({}, dead)),
      /^another working directory stands at/,
    ],
    [
      'more than one thing',
      planOf(containerd17, found()),
      planOf(containerd17, {
        ...found({}, { ...answering({ shimPid: 9, taskPid: 0, version: '' }), pids: { _tag: 'Right', right: [] } }),
        identity: work,
      }),
      /^another directory stands there; planned was adopt, .*; now it would be reap, .*; another shim answers/,
    ],
    [
      'a bundle that was held, and would not be any more',
      planOf(careful, found({}, orphan)),
      planOf(
        careful,
        found({}, { ...orphan, signs: [sign('control-group', 'dead', 'no process is in its control group')] }),
      ),
      /^planned was hold, as the shim is dead, but its container still runs: .*; now it would be clean up, as/,
    ],
  ])('%s', (_, planned, now, sentence) => {
    for (const { verdict } of [planned, now]) expect(verdict.reason).not.toBe('interrupted');
    expect(changes(planned, now, planned.verdict._tag === 'Hold' ? careful : containerd17)).toMatch(sentence);
  });
});

it('nothing is another one than itself, and whatever is decided otherwise is', () => {
  fc.assert(
    fc.property(anyPolicy(), anyEvidence(), anyEvidence(), (policy, first, second) => {
      const [planned, now] = [planOf(policy, first), planOf(policy, second)];
      expect(changesSince(planned)(planned)).toEqual([]);
      const isOther = planned.verdict.reason !== now.verdict.reason;
      expect(changesSince(planned)(now).some(({ _tag }) => _tag === 'DecidedOtherwise')).toBe(isOther);
    }),
  );
});

it('says what changed in words, whatever it is', () => {
  fc.assert(
    fc.property(anyPolicy(), anyEvidence(), anyEvidence(), (policy, first, second) => {
      const [planned, now] = [planOf(policy, first), planOf(policy, withAnswers(first.answers)(second))];
      for (const change of changesSince(planned)(now)) expect(showChange(policy)(change)).toMatch(/^[a-z].{20,}/s);
    }),
  );
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as B from '../../src/base/ByteString.js';
import type { BundleEvidence } from '../../src/decide/Evidence.js';
import { stepsAfterDisconnect, stepsOf, workDirectoriesRemovedBy } from '../../src/plan/Plan.js';
import { careful, containerd16, containerd17, containerd21, type Policy } from '../../src/policy/Policy.js';
import { nameOf, type StepTree, successPath } from '../../src/plan/Step.js';
import { because } from '../../src/decide/Verdict.js';
import { allReasons, type Reason } from '../../src/decide/Reasons.js';
import { anyEvidence, anyPolicy, bundle, running } from '../evidence.js';

const path = (tree: StepTree): string => successPath(tree).map(nameOf).join(' ');

/** What is done when this step fails, and everything before it succeeds. */
const afterFailureOf = (name: string, tree: StepTree): string => {
  if (tree._tag === 'End') throw new Error(`no step ${name}`);
  return nameOf(tree.step) === name ? path(tree.onFailure) : afterFailureOf(name, tree.onSuccess);
};

const ordinary = bundle({}, running);
const withoutWork = bundle({ work: { _tag: 'Absent' } }, running);
const steps = (reason: Reason, evidence: BundleEvidence = ordinary): StepTree =>
  stepsOf(containerd17)(evidence)(because(reason));

const removal = 'unmount-rootfs remove-rootfs remove-bundle remove-work-directory';

const heldReasons = {
  'bundle-unreadable': '',
  'container-unanswered': '',
  'address-unknown': '',
  'shim-unresponsive': '',
  'shim-unreachable': '',
  'shim-shared': '',
  'no-container': '',
  'task-disputed': '',
  'orphan-workload': '',
  'processes-unknown': '',
  'leftover-in-use': '',
  'not-a-bundle': '',
  'would-kill': '',
};

describe('the steps of a verdict, when nothing fails', () => {
  const expected: Readonly<Record<Reason, string>> = {
    'not-a-directory': '',
    hidden: '',
    'task-running': 'open-log-pipe register',
    'shim-answers': 'open-log-pipe register',
    'sandbox-recorded': 'open-log-pipe register',
    'sandbox-unknown': 'open-log-pipe register',
    'no-processes': `open-log-pipe call-delete call-shutdown close-connection close-log-pipe run-binary ${removal}`,
    'task-not-found': `open-log-pipe call-delete call-shutdown close-connection close-log-pipe run-binary ${removal}`,
    'pids-failed': `open-log-pipe call-delete call-shutdown close-connection close-log-pipe run-binary ${removal}`,
    'address-unreadable': `run-binary ${removal}`,
    'log-unusable': `run-binary ${removal}`,
    'address-unsupported': `open-log-pipe close-log-pipe run-binary ${removal}`,
    'dial-failed': `open-log-pipe close-log-pipe run-binary ${removal}`,
    'connect-failed': `open-log-pipe close-log-pipe run-binary ${removal}`,
    unreadable: removal,
    empty: removal,
    'container-not-found': `unmount-rootfs ${removal}`,
    'container-unknown': `unmount-rootfs ${removal}`,
    'shim-binary-not-found': removal,
    'out-of-resources': '',
    'not-probed': '',
    'not-recorded': '',
    'plan-stale': '',
    'not-planned': '',
    gone: '',
    ...heldReasons,
    'task-exited': 'open-log-pipe register',
    'pids-unanswered': 'open-log-pipe register',
    'older-than-boot': `run-binary ${removal}`,
    'orphan-reaped': `run-binary ${removal}`,
    leftover: 'remove-leftover',
    interrupted: '',
  };

  it.each(allReasons.map((reason) => [reason]))('%s', (reason) => {
    expect(path(steps(reason))).toBe(expected[reason]);
  });

  it('leave a working directory alone that no link names', () => {
    expect(path(steps('empty', withoutWork))).toBe('unmount-rootfs remove-rootfs remove-bundle');
    expect(workDirectoriesRemovedBy(steps('empty'))).toEqual(['/root/default/web']);
  });
});

describe('what a failure stops', () => {
  it.each<[string, Reason, string]>([
    ['unmount-rootfs', 'empty', ''], // D2
    ['remove-rootfs', 'empty', ''], // D3
    ['remove-bundle', 'empty', 'remove-work-directory'], // D6
    ['run-binary', 'dial-failed', ''], // SPEC 11.4
    ['open-log-pipe', 'dial-failed', `close-log-pipe run-binary ${removal}`],
    ['open-log-pipe', 'task-running', `close-connection run-binary ${removal}`],
    ['register', 'task-running', ''],
    ['call-delete', 'no-processes', ''], // K2
    ['call-shutdown', 'no-processes', `close-connection close-log-pipe run-binary ${removal}`], // K4
    ['run-binary', 'no-processes', removal], // K5
  ])('%s of %s', (name, reason, then) => {
    expect(afterFailureOf(name, steps(reason))).toBe(then);
  });

  it('the bundle of a reaped shim is removed once more where the first time failed (K5)', () => {
    expect(afterFailureOf('unmount-rootfs', steps('no-processes'))).toBe(removal);
  });
});

describe('where the daemons differ', () => {
  const legacy = bundle({}, running);
  const modern = bundle(
    { bootstrap: { _tag: 'Read', content: B.fromText('{"version":3,"address":"unix:///s","protocol":"ttrpc"}') } },
    running,
  );
  const by = (policy: Policy, reason: Reason, evidence = legacy): StepTree =>
    stepsOf(policy)(evidence)(because(reason));

  it.each<[string, Policy, Reason, string]>([
    ['1.6 opens the log after it dialled', containerd16, 'dial-failed', `run-binary ${removal}`],
    ['1.6, connect', containerd16, 'connect-failed', `open-log-pipe close-log-pipe run-binary ${removal}`],
    [
      '2.1 opens the log first, whatever the address is',
      containerd21,
      'address-unreadable',
      `open-log-pipe write-bootstrap close-log-pipe run-binary ${removal}`,
    ],
    ['2.1 migrates', containerd21, 'task-running', 'open-log-pipe write-bootstrap register'],
  ])('%s', (_, policy, reason, expected) => {
    expect(path(by(policy, reason))).toBe(expected);
  });

  it('2.1 writes no bootstrap.json where there is one', () => {
    expect(path(by(containerd21, 'task-running', modern))).toBe('open-log-pipe register');
  });

  it('2.1 removes a bundle whose clean-up failed (H10), the others leave it (SPEC 11.4)', () => {
    expect(afterFailureOf('run-binary', by(containerd21, 'dial-failed'))).toBe(removal);
    expect(afterFailureOf('run-binary', by(containerd17, 'dial-failed'))).toBe('');
    expect(afterFailureOf('run-binary', by(containerd16, 'dial-failed'))).toBe('');
  });
});

describe('careful', () => {
  const by = (reason: Reason): StepTree => stepsOf(careful)(ordinary)(because(reason));

  it.each<[Reason, string]>([
    ['task-running', 'open-log-pipe register'],
    ['dial-failed', 'run-binary unmount-bundle remove-bundle'],
    ['container-not-found', 'unmount-bundle remove-bundle'],
    ['leftover', 'remove-leftover'],
    ['orphan-workload', ''],
    [
      'no-processes',
      'open-log-pipe call-delete call-shutdown close-connection close-log-pipe run-binary unmount-bundle remove-bundle',
    ],
  ])('%s', (reason, expected) => {
    expect(path(by(reason))).toBe(expected);
  });

  it('registers a task though its log cannot be opened (L1)', () => {
    expect(afterFailureOf('open-log-pipe', by('task-running'))).toBe('register');
  });

  it('removes nothing after a shim would not end, or its program failed (H10)', () => {
    expect(afterFailureOf('call-shutdown', by('no-processes'))).toBe('close-connection close-log-pipe');
    expect(afterFailureOf('run-binary', by('no-processes'))).toBe('');
    expect(afterFailureOf('run-binary', by('dial-failed'))).toBe('');
  });
});

describe('the end of a live shim (SPEC 13)', () => {
  const registered = stepsAfterDisconnect(containerd17)(ordinary)({ registered: true });

  it('removes what then is nobody’s, where working directories do not go with their bundles', () => {
    expect(path(stepsAfterDisconnect(careful)(ordinary)({ registered: true }))).toMatch(
      /remove-bundle remove-unowned-work-directory publish-exit/,
    );
    expect(path(registered)).not.toContain('unowned');
  });
  const events = 'publish-exit publish-delete unregister close-log-pipe';

  it('is cleaned up after, told of, and forgotten', () => {
    expect(path(registered)).toBe(`run-binary ${removal} ${events}`);
    expect(path(stepsAfterDisconnect(containerd17)(ordinary)({ registered: false }))).toBe(
      `run-binary ${removal} close-log-pipe`,
    );
  });

  it('is told of with what the binary said, unless something failed', () => {
    const known = (tree: StepTree): ReadonlyArray<boolean> =>
      successPath(tree).flatMap((step) => ('known' in step ? [step.known] : []));
    expect(known(registered)).toEqual([true, true]);
    for (const name of ['run-binary', 'unmount-rootfs', 'remove-rootfs', 'remove-bundle', 'remove-work-directory']) {
      expect(afterFailureOf(name, registered)).toContain(events);
      const failed = (tree: StepTree): StepTree =>
        tree._tag === 'Do' && nameOf(tree.step) !== name ? failed(tree.onSuccess) : tree;
      const at = failed(registered);
      expect(at._tag === 'Do' && known(at.onFailure)).toEqual([false, false]);
    }
  });
});

describe('any tree', () => {
  it('removes the bundle only after its rootfs was unmounted and removed', () => {
    fc.assert(
      fc.property(anyEvidence(), fc.constantFrom(...allReasons), anyPolicy(), (evidence, reason, policy) => {
        const check = (tree: StepTree, done: ReadonlyArray<string>): void => {
          if (tree._tag === 'End') return;
          const name = nameOf(tree.step);
          if (name === 'remove-bundle')
            expect(done.slice(-2)).toEqual(
              policy.unmounts === 'bundle'
                ? [...done.slice(-2, -1), 'unmount-bundle']
                : ['unmount-rootfs', 'remove-rootfs'],
            );
          check(tree.onSuccess, [...done, name]);
          check(tree.onFailure, [...done, `not ${name}`]);
        };
        check(stepsOf(policy)(evidence)(because(reason)), []);
      }),
    );
  });

  it('names only the working directory that the bundle links to', () => {
    const evidence = bundle({ work: { _tag: 'Read', content: B.fromText('/elsewhere/x') } }, running);
    expect(workDirectoriesRemovedBy(steps('empty', evidence))).toEqual(['/elsewhere/x']);
  });
});

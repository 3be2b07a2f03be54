import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as B from '../src/ByteString.js';
import type { BundleEvidence } from '../src/Evidence.js';
import { stepsAfterDisconnect, stepsOf, workDirectoriesRemovedBy } from '../src/Plan.js';
import { nameOf, type StepTree, successPath } from '../src/Step.js';
import { allReasons, because, type Reason } from '../src/Verdict.js';
import { anyEvidence, bundle, running } from './evidence.js';

const path = (tree: StepTree): string => successPath(tree).map(nameOf).join(' ');

/** What is done when this step fails, and everything before it succeeds. */
const afterFailureOf = (name: string, tree: StepTree): string => {
  if (tree._tag === 'End') throw new Error(`no step ${name}`);
  return nameOf(tree.step) === name ? path(tree.onFailure) : afterFailureOf(name, tree.onSuccess);
};

const ordinary = bundle({}, running);
const withoutWork = bundle({ work: { _tag: 'Absent' } }, running);
const steps = (reason: Reason, evidence: BundleEvidence = ordinary): StepTree => stepsOf(containerd17)(evidence)(because(reason));

const removal = 'unmount-rootfs remove-rootfs remove-bundle remove-work-directory';

describe('the steps of a verdict, when nothing fails', () => {
  const expected: Readonly<Record<Reason, string>> = {
    'not-a-directory': '',
    hidden: '',
    'task-running': 'open-log-pipe register',
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

describe('the end of a live shim (SPEC 13)', () => {
  const registered = stepsAfterDisconnect(ordinary)({ registered: true });
  const events = 'publish-exit publish-delete unregister close-log-pipe';

  it('is cleaned up after, told of, and forgotten', () => {
    expect(path(registered)).toBe(`run-binary ${removal} ${events}`);
    expect(path(stepsAfterDisconnect(ordinary)({ registered: false }))).toBe(`run-binary ${removal} close-log-pipe`);
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
      fc.property(anyEvidence(), fc.constantFrom(...allReasons), (evidence, reason) => {
        const check = (tree: StepTree, done: ReadonlyArray<string>): void => {
          if (tree._tag === 'End') return;
          const name = nameOf(tree.step);
          if (name === 'remove-bundle') expect(done.slice(-2)).toEqual(['unmount-rootfs', 'remove-rootfs']);
          check(tree.onSuccess, [...done, name]);
          check(tree.onFailure, [...done, `not ${name}`]);
        };
        check(stepsOf(containerd17)(evidence)(because(reason)), []);
      }),
    );
  });

  it('names only the working directory that the bundle links to', () => {
    const evidence = bundle({ work: { _tag: 'Read', content: B.fromText('/elsewhere/x') } }, running);
    expect(workDirectoriesRemovedBy(steps('empty', evidence))).toEqual(['/elsewhere/x']);
  });
});

/**
 * What becomes of a bundle where death needs two signs: nobody listens at its shim's address, and no process belongs to
 * it. Whatever could not be found out leaves the bundle as it is (policy `careful`).
 */
import * as E from 'fp-ts/lib/Either.js';
import type * as B from './ByteString.js';
import { ask, askShim, type Decision, type Listed, settle, settleUnlessExhausted } from './Question.js';
import type { Answers, BundleEvidence } from './Evidence.js';
import { isHidden } from './Identifier.js';
import type { Policy } from './Policy.js';
import { shimAddress } from './ShimAddress.js';
import { isOlderThanBoot } from './Processes.js';
import { isTaskNotFound, type ShimError } from './ShimConnector.js';
import type { Reason } from './Verdict.js';

/** What would clean up after the shim, as far as it is known. */
type Owner = 'program' | 'no-program' | 'no-container';

/** What a bundle comes to that nobody serves and that no process belongs to. */
type DeathSign = Extract<Reason, 'dial-failed' | 'address-unreadable' | 'older-than-boot' | 'empty' | 'leftover'>;

const nobodyListens = (error: ShimError): boolean =>
  error._tag === 'DialFailed' && ['ECONNREFUSED', 'ENOENT'].includes(error.code);

/** The listen queue is full, or it was not served in time: it may be alive, only slow (H4, H5). */
const mayOnlyBeSlow = (error: ShimError): boolean =>
  error._tag === 'TimedOut' || (error._tag === 'DialFailed' && error.code === 'EAGAIN');

/** The second sign: no process belongs to it. */
const decideDeath =
  (policy: Policy) =>
  ({ processes }: Answers, owner: Owner, sign: DeathSign): Decision => {
    if (processes === undefined) return ask({ _tag: 'Processes' });
    if (E.isLeft(processes)) return settle('processes-unknown');
    const { shims, workload } = processes.right;
    // That it may go was decided when it was moved there: only what runs can say otherwise, not a shim without a task.
    if (sign === 'leftover') return settle(workload.length > 0 ? 'leftover-in-use' : 'leftover');
    if (shims.length > 0) return settle('shim-unreachable');
    if (workload.length > 0)
      return settle(policy.orphans === 'reaped' && owner === 'program' ? 'orphan-reaped' : 'orphan-workload');
    if (sign === 'empty') return settle('empty');
    if (owner === 'no-container') return settle('container-not-found');
    return settle(owner === 'no-program' ? 'shim-binary-not-found' : sign);
  };

/** Its shim says that it has no task. That may go, unless processes of the task say otherwise, or others need the shim. */
const decideLeakedShim = (answers: Answers, reason: Extract<Reason, 'no-processes' | 'task-not-found'>): Decision => {
  if (answers.processes === undefined) return ask({ _tag: 'Processes' });
  if (E.isLeft(answers.processes)) return settle('processes-unknown');
  if (answers.processes.right.workload.length > 0) return settle('task-disputed');
  if (answers.sharers === undefined) return ask({ _tag: 'Sharers' });
  return settle(answers.sharers.length > 0 ? 'shim-shared' : reason); // H18
};

/** Its shim lives. Whatever runs or ran in it is taken back, but where nobody knows whose it is. */
const decideTask =
  (policy: Policy) =>
  (answers: Answers, owner: Owner): Decision => {
    const adopt = (reason: Reason): Decision => settle(owner === 'no-container' ? 'no-container' : reason);
    const { sandboxRecords: records } = policy;
    if (records !== 'none' && answers.sandbox === undefined) return ask({ _tag: 'Sandbox', records });
    if (answers.sandbox?._tag === 'Found') return adopt('sandbox-recorded');
    if (answers.sandbox?._tag === 'Unknown') return adopt('sandbox-unknown');
    if (answers.pids === undefined) return ask({ _tag: 'Pids' });
    if (E.isLeft(answers.pids) && !isTaskNotFound(answers.pids.left)) return adopt('pids-unanswered'); // H1
    if (E.isRight(answers.pids) && answers.pids.right.length > 0) return adopt('task-running');
    if (answers.state === undefined) return ask({ _tag: 'State' });
    if (E.isRight(answers.state))
      return adopt(answers.state.right.status === 'stopped' ? 'task-exited' : 'task-running'); // H2
    if (!isTaskNotFound(answers.state.left)) return settle('shim-unresponsive');
    return decideLeakedShim(answers, E.isRight(answers.pids) ? 'no-processes' : 'task-not-found');
  };

const decideConnection =
  (policy: Policy) =>
  ({ identity, answers }: BundleEvidence, contents: Listed, owner: Owner): Decision => {
    const address = shimAddress(policy)(contents);
    const dead = (sign: DeathSign): Decision => decideDeath(policy)(answers, owner, sign);
    if (address._tag === 'Unreadable')
      return address.reading._tag === 'Failed'
        ? settleUnlessExhausted('address-unknown', address.reading.error)
        : dead('address-unreadable'); // H22
    if (address._tag === 'Unsupported')
      return address.error._tag === 'MissingAddress' ? dead('address-unreadable') : settle('address-unknown'); // H24
    if (answers.bootedMs === undefined) return ask({ _tag: 'Boot' });
    if (E.isRight(answers.bootedMs) && isOlderThanBoot(identity, answers.bootedMs.right))
      return dead('older-than-boot');
    const { connection } = answers;
    switch (connection?._tag) {
      case undefined:
        return askShim(address);
      case 'NotProbed':
        return settle('not-probed');
      case 'LogFailed':
        return settle('shim-unresponsive');
      case 'DialFailed':
        // It may listen where the other file says.
        if (nobodyListens(connection.error))
          return address.disputed === undefined ? dead('dial-failed') : settle('address-unknown');
        return settleUnlessExhausted(
          mayOnlyBeSlow(connection.error) ? 'shim-unresponsive' : 'shim-unreachable',
          connection.error,
        );
      case 'ConnectFailed':
        return settleUnlessExhausted('shim-unresponsive', connection.error); // H4
      case 'Connected':
        return decideTask(policy)(answers, owner);
    }
  };

const decideProgram =
  (policy: Policy) =>
  (evidence: BundleEvidence, contents: Listed, runtime: B.ByteString): Decision => {
    const { program } = evidence.answers;
    if (program === undefined) return ask({ _tag: 'Program', runtime, names: policy.runtimeNames });
    return decideConnection(policy)(evidence, contents, E.isLeft(program) ? 'no-program' : 'program'); // H8
  };

const decideRuntime =
  (policy: Policy) =>
  (evidence: BundleEvidence, contents: Listed): Decision => {
    const { shimBinaryPath } = contents;
    if (shimBinaryPath._tag === 'Failed') return settleUnlessExhausted('bundle-unreadable', shimBinaryPath.error);
    if (shimBinaryPath._tag === 'Read' && shimBinaryPath.content !== '')
      return decideProgram(policy)(evidence, contents, shimBinaryPath.content);
    const { container } = evidence.answers;
    switch (container?._tag) {
      case undefined:
        return ask({ _tag: 'Container' });
      case 'Unknown':
        return settle('container-unanswered'); // H9
      case 'NotFound':
        return decideConnection(policy)(evidence, contents, 'no-container');
      case 'Found':
        return decideProgram(policy)(evidence, contents, container.value.runtimeName);
    }
  };

/** What is left of an interrupted removal, or looks like it. */
const decideHidden = (policy: Policy, { answers }: BundleEvidence): Decision =>
  policy.sweepsLeftovers ? decideDeath(policy)(answers, 'no-container', 'leftover') : settle('hidden');

/** What `policy` does with a bundle of which `evidence` is known, where death needs two signs. */
export const decideByTwoSigns =
  (policy: Policy) =>
  (evidence: BundleEvidence): Decision => {
    const { contents } = evidence;
    if (evidence.kind !== 'directory') return settle('not-a-directory');
    if (isHidden(evidence.id)) return decideHidden(policy, evidence);
    if (contents === null || contents._tag === 'Empty')
      return decideDeath(policy)(evidence.answers, 'no-container', 'empty');
    if (contents._tag === 'Unreadable') return settleUnlessExhausted('bundle-unreadable', contents.error);
    return decideRuntime(policy)(evidence, contents);
  };

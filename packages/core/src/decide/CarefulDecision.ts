/**
 * Decides on a bundle where death needs every source to say so (policy `careful`). A fact that could not be found out leaves
 * the bundle as it is. Pure: it asks for the facts that it needs, one at a time, as {@link decide} does.
 */
import * as E from 'fp-ts/lib/Either.js';
import type * as B from '../base/ByteString.js';
import { hasNoListener, isTaskNotFound, type ShimError } from '../capabilities/ShimConnector.js';
import { isHidden, unhidden } from '../policy/Names.js';
import { mayReapOrphan, type Policy } from '../policy/Policy.js';
import type { Answers, BundleEvidence } from './Evidence.js';
import { ask, askShim, type Decision, type Listed, verdict, verdictUnlessExhausted } from './Question.js';
import type { Reason } from './Reasons.js';
import { type ShimAddress, shimAddress } from './ShimAddress.js';
import { livingContainer, livingShim, type Signs, unknownContainer, unknownShim, unknownSigns } from './Signs.js';

/** The program that would clean up after the shim, as far as it is known. */
type Owner = 'program' | 'no-program' | 'no-container';

/** Why a bundle is taken for one whose shim is dead, if every source agrees. */
type DeathSign = Extract<Reason, 'dial-failed' | 'address-unreadable' | 'empty'>;

/** The decision of `policy` on a bundle of which `evidence` is known, where death needs every source. */
export const decideCarefully =
  (policy: Policy) =>
  (evidence: BundleEvidence): Decision => {
    const { contents } = evidence;
    if (evidence.kind !== 'directory') return verdict('not-a-directory');
    if (isHidden(evidence.id)) return decideHidden(policy, evidence);
    if (contents === null || contents._tag === 'Empty') return decideDeath(policy)(evidence, 'no-container', 'empty');
    if (contents._tag === 'Unreadable') return verdictUnlessExhausted('bundle-unreadable', contents.error);
    return decideRuntime(policy)(evidence, contents);
  };

/** Decides on a leftover of an interrupted removal, or what looks like one. It was moved there because it may go. */
const decideHidden = (policy: Policy, evidence: BundleEvidence): Decision => {
  const { contents, answers } = evidence;
  if (!policy.sweepsLeftovers) return verdict('hidden');
  if (contents === null) return verdict('not-recorded');
  if (contents._tag === 'Unreadable') return verdictUnlessExhausted('bundle-unreadable', contents.error);
  if (contents._tag === 'Listed' && !isBundle(policy)(evidence, contents)) return verdict('not-a-bundle');
  const { signs } = answers;
  if (signs === undefined) return ask({ _tag: 'Signs' });
  // Only what runs can say otherwise, and those that share its shim: not a shim without a task.
  if (livingContainer(signs).length > 0 || isShared(signs)) return verdict('leftover-in-use');
  return verdict(unknownContainer(signs).length > 0 ? 'processes-unknown' : 'leftover');
};

/** Whether a shim lives that other bundles have, too, and find by this bundle alone. */
const isShared = (signs: Signs): boolean => livingShim(signs).some(({ source }) => source === 'pod');

/** Which runtime, by the bundle or by its container's record. */
const decideRuntime =
  (policy: Policy) =>
  (evidence: BundleEvidence, contents: Listed): Decision => {
    const { shimBinaryPath } = contents;
    if (shimBinaryPath._tag === 'Failed') return verdictUnlessExhausted('bundle-unreadable', shimBinaryPath.error);
    if (shimBinaryPath._tag === 'Read' && shimBinaryPath.content.includes('\0')) return verdict('bundle-unreadable');
    if (shimBinaryPath._tag === 'Read' && shimBinaryPath.content !== '')
      return decideProgram(policy)(evidence, contents, shimBinaryPath.content);
    const { container } = evidence.answers;
    switch (container?._tag) {
      case undefined:
        return ask({ _tag: 'Container' });
      case 'Unknown':
        return verdict('container-unanswered'); // H9
      case 'NotFound':
        return decideConnection(policy)(evidence, contents, 'no-container');
      case 'Found':
        return decideProgram(policy)(evidence, contents, container.value.runtimeName);
    }
  };

/** Which program: only cleaning up needs it. */
const decideProgram =
  (policy: Policy) =>
  (evidence: BundleEvidence, contents: Listed, runtime: B.ByteString): Decision => {
    const { program } = evidence.answers;
    if (program === undefined) return ask({ _tag: 'Program', runtime, names: policy.runtimeNames });
    return decideConnection(policy)(evidence, contents, E.isLeft(program) ? 'no-program' : 'program'); // H8
  };

/** Whether the shim answers. It is always dialled: an answer outweighs every clock and file. */
const decideConnection =
  (policy: Policy) =>
  (evidence: BundleEvidence, contents: Listed, owner: Owner): Decision => {
    const address = shimAddress(policy)(contents);
    const dead = (sign: DeathSign): Decision => decideDeath(policy)(evidence, owner, sign);
    if (address._tag === 'Unreadable')
      return address.reading._tag === 'Failed'
        ? verdictUnlessExhausted('address-unknown', address.reading.error)
        : dead('address-unreadable'); // H22
    if (address._tag === 'Unsupported') return verdict('address-unknown'); // H24
    const { connection } = evidence.answers;
    switch (connection?._tag) {
      case undefined:
        return askShim(address);
      case 'NotProbed':
        return verdict('not-probed');
      case 'LogFailed':
        return verdict('shim-unresponsive');
      case 'DialFailed':
        // It may listen where the other file says, or said.
        if (hasNoListener(connection.error))
          return isCertain(address) ? dead('dial-failed') : verdict('address-unknown');
        return verdictUnlessExhausted(
          mayOnlyBeSlow(connection.error) ? 'shim-unresponsive' : 'shim-unreachable',
          connection.error,
        );
      case 'ConnectFailed':
        return verdictUnlessExhausted('shim-unresponsive', connection.error); // H4
      case 'Connected':
        return decideTask(policy)(evidence.answers, owner, address);
    }
  };

type Target = Extract<ShimAddress, { readonly _tag: 'Target' }>;

/** Whether both files of the bundle that may say where its shim listens say the same. */
const isCertain = ({ disputed, lost }: Target): boolean => disputed === undefined && lost === undefined;

/** The listen queue is full, or it was not served in time: the shim may be alive, only slow (H4, H5). */
const mayOnlyBeSlow = (error: ShimError): boolean =>
  error._tag === 'TimedOut' || (error._tag === 'DialFailed' && error.code === 'EAGAIN');

/** The shim lives. The task is taken back, running or ended, unless no record says whose it is. */
const decideTask =
  (policy: Policy) =>
  (answers: Answers, owner: Owner, address: Target): Decision => {
    const adopt = (reason: Reason): Decision => verdict(owner === 'no-container' ? 'no-container' : reason);
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
    if (!isTaskNotFound(answers.state.left)) return verdict('shim-unresponsive');
    // Another shim may listen where the other file says. Reaped, and interrupted, the bundle would be held for ever.
    if (!isCertain(address)) return verdict('address-unknown');
    return decideLeakedShim(answers, E.isRight(answers.pids) ? 'no-processes' : 'task-not-found');
  };

/** The shim says that it has no task. It may go, unless processes of the task say otherwise, or others need it. */
const decideLeakedShim = (answers: Answers, reason: Extract<Reason, 'no-processes' | 'task-not-found'>): Decision => {
  const { signs, sharers } = answers;
  if (signs === undefined) return ask({ _tag: 'Signs' });
  if (livingContainer(signs).length > 0) return verdict('task-disputed');
  if (unknownContainer(signs).length > 0) return verdict('processes-unknown');
  if (sharers === undefined) return ask({ _tag: 'Sharers' });
  return verdict(sharers.length > 0 ? 'shim-shared' : reason); // H18
};

/** The shim did not answer: whether it is dead is for every other source to say. */
const decideDeath =
  (policy: Policy) =>
  (evidence: BundleEvidence, owner: Owner, sign: DeathSign): Decision => {
    const { signs } = evidence.answers;
    if (signs === undefined) return ask({ _tag: 'Signs' });
    if (livingShim(signs).length > 0) return verdict('shim-unreachable');
    if (livingContainer(signs).length > 0) {
      if (unknownShim(signs).length > 0) return verdict('processes-unknown');
      return verdict(mayReapOrphan(policy, evidence) && owner === 'program' ? 'orphan-reaped' : 'orphan-workload');
    }
    if (unknownSigns(signs).length > 0) return verdict('processes-unknown');
    if (sign === 'empty') return verdict('empty');
    const { contents } = evidence;
    if (contents?._tag === 'Listed' && !isBundle(policy)(evidence, contents)) return verdict('not-a-bundle');
    if (owner === 'no-container') return verdict('container-not-found');
    return verdict(owner === 'no-program' ? 'shim-binary-not-found' : sign);
  };

/**
 * Whether a directory was certainly a bundle: it holds nothing that no bundle has, or something that only a bundle has. So a
 * user's own directory is never removed, whether a container of its name is recorded or not. The rest that an interrupted
 * removal left of a bundle counts as one, as the entries that no bundle has go first.
 */
const isBundle =
  (policy: Policy) =>
  ({ namespace, id }: BundleEvidence, contents: Listed): boolean => {
    const { foreign, shimBinaryPath, work } = contents;
    const name = unhidden(id);
    return (
      foreign?.length === 0 ||
      (shimBinaryPath._tag === 'Read' && shimBinaryPath.content !== '') ||
      (work._tag === 'Read' && work.content.endsWith(`/${namespace}/${name}`)) ||
      shimAddress(policy)(contents)._tag === 'Target'
    );
  };

/**
 * The heart: from what is known about a bundle, either the next question or the verdict (SPEC 4).
 *
 * Total and pure. It asks for exactly the facts it needs, in the reference's order, one at a time; every row names the
 * step of SPEC 4 that it stands for.
 */
import * as E from 'fp-ts/lib/Either.js';
import type * as B from '../base/ByteString.js';
import * as Bytes from '../base/ByteString.js';
import { isTaskNotFound } from '../capabilities/ShimConnector.js';
import { isHidden } from '../policy/Names.js';
import type { Policy } from '../policy/Policy.js';
import { decideCarefully } from './CarefulDecision.js';
import type { Answers, BundleEvidence, Reading } from './Evidence.js';
import { ask, askShim, type Decision, isExhaustion, type Listed, verdict, verdictUnlessExhausted } from './Question.js';
import { shimAddress } from './ShimAddress.js';

/** The decision of `policy` on a bundle of which `evidence` is known: a verdict, or the next question. */
export const decide =
  (policy: Policy) =>
  (evidence: BundleEvidence): Decision => {
    if (policy.death === 'every-source') return decideCarefully(policy)(evidence);
    const { contents } = evidence;
    if (evidence.kind !== 'directory') return verdict('not-a-directory'); // step 1
    if (isHidden(evidence.id)) return verdict('hidden'); // step 2
    if (contents === null || contents._tag === 'Empty') return verdict('empty'); // step 5
    if (contents._tag === 'Unreadable') return verdictUnlessExhausted('unreadable', contents.error); // step 4
    return decideRuntime(policy)(evidence.answers, contents);
  };

/** Steps 6 and 7: which runtime. */
const decideRuntime =
  (policy: Policy) =>
  (answers: Answers, contents: Listed): Decision => {
    const { shimBinaryPath } = contents;
    if (shimBinaryPath._tag === 'Failed' && isExhaustion(shimBinaryPath.error)) return verdict('out-of-resources');
    const recorded = recordedRuntime(shimBinaryPath);
    if (recorded !== '') return decideProgram(policy)(answers, contents, recorded); // 6a
    switch (answers.container?._tag) {
      case undefined:
        return ask({ _tag: 'Container' });
      case 'NotFound':
        return verdict('container-not-found'); // 7a
      case 'Unknown':
        return verdict('container-unknown'); // 7a: any error (H9)
      case 'Found':
        return decideProgram(policy)(answers, contents, answers.container.value.runtimeName); // 7b
    }
  };

/** Step 6: the recorded path of the shim's binary; an unreadable one counts as empty. */
const recordedRuntime = (reading: Reading): B.ByteString => (reading._tag === 'Read' ? reading.content : Bytes.empty);

/** Step 8: which program. */
const decideProgram =
  (policy: Policy) =>
  (answers: Answers, contents: Listed, runtime: B.ByteString): Decision => {
    if (answers.program === undefined) return ask({ _tag: 'Program', runtime, names: policy.runtimeNames });
    if (answers.program._tag === 'Left') return verdict('shim-binary-not-found'); // H8
    return decideConnection(policy)(answers, contents);
  };

/** Step 9, in the policy's order of SPEC 8.1. */
const decideConnection =
  (policy: Policy) =>
  (answers: Answers, contents: Listed): Decision => {
    const { log } = contents;
    const badLog = log._tag === 'Unusable' ? verdictUnlessExhausted('log-unusable', log.error) : undefined;
    if (badLog !== undefined && policy.logOpened === 'before-address') return badLog;
    const address = shimAddress(policy)(contents);
    if (address._tag === 'Unreadable')
      return address.reading._tag === 'Failed'
        ? verdictUnlessExhausted('address-unreadable', address.reading.error)
        : verdict('address-unreadable');
    if (badLog !== undefined && policy.logOpened === 'after-address') return badLog;
    if (address._tag === 'Unsupported') return verdict('address-unsupported');
    switch (answers.connection?._tag) {
      case undefined:
        return askShim(address);
      case 'NotProbed':
        return verdict('not-probed');
      case 'LogFailed':
        return verdictUnlessExhausted('log-unusable', answers.connection.error);
      case 'DialFailed':
        return verdictUnlessExhausted('dial-failed', answers.connection.error); // H5
      case 'ConnectFailed':
        return badLog ?? verdictUnlessExhausted('connect-failed', answers.connection.error); // H4
      case 'Connected':
        if (badLog !== undefined) return badLog; // it is opened between dialling and asking
        return policy.reapsLeakedShims ? decideTask(policy)(answers) : verdict('shim-answers');
    }
  };

/** Steps 11 to 13: both look-ups are always made, in this order; then whether the shim still has a task. */
const decideTask =
  (policy: Policy) =>
  (answers: Answers): Decision => {
    const { sandboxRecords: records } = policy;
    if (records !== 'none' && answers.sandbox === undefined) return ask({ _tag: 'Sandbox', records });
    if (answers.pids === undefined) return ask({ _tag: 'Pids' });
    if (answers.sandbox?._tag === 'Found') return verdict('sandbox-recorded');
    if (answers.sandbox?._tag === 'Unknown') return verdict('sandbox-unknown');
    if (E.isRight(answers.pids)) return verdict(answers.pids.right.length > 0 ? 'task-running' : 'no-processes'); // H2
    if (isTaskNotFound(answers.pids.left)) return verdict('task-not-found');
    return policy.failedPidsCountAsNone
      ? verdictUnlessExhausted('pids-failed', answers.pids.left)
      : verdict('task-running'); // H1
  };

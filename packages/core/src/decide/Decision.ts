/**
 * The heart: from what is known about a bundle, either the next question or the verdict (SPEC 4).
 *
 * Total and pure. It asks for exactly the facts it needs, in the reference's order, one at a time; every row names the
 * step of SPEC 4 that it stands for.
 */
import * as E from 'fp-ts/lib/Either.js';
import type * as B from '../base/ByteString.js';
import { showBootstrapError, showSocket } from '../capabilities/ShimSocket.js';
import * as Bytes from '../base/ByteString.js';
import type { Answers, BundleEvidence, Reading } from './Evidence.js';
import { type FileError, isExhaustionCode, showFileError } from '../capabilities/FileSystem.js';
import { ask, askShim, type Decision, isExhaustion, type Listed, verdict, verdictUnlessExhausted } from './Question.js';
import { decideCarefully } from './CarefulDecision.js';
import { livingContainer, livingShim, showContainer, showLiving, showSigns, unknownSigns } from './Signs.js';
import { isHidden } from '../policy/Names.js';
import type { Policy } from '../policy/Policy.js';
import { showRuntimeError } from '../policy/ShimProgram.js';
import { shimAddress } from './ShimAddress.js';
import { isTaskNotFound, type ShimError, showShimError } from '../capabilities/ShimConnector.js';
import { showStoreError } from '../capabilities/Stores.js';
import { processesAmong } from '../capabilities/TaskExit.js';
import type { Verdict } from './Verdict.js';

/** What `policy` does with a bundle of which `evidence` is known. */
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

/** Why, in a sentence for people, with the facts that decided. */
export const explain =
  (policy: Policy) =>
  (evidence: BundleEvidence) =>
  ({ reason }: Verdict): string => {
    const { contents, answers } = evidence;
    const listed = contents?._tag === 'Listed' ? contents : undefined;
    switch (reason) {
      case 'not-a-directory':
        return `it is a ${evidence.kind}, not a directory`;
      case 'hidden':
        return 'its name starts with a dot';
      case 'task-running':
        return E.isRight(answers.pids ?? E.right([]))
          ? `the shim answers and its task ${taskHas(answers)}`
          : 'the shim answers';
      case 'shim-answers':
        return 'the shim answers, and this daemon asks nothing more';
      case 'sandbox-recorded':
        return 'the shim answers and a sandbox of this id is recorded';
      case 'sandbox-unknown':
        return `the shim answers; whether a sandbox of this id is recorded is not known: ${lookupProblem(answers.sandbox)}`;
      case 'no-processes':
        return 'the shim answers, but its task has no process and no sandbox of this id is recorded: a leaked shim';
      case 'task-not-found':
        return 'the shim answers that it has no such task, and no sandbox of this id is recorded: a leaked shim';
      case 'pids-failed':
        return `the shim did not list its processes (${shimProblem(answers.pids)}), which counts as none`;
      case 'address-unreadable':
        return `there is no address to reach the shim at: ${addressProblem(policy, listed)}`;
      case 'address-unsupported':
        return addressProblem(policy, listed);
      case 'log-unusable':
        return answers.connection?._tag === 'LogFailed'
          ? connectionProblem(answers.connection)
          : `the shim's log cannot be opened: ${listed?.log._tag === 'Unusable' ? showFileError(listed.log.error) : ''}`;
      case 'dial-failed':
      case 'connect-failed':
        return connectionProblem(answers.connection);
      case 'unreadable':
        return contents?._tag === 'Unreadable' ? showFileError(contents.error) : 'the bundle cannot be listed';
      case 'empty':
        return 'the bundle is empty';
      case 'container-not-found':
        return `${readingProblem('shim-binary-path', listed?.shimBinaryPath)}, and no container of this id is recorded`;
      case 'container-unknown':
        return `${readingProblem('shim-binary-path', listed?.shimBinaryPath)}, and the container's record is not known: ${lookupProblem(answers.container)}`;
      case 'shim-binary-not-found':
        return answers.program?._tag === 'Left' ? showRuntimeError(answers.program.left) : 'the shim has no program';
      case 'out-of-resources':
        return `this process ran out of resources, which says nothing of the shim: ${exhaustionOf(evidence)}`;
      case 'not-probed':
        return 'the shim was not asked; recover would ask it';
      case 'task-exited':
        return `the shim answers that its task ended with exit status ${exitStatusOf(answers)}, which nobody collected yet`;
      case 'pids-unanswered':
        return `the shim answers, but did not list its processes: ${shimProblem(answers.pids)}`;
      case 'older-than-boot':
        return 'the bundle is older than the start of this machine, and nothing of it lives';
      case 'orphan-reaped':
        return `the shim is dead, and its container still runs (${livingOf(answers)}); this run was told to end it`;
      case 'orphan-workload':
        return `the shim is dead, but its container still runs: ${livingOf(answers)}`;
      case 'leftover':
        return 'an interrupted removal left it behind, and nothing of it lives';
      case 'leftover-in-use':
        return livingContainer(answers.signs ?? []).length > 0
          ? `it looks like what an interrupted removal left behind, but its container lives: ${livingOf(answers)}`
          : `it looks like what an interrupted removal left behind, but other bundles need its shim: ${showLiving(answers.signs ?? [])}`;
      case 'bundle-unreadable':
        if (listed?.shimBinaryPath._tag === 'Read') return 'shim-binary-path holds NUL bytes: its content was lost';
        return contents?._tag === 'Unreadable'
          ? showFileError(contents.error)
          : readingProblem('shim-binary-path', listed?.shimBinaryPath);
      case 'container-unanswered':
        return `${readingProblem('shim-binary-path', listed?.shimBinaryPath)}, and the container's record is not known: ${lookupProblem(answers.container)}`;
      case 'address-unknown':
        return `where the shim listens is not known: ${addressProblem(policy, listed, answers)}`;
      case 'shim-unresponsive':
        return answers.connection?._tag === 'Connected'
          ? `the shim does not say whether it has a task: ${shimProblem(answers.state)}`
          : connectionProblem(answers.connection);
      case 'shim-unreachable':
        return answers.signs === undefined
          ? connectionProblem(answers.connection)
          : `${unansweredProblem(policy, listed, answers)}, but the shim lives: ${showLiving(livingShim(answers.signs))}`;
      case 'shim-shared':
        return `the shim has no task for it, but other bundles share the shim, or may: ${(answers.sharers ?? []).map(Bytes.show).join(', ')}`;
      case 'no-container':
        return 'the shim answers, but no container of this id is recorded';
      case 'task-disputed':
        return `the shim answers that it has no such task, but its container lives: ${livingOf(answers)}`;
      case 'processes-unknown':
        return unknownLife(answers);
      case 'not-a-bundle':
        return `nothing shows that it is a bundle: it holds ${(listed?.foreign ?? []).map(Bytes.show).join(', ')}, which no bundle has`;
      case 'would-kill':
        return `it would be destroyed, but it lives: ${answers.signs === undefined ? 'its shim answers' : showLiving(answers.signs)}`;
      case 'not-recorded':
        return 'the recording does not tell what this policy would ask';
      case 'plan-stale':
        return 'it is not as it was when the plan was made';
      case 'not-planned':
        return 'the plan does not name it';
      case 'gone':
        return 'it is not there any more';
      case 'interrupted':
        return 'interrupted before it was decided';
    }
  };

const exhaustionOf = ({ contents, answers: { connection, pids } }: BundleEvidence): string => {
  const readings = contents?._tag === 'Listed' ? [contents.shimBinaryPath, contents.bootstrap, contents.address] : [];
  const errors: ReadonlyArray<FileError | ShimError> = [
    ...(contents?._tag === 'Unreadable' ? [contents.error] : []),
    ...readings.flatMap((reading) => (reading._tag === 'Failed' ? [reading.error] : [])),
    ...(contents?._tag === 'Listed' && contents.log._tag === 'Unusable' ? [contents.log.error] : []),
    ...(connection !== undefined && 'error' in connection ? [connection.error] : []),
    ...(pids?._tag === 'Left' ? [pids.left] : []),
  ];
  const codes = errors.flatMap((error) =>
    error._tag === 'SystemError' || error._tag === 'DialFailed' ? [error.code] : [],
  );
  return codes.find(isExhaustionCode) ?? 'it is not known of what';
};

/** What a task has: its processes; or, where it has none yet or lists none, what its shim says of it. */
const taskHas = (answers: Answers): string => {
  const { state } = answers;
  const status = state?._tag === 'Right' ? state.right.status : undefined;
  const processes = count(pidsOf(answers).length, 'process', 'processes');
  if (status === undefined || status === 'running') return `has ${processes}`;
  return pidsOf(answers).length === 0 ? `is ${status}` : `is ${status}, with ${processes}`;
};

const pidsOf = (answers: Answers): ReadonlyArray<number> =>
  answers.pids?._tag === 'Right' ? processesAmong(answers.pids.right) : [];

const count = (number: number, one: string, many: string): string => `${number} ${number === 1 ? one : many}`;

const lookupProblem = (lookup: Answers['container'] | Answers['sandbox']): string =>
  lookup?._tag === 'Unknown' ? showStoreError(lookup.error) : 'it was not asked for';

const shimProblem = (answer: Answers['pids'] | Answers['state']): string =>
  answer?._tag === 'Left' ? showShimError(answer.left) : 'not asked';

const exitStatusOf = ({ state }: Answers): number => (state?._tag === 'Right' ? state.right.exit.exitStatus : 0);

const livingOf = ({ signs = [] }: Answers): string => showContainer(signs);

/** What of its life is not known; and what is, where some source saw it alive. */
const unknownLife = ({ signs = [] }: Answers): string => {
  const living = showLiving(signs);
  const open = unknownSigns(signs);
  const known = living === '' ? '' : `${living}; `;
  return `${known}whether it lives cannot be told: ${open.length === 0 ? 'no source was asked' : showSigns(open)}`;
};

/** Why the shim was not reached where it should listen. */
const unansweredProblem = (policy: Policy, listed: Listed | undefined, answers: Answers): string => {
  if (answers.connection?._tag === 'DialFailed') return showShimError(answers.connection.error);
  return listed === undefined ? 'it holds no address' : addressProblem(policy, listed);
};

/** Why a file of the bundle says nothing. */
export const readingProblem = (name: string, reading: Reading | undefined): string => {
  switch (reading?._tag) {
    case 'Failed':
      return showFileError(reading.error);
    case 'Read':
      return `${name} is empty`;
    case 'Absent':
    case undefined:
      return `${name} is missing`;
  }
};

const addressProblem = (policy: Policy, listed: Listed | undefined, { connection }: Answers = {}): string => {
  const address = listed === undefined ? undefined : shimAddress(policy)(listed);
  switch (address?._tag) {
    case 'Unreadable':
      return readingProblem(address.file, address.reading);
    case 'Unsupported':
      return showBootstrapError(address.error);
    case 'Target': {
      const who = connection?._tag === 'Connected' ? 'a shim without the task answers' : 'nothing listens';
      const socket = showSocket(address.target.socket);
      if (address.lost !== undefined) return `${who} at ${socket}, and what ${address.lost} said is lost`;
      return address.disputed === undefined
        ? ''
        : `bootstrap.json says ${socket}, where ${who}, and address says ${showSocket(address.disputed)}`;
    }
    case undefined:
      return '';
  }
};

const connectionProblem = (connection: Answers['connection']): string => {
  switch (connection?._tag) {
    case 'LogFailed':
      return `the shim's log cannot be opened: ${showFileError(connection.error)}`;
    case 'DialFailed':
      return showShimError(connection.error);
    case 'ConnectFailed':
      return `the shim did not confirm that it lives: ${showShimError(connection.error)}`;
    default:
      return '';
  }
};

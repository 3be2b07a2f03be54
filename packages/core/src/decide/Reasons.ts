/**
 * The table of reasons, one row each. A row has the verdict that the reason stands for, and the rule that leads there with its
 * place in the decision table (SPEC 4, 4.1). It says whether a missing answer is asked for again. It has the sentence that tells
 * the reason, and the hint for an operator.
 */
import * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import * as Bytes from '../base/ByteString.js';
import { type FileError, isExhaustionCode, showFileError } from '../capabilities/FileSystem.js';
import { type ShimError, showShimError } from '../capabilities/ShimConnector.js';
import { showBootstrapError, showSocket } from '../capabilities/ShimSocket.js';
import { showStoreError } from '../capabilities/Stores.js';
import { processesAmong } from '../capabilities/TaskExit.js';
import type { Policy } from '../policy/Policy.js';
import { showRuntimeError } from '../policy/ShimProgram.js';
import {
  type Answers,
  belongingPids,
  type BundleEvidence,
  isViewLimited,
  programOf,
  type Reading,
  shimPidsOf,
} from './Evidence.js';
import { type Listed } from './Question.js';
import { shimAddress } from './ShimAddress.js';
import { livingContainer, livingShim, showContainer, showLiving, showSigns, unknownSigns } from './Signs.js';

/** What becomes of a bundle (see {@link VerdictTag} in Verdict.ts). */
type Tag = 'Ignore' | 'Adopt' | 'Reap' | 'CleanUp' | 'Discard' | 'Hold';

/** What a rule says, and where it stands in the decision table; null for a rule of this program's own. */
export const Rule = t.readonly(t.type({ step: t.union([t.string, t.null]), text: t.string }), 'Rule');

export interface Rule extends t.TypeOf<typeof Rule> {}

export const rule = (step: string | null, text: string): Rule => ({ step, text });

/** What a sentence is made of. */
interface Facts {
  readonly policy: Policy;
  readonly evidence: BundleEvidence;
  readonly contents: BundleEvidence['contents'];
  readonly answers: Answers;
  readonly listed: Listed | undefined;
}

/** What a hint is made of: words for commands, and processes to look at. */
interface HintWords {
  readonly evidence: BundleEvidence;
  readonly namespace: string;
  readonly id: string;
  readonly shimPids: ReadonlyArray<number>;
  /** The clause `run … again`. */
  readonly again: string;
  /** A command in brackets that shows the processes; empty where none is known. */
  readonly look: string;
  /** The command that explains this bundle. */
  readonly explain: string;
}

/** Who gave no answer, where one may come when it is asked for again. */
type AsksAgain = 'store' | 'once-more';

interface Row {
  readonly verdict: Tag;
  /** By which rule, where anything but an answer in time shows that a shim is dead. */
  readonly rule: Rule;
  /** By which rule where death needs every source: then the reason only says how it came to that. */
  readonly ruleOfEverySource?: Rule;
  readonly asksAgain?: AsksAgain;
  /** Why, for people, with the facts that decided. */
  readonly sentence: (facts: Facts) => string;
  /** What to do about a bundle that is held. Another policy might destroy it. */
  readonly hint?: (words: HintWords) => string | undefined;
}

/** In the order of the verdicts. */
const table = {
  'not-a-directory': {
    verdict: 'Ignore',
    rule: rule('1', 'what is no directory is no bundle, and passed over'),
    sentence: ({ evidence }) => `it is a ${evidence.kind}, not a directory`,
  },
  hidden: {
    verdict: 'Ignore',
    rule: rule('2', 'what is hidden is passed over'),
    sentence: () => 'its name starts with a dot',
  },
  gone: {
    verdict: 'Ignore',
    rule: rule(null, 'what is gone is passed over'),
    sentence: () => 'it is not there any more',
  },
  'task-running': {
    verdict: 'Adopt',
    rule: rule('13', 'a shim with a task is taken back'),
    sentence: ({ answers }) =>
      E.isRight(answers.pids ?? E.right([])) ? `the shim answers and its task ${taskHas(answers)}` : 'the shim answers',
  },
  'shim-answers': {
    verdict: 'Adopt',
    rule: rule('4.1', 'a shim that answers is taken back'),
    sentence: () => 'the shim answers, and this daemon asks nothing more',
  },
  'task-exited': {
    verdict: 'Adopt',
    rule: rule(null, 'a task that ended is kept until its owner collected how'),
    sentence: ({ answers }) =>
      `the shim answers that its task ended with exit status ${exitStatusOf(answers)}, which nobody collected yet`,
  },
  'pids-unanswered': {
    verdict: 'Adopt',
    rule: rule(null, 'a shim that failed to list its processes lives, and is taken back'),
    sentence: ({ answers }) => `the shim answers, but did not list its processes: ${shimProblem(answers.pids)}`,
  },
  'sandbox-recorded': {
    verdict: 'Adopt',
    rule: rule('13', 'a shim of a recorded sandbox is taken back, whatever processes it has'),
    sentence: () => 'the shim answers and a sandbox of this id is recorded',
  },
  'sandbox-unknown': {
    verdict: 'Adopt',
    rule: rule('13', 'an error counts as a record of a sandbox: the shim is taken back'),
    sentence: ({ answers }) =>
      `the shim answers; whether a sandbox of this id is recorded is not known: ${lookupProblem(answers.sandbox)}`,
  },
  'no-processes': {
    verdict: 'Reap',
    rule: rule('12', 'a shim without a process and without a sandbox is leaked, and reaped'),
    sentence: () =>
      'the shim answers, but its task has no process and no sandbox of this id is recorded: a leaked shim',
  },
  'task-not-found': {
    verdict: 'Reap',
    rule: rule('12', 'a shim without its task and without a sandbox is leaked, and reaped'),
    sentence: () => 'the shim answers that it has no such task, and no sandbox of this id is recorded: a leaked shim',
  },
  'pids-failed': {
    verdict: 'Reap',
    rule: rule('12', 'processes that cannot be listed count as none: the shim is leaked, and reaped'),
    sentence: ({ answers }) =>
      `the shim did not list its processes (${shimProblem(answers.pids)}), which counts as none`,
  },
  'address-unreadable': {
    verdict: 'CleanUp',
    rule: rule('9', 'a shim that cannot be looked for counts as dead: its binary cleans up'),
    ruleOfEverySource: rule(null, 'every source says that it is dead: its binary cleans up'),
    sentence: ({ policy, listed }) => `there is no address to reach the shim at: ${addressProblem(policy, listed)}`,
  },
  'address-unsupported': {
    verdict: 'CleanUp',
    rule: rule('9', 'a shim that this daemon cannot speak to counts as dead: its binary cleans up'),
    sentence: ({ policy, listed }) => addressProblem(policy, listed),
  },
  'log-unusable': {
    verdict: 'CleanUp',
    rule: rule('9', 'a shim whose log cannot be opened counts as dead: its binary cleans up'),
    sentence: ({ answers, listed }) =>
      answers.connection?._tag === 'LogFailed'
        ? connectionProblem(answers.connection)
        : `the shim's log cannot be opened: ${listed?.log._tag === 'Unusable' ? showFileError(listed.log.error) : ''}`,
  },
  'dial-failed': {
    verdict: 'CleanUp',
    rule: rule('9', 'a shim that cannot be reached counts as dead: its binary cleans up'),
    ruleOfEverySource: rule(null, 'every source says that it is dead: its binary cleans up'),
    sentence: ({ answers }) => connectionProblem(answers.connection),
  },
  'connect-failed': {
    verdict: 'CleanUp',
    rule: rule('9', 'a shim that does not confirm that it lives counts as dead: its binary cleans up'),
    sentence: ({ answers }) => connectionProblem(answers.connection),
  },
  'older-than-boot': {
    verdict: 'CleanUp',
    rule: rule(null, 'nothing that ran before this machine was started runs still: its binary cleans up'),
    sentence: () => 'the bundle is older than the start of this machine, and nothing of it lives',
  },
  'orphan-reaped': {
    verdict: 'CleanUp',
    rule: rule(null, 'it was asked for that what runs without its shim be ended'),
    sentence: ({ answers }) =>
      `the shim is dead, and its container still runs (${livingOf(answers)}); this run was told to end it`,
  },
  unreadable: {
    verdict: 'Discard',
    rule: rule('4', 'a bundle that cannot be listed is removed without asking anyone'),
    sentence: ({ contents }) =>
      contents?._tag === 'Unreadable' ? showFileError(contents.error) : 'the bundle cannot be listed',
  },
  empty: {
    verdict: 'Discard',
    rule: rule('5', 'an empty bundle is removed'),
    ruleOfEverySource: rule(null, 'every source says that nothing of it lives: an empty bundle is removed'),
    sentence: () => 'the bundle is empty',
  },
  'container-not-found': {
    verdict: 'Discard',
    rule: rule('7a', 'a bundle of which nothing says the runtime is removed without asking its shim'),
    ruleOfEverySource: rule(
      null,
      'every source says that it is dead, and no container of its id is recorded: it is removed',
    ),
    sentence: ({ listed }) =>
      `${readingProblem('shim-binary-path', listed?.shimBinaryPath)}, and no container of this id is recorded`,
  },
  'container-unknown': {
    verdict: 'Discard',
    rule: rule('7a', 'an error counts as no record: the bundle is removed without asking its shim'),
    sentence: ({ answers, listed }) =>
      `${readingProblem('shim-binary-path', listed?.shimBinaryPath)}, and the container's record is not known: ${lookupProblem(answers.container)}`,
  },
  'shim-binary-not-found': {
    verdict: 'Discard',
    rule: rule('8', 'without its program a bundle is removed without asking its shim'),
    ruleOfEverySource: rule(
      null,
      'every source says that it is dead, and it has no program to clean up: it is removed',
    ),
    sentence: ({ answers }) =>
      answers.program?._tag === 'Left' ? showRuntimeError(answers.program.left) : 'the shim has no program',
  },
  leftover: {
    verdict: 'Discard',
    rule: rule(null, 'what an interrupted removal left behind is removed'),
    sentence: () => 'an interrupted removal left it behind, and nothing of it lives',
  },
  'bundle-unreadable': {
    verdict: 'Hold',
    rule: rule(null, 'a bundle that cannot be read is left as it is'),
    sentence: ({ contents, listed }) => {
      if (listed?.shimBinaryPath._tag === 'Read') return 'shim-binary-path holds NUL bytes: its content was lost';
      return contents?._tag === 'Unreadable'
        ? showFileError(contents.error)
        : readingProblem('shim-binary-path', listed?.shimBinaryPath);
    },
    hint: ({ again }) => `look at the bundle; when its files can be read, ${again}`,
  },
  'container-unanswered': {
    verdict: 'Hold',
    rule: rule(null, 'an error is no answer: the bundle is left as it is'),
    asksAgain: 'store',
    sentence: ({ answers, listed }) =>
      `${readingProblem('shim-binary-path', listed?.shimBinaryPath)}, and the container's record is not known: ${lookupProblem(answers.container)}`,
    hint: ({ again }) => `${again} when the store answers`,
  },
  'address-unknown': {
    verdict: 'Hold',
    rule: rule(null, 'a shim that cannot be looked for may live: the bundle is left as it is'),
    sentence: ({ policy, answers, listed }) =>
      `where the shim listens is not known: ${addressProblem(policy, listed, answers)}`,
    hint: () =>
      `a daemon that can dial this address may take the shim back; or see that the shim has ended, and remove the bundle by hand`,
  },
  'shim-unresponsive': {
    verdict: 'Hold',
    rule: rule(null, 'a shim that gives no answer may live: the bundle is left as it is'),
    asksAgain: 'once-more',
    sentence: ({ answers }) =>
      answers.connection?._tag === 'Connected'
        ? `the shim does not say whether it has a task: ${shimProblem(answers.state)}`
        : connectionProblem(answers.connection),
    hint: ({ shimPids, again, look, explain }) =>
      shimPids.length === 0
        ? `${again} when the shim answers; to let a stopped shim go on, look for its process with ${explain}, and run kill -CONT on it${look}`
        : `${again} when the shim answers; a stopped shim continues after kill -CONT ${shimPids.join(' ')}${look}`,
  },
  'shim-unreachable': {
    verdict: 'Hold',
    rule: rule(null, 'a shim that cannot be reached may live: the bundle is left as it is'),
    asksAgain: 'once-more',
    sentence: ({ policy, answers, listed }) =>
      answers.signs === undefined
        ? connectionProblem(answers.connection)
        : `${unansweredProblem(policy, listed, answers)}, but the shim lives: ${showLiving(livingShim(answers.signs))}`,
    hint: ({ again, look }) => `look at its shim${look}; ${again} when it has ended or answers`,
  },
  'shim-shared': {
    verdict: 'Hold',
    rule: rule(null, 'a shim that others need is not told to end'),
    sentence: ({ answers }) =>
      `the shim has no task for it, but other bundles share the shim, or may: ${(answers.sharers ?? []).map(Bytes.show).join(', ')}`,
    hint: ({ again }) => `${again} when the bundles that share the shim are gone`,
  },
  'no-container': {
    verdict: 'Hold',
    rule: rule(null, 'a shim that answers is not ended only because nobody knows its container'),
    sentence: () => 'the shim answers, but no container of this id is recorded',
    hint: ({ again }) => `record the container again, or stop it through its shim and end the shim; then ${again}`,
  },
  'task-disputed': {
    verdict: 'Hold',
    rule: rule(null, 'a shim that contradicts what lives is left as it is'),
    sentence: ({ answers }) =>
      `the shim answers that it has no such task, but its container lives: ${livingOf(answers)}`,
    hint: ({ again, look }) => `look at these processes${look}; when they have ended, ${again}`,
  },
  'orphan-workload': {
    verdict: 'Hold',
    rule: rule(null, 'a container that runs without its shim is left as it is'),
    sentence: ({ answers }) => `the shim is dead, but its container still runs: ${livingOf(answers)}`,
    hint: ({ namespace, id, again, look, evidence }) => {
      if (programOf(evidence) === undefined)
        return `the program that would end this container is not known, as shim-binary-path does not name one that can be run; end its processes by hand${look}, then ${again}`;
      return `to end this container and clean up: shim-recovery recover --policy careful --orphans reap=${namespace}/${id}, with the other options as they were`;
    },
  },
  'processes-unknown': {
    verdict: 'Hold',
    rule: rule(null, 'death needs every source, and one could not tell'),
    asksAgain: 'once-more',
    sentence: ({ answers }) => unknownLife(answers),
    hint: ({ again, explain, evidence }) =>
      isViewLimited(evidence.answers)
        ? `${again} with CAP_SYS_PTRACE, in the pid and mount namespaces of the shims, where every process can be seen`
        : `see what each source says: ${explain}`,
  },
  'leftover-in-use': {
    verdict: 'Hold',
    rule: rule(null, 'what processes belong to is no leftover'),
    sentence: ({ answers }) =>
      livingContainer(answers.signs ?? []).length > 0
        ? `it looks like what an interrupted removal left behind, but its container lives: ${livingOf(answers)}`
        : `it looks like what an interrupted removal left behind, but other bundles need its shim: ${showLiving(answers.signs ?? [])}`,
    hint: ({ again, look }) => `look at these processes${look}; when they have ended, ${again}`,
  },
  'not-a-bundle': {
    verdict: 'Hold',
    rule: rule(null, 'a directory that may be no bundle is left as it is'),
    sentence: ({ listed }) =>
      `nothing shows that it is a bundle: it holds ${(listed?.foreign ?? []).map(Bytes.show).join(', ')}, which no bundle has`,
    hint: () => 'check --state; a directory that is not a bundle is yours to remove',
  },
  'would-kill': {
    verdict: 'Hold',
    rule: rule(null, 'this run does not destroy what lives: it is left as it is'),
    sentence: ({ answers }) =>
      `it would be destroyed, but it lives: ${answers.signs === undefined ? 'its shim answers' : showLiving(answers.signs)}`,
    hint: () =>
      'stop its container first, or run the same command with --allow-killing; for a saved plan, save it anew with plan --allow-killing --out FILE',
  },
  'out-of-resources': {
    verdict: 'Hold',
    rule: rule(null, 'what this process lacks says nothing of the bundle: it is left as it is'),
    sentence: ({ evidence }) =>
      `this process ran out of resources, which says nothing of the shim: ${exhaustionOf(evidence)}`,
    hint: ({ again }) => `${again} with more file descriptors (ulimit -n) or memory`,
  },
  'not-probed': {
    verdict: 'Hold',
    rule: rule(null, 'without an answer it is left as it is'),
    sentence: () => 'the shim was not asked; recover would ask it',
    hint: ({ again }) => again,
  },
  'not-recorded': {
    verdict: 'Hold',
    rule: rule(null, 'without an answer it is not known what would become of it'),
    sentence: () => 'the recording does not tell what this policy would ask',
  },
  'plan-stale': {
    verdict: 'Hold',
    rule: rule(null, 'what is not as it was when the plan was made is left as it is'),
    sentence: () => 'it is not as it was when the plan was made',
    hint: () => 'look at it with shim-recovery plan --out FILE, and carry that plan out',
  },
  'not-planned': {
    verdict: 'Hold',
    rule: rule(null, 'what the plan does not name is left as it is'),
    sentence: () => 'the plan does not name it',
    hint: () => 'look at it with shim-recovery plan --out FILE, and carry that plan out',
  },
  interrupted: {
    verdict: 'Hold',
    rule: rule(null, 'what was not decided before the interruption is left as it is'),
    sentence: () => 'interrupted before it was decided',
    hint: ({ again }) => again,
  },
} as const satisfies Readonly<Record<string, Row>>;

/** Only the names: what a row holds is not part of any document. */
const names: Readonly<Record<keyof typeof table, unknown>> = table;

export const Reason = t.keyof(names, 'Reason');

export type Reason = t.TypeOf<typeof Reason>;

/** Every reason there is: for tables and for coverage. */
export const allReasons: ReadonlyArray<Reason> = Object.keys(table).filter(Reason.is);

/** The verdict that a reason stands for. */
export const verdictOf = (reason: Reason): Tag => rowOf(reason).verdict;

/** The same rows, of which each may have every part. */
const rowOf = (reason: Reason): Row => table[reason];

/** Who is asked again where a bundle is held for this reason; `never` where no answer is missing. */
export const asksAgain = (reason: Reason): AsksAgain | 'never' => rowOf(reason).asksAgain ?? 'never';

/** The rule by which a policy decides on a bundle, by its reason. */
export const ruleUnder =
  ({ death }: Pick<Policy, 'death'>) =>
  (reason: Reason): Rule => {
    const { rule: usual, ruleOfEverySource } = rowOf(reason);
    return (death === 'every-source' ? ruleOfEverySource : undefined) ?? usual;
  };

/** Why, in a sentence for people, with the facts that decided. */
export const explain =
  (policy: Policy) =>
  (evidence: BundleEvidence) =>
  ({ reason }: { readonly reason: Reason }): string => {
    const { contents, answers } = evidence;
    const listed = contents?._tag === 'Listed' ? contents : undefined;
    return rowOf(reason).sentence({ policy, evidence, contents, answers, listed });
  };

/**
 * A sentence with the command that would act on a bundle that the policy of this name holds; undefined for what is not held.
 * Another policy might destroy it.
 */
export const hintFor = (reason: Reason, policy: string, evidence: BundleEvidence): string | undefined => {
  const [namespace, id] = [Bytes.show(evidence.namespace), Bytes.show(evidence.id)];
  const pids = belongingPids(evidence.answers);
  return rowOf(reason).hint?.({
    evidence,
    namespace,
    id,
    shimPids: shimPidsOf(evidence.answers),
    again: `run shim-recovery recover --policy ${policy} again`,
    look: pids.length === 0 ? '' : ` (ps -fp ${pids.join(',')})`,
    explain: `shim-recovery explain --policy ${policy} ${namespace}/${id}`,
  });
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

/**
 * The way of one bundle through the decision table: each question in the order in which it was asked, its answer, and
 * the rule that followed; then the steps, with what follows where one fails. Pure, from what was learnt.
 */
import * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import * as B from '../base/ByteString.js';
import { type FileError, showFileError } from '../capabilities/FileSystem.js';
import { hasNoListener, showShimError } from '../capabilities/ShimConnector.js';
import { showBootstrapError, showSocket } from '../capabilities/ShimSocket.js';
import { type ContainerRecord, type Lookup, showStoreError } from '../capabilities/Stores.js';
import { processesAmong } from '../capabilities/TaskExit.js';
import { answerAmong, type DecisionReplay, replayDecision } from '../decide/DecisionReplay.js';
import type { Answers, BundleContents, BundleEvidence, ConnectionAnswer, LogState } from '../decide/Evidence.js';
import { isExhaustion, type Question } from '../decide/Question.js';
import { explain, readingProblem, Reason, Rule, rule, ruleUnder } from '../decide/Reasons.js';
import { shimAddress } from '../decide/ShimAddress.js';
import {
  allSignSources,
  showLiving,
  showSigns,
  type Signs,
  SignSource,
  SignState,
  unknownSigns,
} from '../decide/Signs.js';
import { because } from '../decide/Verdict.js';
import { stepsOf } from '../plan/Plan.js';
import { isSameTree, type StepTree } from '../plan/Step.js';
import { isHidden } from '../policy/Names.js';
import { type Policy, PolicyName } from '../policy/Policy.js';
import { showRuntimeError } from '../policy/ShimProgram.js';
import { inOneLine, reportStep, VerdictName, verdictNameOf } from '../report/Report.js';

/** One question, its answer in words, and the rule that followed from it. */
export const ExplanationRow = t.readonly(
  t.type({ question: t.string, answer: t.string, rule: Rule }),
  'ExplanationRow',
);

export interface ExplanationRow extends t.TypeOf<typeof ExplanationRow> {}

/** Steps in order until they end, well or not. */
export interface ExplainedPath {
  readonly steps: ReadonlyArray<ExplainedStep>;
  readonly succeeds: boolean;
}

/** `onFailure` is null where a failure changes nothing of what follows. */
export interface ExplainedStep {
  readonly step: string;
  readonly target?: string;
  readonly onFailure: ExplainedPath | null;
}

export const ExplainedPath: t.Type<ExplainedPath, unknown> = t.recursion('ExplainedPath', () =>
  t.readonly(t.type({ steps: t.readonlyArray(ExplainedStep), succeeds: t.boolean })),
);

const ExplainedStep: t.Type<ExplainedStep, unknown> = t.recursion('ExplainedStep', () =>
  t.readonly(
    t.intersection([
      t.type({ step: t.string, onFailure: t.union([ExplainedPath, t.null]) }),
      t.partial({ target: t.string }),
    ]),
  ),
);

/** One source and its answer. The shim's own answer is a source, too. */
export const ExplainedSource = t.readonly(
  t.type({ source: t.union([t.literal('shim-answer'), SignSource]), state: SignState, says: t.string }),
  'ExplainedSource',
);

export interface ExplainedSource extends t.TypeOf<typeof ExplainedSource> {}

export const Explanation = t.readonly(
  t.type({
    schema: t.literal('shim-recovery/explanation@1'),
    policy: PolicyName,
    namespace: t.string,
    id: t.string,
    /** The last one's rule is the one that settled it. */
    rows: t.readonlyArray(ExplanationRow),
    verdict: VerdictName,
    reason: Reason,
    explanation: t.string,
    /** Each source's answer about its life, or that it was not recorded; empty where there is nothing to ask about. */
    sources: t.readonlyArray(ExplainedSource),
    path: ExplainedPath,
  }),
  'Explanation',
);

export interface Explanation extends t.TypeOf<typeof Explanation> {}

/** A row in the making: the rule that follows unless it is settled here, and the reasons by which it may be. */
interface Look {
  readonly question: string;
  readonly answer: string;
  readonly next: Rule;
  readonly settles: ReadonlyArray<Reason>;
}

type Listed = Extract<BundleContents, { readonly _tag: 'Listed' }>;

/** The looks at the disk that come before the first question. */
const looksAtBundle = ({ kind, id, contents }: BundleEvidence): ReadonlyArray<Look> => {
  const looks = [look('what stands there?', `a ${kind}`, rule('2', 'its name decides next'), 'not-a-directory')];
  if (kind !== 'directory') return looks;
  looks.push(
    look(
      'is it hidden?',
      isHidden(id) ? 'yes, its name starts with a dot' : 'no',
      isHidden(id) ? rule(null, 'an interrupted removal may have left it') : rule('4', 'it is listed'),
      'hidden',
    ),
  );
  if (isHidden(id)) return looks;
  if (contents?._tag === 'Unreadable') {
    const { error } = contents;
    looks.push(
      look(
        'can it be listed?',
        `no: ${showFileError(error)}`,
        rule('4', ''),
        'unreadable',
        'bundle-unreadable',
        ...exhaustedBy(error),
      ),
    );
    return looks;
  }
  looks.push(look('can it be listed?', 'yes', rule('5', 'an empty one is none')));
  const isEmpty = contents?._tag !== 'Listed';
  const next = isEmpty ? otherSourcesNext : rule('6', 'it may say what its shim is');
  looks.push(look('is anything in it?', isEmpty ? 'no' : 'yes', next, 'empty'));
  if (contents?._tag === 'Listed') looks.push(lookAtRuntime(contents));
  return looks;
};

const look = (question: string, answer: string, next: Rule, ...settles: ReadonlyArray<Reason>): Look => ({
  question,
  answer,
  next,
  settles,
});

const lookAtRuntime = ({ shimBinaryPath: reading }: Listed): Look => {
  const question = 'which program does shim-binary-path name?';
  if (reading._tag === 'Read' && reading.content !== '')
    return look(question, B.show(reading.content), rule('6a', 'that is the runtime'));
  const exhausted: ReadonlyArray<Reason> =
    reading._tag === 'Failed' ? ['bundle-unreadable', ...exhaustedBy(reading.error)] : [];
  const next = rule(reading._tag === 'Failed' ? '6c' : '6b', 'its container may say what the runtime is');
  return look(question, `none: ${readingProblem('shim-binary-path', reading)}`, next, ...exhausted);
};

/** The looks that come before the shim is dialled, in the policy's order (SPEC 8.1). */
const looksBeforeDialling = (policy: Policy, contents: Listed): ReadonlyArray<Look> => {
  const address = lookAtAddress(policy, contents);
  switch (policy.logOpened) {
    case 'before-address':
      return [lookAtLog(contents), address];
    case 'after-address':
      // An address that is there is understood only after the log was opened.
      return address.settles.includes('address-unsupported')
        ? [lookAtLog(contents), address]
        : [address, lookAtLog(contents)];
    case 'after-dial':
    case 'optional':
      return [address];
  }
};

const lookAtLog = ({ log }: Listed): Look =>
  look(
    'can its log be opened?',
    showLog(log),
    rule('9', 'it is held open'),
    ...(log._tag === 'Unusable' ? (['log-unusable', ...exhaustedBy(log.error)] as const) : []),
  );

const showLog = (log: LogState): string => {
  switch (log._tag) {
    case 'Absent':
      return 'yes, a FIFO is made there';
    case 'Usable':
      return `yes, it is a ${log.kind}`;
    case 'Unusable':
      return `no: ${showFileError(log.error)}`;
  }
};

const lookAtAddress = (policy: Policy, contents: Listed): Look => {
  const question = 'where does its shim listen?';
  const address = shimAddress(policy)(contents);
  switch (address._tag) {
    case 'Unreadable': {
      const { file, reading } = address;
      const exhausted = reading._tag === 'Failed' ? exhaustedBy(reading.error) : [];
      return look(
        question,
        `no file says it: ${readingProblem(file, reading)}`,
        otherSourcesNext,
        'address-unreadable',
        'address-unknown',
        ...exhausted,
      );
    }
    case 'Unsupported':
      return look(
        question,
        showBootstrapError(address.error),
        otherSourcesNext,
        'address-unsupported',
        'address-unknown',
      );
    case 'Target': {
      const written = address.migrated === undefined ? '' : '; bootstrap.json is made of it';
      return look(
        question,
        `${showSocket(address.target.socket)}, over ${address.target.protocol}${written}`,
        rule('9', 'it is dialled there'),
      );
    }
  }
};

/** An error of which nothing is known but that this process lacks something settles a bundle in another way. */
const exhaustedBy = (error: FileError): ReadonlyArray<Reason> => (isExhaustion(error) ? ['out-of-resources'] : []);

const heardOfConnection = (connection: ConnectionAnswer | undefined): Pick<Look, 'answer' | 'settles'> => {
  if (connection === undefined) return heard(undefined);
  const reasons: ReadonlyArray<Reason> = [
    'log-unusable',
    'dial-failed',
    'connect-failed',
    'not-probed',
    'out-of-resources',
    'shim-unresponsive',
    'shim-unreachable',
    'address-unknown',
  ];
  return connection._tag === 'Connected'
    ? heard(showConnection(connection))
    : heard(showConnection(connection), ...reasons);
};

/** The text of an answer, and the reasons by which it may settle the bundle; nothing where there is no answer. */
const heard = (answer: string | undefined, ...settles: ReadonlyArray<Reason>): Pick<Look, 'answer' | 'settles'> =>
  answer === undefined ? { answer: 'it was not asked', settles: ['not-recorded'] } : { answer, settles };

const showConnection = (connection: ConnectionAnswer): string => {
  switch (connection._tag) {
    case 'Connected':
      return `yes, as process ${connection.answer.shimPid}`;
    case 'LogFailed':
      return `it was not asked: ${showFileError(connection.error)}`;
    case 'DialFailed':
    case 'ConnectFailed':
      return `no: ${showShimError(connection.error)}`;
    case 'NotProbed':
      return 'it was not asked';
  }
};

/** Where death needs every source: what follows a question whose answer settles nothing alone. */
const otherSourcesNext = rule(null, 'the other sources are asked whether it lives');

const shimSource = (connection: ConnectionAnswer | undefined): ReadonlyArray<ExplainedSource> => {
  const source = 'shim-answer' as const;
  if (connection === undefined) return [{ source, state: 'unknown', says: 'its shim was not dialled' }];
  const says = inOneLine(showConnection(connection));
  switch (connection._tag) {
    case 'Connected':
      return [{ source, state: 'alive', says }];
    case 'ConnectFailed':
      return [{ source, state: connection.error._tag === 'Answered' ? 'alive' : 'unknown', says }];
    case 'DialFailed':
      return [{ source, state: hasNoListener(connection.error) ? 'dead' : 'unknown', says }];
    case 'LogFailed':
    case 'NotProbed':
      return [{ source, state: 'unknown', says }];
  }
};

/** A recording has what decisions and warnings needed: the sources were not asked about what is taken back, say. */
const unrecordedSources: ReadonlyArray<ExplainedSource> = allSignSources.map((source) => ({
  source,
  state: 'unknown',
  says: 'it was not recorded',
}));

/** The way through a policy's decisions, from what a policy learnt of a bundle. */
export const explainBundle =
  (policy: Policy) =>
  (evidence: BundleEvidence): Explanation => {
    const deliberated = replayDecision(policy, answerAmong(evidence.answers))(evidence);
    const verdict = deliberated._tag === 'Decided' ? deliberated.verdict : because('not-recorded');
    return {
      schema: 'shim-recovery/explanation@1',
      policy: policy.name,
      namespace: B.show(evidence.namespace),
      id: B.show(evidence.id),
      rows: rowsOf(policy, deliberated, verdict.reason),
      verdict: verdictNameOf(verdict),
      reason: verdict.reason,
      explanation: inOneLine(explain(policy)(deliberated.evidence)(verdict)),
      sources: sourcesOf(evidence.answers),
      path: explainSteps(stepsOf(policy)(deliberated.evidence)(verdict)),
    };
  };

/** Every source with its answer, whether or not the decision asked for it. */
const sourcesOf = ({ connection, signs }: Answers): ReadonlyArray<ExplainedSource> => {
  if (connection === undefined && signs === undefined) return [];
  const others = signs?.map(({ source, state, says }) => ({ source, state, says: inOneLine(says) }));
  return [...shimSource(connection), ...(others ?? unrecordedSources)];
};

/** A tree of steps, told from its beginning along what succeeds. */
const explainSteps = (tree: StepTree): ExplainedPath => {
  const steps: Array<ExplainedStep> = [];
  let at = tree;
  for (; at._tag === 'Do'; at = at.onSuccess) {
    const { outcome: _, ...step } = reportStep(at.step, 'planned');
    steps.push({ ...step, onFailure: isSameTree(at.onSuccess, at.onFailure) ? null : explainSteps(at.onFailure) });
  }
  return { steps, succeeds: at.succeeded };
};

/** Every question in its order, up to the one that settled it. */
const rowsOf = (policy: Policy, deliberated: DecisionReplay, reason: Reason): ReadonlyArray<ExplanationRow> => {
  const { contents } = deliberated.evidence;
  const looks: Array<Look> = [...looksAtBundle(deliberated.evidence)];
  const asked = [
    ...deliberated.asked,
    ...(deliberated._tag === 'Stuck' ? [{ question: deliberated.question, answers: {} }] : []),
  ];
  let lastAskedAt = 0;
  for (const { question, answers } of asked) {
    lastAskedAt = looks.length;
    if (contents?._tag === 'Listed' && isLogOpenedMeanwhile(policy, answers)) looks.push(lookAtLog(contents));
    looks.push(lookAtAnswer(policy, question, answers));
    if (contents?._tag === 'Listed' && question._tag === 'Program')
      looks.push(...looksBeforeDialling(policy, contents));
  }
  // A look after which the run went on asking has not settled the bundle.
  const settledAt = looks.findIndex(({ settles }, at) => at >= lastAskedAt && settles.includes(reason));
  const shown = settledAt === -1 ? looks : looks.slice(0, settledAt + 1);
  return shown.map(({ question, answer, next }, at) => ({
    question: inOneLine(question),
    answer: inOneLine(answer),
    rule: at === shown.length - 1 ? ruleUnder(policy)(reason) : next,
  }));
};

/** A question that was asked of others, and its answer, which is absent where there is none. */
const lookAtAnswer = (policy: Policy, question: Question, answers: Answers): Look => {
  const { container, program, connection, sandbox, pids, state, signs, sharers } = answers;
  switch (question._tag) {
    case 'Container':
      return {
        question: 'is a container of this id recorded?',
        ...heard(container && showLookup(container, showRecord), 'container-unanswered'),
        next:
          container?._tag === 'Found'
            ? rule('7b', 'that is the runtime')
            : rule(null, 'its shim is looked for all the same'),
      };
    case 'Program':
      return {
        question: `where is the program of ${question.runtime === '' ? 'a runtime without a name' : B.show(question.runtime)}?`,
        ...heard(
          program && (E.isLeft(program) ? showRuntimeError(program.left) : B.show(program.right)),
          'shim-binary-not-found',
        ),
        next: rule('9', 'its shim is looked for'),
      };
    case 'Connection':
      return {
        question: `does the shim answer at ${showSocket(question.target.socket)}?`,
        ...heardOfConnection(connection),
        next: afterConnection(policy, connection),
      };
    case 'Sandbox':
      return {
        question: 'is a sandbox of this id recorded?',
        ...heard(sandbox && showLookup(sandbox, () => 'yes')),
        next: rule('11', 'its processes are asked for all the same'),
      };
    case 'Pids':
      return {
        question: 'which processes has its task?',
        ...heard(pids && showPids(pids)),
        next: rule('12', 'that settles it'),
      };
    case 'State':
      return {
        question: 'where does its task stand?',
        ...heard(state && (E.isLeft(state) ? showShimError(state.left) : state.right.status)),
        next: rule(null, 'a task that was never created may go'),
      };
    case 'Signs':
      return {
        question: 'what do the other sources say of its life?',
        ...heard(signs && showLife(signs)),
        next: rule(null, 'death needs every source'),
      };
    case 'Sharers':
      return {
        question: 'which other bundles share its shim?',
        ...heard(sharers && (sharers.length === 0 ? 'none' : sharers.map(B.show).join(', '))),
        next: rule(null, 'a shim that others need is not told to end'),
      };
  }
};

const afterConnection = (policy: Policy, connection: ConnectionAnswer | undefined): Rule => {
  if (connection?._tag !== 'Connected') return otherSourcesNext;
  return policy.reapsLeakedShims ? rule('11', 'it is found out what it has') : ruleUnder(policy)('shim-answers');
};

/** Says in words what the sources found together: first the living parts, then the unknown ones. */
const showLife = (signs: Signs): string => {
  const living = showLiving(signs);
  if (living !== '') return `it lives: ${living}`;
  const open = unknownSigns(signs);
  return open.length > 0 ? `not known: ${showSigns(open)}` : 'every source says that it is dead';
};

const showRecord = ({ runtimeName }: ContainerRecord): string =>
  runtimeName === '' ? 'yes, without a runtime' : `yes, with the runtime ${B.show(runtimeName)}`;

const showPids = (pids: NonNullable<Answers['pids']>): string => {
  if (E.isLeft(pids)) return showShimError(pids.left);
  const listed = processesAmong(pids.right);
  return listed.length === 0 ? 'none' : listed.join(', ');
};

const showLookup = <A>(lookup: Lookup<A>, found: (value: A) => string): string => {
  switch (lookup._tag) {
    case 'Found':
      return found(lookup.value);
    case 'NotFound':
      return 'no';
    case 'Unknown':
      return `not known: ${showStoreError(lookup.error)}`;
  }
};

/** Whether the log was opened between dialling and asking. */
const isLogOpenedMeanwhile = ({ logOpened }: Policy, { connection }: Answers): boolean =>
  logOpened === 'after-dial' && (connection?._tag === 'Connected' || connection?._tag === 'ConnectFailed');

/**
 * What changed between a plan and now, for one bundle: pure. Only what matters to its steps counts. A process more in the
 * list of a running task does not count, another verdict does.
 */
import type * as B from '../base/ByteString.js';
import { show } from '../base/ByteString.js';
import { type FileStatus, isSameFile } from '../capabilities/FileSystem.js';
import type { ConnectAnswer } from '../capabilities/ShimConnector.js';
import { explain } from '../decide/Reasons.js';
import type { BundlePlan } from '../plan/Plan.js';
import { isSameTree, perform, type Step, type StepTree, successPath } from '../plan/Step.js';
import type { Policy } from '../policy/Policy.js';
import { reportStep, verdictNameOf, verdictWords } from './Report.js';

/**
 * - `Replaced`: another directory stands there.
 * - `DecidedOtherwise`: the verdict, or its reason, is another one.
 * - `OtherShim`: the shim that answers is another one, or has another task.
 * - `OtherSteps`: the same verdict would be carried out otherwise.
 * - `OtherWork`: another working directory stands where one would be removed.
 */
export type Change =
  | { readonly _tag: 'Replaced' }
  | { readonly _tag: 'DecidedOtherwise'; readonly planned: BundlePlan; readonly now: BundlePlan }
  | { readonly _tag: 'OtherShim'; readonly planned: ConnectAnswer; readonly now: ConnectAnswer }
  | { readonly _tag: 'OtherSteps'; readonly planned: ReadonlyArray<Step>; readonly now: ReadonlyArray<Step> }
  | { readonly _tag: 'OtherWork'; readonly path: B.ByteString };

/** The changes since a plan was made. None, where nothing was to be done and nothing is, for the same reason. */
export const changesSince =
  (planned: BundlePlan) =>
  (now: BundlePlan): ReadonlyArray<Change> => {
    const decided = decisionChanges(planned, now);
    const isLeft = now.verdict._tag === 'Hold' || now.verdict._tag === 'Ignore';
    if (isLeft && decided.length === 0) return [];
    return [
      ...(isSame(planned.evidence.identity, now.evidence.identity) ? [] : [{ _tag: 'Replaced' } as const]),
      ...decided,
      ...shimChanges(planned, now),
      ...stepChanges(planned, now),
      ...workChanges(planned, now),
    ];
  };

const decisionChanges = (planned: BundlePlan, now: BundlePlan): ReadonlyArray<Change> =>
  planned.verdict.reason === now.verdict.reason || (planned.verdict._tag === 'Adopt' && now.verdict._tag === 'Adopt')
    ? []
    : [{ _tag: 'DecidedOtherwise', planned, now }];

const isSame = (planned: FileStatus | null, now: FileStatus | null): boolean =>
  planned === null || now === null ? planned === now : isSameFile(planned, now);

/** The verdict on a bundle, with its reason, for the middle of a sentence. */
export const showVerdict =
  (policy: Policy) =>
  ({ evidence, verdict }: BundlePlan): string =>
    `${verdictWords[verdictNameOf(verdict)]}, as ${explain(policy)(evidence)(verdict)}`;

/** A sentence for people, or rather the part of one. */
export const showChange =
  (policy: Policy) =>
  (change: Change): string => {
    switch (change._tag) {
      case 'Replaced':
        return 'another directory stands there';
      case 'DecidedOtherwise':
        if (change.planned.verdict._tag === change.now.verdict._tag)
          return `it would still be ${verdictWords[verdictNameOf(change.now.verdict)]}, but for another reason: planned was ${explain(policy)(change.planned.evidence)(change.planned.verdict)}; now ${explain(policy)(change.now.evidence)(change.now.verdict)}`;
        return `planned was ${showVerdict(policy)(change.planned)}; now it would be ${showVerdict(policy)(change.now)}`;
      case 'OtherShim':
        return `another shim answers, or for another task: planned was ${showAnswer(change.planned)}, now it is ${showAnswer(change.now)}`;
      case 'OtherSteps': {
        const [planned, now] = [showSteps(change.planned), showSteps(change.now)];
        return planned === now
          ? 'after a step that fails, other steps would follow'
          : `other steps would be taken: planned were ${planned}; now they are ${now}`;
      }
      case 'OtherWork':
        return `another working directory stands at ${show(change.path)}`;
    }
  };

const showAnswer = ({ shimPid, taskPid, version }: ConnectAnswer): string =>
  `shim ${shimPid}, task ${taskPid}${version === '' ? '' : `, version ${version}`}`;

const showSteps = (steps: ReadonlyArray<Step>): string =>
  steps
    .map((step) => {
      const { step: name, target } = reportStep(step, 'planned');
      return target === undefined ? name : `${name} ${target}`;
    })
    .join(', ');

const shimChanges = (planned: BundlePlan, now: BundlePlan): ReadonlyArray<Change> => {
  const [before, after] = [answerOf(planned), answerOf(now)];
  if (before === undefined || after === undefined) return []; // then the verdict tells
  const isSameShim =
    before.shimPid === after.shimPid && before.taskPid === after.taskPid && before.version === after.version;
  return isSameShim ? [] : [{ _tag: 'OtherShim', planned: before, now: after }];
};

const answerOf = ({ evidence: { answers } }: BundlePlan): ConnectAnswer | undefined =>
  answers.connection?._tag === 'Connected' ? answers.connection.answer : undefined;

const stepChanges = (planned: BundlePlan, now: BundlePlan): ReadonlyArray<Change> =>
  decisionChanges(planned, now).length > 0 ||
  isSameTree(planned.steps, now.steps) ||
  isSameTree(withoutMigration(planned.steps), now.steps)
    ? []
    : [{ _tag: 'OtherSteps', planned: successPath(planned.steps), now: successPath(now.steps) }];

/** The rest of the steps after `bootstrap.json` was written: a run that was cut short may have done that already. */
const withoutMigration = (tree: StepTree): StepTree => {
  if (tree._tag === 'End') return tree;
  if (tree.step._tag === 'WriteBootstrap') return withoutMigration(tree.onSuccess);
  return perform(tree.step, withoutMigration(tree.onSuccess), withoutMigration(tree.onFailure));
};

/** A working directory that is gone meanwhile does not count: there is nothing left to remove. */
const workChanges = (planned: BundlePlan, now: BundlePlan): ReadonlyArray<Change> => {
  const before = workOf(planned.steps);
  return Array.from(workOf(now.steps)).flatMap(([path, identity]): ReadonlyArray<Change> => {
    const looked = before.get(path);
    return looked === undefined || identity === null || isSame(looked, identity) ? [] : [{ _tag: 'OtherWork', path }];
  });
};

const workOf = (tree: StepTree): ReadonlyMap<B.ByteString, FileStatus | null> => {
  const found = new Map<B.ByteString, FileStatus | null>();
  const visit = (at: StepTree): void => {
    if (at._tag === 'End') return;
    if (at.step._tag === 'RemoveWorkDirectory') found.set(at.step.path, at.step.identity ?? null);
    visit(at.onSuccess);
    visit(at.onFailure);
  };
  visit(tree);
  return found;
};

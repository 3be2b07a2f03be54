/** Whether something that a verdict destroys is alive, and which processes: what an operator is told before it is done. */
import * as E from 'fp-ts/lib/Either.js';
import type { BundleEvidence } from './Evidence.js';
import type { TaskStatus } from '../capabilities/ShimConnector.js';
import { processesAmong } from '../capabilities/TaskExit.js';
import { isDestructive, type Verdict } from './Verdict.js';
import { livingContainer, livingShim, pidsOf, showLiving, type Signs } from './Signs.js';

/** The living parts of a bundle, in words and by process. */
export interface Life {
  readonly pids: ReadonlyArray<number>;
  /** For the middle of a sentence. */
  readonly says: string;
}

/** All that is known to live of a bundle, under every verdict; `undefined` where nothing is. */
export const livesOf = ({ answers }: BundleEvidence): Life | undefined => {
  const living = [...livingContainer(answers.signs ?? []), ...livingShim(answers.signs ?? [])];
  return joined(answerOf(answers), living);
};

/** The shim's own report, together with the signs of other sources. */
const joined = (told: Life | undefined, living: Signs): Life | undefined => {
  if (living.length === 0) return told;
  const pids = [...new Set([...(told?.pids ?? []), ...pidsOf(living)])].sort((one, other) => one - other);
  return { pids, says: [...(told === undefined ? [] : [told.says]), showLiving(living)].join('; ') };
};

/** The life that the shim itself reported. */
const answerOf = (answers: BundleEvidence['answers']): Life | undefined => {
  const { connection, pids } = answers;
  const status = livingTask(answers);
  if (connection?._tag === 'ConnectFailed' && connection.error._tag === 'Answered')
    return { pids: [], says: 'its shim answers, with an error' };
  if (connection?._tag !== 'Connected') return undefined;
  const running = pids !== undefined && E.isRight(pids) ? processesAmong(pids.right) : [];
  const known = running.length > 0 ? running : processesAmong([connection.answer.shimPid]);
  return { pids: known, says: status === undefined ? 'its shim answers' : `its shim says that its task is ${status}` };
};

/** Where the shim says that its task is, unless that has ended; `undefined` where it has, and where it was not asked. */
const livingTask = ({ state }: BundleEvidence['answers']): TaskStatus | undefined =>
  state !== undefined && E.isRight(state) && state.right.status !== 'stopped' ? state.right.status : undefined;

/**
 * The life in a bundle that this verdict destroys; `undefined` where nothing is known to live, or nothing is destroyed.
 * A shim that is reaped because it has no task does not count, but a pod that shares it does.
 */
export const lifeOf =
  ({ answers }: BundleEvidence) =>
  (verdict: Verdict): Life | undefined => {
    // A daemon that cannot make what it must gives the shim up that it was about to take back.
    if (verdict._tag === 'Adopt') return (answers.obstacles ?? []).length > 0 ? answerOf(answers) : undefined;
    if (!isDestructive(verdict)) return undefined;
    const { signs = [] } = answers;
    const isExpected = expectsLivingShim(verdict, answers);
    const living = [...livingContainer(signs), ...(isExpected ? podSigns(signs) : livingShim(signs))];
    const told = isExpected ? undefined : answerOf(answers);
    return joined(told, living);
  };

/**
 * A shim that answers without a task is told to end: that it lives is the reason to reap it, and nothing that is lost. It may
 * have a task all the same, of which it lists no process: one that is created or paused.
 */
const expectsLivingShim = ({ _tag, reason }: Verdict, answers: BundleEvidence['answers']): boolean =>
  _tag === 'Reap' && reason !== 'pids-failed' && livingTask(answers) === undefined;

const podSigns = (signs: Signs): Signs => livingShim(signs).filter(({ source }) => source === 'pod');

/**
 * What lives in a world, by the world itself, also where a recovery cannot see it. And what is done to it:
 * every call that takes something from what lives, at the moment when it is made.
 */
import { ByteString as B } from '@shim-recovery/core';
import { isHidden } from '@shim-recovery/core/interpreter';
import { type Effect, faultsOf, type Intervention } from './FaultInjection.js';
import type { LaidWorld } from './LaidWorld.js';
import { type PlainReply, replyAt, type Reply, ShimScript, stateAt } from '../worlds/Shim.js';
import { hasTask, keyOf, keyText, shimOwner, type Start } from '../worlds/World.js';
import { bundlePath, workPath } from '../worlds/WorldTree.js';

/** What was done to an entry that lived at that moment. */
export interface Harm {
  /** As `keyText` names it. */
  readonly key: string;
  /** For the end of a sentence. */
  readonly what: string;
}

/**
 * Whether an entry's shim, though it lives, may be told to end for this entry's sake: it has no task of it. The shim of a
 * sandbox in the controller's tree has none, and is needed all the same.
 */
export const isLeaked =
  ({ world }: Pick<LaidWorld, 'world'>) =>
  (start: Start): boolean => {
    if (start.tree !== undefined) return false;
    const script = shimOwner(world)(start)?.shim;
    return !hasTask(start) || (ShimScript.is(script) && mayDenyTask(script));
  };

/** Whether a shim ever says, when it is asked, that it has no task. */
const mayDenyTask = (script: ShimScript): boolean => {
  const isNone = (reply: PlainReply<{ readonly pids: ReadonlyArray<number> }>): boolean =>
    isNoSuchTask(reply) || (typeof reply === 'object' && 'ok' in reply && reply.ok.pids.length === 0);
  const pids = repliesOf(script.pids);
  const turns = Math.max(pids.length, script.state === undefined ? 1 : repliesOf(script.state).length);
  const states = Array.from({ length: turns }, (_, turn) => stateAt(script, turn).reply);
  return pids.some(isNone) && states.some(isNoSuchTask);
};

const isNoSuchTask = (reply: PlainReply<unknown>): boolean =>
  typeof reply === 'object' && 'error' in reply && reply.error === 5;

const repliesOf = <A>(reply: Reply<A>): ReadonlyArray<PlainReply<A>> => {
  const turns = typeof reply === 'object' && 'turns' in reply ? reply.turns.length : 1;
  return Array.from({ length: turns }, (_, turn) => replyAt(reply, turn).reply);
};

/** Whether an entry must keep what it has now: something of it runs, or it is a user's. */
export const mustStay =
  (laid: LaidWorld) =>
  (start: Start): boolean =>
    start.userOwned === true ||
    laid.livingProcesses(start) > 0 ||
    // What an interrupted removal left behind a dot goes, whether its shim is gone or only without a task.
    (laid.livingShim(start) && !isHidden(B.fromText(start.id)) && !isLeaked(laid)(start));

/** What a call that is about to be made does to what lives now. */
export const harmsOf =
  (laid: LaidWorld) =>
  (effect: Effect, intervention: Intervention): ReadonlyArray<Harm> => {
    if (!effect.isMutation || !isMade(effect, intervention)) return [];
    return laid.world.entries.flatMap((start) => {
      const what = takenBy(laid, effect)(start);
      if (what === undefined) return [];
      const isOver = effect.operation === 'Shutdown' ? !needsShim(laid)(start) : !mustStay(laid)(start);
      return isOver || !hasEverything(start) ? [] : [{ key: keyText(start), what }];
    });
  };

const isMade = (effect: Effect, intervention: Intervention): boolean =>
  intervention._tag === 'Crash'
    ? intervention.when === 'after'
    : intervention._tag === 'Proceed' ||
      intervention.when === 'after' ||
      !faultsOf(effect).includes(intervention.fault);

/** What a call, if it is made, takes from an entry. */
const takenBy =
  ({ places }: LaidWorld, { capability, operation, subject, task }: Effect) =>
  (start: Start): string | undefined => {
    const bundle = bundlePath(places, start);
    switch (capability) {
      case 'fileSystem':
        if (!removals.includes(operation) || isMigration(subject)) return undefined;
        if (isAtOrBelow(bundle, subject)) return 'lost something of its bundle';
        return isAtOrBelow(workPath(places, start), subject) ? 'lost something of its working directory' : undefined;
      case 'mounts':
        return operation === 'unmount' && isAtOrBelow(bundle, subject) ? 'lost what is mounted' : undefined;
      case 'shimBinary':
        return subject === bundle ? 'was told to end' : undefined;
      case 'shimConnector': {
        const { namespace, id } = keyOf(start);
        const isOwn = start.tree === undefined && task === `${namespace}/${id}`;
        if (operation === 'Delete') return isOwn ? 'was told to end' : undefined;
        if (operation !== 'Shutdown' || subject !== places.socketOf(start) || start.shim === undefined)
          return undefined;
        return isOwn ? 'was told to end' : 'lost its shim, which was told to end for another';
      }
      default:
        return undefined;
    }
  };

const removals: ReadonlyArray<string> = ['unlink', 'rmdir', 'rename'];

/** What 2.x makes beside what is there when it takes a bundle back. */
const isMigration = (subject: string): boolean => subject.endsWith('/.bootstrap.json');

const isAtOrBelow = (path: string, subject: string): boolean => subject === path || subject.startsWith(`${path}/`);

/** Whether an entry needs its shim now. */
const needsShim =
  (laid: LaidWorld) =>
  (start: Start): boolean =>
    laid.livingProcesses(start) > 0 || (typeof start.bundle === 'object' && mustStay(laid)(start));

/** Whether there is anything to lose: a bundle, not only a working directory or a file of its name. */
const hasEverything = ({ bundle }: Start): boolean => typeof bundle === 'object' || bundle === 'empty';

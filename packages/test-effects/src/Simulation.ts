/**
 * The program run over a world in which things go wrong, as often as the schedule says, and then once undisturbed. What
 * dies with the process is forgotten between two runs; what stands on disk, and the shims, go on.
 */
import * as B from '@shim-recovery/core/ByteString';
import type { RecoveryError } from '@shim-recovery/core/Preparation';
import * as Recovery from '@shim-recovery/core/Recovery';
import type { Report } from '@shim-recovery/core/Report';
import * as E from 'fp-ts/lib/Either.js';
import { type Effect, type Fault, type Interception, intercept } from './Effect.js';
import { type LaidWorld, layWorld, registeredBy } from './LaidWorld.js';
import type { Listing } from './Outcome.js';
import { calm, disturbedRuns, interventionOf, type Schedule } from './Schedule.js';
import type { RecordedWorld } from './World.js';

/** One run of the program: to its end, or to its crash. */
export interface SimulatedRun {
  readonly effects: ReadonlyArray<Effect>;
  readonly injected: ReadonlyArray<readonly [Effect, Fault]>;
  readonly ending:
    | { readonly _tag: 'Crashed' }
    | { readonly _tag: 'Refused'; readonly error: RecoveryError }
    | { readonly _tag: 'Ended'; readonly report: Report };
}

/** What is there in the end, in a form that can be compared and printed. */
export interface EndState {
  /** Everything that stands below the world's base, one line an entry. */
  readonly entries: ReadonlyArray<string>;
  readonly registered: ReadonlyArray<string>;
  /** The shims that still listen. */
  readonly shims: ReadonlyArray<string>;
}

export interface Simulated {
  readonly runs: ReadonlyArray<SimulatedRun>;
  readonly end: EndState;
  readonly laid: LaidWorld;
}

const entryLine = ({ path, kind, content, isMountPoint }: Listing[number]): string =>
  `${B.show(path)} ${kind}${content === undefined ? '' : ` ${B.show(content)}`}${isMountPoint ? ' [mount]' : ''}`;

const endStateOf = (laid: LaidWorld, registered: ReadonlyArray<string>): EndState => ({
  entries: laid.list().map(entryLine).sort(),
  registered: [...registered].sort(),
  shims: laid.machine.shims
    .listening()
    .map((socket) => JSON.stringify(socket))
    .sort(),
});

/** Runs the program once, through an interception. A crash leaves nothing of the process behind. */
const runOnce = async (
  laid: LaidWorld,
  interception: Interception,
): Promise<{ readonly run: SimulatedRun; readonly registered: ReadonlyArray<string> }> => {
  const { machine, settings } = laid;
  const recovering = Recovery.recover(settings)(interception.capabilities)();
  const outcome = await Promise.race([recovering, interception.crashed]);
  const told = { effects: interception.effects(), injected: interception.injected() };
  if (outcome === undefined) {
    machine.shims.hangUp();
    return { run: { ...told, ending: { _tag: 'Crashed' } }, registered: [] };
  }
  if (E.isLeft(outcome)) return { run: { ...told, ending: { _tag: 'Refused', error: outcome.left } }, registered: [] };
  const recovered = outcome.right;
  await Promise.race([recovered.settled(), interception.crashed]);
  const registered = registeredBy(recovered).map(({ namespace, id }) => `${B.show(namespace)}/${B.show(id)}`);
  await Promise.race([recovered.stop(), interception.crashed]);
  machine.shims.hangUp();
  return { run: { ...told, ending: { _tag: 'Ended', report: recovered.report } }, registered };
};

/** Simulates a world under a schedule: its disturbed runs, one after the other, and then one that is left alone. */
export const simulate = async (world: RecordedWorld, schedule: Schedule = calm): Promise<Simulated> => {
  const laid = layWorld(world);
  const runs: Array<SimulatedRun> = [];
  let registered: ReadonlyArray<string> = [];
  for (let run = 0; run <= disturbedRuns(schedule); run++) {
    const once = await runOnce(laid, intercept(laid.machine.capabilities, interventionOf(schedule, run)));
    runs.push(once.run);
    registered = once.registered;
  }
  return { runs, end: endStateOf(laid, registered), laid };
};

/**
 * The calls of a run before which a crash makes a difference: those that change something, and the end. Between two
 * changes every crash leaves the same behind.
 */
export const crashPoints = ({ effects }: SimulatedRun): ReadonlyArray<number> =>
  effects.filter(({ isMutation }) => isMutation).map(({ number }) => number);

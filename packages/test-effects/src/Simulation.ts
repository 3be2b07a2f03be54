/**
 * The program run over a world in which things go wrong, as often as the schedule says, and then once undisturbed. What
 * dies with the process is forgotten between two runs; what stands on disk, and the shims, go on.
 */
import * as B from '@shim-recovery/core/ByteString';
import type { RecoveryError } from '@shim-recovery/core/Preparation';
import * as Recovery from '@shim-recovery/core/Recovery';
import type { TaskEvent } from '@shim-recovery/core/EventSink';
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
    | { readonly _tag: 'Ended'; readonly report: Report; readonly hold: Hold };
  /** What was published, in order. */
  readonly events: ReadonlyArray<TaskEvent>;
}

/** What a run held open at its end, before it let go, and what it forgot to close when it did. */
export interface Hold {
  readonly registered: number;
  readonly connections: number;
  readonly leaked: { readonly connections: number; readonly directories: number; readonly logPipes: number };
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
  /** The disturbed runs, then two that were left alone. */
  readonly runs: ReadonlyArray<SimulatedRun>;
  /** After the first run that was left alone. */
  readonly end: EndState;
  /** After one more. */
  readonly endAgain: EndState;
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
  const { shims, fileSystem, logPipes, eventSink } = machine;
  // What an earlier run that crashed had open is no fault of this one.
  const before = { directories: fileSystem.openDirectories(), logPipes: logPipes.openNow().length };
  const eventsBefore = eventSink.published().length;
  const recovering = Recovery.recover(settings)(interception.capabilities)();
  const outcome = await Promise.race([recovering, interception.crashed]);
  const told = (): Omit<SimulatedRun, 'ending'> => ({
    effects: interception.effects(),
    injected: interception.injected(),
    events: eventSink.published().slice(eventsBefore),
  });
  const crashed = (): { readonly run: SimulatedRun; readonly registered: ReadonlyArray<string> } => {
    shims.hangUp();
    return { run: { ...told(), ending: { _tag: 'Crashed' } }, registered: [] };
  };
  if (outcome === undefined) return crashed();
  if (E.isLeft(outcome))
    return { run: { ...told(), ending: { _tag: 'Refused', error: outcome.left } }, registered: [] };
  const recovered = outcome.right;
  const registered = registeredBy(recovered).map(({ namespace, id }) => `${B.show(namespace)}/${B.show(id)}`);
  const connections = shims.openConnections();
  const stopped = await Promise.race([recovered.stop().then(() => true), interception.crashed]);
  if (stopped === undefined) return crashed();
  const hold: Hold = {
    registered: registered.length,
    connections,
    leaked: {
      connections: shims.openConnections(),
      directories: fileSystem.openDirectories() - before.directories,
      logPipes: logPipes.openNow().length - before.logPipes,
    },
  };
  return { run: { ...told(), ending: { _tag: 'Ended', report: recovered.report, hold } }, registered };
};

/** Simulates a world under a schedule: its disturbed runs, one after the other, and then two that are left alone. */
export const simulate = async (world: RecordedWorld, schedule: Schedule = calm): Promise<Simulated> => {
  const laid = layWorld(world);
  const runs: Array<SimulatedRun> = [];
  const next = async (): Promise<ReadonlyArray<string>> => {
    const interception = intercept(laid.machine.capabilities, interventionOf(schedule, runs.length));
    const { run, registered } = await runOnce(laid, interception);
    runs.push(run);
    return registered;
  };
  const disturbed = disturbedRuns(schedule);
  while (runs.length < disturbed) await next();
  const end = endStateOf(laid, await next());
  return { runs, end, endAgain: endStateOf(laid, await next()), laid };
};

/**
 * The calls of a run before which a crash makes a difference: those that change something, and the end. Between two
 * changes every crash leaves the same behind.
 */
export const crashPoints = ({ effects }: SimulatedRun): ReadonlyArray<number> =>
  effects.filter(({ isMutation }) => isMutation).map(({ number }) => number);

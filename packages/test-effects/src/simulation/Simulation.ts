/**
 * The program run over a world in which things go wrong, as often as the schedule says, and then once undisturbed. What
 * dies with the process is forgotten between two runs; what stands on disk, and the shims, go on.
 */
import { ByteString as B, Recovery } from '@shim-recovery/core';
import type { Report } from '@shim-recovery/core/documents';
import {
  containerd17,
  type ObserverEvent,
  type Policy,
  type Reason,
  type Settings,
  type TaskEvent,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { type Effect, type Fault, type Interception, intercept } from './FaultInjection.js';
import { type LaidWorld, layWorld, registeredBy } from './LaidWorld.js';
import type { Listing } from '../worlds/Outcome.js';
import { calm, disturbedRuns, interventionOf, movesBefore, type Schedule } from './Schedule.js';
import { makeMove, type Move } from './Interference.js';
import { type EntryKey, keyText, type Start, type World } from '../worlds/World.js';
import { type Harm, harmsOf } from './Truth.js';
import { bundlePath } from '../worlds/WorldTree.js';

/** One run of the program: to its end, or to its crash. */
export interface SimulatedRun {
  readonly effects: ReadonlyArray<Effect>;
  readonly injected: ReadonlyArray<readonly [Effect, Fault]>;
  readonly ending:
    | { readonly _tag: 'Crashed' }
    | { readonly _tag: 'Refused'; readonly error: Recovery.RecoveryError }
    | { readonly _tag: 'Ended'; readonly report: Report; readonly hold: Hold };
  /** What was published, in order. */
  readonly events: ReadonlyArray<TaskEvent>;
  /** Whose registered tasks lost their connection, as `namespace/id`. */
  readonly lost: ReadonlyArray<string>;
  /** Why each bundle got its verdict, by `namespace/id`. */
  readonly settled: ReadonlyMap<string, Reason>;
  /** The steps that failed, by `namespace/id`. */
  readonly failedSteps: ReadonlyMap<string, ReadonlyArray<string>>;
  /** What was done to what lived at that moment. */
  readonly harms: ReadonlyArray<Harm>;
  /** The bundles that somebody made anew during the run, and whether all of each still stands. */
  readonly recreated: ReadonlyArray<{ readonly bundle: string; readonly isWhole: boolean }>;
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
  readonly world: World;
  /** Before the first run. */
  readonly begin: EndState;
  /** The disturbed runs, then those that were left alone. */
  readonly runs: ReadonlyArray<SimulatedRun>;
  /** After the first run that was left alone. */
  readonly end: EndState;
  /** After one more. */
  readonly endAgain: EndState;
  readonly laid: LaidWorld;
}

/** In one line, to compare. */
export const showEnd = ({ entries, registered, shims }: EndState): string =>
  JSON.stringify([entries, registered, shims]);

/** A world that is recovered again and again. What dies with the process is forgotten between two runs. */
export interface Simulation {
  readonly laid: LaidWorld;
  /** One more run, under what the schedule has for a run of this number. Gives what is there afterwards. */
  readonly run: (schedule: Schedule) => Promise<EndState>;
  readonly runs: () => ReadonlyArray<SimulatedRun>;
}

/** Lays a world; nothing is run yet. */
export const startSimulation = (world: World, policy: Policy = containerd17): Simulation => {
  const laid = layWorld(world);
  const settings = { ...laid.settings, policy };
  const runs: Array<SimulatedRun> = [];
  const run = async (schedule: Schedule): Promise<EndState> => {
    const number = runs.length;
    const lastMoves = new Map<Start, Move>();
    const lookedAt = new Set<string>();
    const intervene = interventionOf(schedule, number);
    const harms: Array<Harm> = [];
    const interception = intercept(laid.machine.capabilities, (effect) => {
      for (const { entry, move } of movesBefore(schedule, number, effect)) {
        const start = world.entries[entry % world.entries.length];
        if (start === undefined) continue;
        const isNew = move === 'bundle-recreated' && !lookedAt.has(B.show(B.fromText(bundlePath(laid.places, start))));
        if (makeMove(laid)(move, start) && !isNew) lastMoves.set(start, move);
      }
      if (effect.operation === 'stat') lookedAt.add(effect.subject);
      const intervention = intervene(effect);
      harms.push(...harmsOf(laid)(effect, intervention));
      return intervention;
    });
    const { run: done, registered } = await runOnce(laid, settings, interception);
    const recreated = Array.from(lastMoves).flatMap(([start, move]) =>
      move === 'bundle-recreated' ? [{ bundle: keyText(start), isWhole: isWhole(laid, start) }] : [],
    );
    runs.push({ ...done, harms, recreated });
    return endStateOf(laid, registered);
  };
  return { laid, run, runs: () => runs };
};

/** Runs the program once, through an interception. A crash leaves nothing of the process behind. */
const runOnce = async (laid: LaidWorld, settings: Settings, interception: Interception): Promise<RunOnce> => {
  const { machine } = laid;
  const { shims, fileSystem, logPipes, eventSink, observer, clock } = machine;
  // What an earlier run that crashed had open is no fault of this one.
  const before = { directories: fileSystem.openDirectories(), logPipes: logPipes.openNow().length };
  const eventsBefore = eventSink.published().length;
  const toldBefore = observer.told().length;
  const recovering = Recovery.recover(settings, interception.capabilities)();
  const outcome = await Promise.race([recovering, interception.crashed]);
  const told = (): Omit<RunOnce['run'], 'ending'> => ({
    effects: interception.effects(),
    injected: interception.injected(),
    events: eventSink.published().slice(eventsBefore),
    ...heard(observer.told().slice(toldBefore)),
  });
  const crashed = (): RunOnce => {
    shims.hangUp();
    return { run: { ...told(), ending: { _tag: 'Crashed' } }, registered: [] };
  };
  if (outcome === undefined) return crashed();
  if (E.isLeft(outcome))
    return { run: { ...told(), ending: { _tag: 'Refused', error: outcome.left } }, registered: [] };
  const recovered = outcome.right;
  const watched = clock
    .sleep(watchMs)()
    .then(() => recovered.settled().then(() => true));
  if ((await Promise.race([watched, interception.crashed])) === undefined) return crashed();
  const registered = registeredBy(recovered).map(showKey);
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

interface RunOnce {
  readonly run: Omit<SimulatedRun, 'recreated' | 'harms'>;
  readonly registered: ReadonlyArray<string>;
}

/** How long a run that ended stays attached to its shims: longer than any of them has still to live. */
const watchMs = 60_000;

const showKey = ({ namespace, id }: EntryKey): string => `${B.show(namespace)}/${B.show(id)}`;

/** What a bundle that somebody made anew consists of. */
const isWhole = (laid: LaidWorld, start: Start): boolean => {
  const bundle = bundlePath(laid.places, start);
  const paths = new Set(laid.list().map(({ path }) => B.toText(path)));
  return ['new', 'address', 'rootfs', 'log'].every((name) => paths.has(`${bundle}/${name}`));
};

const endStateOf = (laid: LaidWorld, registered: ReadonlyArray<string>): EndState => ({
  entries: laid.list().map(entryLine).sort(),
  registered: [...registered].sort(),
  shims: laid.machine.shims
    .listening()
    .map((socket) => JSON.stringify(socket))
    .sort(),
});

const entryLine = ({ path, kind, content, isMountPoint }: Listing[number]): string =>
  `${B.show(path)} ${kind}${content === undefined ? '' : ` ${B.show(content)}`}${isMountPoint ? ' [mount]' : ''}`;

/**
 * Simulates a world under a schedule: its disturbed runs, one after the other, and then so many that are left alone.
 * Fewer than two say nothing of what another run would do.
 */
export const simulate = async (
  world: World,
  schedule: Schedule = calm,
  policy: Policy = containerd17,
  undisturbed = 2,
): Promise<Simulated> => {
  const simulation = startSimulation(world, policy);
  const begin = endStateOf(simulation.laid, []);
  const ends: Array<EndState> = [];
  while (ends.length < disturbedRuns(schedule) + undisturbed) ends.push(await simulation.run(schedule));
  const endAgain = ends.at(-1) ?? begin;
  return {
    world,
    begin,
    runs: simulation.runs(),
    end: undisturbed < 2 ? endAgain : (ends.at(-2) ?? begin),
    endAgain,
    laid: simulation.laid,
  };
};

/** The numbers of a run's calls that can change something: wherever else it crashes, the same stands there afterwards. */
export const mutations = ({ effects }: SimulatedRun): ReadonlyArray<number> =>
  effects.filter(({ isMutation }) => isMutation).map(({ number }) => number);

/** What a run told of itself. */
const heard = (told: ReadonlyArray<ObserverEvent>): Pick<SimulatedRun, 'settled' | 'failedSteps' | 'lost'> => {
  const settled = new Map<string, Reason>();
  const failedSteps = new Map<string, ReadonlyArray<string>>();
  const lost: Array<string> = [];
  for (const event of told) {
    if (event._tag === 'BundleDecided') settled.set(showKey(event), event.verdict.reason);
    if (event._tag === 'StepTaken' && event.report.outcome === 'failed')
      failedSteps.set(showKey(event), [...(failedSteps.get(showKey(event)) ?? []), event.report.step]);
    if (event._tag === 'ShimDisconnected' && event.registered) lost.push(showKey(event));
  }
  return { settled, failedSteps, lost };
};

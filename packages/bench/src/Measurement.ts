/** What is measured of one world: whole processes and parts of them, each on a world that was laid anew. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { performance } from 'node:perf_hooks';
import { type Containerd, loadPhase } from './containerd.js';
import { type Kind, type Places, placesIn } from './Kinds.js';
import { lay, startShims, takeAway, untilReady, withDescriptors } from './World.js';

const here = import.meta.dirname;

const command = path.join(here, '../../node-effects/dist/command/main.cjs');

export interface Row {
  readonly kind: string;
  readonly size: number;
  readonly commandMs: number;
  readonly peakMiB: number;
  readonly inProcessMs: number;
  /** The longest that anything else in the process had to wait. */
  readonly loopDelayMs: number;
  /** The longest that a process that does nothing had to wait while all that ran. */
  readonly idleDelayMs?: number;
  readonly floorMs?: number;
  /** By version. */
  readonly containerdMs: Readonly<Record<string, number>>;
}

/** Of so many bundles the turns are judged. */
export const largestSize = 10_000;

const idleRuns = 3;

/** Everything once a run, one after the other; `daemons` only where the size is one to be compared with them. */
export const measure = (kind: Kind, size: number, runs: number, daemons: ReadonlyArray<Containerd>): Promise<Row> =>
  inWorld(kind, size, async (places) => {
    const afresh = async <A>(run: () => A | Promise<A>): Promise<A> => {
      takeAway(places);
      lay(kind, places, size);
      return run();
    };
    const commands: Array<number> = [];
    const inProcess: Array<unknown> = [];
    const idle: Array<number> = [];
    const floors: Array<number> = [];
    const byDaemon = daemons.map((daemon) => ({ daemon, times: new Array<number>() }));
    for (let run = 0; run < runs; run += 1) {
      commands.push(await afresh(() => runCommand(kind, size, places)));
      inProcess.push(await afresh(() => runInProcess(kind, size, places)));
      if (kind.floor !== undefined)
        floors.push(numberIn(await afresh(() => runScript('floor.js', [kind.name, places.base, String(size)])), 'ms'));
      for (const { daemon, times } of isWorthWaiting(kind, size) ? byDaemon : [])
        times.push(await afresh(() => loadPhase(daemon, places)));
    }
    // In runs of their own, which it takes a little of a processor from; fewer, as it only says how to read the other figure.
    for (let run = 0; run < Math.min(runs, idleRuns) && size >= largestSize; run += 1)
      idle.push(await afresh(() => idleDelayBeside(() => runInProcess(kind, size, places))));
    const peakMiB = await afresh(() => peakOfCommand(kind, size, places));
    return {
      kind: kind.name,
      size,
      commandMs: medianOf(commands),
      peakMiB,
      inProcessMs: medianOf(inProcess.map((one) => numberIn(one, 'ms'))),
      loopDelayMs: medianOf(inProcess.map((one) => numberIn(one, 'loopDelayMs'))),
      ...(idle.length === 0 ? {} : { idleDelayMs: medianOf(idle) }),
      ...(floors.length === 0 ? {} : { floorMs: medianOf(floors) }),
      containerdMs: Object.fromEntries(
        byDaemon.flatMap(({ daemon, times }) => (times.length === 0 ? [] : [[daemon.version, medianOf(times)]])),
      ),
    };
  });

const inWorld = async <A>(kind: Kind, size: number, use: (places: Places) => Promise<A>): Promise<A> => {
  const base = fs.mkdtempSync(path.join(os.tmpdir(), 'srb-'));
  const places = placesIn(base);
  const shims = await startShims(kind, places, size);
  try {
    return await use(places);
  } finally {
    for (const child of shims) child.kill();
    takeAway(places);
    fs.rmSync(base, { recursive: true, force: true });
  }
};

/** One more hung shim costs 1.7 another five seconds, and each of its processes a clean-up. */
const isWorthWaiting = ({ shims }: Kind, size: number): boolean => shims !== 'hang' || size <= 4;

/** Runs the command to its end; the milliseconds that took. What it did must be what is measured. */
const runCommand = ({ becomes }: Kind, size: number, places: Places, flags: ReadonlyArray<string> = []): number => {
  const started = performance.now();
  const args = [...flags, ...recoverArgs(places), '--allow-killing'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  const ms = performance.now() - started;
  const last = stdout.trim().split('\n').at(-1) ?? '';
  // A shim that never answers lives, and 4 says that it was cleaned up after all the same.
  if ((status !== 0 && status !== 4) || !last.startsWith(`recover: ${size} ${becomes.said}, `))
    throw new Error(`recover ended with ${status}: ${last}${stderr.slice(-2_000)}`);
  return ms;
};

const peakOfCommand = (kind: Kind, size: number, places: Places): number => {
  const file = path.join(places.base, 'peak');
  runCommand(kind, size, places, ['--import', tellPeak(file)]);
  return Number(fs.readFileSync(file, 'utf8')) / 1_024;
};

/** Writes down, when the process ends, how much memory it had at the most. */
const tellPeak = (file: string): string =>
  `data:text/javascript,${encodeURIComponent(
    `import { writeFileSync } from 'node:fs'; process.on('exit', () => writeFileSync(${JSON.stringify(file)}, String(process.resourceUsage().maxRSS)));`,
  )}`;

const numberIn = (value: unknown, name: string): number => {
  const found: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
  if (typeof found !== 'number') throw new Error(`no ${name} was printed`);
  return found;
};

/** The longest that a process that does nothing had to wait while a script ran, from its start to its end. */
const idleDelayBeside = async (run: () => unknown): Promise<number> => {
  const idle = spawn(process.execPath, [path.join(here, 'idle.js')], { stdio: ['pipe', 'pipe', 'inherit'] });
  let told = '';
  idle.stdout.setEncoding('utf8').on('data', (text: string) => (told += text));
  try {
    await untilReady(idle, 'the idle process');
    run();
    idle.stdin.end();
    await once(idle, 'close');
    return numberIn(JSON.parse(told.replace('ready\n', '')), 'loopDelayMs');
  } finally {
    idle.kill();
  }
};

/** What a script of this package prints, as JSON. */
const runScript = (script: string, args: ReadonlyArray<string>, flags: ReadonlyArray<string> = []): unknown => {
  const printed: unknown = JSON.parse(
    execFileSync(...withDescriptors(process.execPath, [...flags, path.join(here, script), ...args]), {
      encoding: 'utf8',
    }),
  );
  return printed;
};

const runInProcess = ({ becomes }: Kind, size: number, places: Places): unknown => {
  const printed = runScript('inProcess.js', [...directoriesOf(places), String(size), 'containerd-1.7']);
  const summary: unknown =
    typeof printed === 'object' && printed !== null ? Reflect.get(printed, 'summary') : undefined;
  if (numberIn(summary, becomes.counted) !== size)
    throw new Error(`not all ${becomes.said}: ${JSON.stringify(summary)}`);
  return printed;
};

const medianOf = (numbers: ReadonlyArray<number>): number =>
  numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? Number.NaN;

/** What the policy that asks every source costs beside the one that does not, in milliseconds. */
export interface CarefulRow {
  readonly kind: string;
  readonly size: number;
  readonly carefulMs: number;
  readonly referenceMs: number;
}

/** Both policies, alternating, each on a world that was laid anew; in process. */
export const measureCareful = (kind: Kind, size: number, runs: number): Promise<CarefulRow> =>
  inWorld(kind, size, async (places) => {
    const once = (policy: string): number => {
      takeAway(places);
      lay(kind, places, size);
      return numberIn(runScript('inProcess.js', [...directoriesOf(places), String(size), policy]), 'ms');
    };
    const times = { careful: new Array<number>(), reference: new Array<number>() };
    for (let run = 0; run < runs; run += 1) {
      times.careful.push(once('careful'));
      times.reference.push(once('containerd-1.7'));
    }
    return {
      kind: kind.name,
      size,
      carefulMs: medianOf(times.careful),
      referenceMs: medianOf(times.reference),
    };
  });

export interface SystemCalls {
  readonly kind: string;
  readonly recovery: number;
  readonly floor?: number;
}

const few = 50;

const more = 150;

/** How many system calls one bundle more costs; undefined where they cannot be counted. */
export const systemCalls = async (kind: Kind): Promise<SystemCalls | undefined> => {
  const countedOf = (size: number) =>
    inWorld(kind, size, async (places) => {
      lay(kind, places, size);
      const recovery = countSystemCalls('inProcess.js', [...directoriesOf(places), String(size)]);
      takeAway(places);
      lay(kind, places, size);
      const floor =
        kind.floor === undefined ? undefined : countSystemCalls('floor.js', [kind.name, places.base, String(size)]);
      return { recovery, floor };
    });
  const [first, second] = [await countedOf(few), await countedOf(more)];
  const perBundle = (one: number | undefined, other: number | undefined): number | undefined =>
    one === undefined || other === undefined ? undefined : (other - one) / (more - few);
  const recovery = perBundle(first.recovery, second.recovery);
  const floor = perBundle(first.floor, second.floor);
  if (recovery === undefined) return undefined;
  return { kind: kind.name, recovery, ...(floor === undefined ? {} : { floor }) };
};

/** All system calls of a script, of all its threads; undefined where they cannot be counted. */
const countSystemCalls = (script: string, args: ReadonlyArray<string>): number | undefined => {
  const traced = spawnSync(
    'strace',
    ['--follow-forks', '--summary-only', process.execPath, path.join(here, script), ...args],
    { encoding: 'utf8' },
  );
  const total = /^\s*100\.00\s+\S+\s+(?:\S+\s+)?(\d+)\s+(?:\d+\s+)?total$/m.exec(traced.stderr ?? '')?.[1];
  return total === undefined ? undefined : Number(total);
};

/** What planning costs a small host: the whole process, and a process that does nothing, in milliseconds. */
export const smallPlan = (kind: Kind, size: number, runs: number): Promise<{ planMs: number; nodeMs: number }> =>
  inWorld(kind, size, async (places) => {
    lay(kind, places, size);
    const timed = (args: ReadonlyArray<string>): number => {
      const started = performance.now();
      execFileSync(process.execPath, [...args]);
      return performance.now() - started;
    };
    const [, , , ...where] = recoverArgs(places);
    const plans: Array<number> = [];
    const nodes: Array<number> = [];
    for (let run = 0; run < runs; run += 1) {
      plans.push(timed([command, 'plan', ...where]));
      nodes.push(timed(['-e', '0']));
    }
    return { planMs: medianOf(plans), nodeMs: medianOf(nodes) };
  });

const recoverArgs = (places: Places): ReadonlyArray<string> => {
  const [state = '', root = '', store = ''] = directoriesOf(places);
  const as17 = ['--policy', 'containerd-1.7'];
  return [command, 'recover', '--force', ...as17, '--state', state, '--root', root, '--store', `json:${store}`];
};

const directoriesOf = ({ base, state, root }: Places): ReadonlyArray<string> => [state, root, `${base}/store.json`];

/** Decisions a second, and what a bundle makes the program allocate, in bytes; medians of a few processes. */
export const pureCost = (): { readonly decisionsPerSecond: number; readonly allocatedBytes: number } => {
  const flags = ['--max-semi-space-size=512', '--min-semi-space-size=512', '--expose-gc'];
  const printed = Array.from({ length: pureRuns }, () => runScript('pure.js', [], flags));
  return {
    decisionsPerSecond: medianOf(printed.map((one) => numberIn(one, 'decisionsPerSecond'))),
    allocatedBytes: medianOf(printed.map((one) => numberIn(one, 'allocatedBytes'))),
  };
};

const pureRuns = 5;

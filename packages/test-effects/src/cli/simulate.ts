/**
 * `pnpm simulate`: random worlds with faults and crashes, as many as asked for, and every property that is claimed to
 * hold. A violation is shrunk, printed, and can be seen again with one command.
 */
import { parseArgs } from 'node:util';
import { allReasons } from '@shim-recovery/core/Verdict';
import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import * as t from 'io-ts';
import { schedule } from '../arbitraries/Schedule.js';
import { world } from '../arbitraries/World.js';
import { neverGivesUp, settlesDown, staysConnected, tellsDeathsOnce } from '../Properties.js';
import { simulate, type Simulated } from '../Simulation.js';

const usage = `Usage: pnpm simulate [--runs N] [--seed S] [--path P] [--policy containerd-1.7]

  --runs N     how many worlds (default 10000)
  --seed S     which worlds: the same seed gives the same ones (default: the time)
  --path P     only the world that a violation was shrunk to, as printed with it
  --policy P   whose decisions (default and only one so far: containerd-1.7)
`;

/** Worlds are checked in portions, so that a long run says how far it is. */
const portion = 1_000;

interface Options {
  readonly runs: number;
  readonly seed: number;
  readonly path: string | undefined;
}

const WholeNumber = t.refinement(t.number, (value) => Number.isSafeInteger(value), 'whole number');

const parseOptions = (args: ReadonlyArray<string>): E.Either<string, Options> => {
  const parsed = E.tryCatch(
    () =>
      parseArgs({
        args: [...args],
        options: {
          runs: { type: 'string' },
          seed: { type: 'string' },
          path: { type: 'string' },
          policy: { type: 'string' },
          help: { type: 'boolean', short: 'h' },
        },
      }).values,
    (error) => (error instanceof Error ? error.message : String(error)),
  );
  if (E.isLeft(parsed)) return E.left(`${parsed.left}\n${usage}`);
  const { help, policy, path } = parsed.right;
  if (help === true) return E.left(usage);
  if (policy !== undefined && policy !== 'containerd-1.7') return E.left(`there is no policy ${policy}\n${usage}`);
  const runs = Number(parsed.right.runs ?? 10_000);
  const seed = Number(parsed.right.seed ?? Date.now() % 2 ** 31);
  return WholeNumber.is(runs) && runs > 0 && WholeNumber.is(seed)
    ? E.right({ runs, seed, path })
    : E.left(`--runs and --seed take whole numbers\n${usage}`);
};

/** What was met, added up over all worlds. */
interface Tally {
  worlds: number;
  runs: number;
  effects: number;
  faults: number;
  crashes: number;
  readonly reasons: Set<string>;
  readonly failedSteps: Set<string>;
}

const count = (tally: Tally, { runs }: Simulated): void => {
  tally.worlds++;
  for (const { effects, injected, ending } of runs) {
    tally.runs++;
    tally.effects += effects.length;
    tally.faults += injected.length;
    if (ending._tag === 'Crashed') tally.crashes++;
    if (ending._tag !== 'Ended') continue;
    for (const { bundles } of ending.report.namespaces)
      for (const { reason, steps } of bundles) {
        tally.reasons.add(reason);
        for (const { step, outcome } of steps) if (outcome === 'failed') tally.failedSteps.add(step);
      }
  }
};

const property = (tally: Tally): fc.IAsyncProperty<unknown> =>
  fc.asyncProperty(world({ maxEntries: 3 }), schedule({ runs: 2, maxFaults: 4, maxCrashes: 2 }), async (any, wrong) => {
    const simulated = await simulate(any, wrong);
    count(tally, simulated);
    const violations = [
      ...staysConnected(simulated),
      ...tellsDeathsOnce(simulated),
      ...neverGivesUp(simulated),
      ...settlesDown(simulated),
    ];
    if (violations.length > 0) throw new Error(violations.join('; '));
  });

/** Steps that can fail; opening a log and publishing fail without consequence, the rest decides what follows. */
const steps = [
  'open-log-pipe',
  'call-delete',
  'call-shutdown',
  'run-binary',
  'unmount-rootfs',
  'remove-rootfs',
  'remove-bundle',
  'remove-work-directory',
];

/** Reasons that no world of these can bring about: nothing is interrupted, and every shim is asked. */
const unreachable = ['interrupted', 'not-probed'];

const summary = (tally: Tally, { seed }: Options, seconds: number): string =>
  [
    `worlds    ${tally.worlds}`,
    `runs      ${tally.runs}, ${Math.round(tally.worlds / seconds)} worlds a second`,
    `effects   ${tally.effects}`,
    `faults    ${tally.faults}`,
    `crashes   ${tally.crashes}`,
    `seed      ${seed}`,
    `reasons   ${tally.reasons.size} of ${allReasons.length - unreachable.length}; missing: ${
      allReasons.filter((reason) => !tally.reasons.has(reason) && !unreachable.includes(reason)).join(', ') || 'none'
    }`,
    `failures  ${tally.failedSteps.size} steps failed at least once; missing: ${
      steps.filter((step) => !tally.failedSteps.has(step)).join(', ') || 'none'
    }`,
    '',
  ].join('\n');

const run = async (options: Options): Promise<number> => {
  const tally: Tally = {
    worlds: 0,
    runs: 0,
    effects: 0,
    faults: 0,
    crashes: 0,
    reasons: new Set(),
    failedSteps: new Set(),
  };
  const startedMs = performance.now();
  for (let done = 0; done < options.runs; done += portion) {
    const seed = options.seed + done;
    const numRuns = Math.min(portion, options.runs - done);
    const details = await fc.check(property(tally), {
      seed,
      numRuns,
      ...(options.path === undefined ? {} : { path: options.path }),
    });
    if (details.failed) {
      process.stdout.write(
        `${fc.defaultReportMessage(details) ?? ''}\n\nagain: pnpm simulate --runs 1 --seed ${seed} --path ${details.counterexamplePath ?? ''}\n`,
      );
      return 1;
    }
    if (process.stderr.isTTY) process.stderr.write(`\r${done + numRuns}/${options.runs}`);
  }
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
  process.stdout.write(summary(tally, options, (performance.now() - startedMs) / 1000));
  return 0;
};

const options = parseOptions(process.argv.slice(2));
if (E.isLeft(options)) {
  process.stderr.write(options.left);
  process.exitCode = 2;
} else {
  process.exitCode = await run(options.right);
}

/**
 * `pnpm simulate`: random worlds with faults and crashes, as many as asked for, and every property. A violation that is
 * not the policy's known way is shrunk, printed, and can be seen again with one command.
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { policies, PolicyName } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as t from 'io-ts';
import { type Failure, run as runCampaign, showFailure, type Wanted } from '../campaign/Campaign.js';
import { type Case, decodeCase, examine, showCase } from '../campaign/Case.js';
import {
  type Counterexample,
  counterexamplesFile,
  loadCounterexamples,
  mend,
  printCounterexamples,
} from '../campaign/Counterexamples.js';
import { Hazard } from '../simulation/Hazards.js';
import { allProperties, showFound } from '../properties/Properties.js';
import * as Coverage from '../campaign/Coverage.js';
import type { Portion } from './simulateWorker.js';

const usage = `Usage: pnpm simulate [--runs N] [--seed S] [--policy P] [--jobs J] [--properties N,M] [--progress FILE]
                    [--path P] [--find N/H] [--case FILE] [--mend]

  --runs N     how many worlds (default 10000)
  --seed S     which worlds: the same seed gives the same ones (default: the time)
  --policy P   whose decisions: ${Object.keys(policies).join(', ')} (default containerd-1.7)
  --jobs J     how many processors to use (default: all)
  --path P     only the world that a violation was shrunk to, as printed with it
  --find N/H   look for the smallest case in which property N is violated by the known hazard H, as 9/H1
  --case FILE  one case, as printed with a violation: says what becomes of it
  --properties N,M   only these properties, by their numbers (default: all)
  --progress FILE    keeps what each thousand worlds came to; given again, goes on from there
  --mend       finds the calls of the smallest cases again, where a recovery makes others by now, and writes them down

Ends with 1 when a violation, or what was looked for, was found; with 2 when the options make no sense,
and with 130 when it was interrupted; what was met until then is printed.
`;

/** Worlds are simulated in portions; each has its own seed, so that any of them can be repeated alone. */
const portionSize = 1_000;

interface Options {
  readonly runs: number;
  readonly seed: number;
  readonly jobs: number;
  readonly policy: PolicyName;
  readonly path: string | undefined;
  readonly wanted: Wanted | undefined;
  /** Their numbers; none for all. */
  readonly properties: ReadonlyArray<number>;
  /** Where portions that are done are kept. */
  readonly progress: string | undefined;
}

type Command =
  | { readonly _tag: 'Help' }
  | { readonly _tag: 'Mend' }
  | { readonly _tag: 'Case'; readonly file: string; readonly policy: PolicyName }
  | ({ readonly _tag: 'Run' } & Options);

const main = async (): Promise<number> => {
  const command = parseOptions(process.argv.slice(2));
  if (E.isLeft(command)) {
    process.stderr.write(`${command.left}; pnpm simulate --help says what there is\n`);
    return 2;
  }
  switch (command.right._tag) {
    case 'Help':
      process.stdout.write(usage);
      return 0;
    case 'Mend':
      return mendAll();
    case 'Case':
      return showOne(command.right.file, command.right.policy);
    case 'Run':
      return runAll(command.right);
  }
};

const parseOptions = (args: ReadonlyArray<string>): E.Either<string, Command> =>
  pipe(
    E.tryCatch(
      () =>
        parseArgs({
          args: [...args],
          options: {
            runs: { type: 'string' },
            seed: { type: 'string' },
            jobs: { type: 'string' },
            path: { type: 'string' },
            policy: { type: 'string' },
            find: { type: 'string' },
            properties: { type: 'string' },
            progress: { type: 'string' },
            case: { type: 'string' },
            mend: { type: 'boolean' },
            help: { type: 'boolean', short: 'h' },
          },
        }).values,
      (error) => (error instanceof Error ? error.message : String(error)),
    ),
    E.chain((values): E.Either<string, Command> => {
      if (values.help === true) return E.right({ _tag: 'Help' });
      if (values.mend === true) return E.right({ _tag: 'Mend' });
      const policy = values.policy ?? 'containerd-1.7';
      if (!PolicyName.is(policy)) return E.left(`there is no policy ${JSON.stringify(policy)}`);
      if (values.case !== undefined) return E.right({ _tag: 'Case', file: values.case, policy });
      return pipe(
        E.Do,
        E.apS('runs', wholeNumber('runs', values.runs, 10_000, 1)),
        E.apS('seed', wholeNumber('seed', values.seed, Date.now() % 2 ** 31, 0)),
        E.apS('jobs', wholeNumber('jobs', values.jobs, availableParallelism(), 1)),
        E.apS('wanted', wantedOf(values.find)),
        E.apS('properties', propertiesOf(values.properties)),
        E.map((numbers) => ({ _tag: 'Run', policy, path: values.path, progress: values.progress, ...numbers })),
      );
    }),
  );

const wholeNumber = (
  name: string,
  text: string | undefined,
  otherwise: number,
  least: number,
): E.Either<string, number> => {
  const value = text === undefined ? otherwise : Number(text);
  return Number.isSafeInteger(value) && value >= least && text !== ''
    ? E.right(value)
    : E.left(`--${name} takes a whole number from ${least} on, not ${JSON.stringify(text)}`);
};

const wantedOf = (text: string | undefined): E.Either<string, Wanted | undefined> => {
  if (text === undefined) return E.right(undefined);
  const [number, hazard] = text.split('/');
  const property = allProperties.find((one) => String(one.number) === number);
  return property !== undefined && Hazard.is(hazard)
    ? E.right({ property, hazard })
    : E.left(`--find takes a property's number and a hazard, such as 9/H1, not ${JSON.stringify(text)}`);
};

const propertiesOf = (text: string | undefined): E.Either<string, ReadonlyArray<number>> => {
  if (text === undefined) return E.right([]);
  const numbers = text.split(',').map(Number);
  return numbers.every((number) => allProperties.some((one) => one.number === number))
    ? E.right(numbers)
    : E.left(`--properties takes numbers of properties, such as 8,9, not ${JSON.stringify(text)}`);
};

/** Writes down what could be found again, and says what could not. */
const mendAll = async (): Promise<number> => {
  const loaded = loadCounterexamples();
  if (E.isLeft(loaded)) {
    process.stderr.write(`${loaded.left}\n`);
    return 2;
  }
  const mended: Array<Counterexample> = [];
  let lost = 0;
  for (const one of loaded.right) {
    const found = await mend(one);
    if (found === undefined) {
      lost += 1;
      const what = `${one.property}/${one.hazard}`;
      process.stdout.write(`not found again: ${what}, pnpm simulate --policy ${one.policy} --find ${what}\n`);
    }
    mended.push(found ?? one);
  }
  writeFileSync(counterexamplesFile, printCounterexamples(mended));
  process.stdout.write(`${mended.length - lost} of ${mended.length} are shown\n`);
  return lost === 0 ? 0 : 1;
};

const showOne = async (file: string, policy: PolicyName): Promise<number> => {
  const read = readCase(file);
  if (E.isLeft(read)) {
    process.stderr.write(`${read.left}\n`);
    return 2;
  }
  const { simulated, found } = await examine(read.right, policies[policy]);
  process.stdout.write(`${showCase(read.right)}\n\n`);
  for (const [index, { ending }] of simulated.runs.entries())
    process.stdout.write(
      `run ${index}: ${ending._tag === 'Ended' ? JSON.stringify(ending.report.namespaces, null, 2) : ending._tag}\n`,
    );
  process.stdout.write(`\n${found.map(showFound).join('\n') || 'every property holds'}\n`);
  return found.length === 0 ? 0 : 1;
};

const readCase = (file: string): E.Either<string, Case> =>
  pipe(
    E.tryCatch(
      (): unknown => JSON.parse(readFileSync(file, 'utf8')),
      (error) => `cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`,
    ),
    E.chainW((document) => E.mapLeft(({ reason }: { readonly reason: string }) => reason)(decodeCase(document))),
  );

const runAll = async (options: Options): Promise<number> => {
  const startedMs = performance.now();
  const isSingle = options.path !== undefined || options.wanted !== undefined;
  const { tally, failure, isInterrupted = false } = await (isSingle ? runHere : runThere)(options);
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
  const seconds = (performance.now() - startedMs) / 1000;
  process.stdout.write(
    `policy    ${options.policy}\nseed      ${options.seed}\n${Coverage.show(policies[options.policy])(tally)}`,
  );
  process.stdout.write(
    `speed     ${Math.round(tally.runs / seconds)} runs a second, ${Math.round(seconds)} s in all\n`,
  );
  if (isInterrupted) process.stderr.write(`interrupted after ${tally.worlds} of ${options.runs} worlds\n`);
  if (failure === undefined) return isInterrupted ? 130 : 0;
  process.stdout.write(`\n${showFailure(failure)}`);
  return 1;
};

/** In this thread: what is looked for, or one case of a path. */
const runHere = async ({ policy, seed, runs, path, wanted }: Options): Promise<Total> =>
  runCampaign({
    policy: policies[policy],
    seed,
    cases: runs,
    ...(path === undefined ? {} : { path }),
    ...(wanted === undefined ? {} : { wanted }),
  });

interface Total {
  readonly tally: Coverage.Coverage;
  readonly failure: Failure | undefined;
  readonly isInterrupted?: boolean;
}

/** In threads that each take the next portion when they are done with one. The first violation ends it all. */
const runThere = (options: Options): Promise<Total> =>
  new Promise((resolve, reject) => {
    const before = doneBefore(options);
    const all = portionsOf(options);
    const portions = all.filter((portion) => !before.has(JSON.stringify(portion)));
    const workers: Array<Worker> = [];
    let tally = all.reduce(
      (sum, portion) => Coverage.add(sum, before.get(JSON.stringify(portion)) ?? Coverage.empty),
      Coverage.empty,
    );
    let working = 0;
    const end = (failure: Failure | undefined, isInterrupted = false): void => {
      for (const worker of workers) void worker.terminate();
      resolve({ tally, failure, isInterrupted });
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => end(undefined, true));
    const underWay = new Map<Worker, Portion>();
    const feed = (worker: Worker): void => {
      const portion = portions.shift();
      if (portion === undefined) {
        working -= 1;
        if (working === 0) end(undefined);
        return;
      }
      underWay.set(worker, portion);
      worker.postMessage(portion);
    };
    const start = (): void => {
      const worker = new Worker(new URL('simulateWorker.js', import.meta.url));
      worker.on('message', (outcome: Total) => {
        tally = Coverage.add(tally, outcome.tally);
        if (process.stderr.isTTY) process.stderr.write(`\r${tally.worlds}/${options.runs}`);
        if (outcome.failure !== undefined) return end(outcome.failure);
        const portion = underWay.get(worker);
        if (options.progress !== undefined && portion !== undefined)
          appendFileSync(options.progress, lineOf(portion, outcome.tally));
        feed(worker);
      });
      worker.on('error', reject);
      workers.push(worker);
      working += 1;
      feed(worker);
    };
    if (portions.length === 0) end(undefined);
    Array.from({ length: Math.min(options.jobs, portions.length) }).forEach(start);
  });

/** The portions that were done before, each as it is written, with what it came to. A line that was cut off is done again. */
const doneBefore = ({ progress }: Options): ReadonlyMap<string, Coverage.Coverage> => {
  const done = new Map<string, Coverage.Coverage>();
  if (progress === undefined || !existsSync(progress)) return done;
  for (const line of readFileSync(progress, 'utf8').split('\n')) {
    const read = E.tryCatch((): unknown => JSON.parse(line), String);
    if (E.isRight(read) && Done.is(read.right) && Coverage.isTally(read.right.tally))
      done.set(JSON.stringify(read.right.portion), read.right.tally);
  }
  return done;
};

const Done = t.type({ portion: t.UnknownRecord, tally: t.UnknownRecord });

const portionsOf = ({ runs, seed, policy, properties }: Options): ReadonlyArray<Portion> =>
  Array.from({ length: Math.ceil(runs / portionSize) }, (_, index) => ({
    policy,
    properties,
    seed: seed + index * portionSize,
    cases: Math.min(portionSize, runs - index * portionSize),
  }));

/** A portion that is done, as one line of the file that is kept. */
const lineOf = (portion: Portion, tally: Coverage.Coverage): string => `${JSON.stringify({ portion, tally })}\n`;

process.exitCode = await main();

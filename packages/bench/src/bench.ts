/**
 * What a recovery costs, beside real containerds and beside a bare loop of the same system calls. `pnpm bench --help` says
 * what it takes. Each world is laid anew for every run, and the runs alternate, so that a noisy machine is as noisy for all.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import { parseArgs } from 'node:util';
import { type Containerd, findContainerd } from './containerd.js';
import { type Kind, kinds } from './Kinds.js';
import { measure, measureCareful, pureCost, type Row, smallPlan, systemCalls } from './Measurement.js';
import { renderCosts, renderHead, renderRow, renderSystemCalls, tableHead } from './render.js';
import { goals, type Results } from './goals.js';

const help = `pnpm bench: what a recovery costs, beside real containerds and a bare loop of the same system calls

  --kinds A,B         of ${kinds.map(({ name }) => name).join(', ')} (default all)
  --sizes 10,100      bundles of each (default: those of the kind)
  --quick             only those that are compared with containerd, the first of each kind
  --runs N            of each, alternating; medians are shown (default 5)
  --containerd FILE   a containerd to compare with; may be given several times (default the one on PATH);
                      tooling/containerds.sh fetches others
  --json FILE         the figures as JSON
  --write FILE        puts the tables into a document, between two marks
  --part NAME         which two (default measured)
  --careful           the policy careful beside containerd-1.7, in process, and nothing else
  --check             exit with 1 where a goal is missed or was not measured
`;

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h' },
    kinds: { type: 'string' },
    sizes: { type: 'string' },
    quick: { type: 'boolean' },
    runs: { type: 'string', default: '5' },
    containerd: { type: 'string', multiple: true, default: ['containerd'] },
    json: { type: 'string' },
    write: { type: 'string' },
    part: { type: 'string', default: 'measured' },
    careful: { type: 'boolean' },
    check: { type: 'boolean' },
  },
});

const marks = [`<!-- ${values.part}: begin -->`, `<!-- ${values.part}: end -->`] as const;

/**
 * What every program here is started with: what a service manager gives a daemon, and nothing that a shell has. Node reads
 * some of it at each start; `NODE_EXTRA_CA_CERTS` alone costs it tens of milliseconds.
 */
const kept = ['PATH', 'HOME', 'TMPDIR'];

/** What asking every source costs: one line a kind and size. */
const runCareful = async (): Promise<void> => {
  dropEnvironment();
  const wanted = values.kinds?.split(',');
  const lines = ['| world | careful | containerd-1.7 | ratio |', '| --- | --- | --- | --- |'];
  for (const kind of kinds.filter(({ name }) => wanted?.includes(name) ?? true))
    for (const size of values.sizes?.split(',').map(Number) ?? kind.sizes.slice(0, 1)) {
      const { carefulMs, referenceMs } = await measureCareful(kind, size, Number(values.runs));
      const ratio = (carefulMs / referenceMs).toFixed(2);
      lines.push(`| ${size} ${kind.what} | ${carefulMs.toFixed(0)} ms | ${referenceMs.toFixed(0)} ms | ${ratio} |`);
      process.stdout.write(`${lines.splice(0).join('\n')}\n`);
    }
};

const dropEnvironment = (): void => {
  for (const name of Object.keys(process.env)) if (!kept.includes(name)) delete process.env[name];
};

const run = async (): Promise<void> => {
  dropEnvironment();
  const isRoot = process.getuid?.() === 0;
  const found = values.containerd.map(findContainerd);
  const daemons = isRoot ? found.filter((daemon): daemon is Containerd => daemon !== undefined) : [];
  const wanted = values.kinds?.split(',');
  const chosen = kinds.filter(({ name, has }) => (wanted?.includes(name) ?? true) && (isRoot || has !== 'mounts'));
  const sizesOf = (kind: Kind): ReadonlyArray<number> =>
    values.sizes?.split(',').map(Number) ?? kind.sizes.slice(0, values.quick === true ? 1 : undefined);
  const runs = Number(values.runs);

  const printed: Array<string> = [];
  const print = (text: string): void => {
    printed.push(text);
    process.stdout.write(`${text}\n`);
  };

  print(renderHead({ runs, daemons }));
  print(tableHead(daemons));
  const rows: Array<Row> = [];
  for (const kind of chosen)
    for (const size of sizesOf(kind)) {
      const isCompared = values.sizes !== undefined || size === kind.sizes[0];
      const row = await measure(kind, size, runs, isCompared ? daemons : []);
      rows.push(row);
      print(renderRow(daemons)(row));
    }
  const calls = [];
  for (const kind of chosen) calls.push((await systemCalls(kind)) ?? []);
  print(renderSystemCalls(calls.flat()));
  const live = kinds.find(({ name }) => name === 'empty');
  const plan = live === undefined ? undefined : await smallPlan(live, 10, runs);
  const pure = pureCost();
  print(renderCosts({ rows, plan, pure }));
  const results: Results = { rows, plan };
  const met = goals(results);
  print(
    met.map(({ goal, outcome, figures }) => `- ${outcome}: ${goal}${figures === '' ? '' : `: ${figures}`}`).join('\n'),
  );

  if (values.json !== undefined)
    fs.writeFileSync(
      values.json,
      `${JSON.stringify({ date: new Date().toISOString(), cores: os.availableParallelism(), node: process.version, rows, systemCalls: calls.flat(), plan, pure, goals: met }, undefined, 2)}\n`,
    );
  if (values.write !== undefined) putInto(values.write, printed.join('\n'));
  if (values.check === true && met.some(({ outcome }) => outcome !== 'met')) process.exitCode = 1;
};

const putInto = (file: string, text: string): void => {
  const document = fs.readFileSync(file, 'utf8');
  const [before = '', rest] = document.split(marks[0]);
  const after = rest?.split(marks[1])[1];
  if (after === undefined) throw new Error(`${file} lacks its marks ${marks.join(' and ')}`);
  fs.writeFileSync(file, `${before}${marks[0]}\n\n${text}\n${marks[1]}${after}`);
};

const isCount = (text: string): boolean => /^[1-9]\d*$/.test(text);

const mistakes = [
  ...(values.kinds?.split(',') ?? []).filter((name) => !kinds.some((kind) => kind.name === name)),
  ...(values.sizes?.split(',') ?? []).filter((size) => !isCount(size)),
  ...(isCount(values.runs) ? [] : [values.runs]),
];

if (values.help === true) process.stdout.write(help);
else if (mistakes.length > 0) {
  process.stderr.write(`bench: ${mistakes.join(', ')} cannot be measured; see --help\n`);
  process.exitCode = 2;
} else if (values.careful === true) await runCareful();
else await run();

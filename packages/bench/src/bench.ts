/**
 * What a recovery costs: `pnpm bench [--kinds a,b] [--sizes 10,100] [--runs 5] [--json FILE]`. For each kind and size the
 * world is laid anew for every run, and the runs alternate: the whole command, in process, containerd, the bare loop.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { containerdVersion, loadPhase } from './containerd.js';
import { type Kind, kinds, mountPoints, namespace, type Places, placesIn } from './Kinds.js';

const { values } = parseArgs({
  options: {
    kinds: { type: 'string', default: kinds.map(({ name }) => name).join(',') },
    sizes: { type: 'string', default: '10,100,1000' },
    runs: { type: 'string', default: '5' },
    json: { type: 'string' },
  },
});

const here = import.meta.dirname;
const command = path.join(here, '../../node-effects/dist/cli/start.js');

const medianOf = (numbers: ReadonlyArray<number>): number =>
  numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? Number.NaN;

const lay = (kind: Kind, places: Places, size: number): void => {
  fs.writeFileSync(places.program, '#!/bin/sh\nexit 0\n', { mode: 0o755 });
  fs.writeFileSync(path.join(places.base, 'store.json'), '{"schema":"shim-recovery/store@1","namespaces":{}}');
  fs.mkdirSync(path.join(places.state, namespace), { recursive: true });
  fs.mkdirSync(path.join(places.root, namespace), { recursive: true });
  for (let index = 0; index < size; index += 1) kind.lay(places, index);
  if (kind.hasMounts === true)
    execFileSync('sh', [], {
      input: mountPoints(places, size)
        .map((point) => `mount -t tmpfs -o size=4k tmpfs ${point}\n`)
        .join(''),
    });
};

/** Unmounts what is mounted below, and takes the world away, but for its sockets. */
const takeAway = ({ base }: Places): void => {
  const points = fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${base}/`));
  if (points.length > 0) execFileSync('sh', [], { input: points.map((point) => `umount -l ${point}\n`).join('') });
  for (const name of ['run', 'lib', 'store.json', 'shim'])
    fs.rmSync(path.join(base, name), { recursive: true, force: true });
};

const startShims = async ({ shims }: Kind, { base }: Places, size: number): Promise<ChildProcess | undefined> => {
  if (shims === undefined) return undefined;
  const behaviour = shims === 'hang' ? 'hang' : String(shims.afterMs);
  const child = spawn(process.execPath, [path.join(here, 'shims.js'), base, String(size), behaviour], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`the shims ended with ${code}`)));
  });
  return child;
};

interface InProcess {
  readonly ms: number;
  readonly loopDelayMs: number;
  readonly peakKiB: number;
}

const isInProcess = (value: unknown): value is InProcess =>
  typeof value === 'object' && value !== null && 'ms' in value && typeof value.ms === 'number';

const runNode = (script: string, args: ReadonlyArray<string>): InProcess => {
  const printed: unknown = JSON.parse(
    execFileSync(process.execPath, [path.join(here, script), ...args], { encoding: 'utf8' }),
  );
  if (!isInProcess(printed)) throw new Error(`${script} printed no time`);
  return printed;
};

/** The command, from its start to its end. Its peak memory is what `/usr/bin/time` would say of it. */
const wholeCommand = ({ base, state, root }: Places): number => {
  const started = performance.now();
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [command, 'recover', '--force', '--state', state, '--root', root, '--store', `json:${base}/store.json`],
    { encoding: 'utf8', maxBuffer: 1 << 28 },
  );
  const ms = performance.now() - started;
  if (status !== 0) throw new Error(`recover ended with ${status}: ${stdout.slice(0, 2_000)}${stderr.slice(-2_000)}`);
  return ms;
};

interface Row {
  readonly kind: string;
  readonly size: number;
  readonly commandMs: number;
  readonly inProcessMs: number;
  readonly loopDelayMs: number;
  readonly peakMiB: number;
  readonly containerdMs?: number;
  readonly floorMs?: number;
}

/** Four hung shims cost containerd twenty seconds, and each one more another five. */
const isWorthWaiting = ({ shims }: Kind, size: number): boolean => shims !== 'hang' || size <= 4;

const measure = async (kind: Kind, size: number, runs: number, hasContainerd: boolean): Promise<Row> => {
  const base = fs.mkdtempSync(path.join(os.tmpdir(), 'srb-'));
  const places = placesIn(base);
  const shims = await startShims(kind, places, size);
  const commands: Array<number> = [];
  const inProcess: Array<InProcess> = [];
  const containerd: Array<number> = [];
  const floors: Array<number> = [];
  const afresh = async (run: () => void | Promise<void>): Promise<void> => {
    takeAway(places);
    lay(kind, places, size);
    await run();
  };
  try {
    for (let run = 0; run < runs; run += 1) {
      await afresh(() => void commands.push(wholeCommand(places)));
      await afresh(
        () => void inProcess.push(runNode('inProcess.js', [places.state, places.root, `${base}/store.json`])),
      );
      if (hasContainerd && isWorthWaiting(kind, size))
        await afresh(async () => void containerd.push(await loadPhase(places)));
      if (kind.floor !== undefined)
        await afresh(() => void floors.push(runNode('floor.js', [kind.name, base, String(size)]).ms));
    }
  } finally {
    shims?.kill();
    takeAway(places);
    fs.rmSync(base, { recursive: true, force: true });
  }
  return {
    kind: kind.name,
    size,
    commandMs: medianOf(commands),
    inProcessMs: medianOf(inProcess.map(({ ms }) => ms)),
    loopDelayMs: medianOf(inProcess.map(({ loopDelayMs }) => loopDelayMs)),
    peakMiB: medianOf(inProcess.map(({ peakKiB }) => peakKiB)) / 1024,
    ...(containerd.length === 0 ? {} : { containerdMs: medianOf(containerd) }),
    ...(floors.length === 0 ? {} : { floorMs: medianOf(floors) }),
  };
};

const ms = (value: number | undefined): string => (value === undefined ? '' : value.toFixed(value < 10 ? 1 : 0));
const ratio = (value: number, to: number | undefined): string => (to === undefined ? '' : (value / to).toFixed(2));

const show = (row: Row): string =>
  `| ${[
    kinds.find(({ name }) => name === row.kind)?.what ?? row.kind,
    row.size.toLocaleString('en'),
    ms(row.commandMs),
    ms(row.containerdMs),
    ratio(row.commandMs, row.containerdMs),
    ms(row.inProcessMs),
    ms(row.floorMs),
    ratio(row.inProcessMs, row.floorMs),
    ms(row.loopDelayMs),
    row.peakMiB.toFixed(0),
  ].join(' | ')} |`;

const version = containerdVersion();
const wanted = values.kinds.split(',');
process.stdout.write(
  `${os.availableParallelism()} cores, Node ${process.version}, ${version === undefined ? 'no containerd' : `containerd ${version}`}; medians of ${values.runs}, milliseconds\n\n` +
    '| World | Size | recover | containerd | ratio | in process | bare loop | ratio | loop delay | peak MiB |\n' +
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n',
);
const rows: Array<Row> = [];
for (const kind of kinds.filter(({ name }) => wanted.includes(name)))
  for (const size of values.sizes.split(',').map(Number)) {
    const row = await measure(kind, size, Number(values.runs), version !== undefined && process.getuid?.() === 0);
    rows.push(row);
    process.stdout.write(`${show(row)}\n`);
  }
if (values.json !== undefined)
  fs.writeFileSync(values.json, `${JSON.stringify({ date: new Date().toISOString(), version, rows }, undefined, 2)}\n`);

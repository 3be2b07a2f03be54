/** The tables, as Markdown. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import type { Containerd } from './containerd.js';
import { kinds } from './Kinds.js';
import type { Row, SystemCalls } from './Measurement.js';

export const ms = (value: number | undefined): string => (value === undefined ? '' : value.toFixed(value < 10 ? 1 : 0));

export const ratio = (value: number, to: number | undefined): string =>
  to === undefined ? '' : (value / to).toFixed(2);

export const fastest = ({ containerdMs }: Row): number | undefined => {
  const times = Object.values(containerdMs);
  return times.length === 0 ? undefined : Math.min(...times);
};

const magics: Readonly<Record<number, string>> = {
  0xef53: 'ext4',
  0x01021994: 'tmpfs',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x794c7630: 'overlayfs',
};

export const renderHead = ({
  runs,
  daemons,
}: {
  readonly runs: number;
  readonly daemons: ReadonlyArray<Containerd>;
}): string =>
  `${new Date().toISOString().slice(0, 10)}, ${os.availableParallelism()} cores (${os.cpus()[0]?.model ?? 'unknown'}), Linux ${os.release()}, ` +
  `Node ${process.version}, ${daemons.length === 0 ? 'no containerd' : `containerd ${daemons.map(({ version }) => version).join(', ')}`}. ` +
  `Worlds on ${fileSystemOf(os.tmpdir())}. Milliseconds, medians of ${runs} alternating runs.\n`;

/** What kind of file system a directory is on. */
const fileSystemOf = (directory: string): string => {
  const { type } = fs.statfsSync(directory);
  return magics[type] ?? `a file system of type 0x${type.toString(16)}`;
};

export const tableHead = (daemons: ReadonlyArray<Containerd>): string => {
  const names = [
    'World',
    'Size',
    '`recover`',
    ...daemons.map(({ version }) => `containerd ${version}`),
    'to the fastest',
    'in process',
    'bare loop',
    'ratio',
    'longest turn',
    'peak MiB',
  ];
  return `${table(names)}\n${table(names.map(() => '---'))}`;
};

const table = (cells: ReadonlyArray<string>): string => `| ${cells.join(' | ')} |`;

export const renderRow =
  (daemons: ReadonlyArray<Containerd>) =>
  (row: Row): string =>
    table([
      whatIs(row.kind),
      count(row.size),
      ms(row.commandMs),
      ...daemons.map(({ version }) => ms(row.containerdMs[version])),
      ratio(row.commandMs, fastest(row)),
      ms(row.inProcessMs),
      ms(row.floorMs),
      ratio(row.inProcessMs, row.floorMs),
      ms(row.loopDelayMs),
      row.peakMiB.toFixed(0),
    ]);

const whatIs = (kind: string): string => kinds.find(({ name }) => name === kind)?.what ?? kind;

const count = (value: number): string => value.toLocaleString('en');

export const renderSystemCalls = (calls: ReadonlyArray<SystemCalls>): string =>
  calls.length === 0
    ? '\nSystem calls were not counted: there is no strace.\n'
    : [
        '',
        table(['System calls for one more', 'recovery', 'bare loop']),
        table(['---', '---', '---']),
        ...calls.map(({ kind, recovery, floor }) =>
          table([whatIs(kind), recovery.toFixed(1), floor?.toFixed(1) ?? '']),
        ),
        '',
      ].join('\n');

export interface Costs {
  readonly rows: ReadonlyArray<Row>;
  readonly plan: { readonly planMs: number; readonly nodeMs: number } | undefined;
  readonly pure: { readonly decisionsPerSecond: number; readonly allocatedBytes: number };
}

export const renderCosts = ({ rows, plan, pure }: Costs): string =>
  (plan === undefined
    ? ''
    : `\`plan\` of ten bundles, the whole process: ${ms(plan.planMs)} ms; a Node that does nothing: ${ms(plan.nodeMs)} ms. ${renderLeast(rows, plan.nodeMs)}`) +
  `Decisions with their plans: ${count(Math.round(pure.decisionsPerSecond / 1_000))} thousand a second, ${count(Math.round(pure.allocatedBytes))} bytes allocated for each.\n`;

/** What whoever does all this in a Node, with no decision at all, could come down to. */
const renderLeast = (rows: ReadonlyArray<Row>, nodeMs: number): string => {
  const figures = rows.flatMap((row) => {
    const { kind, size, floorMs } = row;
    const to = fastest(row);
    return floorMs === undefined || to === undefined ? [] : [`${kind} ${size} ${ratio(nodeMs + floorMs, to)}`];
  });
  return figures.length === 0
    ? ''
    : `A Node that does nothing, and then the bare loop, would take of the fastest containerd's load phase: ${figures.join(', ')}. `;
};

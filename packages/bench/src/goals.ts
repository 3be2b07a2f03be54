/** What is wanted of a recovery, and whether the figures show it. */
import { largestSize, type Row } from './Measurement.js';
import { fastest, ms, ratio } from './render.js';

export interface Results {
  readonly rows: ReadonlyArray<Row>;
  readonly plan: { readonly planMs: number; readonly nodeMs: number } | undefined;
}

export interface Goal {
  readonly goal: string;
  readonly outcome: 'met' | 'missed' | 'not measured';
  readonly figures: string;
}

interface Judged {
  readonly goal: string;
  readonly isMet: boolean;
  readonly figures: ReadonlyArray<string>;
}

const mostGrowth = 1.1;

export const goals = (results: Results): ReadonlyArray<Goal> =>
  [compared, hung, nearTheFloor, linear, small, courteous].map((judge) => {
    const { goal, isMet, figures } = judge(results);
    const outcome = isMet ? 'met' : 'missed';
    return { goal, outcome: figures.length === 0 ? 'not measured' : outcome, figures: figures.join(', ') };
  });

const courteous = ({ rows }: Results): Judged => {
  const found = rows.filter(({ size }) => size >= largestSize);
  return {
    goal: 'nothing else in the process waits for more than 20 ms, at 10,000 bundles',
    isMet: found.every(({ loopDelayMs }) => loopDelayMs <= 20),
    figures: found.map(
      (row) => `${named(row)} ${ms(row.loopDelayMs)} ms (an idle process beside it ${ms(row.idleDelayMs)})`,
    ),
  };
};

const named = (row: Row): string => `${row.kind} ${row.size}`;

const small = ({ rows, plan }: Results): Judged => {
  const found = rows.filter(({ size }) => size >= largestSize);
  const isPlanQuick = plan === undefined || plan.planMs < 120 || plan.planMs - plan.nodeMs < 60;
  return {
    goal: 'under 150 MB for 10,000 bundles, and plan of a small host in under 120 ms, or within 60 ms of a bare Node',
    isMet: isPlanQuick && found.every(({ peakMiB }) => peakMiB < 150e6 / 2 ** 20),
    figures: [
      ...found.map((row) => `${named(row)} ${row.peakMiB.toFixed(0)} MiB`),
      ...(plan === undefined ? [] : [`plan ${ms(plan.planMs)} ms beside ${ms(plan.nodeMs)} ms`]),
    ],
  };
};

const linear = ({ rows }: Results): Judged => {
  const found = rows.flatMap((row) => {
    const [larger] = rows.filter(({ kind, size }) => kind === row.kind && size > row.size).slice(-1);
    return row.size === 1_000 && larger !== undefined
      ? [{ row, larger, growth: larger.commandMs / row.commandMs / (larger.size / row.size) }]
      : [];
  });
  return {
    goal: 'linear: ten times the bundles in at most eleven times the time',
    isMet: found.every(({ growth }) => growth <= mostGrowth),
    figures: found.map(
      ({ row, larger }) => `${named(row)} to ${larger.size} ${ratio(larger.commandMs, row.commandMs)}`,
    ),
  };
};

const nearTheFloor = ({ rows }: Results): Judged => {
  const found = rows.filter(({ floorMs, size }) => floorMs !== undefined && size >= 500);
  return {
    goal: 'in process at most 2.0 times the bare loop, at most 2.5 for live shims',
    isMet: found.every(({ kind, inProcessMs, floorMs = 0 }) => inProcessMs <= mostToFloor(kind) * floorMs),
    figures: found.map((row) => `${named(row)} ${ratio(row.inProcessMs, row.floorMs)}`),
  };
};

/** The same as a multiple of the bare loop, where there is one. */
const mostToFloor = (kind: string): number => (kind === 'live' ? 2.5 : 2);

const hung = ({ rows }: Results): Judged => {
  const found = rows.filter(({ kind, size }) => kind === 'hung' && size >= 1_000);
  return {
    goal: 'a thousand shims that never answer in under 6 s',
    isMet: found.every(({ commandMs }) => commandMs < 6_000),
    figures: found.map((row) => `${named(row)} ${ms(row.commandMs)} ms`),
  };
};

const compared = ({ rows }: Results): Judged => {
  const found = rows.flatMap((row) => {
    const to = fastest(row);
    return to === undefined ? [] : [{ row, to }];
  });
  return {
    goal: 'the whole process at most 1.0 times the load phase of the fastest containerd, at most 0.1 for shims that answer slowly',
    isMet: found.every(({ row, to }) => row.commandMs <= mostToContainerd(row.kind) * to),
    figures: found.map(({ row, to }) => `${named(row)} ${ratio(row.commandMs, to)}`),
  };
};

/** The most that a recovery may cost as a multiple of the fastest containerd: it does not wait for one shim after another. */
const mostToContainerd = (kind: string): number => (kind === 'slow' ? 0.1 : 1);

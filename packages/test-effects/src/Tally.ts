/** What many simulations met, added up: numbers only, so that several processes can count and one adds up. */
import { allReasons, type Reason } from '@shim-recovery/core/Verdict';
import type { Examined } from './Case.js';

type Counts = Readonly<Record<string, number>>;

export interface Tally {
  readonly worlds: number;
  readonly runs: number;
  readonly effects: number;
  readonly faults: number;
  readonly crashes: number;
  readonly reasons: Counts;
  readonly failedSteps: Counts;
  /** By capability and operation, as `fileSystem rename`: how often it was made to fail. */
  readonly failedCalls: Counts;
  /** By property and hazard, as `9 H1`: how often it was violated in a way that is known. */
  readonly hazards: Counts;
}

export const empty: Tally = {
  worlds: 0,
  runs: 0,
  effects: 0,
  faults: 0,
  crashes: 0,
  reasons: {},
  failedSteps: {},
  failedCalls: {},
  hazards: {},
};

const countsOf = (words: ReadonlyArray<string>): Counts => {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return Object.fromEntries(counts);
};

const addCounts = (first: Counts, second: Counts): Counts => ({
  ...first,
  ...Object.fromEntries(Object.entries(second).map(([word, count]) => [word, (first[word] ?? 0) + count])),
});

export const add = (first: Tally, second: Tally): Tally => ({
  worlds: first.worlds + second.worlds,
  runs: first.runs + second.runs,
  effects: first.effects + second.effects,
  faults: first.faults + second.faults,
  crashes: first.crashes + second.crashes,
  reasons: addCounts(first.reasons, second.reasons),
  failedSteps: addCounts(first.failedSteps, second.failedSteps),
  failedCalls: addCounts(first.failedCalls, second.failedCalls),
  hazards: addCounts(first.hazards, second.hazards),
});

/** What one simulation met. */
export const count = ({ simulated: { runs }, found }: Examined): Tally => {
  const injected = runs.flatMap((run) => run.injected);
  const bundles = runs.flatMap(({ ending }) =>
    ending._tag === 'Ended' ? ending.report.namespaces.flatMap((namespace) => namespace.bundles) : [],
  );
  return {
    worlds: 1,
    runs: runs.length,
    effects: runs.reduce((sum, { effects }) => sum + effects.length, 0),
    faults: injected.length,
    crashes: runs.filter(({ ending }) => ending._tag === 'Crashed').length,
    reasons: countsOf(bundles.map(({ reason }) => reason)),
    failedSteps: countsOf(
      bundles.flatMap(({ steps }) => steps.flatMap(({ step, outcome }) => (outcome === 'failed' ? [step] : []))),
    ),
    failedCalls: countsOf(injected.map(([{ capability, operation }]) => `${capability} ${operation}`)),
    hazards: countsOf([
      ...new Set(
        found.flatMap(({ property, hazard }) => (hazard === undefined ? [] : [`${property.number} ${hazard}`])),
      ),
    ]),
  };
};

/** Reasons that no simulated world can bring about: nobody asks the program to stop, and every shim is asked. */
const unreachableReasons: ReadonlyArray<Reason> = ['interrupted', 'not-probed', 'not-recorded'];

/** The steps that can fail; closing never does. */
const failingSteps: ReadonlyArray<string> = [
  'open-log-pipe',
  'call-delete',
  'call-shutdown',
  'run-binary',
  'unmount-rootfs',
  'remove-rootfs',
  'remove-bundle',
  'remove-work-directory',
  'publish-exit',
  'publish-delete',
];

/** What was never met, though it can be: reasons, failed steps, and hazards of the given properties. */
export const missing = ({ reasons, failedSteps }: Tally): ReadonlyArray<string> => [
  ...allReasons.filter((reason) => reasons[reason] === undefined && !unreachableReasons.includes(reason)),
  ...failingSteps.filter((step) => failedSteps[step] === undefined).map((step) => `${step} failed`),
];

const list = (counts: Counts): string =>
  Object.entries(counts)
    .sort(([, first], [, second]) => second - first)
    .map(([word, number]) => `${word} ${number}`)
    .join(', ');

/** For people. */
export const show = (tally: Tally): string =>
  [
    `worlds    ${tally.worlds}`,
    `runs      ${tally.runs}`,
    `effects   ${tally.effects}`,
    `faults    ${tally.faults}: ${list(tally.failedCalls)}`,
    `crashes   ${tally.crashes}`,
    `reasons   ${list(tally.reasons)}`,
    `failures  ${list(tally.failedSteps)}`,
    `hazards   ${list(tally.hazards)}`,
    `missing   ${missing(tally).join(', ') || 'nothing'}`,
    '',
  ].join('\n');

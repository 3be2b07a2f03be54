/** What many simulations met, added up: numbers only, so that several processes can count and one adds up. */
import { allReasons, type Policy, type Reason } from '@shim-recovery/core/interpreter';
import type { Examined } from './Case.js';

type Counts = Readonly<Record<string, number>>;

export interface Coverage {
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

export const empty: Coverage = {
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

/** Whether a value that was read from somewhere is a tally. */
export const isTally = (value: unknown): value is Coverage =>
  typeof value === 'object' &&
  value !== null &&
  Object.entries(empty).every(([name, zero]) => typeof Reflect.get(value, name) === typeof zero);

export const add = (first: Coverage, second: Coverage): Coverage => ({
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

const addCounts = (first: Counts, second: Counts): Counts => ({
  ...first,
  ...Object.fromEntries(Object.entries(second).map(([word, count]) => [word, (first[word] ?? 0) + count])),
});

/** What one simulation met. */
export const count = ({ simulated: { runs }, found }: Examined): Coverage => {
  const injected = runs.flatMap((run) => run.injected);
  return {
    worlds: 1,
    runs: runs.length,
    effects: runs.reduce((sum, { effects }) => sum + effects.length, 0),
    faults: injected.length,
    crashes: runs.filter(({ ending }) => ending._tag === 'Crashed').length,
    reasons: countsOf(runs.flatMap(({ settled }) => [...settled.values()])),
    failedSteps: countsOf(runs.flatMap(({ failedSteps }) => [...failedSteps.values()].flat())),
    failedCalls: countsOf(injected.map(([{ capability, operation }]) => `${capability} ${operation}`)),
    hazards: countsOf([
      ...new Set(
        found.flatMap(({ property, hazard }) => (hazard === undefined ? [] : [`${property.number} ${hazard}`])),
      ),
    ]),
  };
};

const countsOf = (words: ReadonlyArray<string>): Counts => {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return Object.fromEntries(counts);
};

/** What was never met under this policy, though it can be: reasons and failed steps. */
export const missing =
  (policy: Policy) =>
  ({ reasons, failedSteps }: Coverage): ReadonlyArray<string> => [
    ...allReasons.filter((reason) => isReachable(policy, reason) && reasons[reason] === undefined),
    ...failingSteps(policy)
      .filter((step) => failedSteps[step] === undefined)
      .map((step) => `${step} failed`),
  ];

/**
 * Whether a simulated world can bring a reason about under this policy. Nobody asks the program to stop there, and every
 * shim is asked.
 */
const isReachable = (policy: Policy, reason: Reason): boolean => {
  const { reapsLeakedShims, failedPidsCountAsNone, death } = policy;
  switch (reason) {
    case 'interrupted':
    case 'not-probed':
    case 'not-recorded':
    case 'plan-stale':
    case 'older-than-boot':
    case 'not-planned':
    case 'gone':
    case 'orphan-reaped': // that is asked for by people
    case 'would-kill': // the simulated settings allow it, as a daemon's
      return false;
    case 'hidden':
    case 'unreadable':
    case 'container-unknown':
    case 'address-unsupported':
    case 'log-unusable':
    case 'connect-failed':
      return death === 'one-sign';
    case 'task-exited':
    case 'pids-unanswered':
    case 'leftover':
    case 'leftover-in-use':
    case 'bundle-unreadable':
    case 'container-unanswered':
    case 'address-unknown':
    case 'shim-unresponsive':
    case 'shim-unreachable':
    case 'shim-shared':
    case 'no-container':
    case 'task-disputed':
    case 'orphan-workload':
    case 'processes-unknown':
    case 'not-a-bundle':
      return death === 'every-source';
    case 'shim-answers':
      return !reapsLeakedShims;
    case 'task-running':
    case 'sandbox-recorded':
    case 'sandbox-unknown':
    case 'no-processes':
    case 'task-not-found':
      return reapsLeakedShims;
    case 'pids-failed':
      return reapsLeakedShims && failedPidsCountAsNone;
    default:
      return true;
  }
};

/** For people. */
export const show =
  (policy: Policy) =>
  (tally: Coverage): string =>
    [
      `worlds    ${tally.worlds}`,
      `runs      ${tally.runs}`,
      `effects   ${tally.effects}`,
      `faults    ${tally.faults}: ${list(tally.failedCalls)}`,
      `crashes   ${tally.crashes}`,
      `reasons   ${list(tally.reasons)}`,
      `failures  ${list(tally.failedSteps)}`,
      `hazards   ${list(tally.hazards)}`,
      `missing   ${missing(policy)(tally).join(', ') || 'nothing'}`,
      '',
    ].join('\n');

const list = (counts: Counts): string =>
  Object.entries(counts)
    .sort(([, first], [, second]) => second - first)
    .map(([word, number]) => `${word} ${number}`)
    .join(', ');

/** The steps that can fail under this policy; closing never does. */
const failingSteps = ({ bootstrap, logOpened, reapsLeakedShims, unmounts }: Policy): ReadonlyArray<string> => [
  ...(bootstrap === 'bootstrap' ? ['write-bootstrap'] : []),
  // Whoever opens it only after dialling has opened it before the first step.
  ...(logOpened === 'after-dial' ? [] : ['open-log-pipe']),
  ...(reapsLeakedShims ? ['call-delete', 'call-shutdown'] : []),
  'run-binary',
  ...(unmounts === 'bundle'
    ? ['unmount-bundle', 'remove-leftover', 'remove-unowned-work-directory']
    : ['unmount-rootfs', 'remove-rootfs', 'remove-work-directory']),
  'remove-bundle',
  'publish-exit',
  'publish-delete',
];

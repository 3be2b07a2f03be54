import type { Reason } from '@shim-recovery/core/interpreter';
import type { Effect, Fault } from '../simulation/FaultInjection.js';
import type { Hazard } from '../simulation/Hazards.js';
import type { SimulatedRun } from '../simulation/Simulation.js';
import { keyText, shimOwner, type Start } from '../worlds/World.js';
import { bundlePath, workPath } from '../worlds/WorldTree.js';
import { mustStay } from '../simulation/Truth.js';
import { type Property, type Subject, type Violations, violation } from './Property.js';

/** Whether an entry lost something of its directories that should be there, as it lives in the end. */
const lostInTheEnd = ({ begin, endAgain, laid }: Subject['simulated'], start: Start): ReadonlyArray<string> => {
  if (!mustStay(laid)(start)) return [];
  const left = new Set(endAgain.entries);
  const isGone = (path: string): boolean =>
    begin.entries.some((line) => (line.startsWith(`${path} `) || line.startsWith(`${path}/`)) && !left.has(line));
  return [
    ...(isGone(bundlePath(laid.places, start)) ? ['lost something of its bundle'] : []),
    ...(isGone(workPath(laid.places, start)) ? ['lost something of its working directory'] : []),
  ];
};

const lost = (simulated: Subject['simulated'], start: Start): Violations => {
  const { runs } = simulated;
  const key = keyText(start);
  const harms = runs.flatMap((run) => run.harms.flatMap((harm) => (harm.key === key ? [harm.what] : [])));
  const what = [...new Set([...harms, ...lostInTheEnd(simulated, start)])];
  if (what.length === 0 || isDenied(simulated, start)) return [];
  const reasons = [...new Set(runs.flatMap(({ settled }) => settled.get(key) ?? []))];
  const failedSteps = runs.flatMap((run) => run.failedSteps.get(key) ?? []);
  const hazard = [
    ...(isEndedWithAnother(runs, key) ? (['H18'] as const) : []),
    ...reasons.flatMap((reason) => hazardOf(reason) ?? []),
    ...(reasons.includes('hidden') ? (['H20'] as const) : []),
    ...(failedSteps.includes('write-bootstrap') ? (['L3'] as const) : []),
    ...(runs.some((run) => run.lost.includes(key)) ? (['H26'] as const) : []),
  ][0];
  return [violation(`${key} is alive and ${what.join(', ')} (${reasons.join(', ')})`, hazard)];
};

/**
 * The only exception: something that lives shows in no more than one or two files, or by its socket, and the schedule makes
 * the machine deny that these are there. Nothing in the world shows it then. A fault that says that something cannot be
 * looked at is none.
 */
const isDenied = (simulated: Subject['simulated'], start: Start): boolean =>
  simulated.runs.some(({ injected }) => injected.some(isLie)) && !isInTable(simulated, start);

/** A fault by which a capability says that something is not there, or not listening, that is. No host does that. */
const isLie = ([{ capability }, fault]: readonly [Effect, Fault]): boolean =>
  (fault === 'ENOENT' && (capability === 'fileSystem' || capability === 'mounts')) ||
  (capability === 'shimConnector' && (fault === 'refused' || fault === 'ENOENT'));

/**
 * Whether the table of processes shows what lives of an entry, without its files: the shim's command line or current
 * directory is its own, or its processes are in a control group of its id.
 */
const isInTable = ({ laid }: Subject['simulated'], start: Start): boolean => {
  const isOwn = shimOwner(laid.world)(start) === start;
  const isNamed = start.shimArgs !== 'no-id' || start.shimCwd === 'bundle';
  const isGrouped = start.cgroup !== 'named' && start.cgroup !== 'none';
  return (laid.livingShim(start) && isOwn && isNamed) || (laid.livingProcesses(start) > 0 && isGrouped);
};

/** Whether its shim was told to end for the sake of another task that has it, too. */
const isEndedWithAnother = (runs: ReadonlyArray<SimulatedRun>, key: string): boolean =>
  runs.some(({ harms }) => harms.some((harm) => harm.key === key && harm.what.endsWith('for another')));

/** The hazard behind each reason for which something that is alive is not taken back. */
const hazardOf = (reason: Reason): Hazard | undefined => {
  switch (reason) {
    case 'pids-failed':
    case 'task-not-found':
      return 'H1';
    case 'connect-failed':
      return 'H4';
    case 'dial-failed':
      return 'H5';
    case 'shim-binary-not-found':
      return 'H8';
    case 'container-not-found':
    case 'container-unknown':
      return 'H9';
    case 'no-processes':
      return 'H2';
    case 'empty':
      return 'L5';
    case 'address-unreadable':
      return 'H22';
    case 'address-unsupported':
      return 'H24';
    case 'log-unusable':
      return 'L1';
    case 'unreadable':
      return 'L2';
    case 'older-than-boot':
    case 'orphan-reaped':
    case 'leftover':
    case 'task-exited':
    case 'pids-unanswered':
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
    case 'would-kill':
    case 'leftover-in-use':
    case 'not-a-directory':
    case 'hidden':
    case 'task-running':
    case 'shim-answers':
    case 'sandbox-recorded':
    case 'sandbox-unknown':
    case 'out-of-resources':
    case 'not-probed':
    case 'not-recorded':
    case 'plan-stale':
    case 'not-planned':
    case 'gone':
    case 'interrupted':
      return undefined;
  }
};

export const alive: Property = {
  number: 9,
  name: 'alive',
  statement:
    "Nothing that is alive is destroyed: a shim with a task, the processes of a container, and a pod keep their bundle, their mounts and their working directory, and no call tells them to end. No directory of a user's own is touched.",
  isCostly: false,
  check: async ({ schedule, simulated }) => {
    const { world, runs } = simulated;
    const recreated = runs.flatMap((run, index) =>
      run.recreated
        // What was moved aside before it was known again is put back, but for a kernel that refuses to.
        .filter(({ isWhole }) => !isWhole && !run.injected.some(([{ operation }]) => operation === 'rename'))
        .map(({ bundle }) => violation(`run ${index} touched ${bundle}, which was made anew while it ran`)),
    );
    // Whoever moves things about may take them away, too.
    if (schedule.moves.length > 0) return recreated;
    return world.entries
      .filter(({ bundle }) => typeof bundle === 'object' || bundle === 'empty')
      .flatMap((start) => lost(simulated, start));
  },
};

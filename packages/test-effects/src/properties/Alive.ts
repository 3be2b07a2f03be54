import type { Reason } from '@shim-recovery/core/Verdict';
import type { Hazard } from '../Hazards.js';
import { isEnded } from '../LaidWorld.js';
import { keyOf, keyText, processesOf, sameKey, shimOwner, type Start } from '../World.js';
import { bundlePath, workPath } from '../WorldTree.js';
import { type Property, type Subject, type Violations, violation } from './Property.js';

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
    case 'empty':
    case 'no-processes':
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

/** Whether its shim was told to end for the sake of another task that has it, too. */
const isEndedWithAnother = ({ world, laid: { machine } }: Subject['simulated'], start: Start): boolean => {
  const owner = shimOwner(world)(start);
  const others = world.entries.filter((other) => other !== start && shimOwner(world)(other) === owner);
  return (
    owner !== undefined &&
    machine.shims
      .calls()
      .some((call) => call.call.endsWith('/Shutdown') && others.some((other) => sameKey(call, keyOf(other))))
  );
};

const lost = (simulated: Subject['simulated'], start: Start): Violations => {
  const { begin, endAgain, laid, runs } = simulated;
  const key = keyOf(start);
  const isGone = (path: string): boolean =>
    begin.entries.some(
      (line) => (line.startsWith(`${path} `) || line.startsWith(`${path}/`)) && !endAgain.entries.includes(line),
    );
  const what = [
    ...(isEnded(simulated.laid.machine, key) ? ['was told to end'] : []),
    ...(isGone(bundlePath(laid.places, start)) ? ['lost something of its bundle'] : []),
    ...(isGone(workPath(laid.places, start)) ? ['lost something of its working directory'] : []),
  ];
  if (what.length === 0) return [];
  const reasons = [...new Set(runs.flatMap(({ settled }) => settled.get(keyText(start)) ?? []))];
  const failedSteps = runs.flatMap((run) => run.failedSteps.get(keyText(start)) ?? []);
  const hazard = [
    ...reasons.flatMap((reason) => hazardOf(reason) ?? []),
    ...(reasons.includes('hidden') ? (['H20'] as const) : []),
    ...(failedSteps.includes('write-bootstrap') ? (['L3'] as const) : []),
    ...(isEndedWithAnother(simulated, start) ? (['H18'] as const) : []),
    ...(runs.some((run) => run.lost.includes(keyText(start))) ? (['H26'] as const) : []),
  ][0];
  return [violation(`${keyText(start)} is alive and ${what.join(', ')} (${reasons.join(', ')})`, hazard)];
};

export const alive: Property = {
  number: 9,
  name: 'alive',
  statement:
    'Nothing that is alive is destroyed: a task with running processes keeps its bundle, its mounts and its working directory.',
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
      .filter((start) => typeof start.bundle === 'object' && processesOf(world)(start) > 0)
      .flatMap((start) => lost(simulated, start));
  },
};

import { type EndState, showEnd, simulate, type Simulated } from '../simulation/Simulation.js';
import { hasSteadyShim, type Start, type World } from '../worlds/World.js';
import { bundlePath, hiddenBundlePath, type Places } from '../worlds/WorldTree.js';
import { type Property, type Violation, type Violations, violation } from './Property.js';
import { isLeftToNextRun } from './Unfinished.js';

/** Whether two recoveries of it can be compared: no shim behaves otherwise because it was asked more often, or later. */
export const isComparable = (world: World): boolean => world.entries.every(hasSteadyShim(world));

/** How an end after crashes differs from that of the same world when it was left alone. */
export const differences = (undisturbed: Simulated, crashed: EndState): Violations => {
  const calm = undisturbed.end;
  return [
    ...crashed.entries
      .filter((line) => !calm.entries.includes(line))
      .map((line) => leftOver(undisturbed, crashed, line)),
    ...calm.entries.filter((line) => !crashed.entries.includes(line)).map((line) => missing(undisturbed, line)),
    ...crashed.registered.filter((key) => !calm.registered.includes(key)).map((key) => violation(`registered: ${key}`)),
    ...calm.registered
      .filter((key) => !crashed.registered.includes(key))
      .map((key) => violation(`not registered: ${key}`)),
    ...calm.shims.filter((shim) => !crashed.shims.includes(shim)).map((shim) => violation(`ended: ${shim}`)),
    ...crashed.shims.filter((shim) => !calm.shims.includes(shim)).map((shim) => violation(`not ended: ${shim}`)),
  ];
};

/** What is left over in the end that is not when nothing goes wrong, and the hazard that tells why. */
const leftOver = ({ world, laid: { places } }: Simulated, crashed: EndState, line: string): Violation => {
  const what = `left over: ${line}`;
  if (line.startsWith(`${places.base}/outside/`)) return violation(what, 'H30');
  const owner = ownerOf(world, places, line);
  if (owner === undefined) return violation(what);
  if (isAtOrBelow(hiddenBundlePath(places, owner), line)) return violation(what, 'H11');
  const hasShim = crashed.shims.some((shim) => shim.includes(`"${places.socketOf(owner)}"`));
  return hasShim ? violation(what) : violation(what, 'H10');
};

const ownerOf = (world: World, places: Places, line: string): Start | undefined =>
  world.entries.find(
    (start) => isAtOrBelow(bundlePath(places, start), line) || isAtOrBelow(hiddenBundlePath(places, start), line),
  );

const isAtOrBelow = (path: string, line: string): boolean => line.startsWith(`${path} `) || line.startsWith(`${path}/`);

/** What is not there in the end though it is when nothing goes wrong. */
const missing = ({ world, laid: { places }, runs }: Simulated, line: string): Violation =>
  violation(`missing: ${line}`, isLeftToNextRun({ world, places, runs })(line) ? 'L4' : undefined);

export const convergence: Property = {
  number: 3,
  name: 'convergence',
  statement: 'Interrupted anywhere any number of times, then left alone, it ends as an uninterrupted run ends.',
  isCostly: false,
  check: async ({ policy, schedule: { faults, crashes, moves }, simulated }) => {
    const { world, end } = simulated;
    const isAboutCrashes = crashes.length > 0 && faults.length === 0 && moves.length === 0;
    if (!isAboutCrashes || !isComparable(world)) return [];
    const undisturbed = await simulate(world, undefined, policy, 1);
    return showEnd(undisturbed.end) === showEnd(end) ? [] : differences(undisturbed, end);
  },
};

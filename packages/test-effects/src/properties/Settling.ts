import { showEnd } from '../simulation/Simulation.js';
import { isComparable } from './Convergence.js';
import { type Property, violation } from './Property.js';
import { isLeftToNextRun } from './Unfinished.js';

export const settling: Property = {
  number: 4,
  name: 'settling',
  statement: 'A second run right after one that was left alone changes nothing.',
  isCostly: false,
  check: async ({ simulated: { world, end, endAgain, runs, laid } }) => {
    if (!isComparable(world) || showEnd(end) === showEnd(endAgain)) return [];
    const isExpected = isLeftToNextRun({ world, places: laid.places, runs });
    const rest = { ...end, entries: end.entries.filter((line) => !isExpected(line)) };
    const restAgain = { ...endAgain, entries: endAgain.entries.filter((line) => !isExpected(line)) };
    return [violation('another run changed something', showEnd(rest) === showEnd(restAgain) ? 'L4' : undefined)];
  },
};

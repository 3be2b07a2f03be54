import { showEnd } from '../Simulation.js';
import { isComparable } from './Convergence.js';
import { type Property, violation } from './Property.js';

export const settling: Property = {
  number: 4,
  name: 'settling',
  statement: 'A second run right after one that was left alone changes nothing.',
  isCostly: false,
  check: async ({ simulated: { world, end, endAgain } }) =>
    !isComparable(world) || showEnd(end) === showEnd(endAgain) ? [] : [violation('another run changed something')],
};

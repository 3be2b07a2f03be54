import type { Hazard } from '../simulation/Hazards.js';
import type { Schedule } from '../simulation/Schedule.js';
import type { World } from '../worlds/World.js';
import { bundlePath, type Places, rootDirectory, stateDirectory, workPath } from '../worlds/WorldTree.js';
import { type Property, violation } from './Property.js';

/** The hazard behind what happened to an entry of the directory outside: by what it is there for. */
const hazardOf = ({ base }: Places, line: string): Hazard | undefined => {
  const [, name] = line.split(`${base}/outside/`);
  if (/^\.?elsewhere-/.test(name ?? '')) return 'H30';
  return name?.startsWith('volume-') === true ? 'H14' : undefined;
};

/** Where another program did something in the tree beside the one that is recovered. */
const moved = ({ entries }: World, { moves }: Schedule, places: Places): ReadonlyArray<string> =>
  moves.flatMap(({ entry }) => {
    const start = entries[entry % entries.length];
    return start?.tree === undefined ? [] : [bundlePath(places, start), workPath(places, start)];
  });

export const containment: Property = {
  number: 8,
  name: 'containment',
  statement: 'Nothing outside the state and root directories is touched.',
  isCostly: false,
  check: async ({ schedule, simulated: { begin, endAgain, laid, world } }) => {
    const { places } = laid;
    // What somebody moved away in the meantime stands there under a new name.
    const ours = [
      stateDirectory(places),
      rootDirectory(places),
      `${places.base}/outside/moved-`,
      ...moved(world, schedule, places),
    ];
    const isOutside = (line: string): boolean => ours.every((path) => !line.startsWith(path));
    const changed = [
      ...begin.entries.filter((line) => !endAgain.entries.includes(line)),
      ...endAgain.entries.filter((line) => !begin.entries.includes(line)),
    ];
    return changed.filter(isOutside).map((line) => violation(`outside: ${line}`, hazardOf(places, line)));
  },
};

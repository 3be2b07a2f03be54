import type { Hazard } from '../Hazards.js';
import { type Places, rootDirectory, stateDirectory } from '../WorldTree.js';
import { type Property, violation } from './Property.js';

/** The hazard behind what happened to an entry of the directory outside: by what it is there for. */
const hazardOf = ({ base }: Places, line: string): Hazard | undefined => {
  const [, name] = line.split(`${base}/outside/`);
  if (/^\.?elsewhere-/.test(name ?? '')) return 'H30';
  return name?.startsWith('volume-') === true ? 'H14' : undefined;
};

export const containment: Property = {
  number: 8,
  name: 'containment',
  statement: 'Nothing outside the state and root directories is touched.',
  isCostly: false,
  check: async ({ simulated: { begin, endAgain, laid } }) => {
    const { places } = laid;
    // What somebody moved away in the meantime stands there under a new name.
    const ours = [stateDirectory(places), rootDirectory(places), `${places.base}/outside/moved-`];
    const isOutside = (line: string): boolean => ours.every((path) => !line.startsWith(path));
    const changed = [
      ...begin.entries.filter((line) => !endAgain.entries.includes(line)),
      ...endAgain.entries.filter((line) => !begin.entries.includes(line)),
    ];
    return changed.filter(isOutside).map((line) => violation(`outside: ${line}`, hazardOf(places, line)));
  },
};

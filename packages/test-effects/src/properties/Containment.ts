import { rootDirectory, stateDirectory } from '../WorldTree.js';
import { type Property, violation } from './Property.js';

export const containment: Property = {
  number: 8,
  name: 'containment',
  statement: 'Nothing outside the state and root directories is touched.',
  isCostly: false,
  check: async ({ simulated: { begin, endAgain, laid } }) => {
    const { places } = laid;
    const elsewhere = `${places.base}/outside/elsewhere-`;
    // What somebody moved away in the meantime stands there under a new name.
    const ours = [stateDirectory(places), rootDirectory(places), `${places.base}/outside/moved-`];
    const isOutside = (line: string): boolean => ours.every((path) => !line.startsWith(path));
    const changed = [
      ...begin.entries.filter((line) => !endAgain.entries.includes(line)),
      ...endAgain.entries.filter((line) => !begin.entries.includes(line)),
    ];
    return changed
      .filter(isOutside)
      .map((line) =>
        violation(
          `outside: ${line}`,
          line.startsWith(elsewhere) || line.startsWith(`${places.base}/outside/.elsewhere-`) ? 'H30' : undefined,
        ),
      );
  },
};

/** What a run can leave to the next one without any crash: the bundle of a task whose shim ended after it was taken back. */
import type { SimulatedRun } from '../simulation/Simulation.js';
import { keyText, type Start, type World } from '../worlds/World.js';
import { bundlePath, elsewherePath, type Places, volumePath, workPath } from '../worlds/WorldTree.js';

/** Whether a line of an end state is about what those runs left to be done (L4). */
export const isLeftToNextRun =
  ({
    world,
    places,
    runs,
  }: {
    readonly world: World;
    readonly places: Places;
    readonly runs: ReadonlyArray<SimulatedRun>;
  }) =>
  (line: string): boolean =>
    world.entries
      .filter(isUnfinished(runs))
      .flatMap((start) => [bundlePath, workPath, elsewherePath, volumePath].map((path) => path(places, start)))
      .some((path) => isAtOrBelow(path, line));

/** Whether an entry's connection ended while it was registered, and the program that then cleans up failed. */
const isUnfinished =
  (runs: ReadonlyArray<SimulatedRun>) =>
  (start: Start): boolean =>
    runs.some(
      ({ lost, failedSteps }) =>
        lost.includes(keyText(start)) && failedSteps.get(keyText(start))?.includes('run-binary') === true,
    );

const isAtOrBelow = (path: string, line: string): boolean => line.startsWith(`${path} `) || line.startsWith(`${path}/`);

/** The recorded worlds, one entry at a time: what the exhaustive tests go through. */
import * as E from 'fp-ts/lib/Either.js';
import { loadRecordings, toWorld } from '../../src/worlds/Recordings.js';
import type { World } from '../../src/worlds/World.js';

export interface SmallWorld {
  readonly name: string;
  readonly world: World;
}

export const recordedWorlds = ((): ReadonlyArray<SmallWorld> => {
  const loaded = loadRecordings();
  if (E.isLeft(loaded)) throw new Error(loaded.left.reason);
  return loaded.right.map((recorded) => ({
    name: `${recorded.given.ns}/${recorded.given.id}`,
    world: toWorld({ cases: [recorded] }),
  }));
})();

/** So many of them, spread evenly. */
export const someWorlds = (count: number): ReadonlyArray<SmallWorld> =>
  recordedWorlds.filter((_, index) => (index * count) % recordedWorlds.length < count);

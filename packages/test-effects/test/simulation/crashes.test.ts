/**
 * Every recorded world, crashed before and after every call that changes something, and then run again: does it end as
 * it would have without the crash? Between two changes a crash leaves the same behind wherever it comes.
 *
 * The reference does not always converge. Each case in which it does not is told by what stands there in the end.
 */
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { settlesDown } from '../../src/Properties.js';
import { crashPoints, type EndState, simulate } from '../../src/Simulation.js';
import { loadRecordings, type RecordedCase, type RecordedWorld } from '../../src/World.js';

const cases = ((): ReadonlyArray<RecordedCase> => {
  const loaded = loadRecordings();
  if (E.isLeft(loaded)) throw new Error(loaded.left.reason);
  return loaded.right;
})();

const worldOf = (recorded: RecordedCase): RecordedWorld => ({ set: recorded.given.set, cases: [recorded] });

/**
 * Why a crash was not made good by the next run:
 *
 * - `H11`: the bundle had been moved behind its dot, where no later run looks.
 * - `H30`: the same with a directory elsewhere to which `work` leads; or the bundle that led there was gone first.
 * - `H10`: the shim had been told to end already, and its binary cannot clean up; the bundle stays.
 */
type Hazard = 'H10' | 'H11' | 'H30';

/** The hazards that tell of all that is left over; undefined when something is not told. */
const hazardsOf = ({ given }: RecordedCase, calm: EndState, crashed: EndState): ReadonlySet<Hazard> | undefined => {
  const place = (id: string): string => `/state/io.containerd.runtime.v2.task/${given.ns}/${id}`;
  const hazardOf = (entry: string): Hazard | undefined => {
    if (entry.includes('/outside/')) return 'H30';
    if (entry.includes(place(`.${given.id}`))) return 'H11';
    return entry.includes(place(given.id)) && crashed.shims.length === 0 ? 'H10' : undefined;
  };
  const hazards = crashed.entries.filter((entry) => !calm.entries.includes(entry)).map(hazardOf);
  const isNothingMissing = calm.entries.every((entry) => crashed.entries.includes(entry));
  const told = hazards.flatMap((hazard) => hazard ?? []);
  return isNothingMissing && told.length === hazards.length ? new Set(told) : undefined;
};

const end = ({ entries, registered, shims }: EndState): string => JSON.stringify([entries, registered, shims]);

describe('a crash at any call, and a second run (containerd-1.7)', () => {
  it('ends as if there had been none, but for the hazards that are known', async () => {
    const met = new Map<string, number>();
    const unexplained: Array<string> = [];
    for (const recorded of cases) {
      const world = worldOf(recorded);
      const calm = await simulate(world);
      for (const at of calm.runs.slice(0, 1).flatMap(crashPoints))
        for (const when of ['before', 'after'] as const) {
          const crashed = await simulate(world, { faults: [], crashes: [{ run: 0, at, when }] });
          const hazards = end(crashed.end) === end(calm.end) ? 'none' : hazardsOf(recorded, calm.end, crashed.end);
          if (hazards === undefined) unexplained.push(`${recorded.given.id}: ${when} call ${at}`);
          for (const hazard of hazards === 'none' ? ['none'] : (hazards ?? []))
            met.set(hazard, (met.get(hazard) ?? 0) + 1);
        }
    }
    expect(unexplained).toEqual([]);
    // That each of them is met shows that the comparison can fail.
    expect([...met.keys()].sort()).toEqual(['H10', 'H11', 'H30', 'none']);
  }, 120_000);

  it('a second run right after changes nothing', async () => {
    for (const recorded of cases) expect(settlesDown(await simulate(worldOf(recorded))), recorded.given.id).toEqual([]);
  }, 60_000);
});

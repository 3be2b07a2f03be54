/** How long a careful recovery waits for stores and shims that give no answer: in virtual time, to the millisecond. */
import { Recovery } from '@shim-recovery/core';
import type { BundleReport } from '@shim-recovery/core/documents';
import {
  type Capabilities,
  containerd17,
  type ContainerStore,
  defaultBounds,
  defaultTimeouts,
  type Policy,
  type Settings,
  unknown,
} from '@shim-recovery/core/interpreter';
import { careful } from '../../core/src/policy/Policy.js';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { layWorld } from '../src/simulation/LaidWorld.js';
import { running, type ShimScript } from '../src/worlds/Shim.js';
import { ordinary, type Start, world } from '../src/worlds/World.js';

/** One whose program nobody wrote down, so that the store is asked for it. */
const { 'shim-binary-path': _, ...withoutProgram } = ordinary.files;
const asksStore: Pick<Start, 'bundle'> = { bundle: { ...ordinary, files: withoutProgram } };

const many = (count: number, start: Omit<Start, 'ns' | 'id'>): ReadonlyArray<Start> =>
  Array.from({ length: count }, (__, index) => ({ ns: 'main', id: `b${index}`, ...start }));

interface Told {
  readonly bundles: ReadonlyArray<BundleReport>;
  readonly elapsedMs: number;
  /** When the store was asked, in milliseconds since the start, of every bundle. */
  readonly askedMs: ReadonlyArray<number>;
}

/** `isUp` says of the store's n-th look-up, from 0, and of the time, whether it is answered. */
const plan = async (
  starts: ReadonlyArray<Start>,
  {
    policy = careful,
    settings = {},
    isUp = () => true,
    interruptAtMs,
  }: {
    readonly policy?: Policy;
    readonly settings?: Partial<Settings>;
    readonly isUp?: (nth: number, elapsedMs: number) => boolean;
    readonly interruptAtMs?: number;
  },
): Promise<Told> => {
  const laid = layWorld(world(...starts));
  const { clock, capabilities, interrupt } = laid.machine;
  const askedMs: Array<number> = [];
  const containerStore: ContainerStore = {
    container: (key) => async () => {
      askedMs.push(clock.elapsedMs());
      return isUp(askedMs.length - 1, clock.elapsedMs())
        ? capabilities.containerStore.container(key)()
        : unknown({ _tag: 'StoreUnavailable', reason: 'it is down' });
    },
  };
  if (interruptAtMs !== undefined) void clock.sleep(interruptAtMs)().then(interrupt);
  const changed: Capabilities = { ...capabilities, containerStore };
  const planned = await Recovery.plan({ ...laid.settings, policy, ...settings }, changed)();
  if (E.isLeft(planned)) throw new Error(planned.left._tag);
  const { namespaces } = planned.right.report;
  return { bundles: namespaces.flatMap(({ bundles }) => bundles), elapsedMs: clock.elapsedMs(), askedMs };
};

/** Portions of bundles are begun a moment after each other. */
const expectAbout = (elapsedMs: number, expectedMs: number): void => {
  expect(elapsedMs).toBeGreaterThanOrEqual(expectedMs);
  expect(elapsedMs).toBeLessThan(expectedMs + 400);
};

const storeMs = (budgetMs: number): Partial<Settings> => ({ timeouts: { ...defaultTimeouts, storeMs: budgetMs } });
const known = { ...asksStore, container: '$BIN/shim-ok', shim: running };

describe('a store that cannot answer', () => {
  it('is used when it answers on the third try', async () => {
    const { bundles, askedMs } = await plan(many(1, known), { isUp: (nth) => nth === 2 });
    expect(bundles).toMatchObject([{ verdict: 'adopt', reason: 'task-running' }]);
    expect(askedMs).toEqual([0, 250, 750]);
  });

  it('is asked as often as the budget allows, once more at its end, and then the bundle is held', async () => {
    const { bundles, askedMs, elapsedMs } = await plan(many(1, known), { isUp: () => false });
    expect(bundles).toMatchObject([{ verdict: 'hold', reason: 'container-unanswered' }]);
    expect(askedMs).toEqual([0, 250, 750, 1_750, 2_750, 3_750, 4_750, 5_000]);
    expect(elapsedMs).toBe(5_000);
    expect((await plan(many(1, known), { isUp: () => false, settings: storeMs(600) })).askedMs).toEqual([0, 250, 600]);
  });

  it.each([16_384, 7, 1])('costs its budget once for all bundles, %i at once', async (waiting) => {
    const bounds = { ...defaultBounds, waiting };
    const { bundles, elapsedMs } = await plan(many(50, known), {
      isUp: () => false,
      settings: { ...storeMs(3_000), bounds },
    });
    expect(new Set(bundles.map(({ reason }) => reason))).toEqual(new Set(['container-unanswered']));
    expect(elapsedMs).toBe(3_000);
  });

  it('is asked no more once the run is interrupted', async () => {
    const { bundles, askedMs } = await plan(many(1, known), { isUp: () => false, interruptAtMs: 1_000 });
    expect(bundles).toMatchObject([{ verdict: 'hold', reason: 'interrupted' }]);
    expect(askedMs).toEqual([0, 250, 750]);
  });

  it('is asked once by a policy that takes it for absent', async () => {
    const { bundles, askedMs } = await plan(many(1, known), { policy: containerd17, isUp: () => false });
    expect(bundles).toMatchObject([{ verdict: 'discard', reason: 'container-unknown' }]);
    expect(askedMs).toEqual([0]);
  });

  it('does not make a shim that hangs cost more', async () => {
    const hung: ShimScript = { ...running, connect: 'hang' };
    const { bundles, elapsedMs } = await plan(many(20, { ...known, shim: hung }), { isUp: (__, ms) => ms >= 750 });
    expect(new Set(bundles.map(({ reason }) => reason))).toEqual(new Set(['shim-unresponsive']));
    expect(elapsedMs).toBe(750 + 5_000 + 1_000 + 5_000);
  });
});

describe('a thousand shims', () => {
  const thousand = (shim: ShimScript): ReadonlyArray<Start> => many(1_000, { bundle: ordinary, shim });

  it('that do not answer Connect cost one time-out, and one more for the second try', async () => {
    const { bundles, elapsedMs } = await plan(thousand({ ...running, connect: 'hang' }), {});
    expect(bundles.filter(({ reason }) => reason === 'shim-unresponsive')).toHaveLength(1_000);
    expectAbout(elapsedMs, 5_000 + 1_000 + 5_000);
  });

  it('that do not list their processes cost one time-out', async () => {
    const { bundles, elapsedMs } = await plan(thousand({ ...running, pids: 'hang' }), {});
    expect(bundles.filter(({ reason }) => reason === 'pids-unanswered')).toHaveLength(1_000);
    expectAbout(elapsedMs, 5_000);
  });
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeClock } from '../src/memory/MemoryClock.js';

describe('virtual time', () => {
  it('wakes sleepers by deadline, then in the order in which they went to sleep, each at its own time', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: 5 }), { maxLength: 20 }), async (naps) => {
        const clock = makeClock();
        const woken: Array<{ readonly index: number; readonly at: number }> = [];
        await Promise.all(
          naps.map(async (ms, index) => {
            await clock.sleep(ms)();
            woken.push({ index, at: clock.elapsedMs() });
          }),
        );
        const byDeadline = naps.map((ms, index) => ({ index, at: ms })).sort((one, other) => one.at - other.at);
        expect(woken).toEqual(byDeadline);
      }),
    );
  });

  it('stands still while anything can run', async () => {
    const clock = makeClock(1_000);
    const nap = clock.sleep(1)();
    for (let turn = 0; turn < 10_000; turn++) await Promise.resolve();
    expect(clock.elapsedMs()).toBe(0);
    await nap;
    expect(clock.nowMs()).toBe(1_001);
  });

  it('adds up naps taken one after the other, and overlaps those taken at once', async () => {
    const clock = makeClock();
    const twice = async (): Promise<void> => {
      await clock.sleep(5_000)();
      await clock.sleep(5_000)();
    };
    await Promise.all([twice(), twice(), clock.sleep(7_000)()]);
    expect(clock.elapsedMs()).toBe(10_000);
  });

  it('never jumps to a timer that was called off', async () => {
    const clock = makeClock();
    const timer = clock.timer(60_000);
    const nap = clock.sleep(10)();
    timer.cancel();
    await nap;
    await new Promise((resolve) => setImmediate(resolve));
    expect(clock.elapsedMs()).toBe(10);
  });
});

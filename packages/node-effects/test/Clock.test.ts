/** When whoever works long lets others have their turn. */
import type { Clock } from '@shim-recovery/core/interpreter';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemClock, unsharedClock } from '../src/linux/LinuxClock.js';

const anInstant = Promise.resolve();

/** A turn that has just begun, at this time. */
const begin = async (nowMs: number): Promise<void> => {
  vi.setSystemTime(nowMs + 1_000_000);
  await systemClock.yieldIfDue();
  vi.setSystemTime(nowMs);
  await systemClock.yieldIfDue();
};

describe('the system clock', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('lets nobody wait within three milliseconds of a turn', async () => {
    await begin(1_000);
    expect(systemClock.yieldIfDue()).toBeUndefined();
    vi.setSystemTime(1_002);
    expect(systemClock.yieldIfDue()).toBeUndefined();
    vi.setSystemTime(1_003);
    expect(systemClock.yieldIfDue()).toBeInstanceOf(Promise);
  });

  test('ends a turn after those who waited already', async () => {
    await begin(1_000);
    vi.setSystemTime(1_010);
    const order: Array<string> = [];
    setImmediate(() => order.push('others'));
    await systemClock.yieldIfDue();
    order.push('we');
    expect(order).toEqual(['others', 'we']);
    expect(systemClock.yieldIfDue()).toBeUndefined();
  });

  /** Breathes, then takes some steps, of which each is told; the time goes on with each. */
  const worker = async (name: string, clock: Clock, told: Array<string>, stepMs: number): Promise<void> => {
    await clock.yieldIfDue();
    for (let step = 0; step < 3; step++) {
      told.push(name);
      vi.setSystemTime(Date.now() + stepMs);
      await anInstant;
    }
  };

  test.each([
    ['one after the other, as far as each can', systemClock, 'aaabbbccc'],
    ['in step, where nobody else is there', unsharedClock, 'abcabcabc'],
  ])('lets those who waited go on %s', async (_, clock, expected) => {
    await begin(1_000);
    vi.setSystemTime(1_010);
    const told: Array<string> = [];
    await Promise.all(['a', 'b', 'c'].map((name) => worker(name, clock, told, 0)));
    expect(told.join('')).toBe(expected);
  });

  test('lets no more go on within a turn than it has time for', async () => {
    await begin(1_000);
    vi.setSystemTime(1_010);
    const told: Array<string> = [];
    const all = Promise.all(['a', 'b', 'c', 'd'].map((name) => worker(name, systemClock, told, 1)));
    const atTurns: Array<number> = [];
    while (told.length < 12) {
      await new Promise((resolve) => setImmediate(resolve));
      atTurns.push(told.length);
    }
    await all;
    expect(atTurns.filter((count) => count > 0)).toEqual([3, 6, 9, 12]);
  });

  test('lets others go as far as they can', async () => {
    const order: Array<string> = [];
    const chain = async (): Promise<void> => {
      for (let step = 0; step < 5; step++) await anInstant;
      order.push('others');
    };
    await anInstant;
    void chain();
    await systemClock.yieldToOthers();
    order.push('we');
    expect(order).toEqual(['others', 'we']);
  });

  test('ends a turn, rather than none, where the time was set back', async () => {
    await begin(1_000);
    vi.setSystemTime(10);
    expect(systemClock.yieldIfDue()).toBeInstanceOf(Promise);
  });
});

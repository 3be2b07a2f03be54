/** When whoever works long lets others have their turn. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../src/Clock.js';

/** A turn that has just begun, at this time. */
const begin = async (nowMs: number): Promise<void> => {
  vi.setSystemTime(nowMs + 1_000_000);
  await systemClock.breathe();
  vi.setSystemTime(nowMs);
  await systemClock.breathe();
};

describe('the system clock', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('lets nobody wait within five milliseconds of a turn', async () => {
    await begin(1_000);
    expect(systemClock.breathe()).toBeUndefined();
    vi.setSystemTime(1_004);
    expect(systemClock.breathe()).toBeUndefined();
    vi.setSystemTime(1_005);
    expect(systemClock.breathe()).toBeInstanceOf(Promise);
  });

  test('ends a turn once for all who ask, after those who waited already', async () => {
    await begin(1_000);
    vi.setSystemTime(1_010);
    const order: Array<string> = [];
    setImmediate(() => order.push('others'));
    const turn = systemClock.breathe();
    expect(systemClock.breathe()).toBe(turn);
    await turn;
    order.push('we');
    expect(order).toEqual(['others', 'we']);
    expect(systemClock.breathe()).toBeUndefined();
  });

  test('ends a turn, rather than none, where the time was set back', async () => {
    await begin(1_000);
    vi.setSystemTime(10);
    expect(systemClock.breathe()).toBeInstanceOf(Promise);
  });
});

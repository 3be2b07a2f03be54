import { expect, it } from 'vitest';
import { forEachAsked } from '../../src/observe/Portions.js';
import { defaultBounds } from '../../src/policy/Settings.js';

it('gives others their turn also where one failure follows the other at once', async () => {
  const longTurn = 10;
  const asked: Array<number> = [];
  let inTurn = 0;
  let nextTurn: Promise<void> | undefined;
  const endTurn = (): Promise<void> =>
    (nextTurn ??= new Promise((resolve) =>
      setImmediate(() => {
        asked.push(inTurn);
        inTurn = 0;
        nextTurn = undefined;
        resolve();
      }),
    ));
  const clock = {
    nowMs: () => 0,
    elapsedMs: () => 0,
    sleep: () => () => new Promise<void>((resolve) => setImmediate(resolve)),
    yieldIfDue: () => (inTurn >= longTurn ? endTurn() : undefined),
    yieldToOthers: async () => undefined,
  };
  const refused = () => async () => {
    await new Promise<void>((resolve) => process.nextTick(resolve));
    inTurn++;
  };
  await forEachAsked({ clock }, { bounds: defaultBounds }, refused)(Array.from({ length: 200 }))();
  // Those that asked whether they may in the same moment go on together.
  expect(Math.max(...asked, inTurn)).toBeLessThan(longTurn + defaultBounds.busy);
});

it('asks all of those that never answer at once, however long the turns of whoever shares the process', async () => {
  const turnMs = 24;
  const silent = 1_000;
  let nowMs = 0;
  let asked = 0;
  let release = (): void => undefined;
  const all = new Promise<void>((resolve) => {
    release = resolve;
  });
  const clock = {
    nowMs: () => nowMs,
    elapsedMs: () => nowMs,
    sleep: () => async () => {
      nowMs += turnMs;
      await new Promise<void>((resolve) => setImmediate(resolve));
    },
    yieldIfDue: () => undefined,
    yieldToOthers: async () => undefined,
  };
  const ask = () => async () => {
    if (++asked === silent) release();
    await all;
  };
  await forEachAsked({ clock }, { bounds: defaultBounds }, ask)(Array.from({ length: silent }))();
  expect(nowMs).toBeLessThan(1_000);
});

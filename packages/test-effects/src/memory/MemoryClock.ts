/**
 * Virtual time. It stands still while anything can run, and jumps to the next deadline when everything waits: a
 * time-out of five seconds costs nothing, and a run takes the same course every time.
 */
import type { Clock } from '@shim-recovery/core/interpreter';
import type { IO } from 'fp-ts/lib/IO.js';

/** A deadline that can be called off, so that time never jumps to it for nobody. */
export interface Timer {
  readonly elapsed: Promise<void>;
  readonly cancel: IO<void>;
}

export interface VirtualClock extends Clock {
  readonly timer: (ms: number) => Timer;
}

interface Sleeper {
  readonly deadlineMs: number;
  readonly wake: () => void;
}

/** Some moment to start at. */
export const defaultStartMs = Date.UTC(2025, 0, 1);

/**
 * A clock whose time begins at `startMs`. Everything that runs against it must wait for nothing but promises and this
 * clock: it takes an idle event loop for a sign that all that is left are sleepers.
 */
export const makeClock = (startMs: number = defaultStartMs): VirtualClock => {
  let elapsedMs = 0;
  let isWakeDue = false;
  // By deadline; those of one deadline in the order in which they went to sleep.
  const sleepers: Array<Sleeper> = [];

  const wakeNext = (): void => {
    isWakeDue = false;
    const next = sleepers[0];
    if (next === undefined) return;
    elapsedMs = next.deadlineMs;
    while (sleepers[0]?.deadlineMs === elapsedMs) sleepers.shift()?.wake();
    wakeWhenIdle();
  };

  // Callbacks of setImmediate run when no promise is left to continue.
  const wakeWhenIdle = (): void => {
    if (isWakeDue || sleepers.length === 0) return;
    isWakeDue = true;
    setImmediate(wakeNext);
  };

  const timer = (ms: number): Timer => {
    let wake = (): void => undefined;
    const elapsed = new Promise<void>((resolve) => {
      wake = resolve;
    });
    const sleeper: Sleeper = { deadlineMs: elapsedMs + Math.max(0, ms), wake: () => wake() };
    const after = sleepers.findIndex(({ deadlineMs }) => deadlineMs > sleeper.deadlineMs);
    sleepers.splice(after < 0 ? sleepers.length : after, 0, sleeper);
    wakeWhenIdle();
    return {
      elapsed,
      cancel: () => {
        const at = sleepers.indexOf(sleeper);
        if (at >= 0) sleepers.splice(at, 1);
      },
    };
  };

  return {
    nowMs: () => startMs + elapsedMs,
    elapsedMs: () => elapsedMs,
    sleep: (ms) => () => timer(ms).elapsed,
    yieldIfDue: () => undefined,
    yieldToOthers: async () => undefined,
    timer,
  };
};

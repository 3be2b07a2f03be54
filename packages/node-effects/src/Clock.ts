/** The real clock. */
import type { Clock } from '@shim-recovery/core/Clock';

/** How long this process works before it looks whether anybody else waits: sockets, timers, whoever embeds us. */
const turnMs = 5;

/** The most that a timer of Node can wait; a longer one would fire at once. */
export const longestTimerMs = 0x7fff_ffff;

/** By `hrtime`, which is there; `performance` is loaded when it is first asked for, and a command's start is waited for. */
const elapsedMs = (): number => {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
};

/**
 * Calls back once what had come by now was told, too. Timers come before everything else: after a long turn an answer may be
 * here already, and nobody has read it yet. Two turns, as who is told of it (`Readiness.ts`) is told at the end of the first.
 */
export const onceTold = (then: () => void): void => {
  setImmediate(() => setImmediate(then));
};

let turnEndsMs = 0;
let nextTurn: Promise<void> | undefined;

const endTurn = (): Promise<void> =>
  (nextTurn ??= new Promise((resolve) =>
    setImmediate(() => {
      nextTurn = undefined;
      turnEndsMs = elapsedMs() + turnMs;
      resolve();
    }),
  ));

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  elapsedMs,
  sleep: (ms) => () => new Promise((resolve) => setTimeout(onceTold, ms, resolve)),
  breathe: () => (elapsedMs() > turnEndsMs ? endTurn() : undefined),
};

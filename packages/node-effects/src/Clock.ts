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

let turnBeganMs = 0;
let nextTurn: Promise<void> | undefined;

const endTurn = (): Promise<void> =>
  (nextTurn ??= new Promise((resolve) =>
    setImmediate(() => {
      nextTurn = undefined;
      turnBeganMs = Date.now();
      resolve();
    }),
  ));

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  elapsedMs,
  // Timers come before everything else: after a long turn answers may be here already. Whoever is told of one, is told at the
  // end of this turn (`Readiness.ts`); so this goes on after the next.
  sleep: (ms) => () => new Promise((resolve) => setTimeout(() => setImmediate(() => setImmediate(resolve)), ms)),
  // By the quickest clock, as it is asked before nearly everything that is done. Where that was set meanwhile, a turn ends sooner,
  // or up to so much later.
  breathe: () => {
    const nowMs = Date.now();
    return nowMs >= turnBeganMs + turnMs || nowMs < turnBeganMs ? endTurn() : undefined;
  },
};

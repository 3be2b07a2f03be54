/** The real clock. */
import type { Clock } from '@shim-recovery/core/Clock';

/** How long this process works before it looks whether anybody else waits: sockets, timers, whoever embeds us. */
const turnMs = 5;

let turnEndsMs = 0;
let nextTurn: Promise<void> | undefined;

const endTurn = (): Promise<void> =>
  (nextTurn ??= new Promise((resolve) =>
    setImmediate(() => {
      nextTurn = undefined;
      turnEndsMs = performance.now() + turnMs;
      resolve();
    }),
  ));

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  elapsedMs: () => performance.now(),
  // Timers come before sockets: after a long turn an answer may be here already, and nobody has read it yet.
  sleep: (ms) => () => new Promise((resolve) => setTimeout(() => setImmediate(resolve), ms)),
  breathe: () => (performance.now() > turnEndsMs ? endTurn() : undefined),
};

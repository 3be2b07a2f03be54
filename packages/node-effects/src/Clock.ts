/** The real clock. */
import type { Clock } from '@shim-recovery/core/Clock';

/** How long this process works before it looks whether anybody else waits: sockets, timers, whoever embeds us. */
const turnMs = 5;

/** By `hrtime`, which is there; `performance` is loaded when it is first asked for, and a command's start is waited for. */
const elapsedMs = (): number => {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
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
  // Timers come before sockets: after a long turn an answer may be here already, and nobody has read it yet.
  sleep: (ms) => () => new Promise((resolve) => setTimeout(() => setImmediate(resolve), ms)),
  breathe: () => (elapsedMs() > turnEndsMs ? endTurn() : undefined),
};

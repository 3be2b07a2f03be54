/** The real clock. */
import type { Clock } from '@shim-recovery/core/Clock';

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  elapsedMs: () => performance.now(),
  sleep: (ms) => () => new Promise((resolve) => setTimeout(resolve, ms)),
};

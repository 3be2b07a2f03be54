/** The capability to know the time and to let it pass. */
import type { IO } from 'fp-ts/lib/IO.js';
import type { Task } from 'fp-ts/lib/Task.js';

export interface Clock {
  /** Milliseconds since the epoch: what a report and an event say. Decisions never depend on it. */
  readonly nowMs: IO<number>;
  /** Milliseconds since some moment, never going back: what durations are measured with. */
  readonly elapsedMs: IO<number>;
  /** Completes after so many milliseconds. */
  readonly sleep: (ms: number) => Task<void>;
  /**
   * Asked between any two small pieces of work: what to wait for, so that other work of this process has its turn, or
   * undefined as long as this one has not lasted for long. At the beginning of a turn it is undefined.
   */
  readonly yieldIfDue: IO<Promise<void> | undefined>;
  /**
   * Completes once everything else in this process has gone as far as it can without waiting for anything outside. Awaited
   * between one thing that is begun and the next: of many that take a step in turn none is over soon, and all are held.
   */
  readonly yieldToOthers: Task<void>;
}

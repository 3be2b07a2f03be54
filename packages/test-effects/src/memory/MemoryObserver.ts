/** The events of a run, kept in order. */
import type { Trace, TraceEvent } from '@shim-recovery/core/observe/Observer';

export interface RecordingTrace extends Trace {
  readonly told: () => ReadonlyArray<TraceEvent>;
}

export const makeTrace = (): RecordingTrace => {
  const events: Array<TraceEvent> = [];
  return {
    tell: (event) => () => {
      events.push(event);
    },
    told: () => [...events],
  };
};

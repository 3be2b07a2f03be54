/** The events of a run, kept in order. */
import type { Observer, ObserverEvent } from '@shim-recovery/core/interpreter';

export interface MemoryObserver extends Observer {
  readonly told: () => ReadonlyArray<ObserverEvent>;
}

export const makeMemoryObserver = (): MemoryObserver => {
  const events: Array<ObserverEvent> = [];
  return {
    notify: (event) => () => {
      events.push(event);
    },
    told: () => [...events],
  };
};

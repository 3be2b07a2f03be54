/** Events, kept in the order in which they were published (SPEC 11.5). */
import { eventNotPublished, type EventSink, type TaskEvent } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';

export interface RecordingEventSink extends EventSink {
  readonly published: () => ReadonlyArray<TaskEvent>;
  /** From now on every event is refused for this reason; undefined: they are taken again. */
  readonly refuse: (reason: string | undefined) => void;
}

export const makeEventSink = (): RecordingEventSink => {
  const events: Array<TaskEvent> = [];
  let refusal: string | undefined;
  return {
    publish: (event) => async () => {
      if (refusal !== undefined) return E.left(eventNotPublished(refusal));
      events.push(event);
      return E.right(undefined);
    },
    published: () => [...events],
    refuse: (reason) => {
      refusal = reason;
    },
  };
};

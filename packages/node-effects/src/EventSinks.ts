/** Where the events of ended tasks go: a stream of lines, listeners in this process, or several of them. */
import type { Writable } from 'node:stream';
import * as B from '@shim-recovery/core/ByteString';
import {
  type EventError,
  type EventSink,
  eventNotPublished,
  messageNameOf,
  type TaskEvent,
  topicOf,
} from '@shim-recovery/core/EventSink';
import type { Timestamp } from '@shim-recovery/core/TaskExit';
import * as E from 'fp-ts/lib/Either.js';

/** RFC 3339 with nanoseconds; a moment that no calendar here can name is given in seconds since the epoch. */
export const showTimestamp = ({ seconds, nanos }: Timestamp): string => {
  const date = new Date(Number(seconds) * 1000);
  if (Number.isNaN(date.getTime())) return `${seconds}.${String(nanos).padStart(9, '0')}`;
  return `${date.toISOString().slice(0, -5)}.${String(nanos).padStart(9, '0')}Z`;
};

/** One event as a line of JSON. `TaskDelete` has no `id`, as on the reference's wire (SPEC 11.5). */
export const eventLine = (event: TaskEvent): string => {
  const containerId = B.show(event.id);
  return JSON.stringify({
    schema: 'shim-recovery/event@1',
    topic: topicOf(event),
    event: messageNameOf(event),
    namespace: B.show(event.namespace),
    containerId,
    ...(event._tag === 'TaskExit' ? { id: containerId } : {}),
    pid: event.exit.pid,
    exitStatus: event.exit.exitStatus,
    exitedAt: showTimestamp(event.exit.exitedAt),
    publishedAt: showTimestamp(event.publishedAt),
  });
};

/** Writes each event as one line; published once the line has been handed to the kernel. */
export const lineSink = (stream: Writable): EventSink => ({
  publish: (event) => () =>
    new Promise((resolve) => {
      stream.write(`${eventLine(event)}\n`, (error) =>
        resolve(error === null || error === undefined ? E.right(undefined) : E.left(eventNotPublished(error.message))),
      );
    }),
});

/** Someone in this process who wants to know. */
export type Listener = (event: TaskEvent) => void;

export interface Listeners {
  readonly sink: EventSink;
  /** From now on; the result ends it. */
  readonly subscribe: (listener: Listener) => () => void;
}

/** A sink for listeners in this process. One that throws hurts no other; the event then counts as not published. */
export const makeListeners = (): Listeners => {
  const listeners = new Set<Listener>();
  return {
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    sink: {
      publish: (event) => async () => {
        const failures = [...listeners].flatMap((listener) => {
          const told = E.tryCatch(
            () => listener(event),
            (error) => (error instanceof Error ? error.message : String(error)),
          );
          return E.isLeft(told) ? [told.left] : [];
        });
        return failures.length === 0 ? E.right(undefined) : E.left(eventNotPublished(failures.join('; ')));
      },
    },
  };
};

/** Publishes to every sink, in their order; fails if any of them failed, after all were tried. */
export const combine = (sinks: ReadonlyArray<EventSink>): EventSink => ({
  publish: (event) => async () => {
    const failures: Array<EventError> = [];
    for (const sink of sinks) {
      const published = await sink.publish(event)();
      if (E.isLeft(published)) failures.push(published.left);
    }
    return failures.length === 0
      ? E.right(undefined)
      : E.left(eventNotPublished(failures.map(({ reason }) => reason).join('; ')));
  },
});

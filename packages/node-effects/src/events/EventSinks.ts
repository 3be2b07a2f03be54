/** Where the events of ended tasks go: a stream of lines, listeners in this process, or several of them. */
import type { Writable } from 'node:stream';
import { ByteString as B } from '@shim-recovery/core';
import {
  eventNotPublished,
  type EventSink,
  messageNameOf,
  type TaskEvent,
  type Timestamp,
  topicOf,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';

const nanosPerSecond = 1_000_000_000;

/** RFC 3339 with nanoseconds; a moment that no calendar here can name is given in seconds since the epoch. */
export const showTimestamp = ({ seconds, nanos }: Timestamp): string => {
  // A shim may say more nanoseconds than a second has, or fewer than none.
  const carriedSeconds = Math.floor(nanos / nanosPerSecond);
  const date = new Date((Number(seconds) + carriedSeconds) * 1000);
  if (Number.isNaN(date.getTime())) return `${seconds}.${String(nanos).padStart(9, '0')}`;
  const fraction = String(nanos - carriedSeconds * nanosPerSecond).padStart(9, '0');
  return `${date.toISOString().slice(0, -5)}.${fraction}Z`;
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

/**
 * Writes each event as one line; published once the line has been handed to the kernel. A reader that has gone
 * (`EPIPE`), or that does not take the line within `timeoutMs`, leaves the event unpublished and nothing else undone.
 */
export const lineSink = (stream: Writable, timeoutMs: number = defaultTimeoutMs): EventSink => {
  // Each write is told of its own error; the stream's, without a listener, would end the process.
  stream.on('error', () => undefined);
  return {
    publish: (event) => () =>
      new Promise((resolve) => {
        const failed = (reason: string): void => resolve(E.left(eventNotPublished(reason)));
        const deadline = setTimeout(() => failed(`nobody took it within ${timeoutMs} ms`), timeoutMs);
        stream.write(`${eventLine(event)}\n`, (error) => {
          clearTimeout(deadline);
          if (error === null || error === undefined) resolve(E.right(undefined));
          else failed(error.message);
        });
      }),
  };
};

/** How long an event may wait for somebody to read it. */
const defaultTimeoutMs = 5_000;

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

/** Publishes to every sink at once; fails if any of them failed, after all have ended. A slow one delays no other. */
export const combine = (sinks: ReadonlyArray<EventSink>): EventSink => ({
  publish: (event) => async () => {
    const outcomes = await Promise.all(sinks.map((sink) => sink.publish(event)()));
    const reasons = outcomes.flatMap((outcome) => (E.isLeft(outcome) ? [outcome.left.reason] : []));
    return reasons.length === 0 ? E.right(undefined) : E.left(eventNotPublished(reasons.join('; ')));
  },
});

/** The events that say that a task ended, and the requests that publish them (SPEC 11.5, 16.3). */
import { ByteString as B } from '@shim-recovery/core';
import {
  messageNameOf,
  type TaskEvent,
  type TaskExitInfo,
  type Timestamp as TimestampValue,
  topicOf,
} from '@shim-recovery/core/interpreter';
import * as O from 'fp-ts/lib/Option.js';
import { byteText, embedded, encode, type Field, type Message, text, uint32 } from './Message.js';
import { Any, Timestamp } from './WellKnown.js';

/** Both messages hold the same, under other numbers. */
export interface TaskEnd {
  readonly containerId: B.ByteString;
  readonly id: B.ByteString;
  readonly exit: TaskExitInfo;
}

const emptyTaskEnd = (): TaskEnd => ({
  containerId: B.empty,
  id: B.empty,
  exit: { pid: 0, exitStatus: 0, exitedAt: Timestamp.empty() },
});

const containerId = (number: number): Field<TaskEnd> =>
  byteText(
    number,
    (end) => end.containerId,
    (end, value) => ({ ...end, containerId: value }),
  );

const id = (number: number): Field<TaskEnd> =>
  byteText(
    number,
    (end) => end.id,
    (end, value) => ({ ...end, id: value }),
  );

const pid = (number: number): Field<TaskEnd> =>
  uint32(
    number,
    (end) => end.exit.pid,
    (end, value) => ({ ...end, exit: { ...end.exit, pid: value } }),
  );

const exitStatus = (number: number): Field<TaskEnd> =>
  uint32(
    number,
    (end) => end.exit.exitStatus,
    (end, value) => ({ ...end, exit: { ...end.exit, exitStatus: value } }),
  );

const exitedAt = (number: number): Field<TaskEnd> =>
  embedded(
    number,
    Timestamp,
    (end) => O.some(end.exit.exitedAt),
    (end, value) => ({ ...end, exit: { ...end.exit, exitedAt: value } }),
  );

export const TaskExit: Message<TaskEnd> = {
  name: 'TaskExit',
  empty: emptyTaskEnd,
  fields: [containerId(1), id(2), pid(3), exitStatus(4), exitedAt(5)],
};

export const TaskDelete: Message<TaskEnd> = {
  name: 'TaskDelete',
  empty: emptyTaskEnd,
  fields: [containerId(1), pid(2), exitStatus(3), exitedAt(4), id(5)],
};

/** An event on its way: when and where it happened, under which topic, and the event itself. */
export interface Envelope {
  readonly timestamp: O.Option<TimestampValue>;
  readonly namespace: B.ByteString;
  readonly topic: string;
  readonly event: O.Option<Any>;
}

export const Envelope: Message<Envelope> = {
  name: 'Envelope',
  empty: () => ({ timestamp: O.none, namespace: B.empty, topic: '', event: O.none }),
  fields: [
    embedded(
      1,
      Timestamp,
      (envelope) => envelope.timestamp,
      (envelope, timestamp) => ({ ...envelope, timestamp: O.some(timestamp) }),
    ),
    byteText(
      2,
      (envelope) => envelope.namespace,
      (envelope, namespace) => ({ ...envelope, namespace }),
    ),
    text(
      3,
      (envelope) => envelope.topic,
      (envelope, topic) => ({ ...envelope, topic }),
    ),
    embedded(
      4,
      Any,
      (envelope) => envelope.event,
      (envelope, event) => ({ ...envelope, event: O.some(event) }),
    ),
  ],
};

/** To hand on an event that happened elsewhere: time and namespace are the sender's. */
export interface ForwardRequest {
  readonly envelope: O.Option<Envelope>;
}

export const ForwardRequest: Message<ForwardRequest> = {
  name: 'ForwardRequest',
  empty: () => ({ envelope: O.none }),
  fields: [
    embedded(
      1,
      Envelope,
      (request) => request.envelope,
      (_, envelope) => ({ envelope: O.some(envelope) }),
    ),
  ],
};

/** To publish an event: the daemon adds time and namespace. */
export interface PublishRequest {
  readonly topic: string;
  readonly event: O.Option<Any>;
}

export const PublishRequest: Message<PublishRequest> = {
  name: 'PublishRequest',
  empty: () => ({ topic: '', event: O.none }),
  fields: [
    text(
      1,
      (request) => request.topic,
      (request, topic) => ({ ...request, topic }),
    ),
    embedded(
      2,
      Any,
      (request) => request.event,
      (request, event) => ({ ...request, event: O.some(event) }),
    ),
  ],
};

/** The event as the reference would put it on the wire. */
export const envelopeOf = (event: TaskEvent): Envelope => ({
  timestamp: O.some(event.publishedAt),
  namespace: event.namespace,
  topic: topicOf(event),
  event: O.some(anyOf(event)),
});

const anyOf = (event: TaskEvent): Any => ({
  typeUrl: messageNameOf(event),
  value:
    event._tag === 'TaskExit'
      ? encode(TaskExit)({ containerId: event.id, id: event.id, exit: event.exit })
      : // The reference leaves the id of the process empty here (SPEC 11.5).
        encode(TaskDelete)({ containerId: event.id, id: B.empty, exit: event.exit }),
});

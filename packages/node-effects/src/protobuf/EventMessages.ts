/** The events that say that a task ended, and the requests that publish them (SPEC 11.5, 16.3). */
import { ByteString as B } from '@shim-recovery/core';
import { messageNameOf, type TaskEvent, type TaskExitInfo, topicOf } from '@shim-recovery/core/interpreter';
import * as O from 'fp-ts/lib/Option.js';
import {
  always,
  byteText,
  embedded,
  encode,
  type Message,
  message,
  type MessageOf,
  shaped,
  text,
  uint32,
} from './Message.js';
import { Any, Timestamp } from './WellKnown.js';

/** Both messages hold the same, under other numbers. */
export interface TaskEnd {
  readonly containerId: B.ByteString;
  readonly id: B.ByteString;
  readonly exit: TaskExitInfo;
}

const asTaskEnd = (of: Message<Omit<TaskEnd, 'exit'> & TaskExitInfo>): Message<TaskEnd> =>
  shaped(
    of,
    ({ containerId, id, ...exit }): TaskEnd => ({ containerId, id, exit }),
    ({ containerId, id, exit }) => ({ containerId, id, ...exit }),
  );

export const TaskExit = asTaskEnd(
  message('TaskExit', {
    containerId: byteText(1),
    id: byteText(2),
    pid: uint32(3),
    exitStatus: uint32(4),
    exitedAt: always(5, Timestamp),
  }),
);

export const TaskDelete = asTaskEnd(
  message('TaskDelete', {
    containerId: byteText(1),
    pid: uint32(2),
    exitStatus: uint32(3),
    exitedAt: always(4, Timestamp),
    id: byteText(5),
  }),
);

/** An event on its way: when and where it happened, under which topic, and the event itself. */
export const Envelope = message('Envelope', {
  timestamp: embedded(1, Timestamp),
  namespace: byteText(2),
  topic: text(3),
  event: embedded(4, Any),
});
export type Envelope = MessageOf<typeof Envelope>;

/** To hand on an event that happened elsewhere: time and namespace are the sender's. */
export const ForwardRequest = message('ForwardRequest', { envelope: embedded(1, Envelope) });

/** To publish an event: the daemon adds time and namespace. */
export const PublishRequest = message('PublishRequest', { topic: text(1), event: embedded(2, Any) });

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

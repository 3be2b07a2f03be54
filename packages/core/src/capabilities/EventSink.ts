/** The capability to tell the world that a task ended (SPEC 11.5). */
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import type * as B from '../base/ByteString.js';
import type { TaskExitInfo, Timestamp } from './TaskExit.js';

/**
 * `TaskExit` always comes before `TaskDelete`, and both only for a task that was registered. `publishedAt` is the
 * moment of publishing; when the task ended is in `exit`.
 */
export interface TaskEvent {
  readonly _tag: 'TaskExit' | 'TaskDelete';
  readonly namespace: B.ByteString;
  readonly id: B.ByteString;
  readonly exit: TaskExitInfo;
  readonly publishedAt: Timestamp;
}

export interface EventError {
  readonly _tag: 'EventNotPublished';
  readonly reason: string;
}

export interface EventSink {
  readonly publish: (event: TaskEvent) => TaskEither<EventError, void>;
}

/** The topic under which the reference publishes it. */
export const topicOf = (event: TaskEvent): '/tasks/exit' | '/tasks/delete' =>
  event._tag === 'TaskExit' ? '/tasks/exit' : '/tasks/delete';

/** The name of the message, which is also its type URL: bare, without `type.googleapis.com/`. */
export const messageNameOf = (event: TaskEvent): string => `containerd.events.${event._tag}`;

export const eventNotPublished = (reason: string): EventError => ({ _tag: 'EventNotPublished', reason });

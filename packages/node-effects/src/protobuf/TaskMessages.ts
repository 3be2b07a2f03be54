/** The task service's messages, as far as recovery speaks them (SPEC 16.2). Those of v2 and v3 are the same. */
import type { ConnectAnswer, TaskExitInfo, TaskState, TaskStatus } from '@shim-recovery/core/interpreter';
import {
  always,
  bool,
  byteText,
  converted,
  embedded,
  int32,
  type Message,
  message,
  type MessageOf,
  repeated,
  shaped,
  text,
  uint32,
} from './Message.js';
import { Any, Timestamp } from './WellKnown.js';

/** What Connect and Pids ask with. */
export const TaskRequest = message('TaskRequest', { id: byteText(1) });
export type TaskRequest = MessageOf<typeof TaskRequest>;

export const ConnectResponse: Message<ConnectAnswer> = message('ConnectResponse', {
  shimPid: uint32(1),
  taskPid: uint32(2),
  version: text(3),
});

/** One process of a task. What the runtime adds about it in `info` is not looked at. */
export const ProcessInfo = message('ProcessInfo', { pid: uint32(1), info: embedded(2, Any) });
export type ProcessInfo = MessageOf<typeof ProcessInfo>;

export const PidsResponse = message('PidsResponse', { processes: repeated(1, ProcessInfo) });
export type PidsResponse = MessageOf<typeof PidsResponse>;

/** `execId` names a process within the task; empty is the task itself. */
export const DeleteRequest = message('DeleteRequest', { id: byteText(1), execId: byteText(2) });
export type DeleteRequest = MessageOf<typeof DeleteRequest>;

/** What a shim answers to Delete and what its binary prints (SPEC 11.4). Without a time it is 1970 (H29). */
export const DeleteResponse: Message<TaskExitInfo> = message('DeleteResponse', {
  pid: uint32(1),
  exitStatus: uint32(2),
  exitedAt: always(3, Timestamp),
});

/** `isImmediate` is the field `now`. */
export const ShutdownRequest = message('ShutdownRequest', { id: byteText(1), isImmediate: bool(2) });
export type ShutdownRequest = MessageOf<typeof ShutdownRequest>;

/** State asks as Delete does. */
export const StateRequest: Message<DeleteRequest> = { ...DeleteRequest, name: 'StateRequest' };

/** By their numbers on the wire. */
const statuses: ReadonlyArray<TaskStatus> = ['unknown', 'created', 'running', 'stopped', 'paused', 'pausing'];

/** Of the answer to State, what tells whether the task ended, and how; a status of a number to come is unknown. */
export const StateResponse: Message<TaskState> = shaped(
  message('StateResponse', {
    pid: uint32(3),
    status: converted(
      int32(4),
      (number): TaskStatus => statuses[number] ?? 'unknown',
      (status) => statuses.indexOf(status),
    ),
    exitStatus: uint32(9),
    exitedAt: always(10, Timestamp),
  }),
  ({ status, ...exit }): TaskState => ({ status, exit }),
  ({ status, exit }) => ({ status, ...exit }),
);

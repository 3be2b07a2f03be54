/** The task service's messages, as far as recovery speaks them (SPEC 16.2). Those of v2 and v3 are the same. */
import { ByteString as B } from '@shim-recovery/core';
import type { ConnectAnswer, TaskExitInfo, TaskState, TaskStatus } from '@shim-recovery/core/interpreter';
import * as O from 'fp-ts/lib/Option.js';
import { bool, byteText, embedded, int32, type Message, repeated, text, uint32 } from './Message.js';
import { Any, Timestamp } from './WellKnown.js';

/** What Connect and Pids ask with. */
export interface TaskRequest {
  readonly id: B.ByteString;
}

export const TaskRequest: Message<TaskRequest> = {
  name: 'TaskRequest',
  empty: () => ({ id: B.empty }),
  fields: [
    byteText(
      1,
      (request) => request.id,
      (_, id) => ({ id }),
    ),
  ],
};

export const ConnectResponse: Message<ConnectAnswer> = {
  name: 'ConnectResponse',
  empty: () => ({ shimPid: 0, taskPid: 0, version: '' }),
  fields: [
    uint32(
      1,
      (answer) => answer.shimPid,
      (answer, shimPid) => ({ ...answer, shimPid }),
    ),
    uint32(
      2,
      (answer) => answer.taskPid,
      (answer, taskPid) => ({ ...answer, taskPid }),
    ),
    text(
      3,
      (answer) => answer.version,
      (answer, version) => ({ ...answer, version }),
    ),
  ],
};

/** One process of a task. What the runtime adds about it in `info` is not looked at. */
export interface ProcessInfo {
  readonly pid: number;
  readonly info: O.Option<Any>;
}

export const ProcessInfo: Message<ProcessInfo> = {
  name: 'ProcessInfo',
  empty: () => ({ pid: 0, info: O.none }),
  fields: [
    uint32(
      1,
      (process) => process.pid,
      (process, pid) => ({ ...process, pid }),
    ),
    embedded(
      2,
      Any,
      (process) => process.info,
      (process, info) => ({ ...process, info: O.some(info) }),
    ),
  ],
};

export interface PidsResponse {
  readonly processes: Array<ProcessInfo>;
}

export const PidsResponse: Message<PidsResponse> = {
  name: 'PidsResponse',
  empty: () => ({ processes: [] }),
  fields: [
    repeated(
      1,
      ProcessInfo,
      (answer) => answer.processes,
      (answer, process) => {
        // In place: one frame has room for two million processes.
        answer.processes.push(process);
        return answer;
      },
    ),
  ],
};

/** `execId` names a process within the task; empty is the task itself. */
export interface DeleteRequest {
  readonly id: B.ByteString;
  readonly execId: B.ByteString;
}

export const DeleteRequest: Message<DeleteRequest> = {
  name: 'DeleteRequest',
  empty: () => ({ id: B.empty, execId: B.empty }),
  fields: [
    byteText(
      1,
      (request) => request.id,
      (request, id) => ({ ...request, id }),
    ),
    byteText(
      2,
      (request) => request.execId,
      (request, execId) => ({ ...request, execId }),
    ),
  ],
};

/** What a shim answers to Delete and what its binary prints (SPEC 11.4). Without a time it is 1970 (H29). */
export const DeleteResponse: Message<TaskExitInfo> = {
  name: 'DeleteResponse',
  empty: () => ({ pid: 0, exitStatus: 0, exitedAt: Timestamp.empty() }),
  fields: [
    uint32(
      1,
      (exit) => exit.pid,
      (exit, pid) => ({ ...exit, pid }),
    ),
    uint32(
      2,
      (exit) => exit.exitStatus,
      (exit, exitStatus) => ({ ...exit, exitStatus }),
    ),
    embedded(
      3,
      Timestamp,
      (exit) => O.some(exit.exitedAt),
      (exit, exitedAt) => ({ ...exit, exitedAt }),
    ),
  ],
};

/** `isImmediate` is the field `now`. */
export interface ShutdownRequest {
  readonly id: B.ByteString;
  readonly isImmediate: boolean;
}

export const ShutdownRequest: Message<ShutdownRequest> = {
  name: 'ShutdownRequest',
  empty: () => ({ id: B.empty, isImmediate: false }),
  fields: [
    byteText(
      1,
      (request) => request.id,
      (request, id) => ({ ...request, id }),
    ),
    bool(
      2,
      (request) => request.isImmediate,
      (request, isImmediate) => ({ ...request, isImmediate }),
    ),
  ],
};

/** State asks as Delete does. */
export type StateRequest = DeleteRequest;

export const StateRequest: Message<StateRequest> = { ...DeleteRequest, name: 'StateRequest' };

/** By their numbers on the wire. */
const statuses: ReadonlyArray<TaskStatus> = ['unknown', 'created', 'running', 'stopped', 'paused', 'pausing'];

/** Of the answer to State, what tells whether the task ended, and how; a status of a number to come is unknown. */
export const StateResponse: Message<TaskState> = {
  name: 'StateResponse',
  empty: () => ({ status: 'unknown', exit: { pid: 0, exitStatus: 0, exitedAt: Timestamp.empty() } }),
  fields: [
    uint32(
      3,
      (state) => state.exit.pid,
      (state, pid) => ({ ...state, exit: { ...state.exit, pid } }),
    ),
    int32(
      4,
      (state) => statuses.indexOf(state.status),
      (state, status) => ({ ...state, status: statuses[status] ?? 'unknown' }),
    ),
    uint32(
      9,
      (state) => state.exit.exitStatus,
      (state, exitStatus) => ({ ...state, exit: { ...state.exit, exitStatus } }),
    ),
    embedded(
      10,
      Timestamp,
      (state) => O.some(state.exit.exitedAt),
      (state, exitedAt) => ({ ...state, exit: { ...state.exit, exitedAt } }),
    ),
  ],
};

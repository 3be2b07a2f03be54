/** The capability to talk to a shim: dial its socket, then ask it about its task (SPEC 9, 10, 16). */
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import * as t from 'io-ts';
import type * as B from '../base/ByteString.js';
import type { ShimTarget } from './ShimSocket.js';
import { TaskExitInfo } from './TaskExit.js';

/** The meaning of the status code in a shim's answer for its caller (SPEC 17, the 1.x column). */
export const ErrorClass = t.keyof(
  {
    Canceled: null,
    DeadlineExceeded: null,
    InvalidArgument: null,
    NotFound: null,
    AlreadyExists: null,
    FailedPrecondition: null,
    NotImplemented: null,
    Unavailable: null,
    Unknown: null,
  },
  'ErrorClass',
);

export type ErrorClass = t.TypeOf<typeof ErrorClass>;

/**
 * - `DialFailed`: there is no connection, or none that can be used; `code` is the errno's name, or a word where the address
 *   itself is at fault.
 * - `Closed`: the connection ended before the answer came.
 * - `TimedOut`: no answer within `afterMs`.
 * - `Answered`: the shim answered with an error status.
 * - `ProtocolError`: what came back is not an answer to what was asked.
 */
export const ShimError = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('DialFailed'), code: t.string, message: t.string })),
    t.readonly(t.type({ _tag: t.literal('Closed') })),
    t.readonly(t.type({ _tag: t.literal('TimedOut'), afterMs: t.number })),
    t.readonly(t.type({ _tag: t.literal('Answered'), status: t.number, class: ErrorClass, message: t.string })),
    t.readonly(t.type({ _tag: t.literal('ProtocolError'), message: t.string })),
  ],
  'ShimError',
);

export type ShimError = t.TypeOf<typeof ShimError>;

/** The answer to Connect. Only that there is one decides; the numbers are for the report (SPEC 8.4). */
export const ConnectAnswer = t.readonly(
  t.type({ shimPid: t.number, taskPid: t.number, version: t.string }),
  'ConnectAnswer',
);

export interface ConnectAnswer extends t.TypeOf<typeof ConnectAnswer> {}

/** Where a task stands, as its shim says. */
export const TaskStatus = t.keyof(
  { unknown: null, created: null, running: null, stopped: null, paused: null, pausing: null },
  'TaskStatus',
);

export type TaskStatus = t.TypeOf<typeof TaskStatus>;

/** The answer to State; of a task that did not stop, its exit says nothing. */
export const TaskState = t.readonly(t.type({ status: TaskStatus, exit: TaskExitInfo }), 'TaskState');

export interface TaskState extends t.TypeOf<typeof TaskState> {}

/** One task of a shim, and how long to wait for an answer about it. */
export interface TaskCall {
  readonly id: B.ByteString;
  readonly timeoutMs: number;
}

/** A live connection. Each call ends by its own deadline, even if the shim never answers. Call the methods on the object. */
export interface ShimSession {
  connect(call: TaskCall): TaskEither<ShimError, ConnectAnswer>;
  /** No reference asks it: it tells a task that stopped from one that was never created (H2). */
  state(call: TaskCall): TaskEither<ShimError, TaskState>;
  pids(call: TaskCall): TaskEither<ShimError, ReadonlyArray<number>>;
  delete(call: TaskCall): TaskEither<ShimError, TaskExitInfo>;
  shutdown(call: TaskCall): TaskEither<ShimError, void>;
  /** Ends the connection; the shim itself goes on. Closing twice is harmless. */
  close(): Promise<void>;
  /** Completes once the connection has ended, by either side. Every reader of it is told, also late ones. */
  disconnected(): Promise<void>;
}

export interface ShimConnector {
  /** Dials; nothing is asked yet. The namespace travels with every call that follows. */
  readonly dial: (dialling: {
    readonly namespace: B.ByteString;
    readonly target: ShimTarget;
    readonly timeoutMs: number;
  }) => TaskEither<ShimError, ShimSession>;
}

/** From a gRPC status code. All that the reference does not name is `Unknown`, so a plain failure never reads as absence. */
export const errorClassOf = (status: number): ErrorClass => {
  switch (status) {
    case 1:
      return 'Canceled';
    case 3:
      return 'InvalidArgument';
    case 4:
      return 'DeadlineExceeded';
    case 5:
      return 'NotFound';
    case 6:
      return 'AlreadyExists';
    case 9:
      return 'FailedPrecondition';
    case 12:
      return 'NotImplemented';
    case 14:
      return 'Unavailable';
    default:
      return 'Unknown';
  }
};

/** An error status that the shim itself answered. */
export const answered = (status: number, message: string): ShimError => ({
  _tag: 'Answered',
  status,
  class: errorClassOf(status),
  message,
});

/** Whether the shim itself said that it knows no such task. */
export const isTaskNotFound = (error: ShimError): boolean => error._tag === 'Answered' && error.class === 'NotFound';

/**
 * Whether the kernel finds no listener there, which says that the shim has ended. That a dial failed for another reason says nothing of the
 * shim: this process may lack a descriptor or the right to dial, or the shim is too busy to accept.
 */
export const hasNoListener = (error: ShimError): boolean =>
  error._tag === 'DialFailed' && ['ECONNREFUSED', 'ENOENT'].includes(error.code);

/** A sentence for people. */
export const showShimError = (error: ShimError): string => {
  switch (error._tag) {
    case 'DialFailed':
      return `the shim cannot be reached: ${error.message} (${error.code})`;
    case 'Closed':
      return 'the shim closed the connection';
    case 'TimedOut':
      return `the shim did not answer within ${error.afterMs} ms`;
    case 'Answered':
      return `the shim answered with an error: ${error.message} (code ${error.status}, ${error.class})`;
    case 'ProtocolError':
      return `the shim's answer makes no sense: ${error.message}`;
  }
};

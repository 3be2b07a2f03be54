/** The task service as recovery speaks it, over whatever carries its calls (SPEC 10, 16.2). */
import { answered, type ShimError, type ShimSession, type TaskCall } from '@shim-recovery/core/ShimConnector';
import * as B from '@shim-recovery/core/ByteString';
import * as E from 'fp-ts/lib/Either.js';
import { identity } from 'fp-ts/lib/function.js';
import type { Task } from 'fp-ts/lib/Task.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import { decode, encode, type Message, showMalformedMessage } from './protobuf/Message.js';
import {
  ConnectResponse,
  DeleteRequest,
  DeleteResponse,
  PidsResponse,
  ShutdownRequest,
  StateRequest,
  StateResponse,
  TaskRequest,
} from './protobuf/TaskMessages.js';
import { Empty } from './protobuf/WellKnown.js';

export interface TaskMethodCall {
  readonly method: 'Connect' | 'Pids' | 'State' | 'Delete' | 'Shutdown';
  readonly payload: Uint8Array;
  readonly timeoutMs: number;
}

/** The parts of an answer. Code 0 is success. */
export interface TaskAnswer {
  readonly code: number;
  readonly message: string;
  readonly payload: Uint8Array;
}

/** What carries the calls: a connection to one shim. */
export interface TaskConnection {
  readonly call: (call: TaskMethodCall) => TaskEither<ShimError, TaskAnswer>;
  readonly close: Task<void>;
  readonly disconnected: Task<void>;
}

/** The payload is decoded before the status is looked at: one that is malformed wins (SPEC 16.1). */
const readAnswer = <A>(response: Message<A>, { code, message, payload }: TaskAnswer): E.Either<ShimError, A> => {
  const decoded = decode(response)(payload);
  if (E.isLeft(decoded)) return E.left({ _tag: 'ProtocolError', message: showMalformedMessage(decoded.left) });
  return code === 0 ? decoded : E.left(answered(code, message));
};

const taskRequest = (id: B.ByteString): Uint8Array => encode(TaskRequest)({ id });
const deleteRequest = (id: B.ByteString): Uint8Array => encode(DeleteRequest)({ id, execId: B.empty });
const stateRequest = (id: B.ByteString): Uint8Array => encode(StateRequest)({ id, execId: B.empty });
const shutdownRequest = (id: B.ByteString): Uint8Array => encode(ShutdownRequest)({ id, isImmediate: false });

/** One method, of which `A` is wanted of the response. A plain function that awaits, as it runs for every shim. */
const method =
  <R, A>(
    name: TaskMethodCall['method'],
    request: (id: B.ByteString) => Uint8Array,
    response: Message<R>,
    wanted: (response: R) => A,
  ) =>
  (connection: TaskConnection, { id, timeoutMs }: TaskCall): TaskEither<ShimError, A> =>
  async () => {
    const answer = await connection.call({ method: name, payload: request(id), timeoutMs })();
    if (E.isLeft(answer)) return answer;
    const read = readAnswer(response, answer.right);
    return E.isLeft(read) ? read : E.right(wanted(read.right));
  };

const connect = method('Connect', taskRequest, ConnectResponse, identity);
const pids = method('Pids', taskRequest, PidsResponse, ({ processes }) => processes.map(({ pid }) => pid));
const state = method('State', stateRequest, StateResponse, identity);
const deleteTask = method('Delete', deleteRequest, DeleteResponse, identity);
const shutdown = method('Shutdown', shutdownRequest, Empty, () => undefined);

/** A session over a connection. */
export const taskSession = (connection: TaskConnection): ShimSession => ({
  connect: (call) => connect(connection, call),
  pids: (call) => pids(connection, call),
  state: (call) => state(connection, call),
  delete: (call) => deleteTask(connection, call),
  shutdown: (call) => shutdown(connection, call),
  close: connection.close,
  disconnected: connection.disconnected,
});

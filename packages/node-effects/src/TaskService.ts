/** The task service as recovery speaks it, over whatever carries its calls (SPEC 10, 16.2). */
import { answered, type ShimError, type ShimSession } from '@shim-recovery/core/ShimConnector';
import * as B from '@shim-recovery/core/ByteString';
import * as E from 'fp-ts/lib/Either.js';
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

/** A session over a connection. Plain functions that await, as each runs for every shim. */
export const taskSession = (connection: TaskConnection): ShimSession => {
  const ask = async <A>(
    method: TaskMethodCall['method'],
    payload: Uint8Array,
    response: Message<A>,
    timeoutMs: number,
  ): Promise<E.Either<ShimError, A>> => {
    const answer = await connection.call({ method, payload, timeoutMs })();
    return E.isLeft(answer) ? answer : readAnswer(response, answer.right);
  };
  return {
    connect:
      ({ id, timeoutMs }) =>
      () =>
        ask('Connect', taskRequest(id), ConnectResponse, timeoutMs),
    pids:
      ({ id, timeoutMs }) =>
      async () => {
        const answer = await ask('Pids', taskRequest(id), PidsResponse, timeoutMs);
        return E.isLeft(answer) ? answer : E.right(answer.right.processes.map(({ pid }) => pid));
      },
    state:
      ({ id, timeoutMs }) =>
      () =>
        ask('State', stateRequest(id), StateResponse, timeoutMs),
    delete:
      ({ id, timeoutMs }) =>
      () =>
        ask('Delete', deleteRequest(id), DeleteResponse, timeoutMs),
    shutdown:
      ({ id, timeoutMs }) =>
      async () => {
        const answer = await ask('Shutdown', shutdownRequest(id), Empty, timeoutMs);
        return E.isLeft(answer) ? answer : E.right(undefined);
      },
    close: connection.close,
    disconnected: connection.disconnected,
  };
};

/** The task service as recovery speaks it, over whatever carries its calls (SPEC 10, 16.2). */
import { answered, type ShimError, type ShimSession, type TaskCall } from '@shim-recovery/core/ShimConnector';
import * as B from '@shim-recovery/core/ByteString';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import type { Task } from 'fp-ts/lib/Task.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
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
  readonly call: (call: TaskMethodCall) => TE.TaskEither<ShimError, TaskAnswer>;
  readonly close: Task<void>;
  readonly disconnected: Task<void>;
}

/** The payload is decoded before the status is looked at: one that is malformed wins (SPEC 16.1). */
const readAnswer =
  <A>(response: Message<A>) =>
  (answer: TaskAnswer): E.Either<ShimError, A> =>
    pipe(
      decode(response)(answer.payload),
      E.mapLeft((malformed): ShimError => ({ _tag: 'ProtocolError', message: showMalformedMessage(malformed) })),
      E.filterOrElse(
        () => answer.code === 0,
        () => answered(answer.code, answer.message),
      ),
    );

/** A session over a connection. */
export const taskSession = (connection: TaskConnection): ShimSession => {
  const method =
    <A>(name: TaskMethodCall['method'], request: (id: B.ByteString) => Uint8Array, response: Message<A>) =>
    ({ id, timeoutMs }: TaskCall): TE.TaskEither<ShimError, A> =>
      pipe(connection.call({ method: name, payload: request(id), timeoutMs }), TE.chainEitherK(readAnswer(response)));
  const taskRequest = (id: B.ByteString): Uint8Array => encode(TaskRequest)({ id });
  const deleteRequest = (id: B.ByteString): Uint8Array => encode(DeleteRequest)({ id, execId: B.empty });
  const stateRequest = (id: B.ByteString): Uint8Array => encode(StateRequest)({ id, execId: B.empty });
  const shutdownRequest = (id: B.ByteString): Uint8Array => encode(ShutdownRequest)({ id, isImmediate: false });
  return {
    connect: method('Connect', taskRequest, ConnectResponse),
    pids: (call) =>
      pipe(
        method('Pids', taskRequest, PidsResponse)(call),
        TE.map(({ processes }) => processes.map(({ pid }) => pid)),
      ),
    state: method('State', stateRequest, StateResponse),
    delete: method('Delete', deleteRequest, DeleteResponse),
    shutdown: (call) =>
      pipe(
        method('Shutdown', shutdownRequest, Empty)(call),
        TE.map(() => undefined),
      ),
    close: connection.close,
    disconnected: connection.disconnected,
  };
};

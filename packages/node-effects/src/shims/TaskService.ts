/** The task service as recovery speaks it, over whatever carries its calls (SPEC 10, 16.2). */
import { ByteString as B } from '@shim-recovery/core';
import { answered, type ShimError, type ShimSession, type TaskCall } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { identity } from 'fp-ts/lib/function.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import { decode, encode, type Message, showMalformedMessage } from '../protobuf/Message.js';
import {
  ConnectResponse,
  DeleteRequest,
  DeleteResponse,
  PidsResponse,
  ShutdownRequest,
  StateRequest,
  StateResponse,
  TaskRequest,
} from '../protobuf/TaskMessages.js';
import { Empty } from '../protobuf/WellKnown.js';

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
  call(call: TaskMethodCall): TaskEither<ShimError, TaskAnswer>;
  close(): Promise<void>;
  disconnected(): Promise<void>;
}

const taskRequest = (id: B.ByteString): Uint8Array => encode(TaskRequest)({ id });

const deleteRequest = (id: B.ByteString): Uint8Array => encode(DeleteRequest)({ id, execId: B.empty });

const stateRequest = (id: B.ByteString): Uint8Array => encode(StateRequest)({ id, execId: B.empty });

const shutdownRequest = (id: B.ByteString): Uint8Array => encode(ShutdownRequest)({ id, isImmediate: false });

/** One method, of which `A` is wanted of the response. */
const method = <R, A>(
  name: TaskMethodCall['method'],
  request: (id: B.ByteString) => Uint8Array,
  response: Message<R>,
  wanted: (response: R) => A,
) => {
  const read = E.chain((answer: TaskAnswer) => E.map(wanted)(readAnswer(response, answer)));
  return (connection: TaskConnection, { id, timeoutMs }: TaskCall): TaskEither<ShimError, A> =>
    () =>
      connection
        .call({ method: name, payload: request(id), timeoutMs })()
        .then(read);
};

/** The payload is decoded before the status is looked at: one that is malformed wins (SPEC 16.1). */
const readAnswer = <A>(response: Message<A>, { code, message, payload }: TaskAnswer): E.Either<ShimError, A> => {
  const decoded = decode(response)(payload);
  if (E.isLeft(decoded)) return E.left({ _tag: 'ProtocolError', message: showMalformedMessage(decoded.left) });
  return code === 0 ? decoded : E.left(answered(code, message));
};

const connect = method('Connect', taskRequest, ConnectResponse, identity);

const pids = method('Pids', taskRequest, PidsResponse, ({ processes }) => processes.map(({ pid }) => pid));

const state = method('State', stateRequest, StateResponse, identity);

const deleteTask = method('Delete', deleteRequest, DeleteResponse, identity);

const shutdown = method('Shutdown', shutdownRequest, Empty, () => undefined);

/** A session over a connection. Methods rather than closures, as of all that waits by the thousand (`Epoll.ts`). */
export class TaskSession implements ShimSession {
  constructor(private readonly connection: TaskConnection) {}

  public connect(call: TaskCall): ReturnType<ShimSession['connect']> {
    return connect(this.connection, call);
  }

  public pids(call: TaskCall): ReturnType<ShimSession['pids']> {
    return pids(this.connection, call);
  }

  public state(call: TaskCall): ReturnType<ShimSession['state']> {
    return state(this.connection, call);
  }

  public delete(call: TaskCall): ReturnType<ShimSession['delete']> {
    return deleteTask(this.connection, call);
  }

  public shutdown(call: TaskCall): ReturnType<ShimSession['shutdown']> {
    return shutdown(this.connection, call);
  }

  public close(): Promise<void> {
    return this.connection.close();
  }

  public disconnected(): Promise<void> {
    return this.connection.disconnected();
  }
}

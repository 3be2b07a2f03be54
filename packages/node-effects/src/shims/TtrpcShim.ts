/** A shim that speaks ttrpc, as nearly all do (SPEC 9.5, 16). */
import type { ByteString as B } from '@shim-recovery/core';
import type { ShimError, ShimSession, ShimTarget } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import type { Response } from '../protobuf/TtrpcMessages.js';
import { type TaskAnswer, type TaskConnection, type TaskMethodCall, TaskSession } from './TaskService.js';
import { clientOver, type TtrpcClient } from './ttrpc/Client.js';
import { backlogRetryDelaysMs, connectUnix, dialFailed } from './UnixSocket.js';

export interface Dialling {
  readonly namespace: B.ByteString;
  readonly target: ShimTarget;
  readonly timeoutMs: number;
}

/** What an answer without a status means. */
const success = { code: 0, message: '' };

const answerOf = ({ status, payload }: Response): TaskAnswer => {
  const { code, message } = O.isSome(status) ? status.value : success;
  return { code, message, payload };
};

const toAnswer = E.map(answerOf);

class TtrpcConnection implements TaskConnection {
  constructor(
    private readonly client: TtrpcClient,
    private readonly namespace: B.ByteString,
    private readonly service: string,
  ) {}

  public call(call: TaskMethodCall): TaskEither<ShimError, TaskAnswer> {
    const { client, namespace, service } = this;
    const { method, payload, timeoutMs } = call;
    return () => client.call({ service, method, payload, namespace, timeoutMs })().then(toAnswer);
  }

  public close(): Promise<void> {
    return this.client.close();
  }

  public disconnected(): Promise<void> {
    return this.client.disconnected();
  }
}

/** Dials; nothing is asked yet. */
export const dialTtrpc =
  (dialling: Dialling): TaskEither<ShimError, ShimSession> =>
  async () => {
    const { namespace, target, timeoutMs } = dialling;
    const socket = await connectUnix(backlogRetryDelaysMs)({ name: target.socket, timeoutMs })();
    if (E.isLeft(socket)) return socket;
    const client = clientOver(socket.right);
    return E.isLeft(client)
      ? E.left(dialFailed(target.socket)(client.left))
      : E.right(new TaskSession(new TtrpcConnection(client.right, namespace, target.service)));
  };

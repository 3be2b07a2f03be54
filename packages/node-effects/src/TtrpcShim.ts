/** A shim that speaks ttrpc, as nearly all do (SPEC 9.5, 16). */
import type { ShimTarget } from '@shim-recovery/core/Bootstrap';
import type * as B from '@shim-recovery/core/ByteString';
import type { ShimError, ShimSession } from '@shim-recovery/core/ShimConnector';
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import type { Response } from './protobuf/TtrpcMessages.js';
import { type TaskAnswer, type TaskConnection, taskSession } from './TaskService.js';
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

const taskConnection = ({ namespace, target: { service } }: Dialling, client: TtrpcClient): TaskConnection => ({
  call: (call) => () =>
    client
      .call({ ...call, namespace, service })()
      .then(toAnswer),
  close: () => client.close(),
  disconnected: () => client.disconnected(),
});

/** Dials; nothing is asked yet. */
export const dialTtrpc =
  (dialling: Dialling): TaskEither<ShimError, ShimSession> =>
  async () => {
    const { target, timeoutMs } = dialling;
    const socket = await connectUnix(backlogRetryDelaysMs)({ name: target.socket, timeoutMs })();
    if (E.isLeft(socket)) return socket;
    const client = clientOver(socket.right);
    return E.isLeft(client)
      ? E.left(dialFailed(target.socket)(client.left))
      : E.right(taskSession(taskConnection(dialling, client.right)));
  };

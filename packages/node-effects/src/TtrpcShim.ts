/** A shim that speaks ttrpc, as nearly all do (SPEC 9.5, 16). */
import type { ShimTarget } from '@shim-recovery/core/Bootstrap';
import type * as B from '@shim-recovery/core/ByteString';
import type { ShimError, ShimSession } from '@shim-recovery/core/ShimConnector';
import { pipe } from 'fp-ts/lib/function.js';
import * as O from 'fp-ts/lib/Option.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { makeIncoming } from './Incoming.js';
import { type TaskConnection, taskSession } from './TaskService.js';
import { clientOver, type TtrpcClient } from './ttrpc/Client.js';
import { connectUnix } from './UnixSocket.js';

export interface Dialling {
  readonly namespace: B.ByteString;
  readonly target: ShimTarget;
  readonly timeoutMs: number;
}

const taskConnection = ({ namespace, target }: Dialling, client: TtrpcClient): TaskConnection => ({
  call: (call) =>
    pipe(
      client.call({ ...call, namespace, service: target.service }),
      TE.map(({ status, payload }) => ({
        code: O.isSome(status) ? status.value.code : 0,
        message: O.isSome(status) ? status.value.message : '',
        payload,
      })),
    ),
  close: client.close,
  disconnected: client.disconnected,
});

/** Dials; nothing is asked yet. */
export const dialTtrpc =
  (retryDelaysMs: ReadonlyArray<number>) =>
  (dialling: Dialling): TE.TaskEither<ShimError, ShimSession> => {
    const incoming = makeIncoming();
    return pipe(
      connectUnix(retryDelaysMs, { incoming })({ name: dialling.target.socket, timeoutMs: dialling.timeoutMs }),
      TE.map((socket) => taskSession(taskConnection(dialling, clientOver(socket, incoming)))),
    );
  };

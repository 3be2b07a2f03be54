/** A shim that speaks ttrpc, as nearly all do (SPEC 9.5, 16). */
import type { ShimTarget } from '@shim-recovery/core/Bootstrap';
import type * as B from '@shim-recovery/core/ByteString';
import type { ShimError, ShimSession } from '@shim-recovery/core/ShimConnector';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as O from 'fp-ts/lib/Option.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { type TaskConnection, taskSession } from './TaskService.js';
import { clientOver, type TtrpcClient } from './ttrpc/Client.js';
import { backlogRetryDelaysMs, connectUnix, dialFailed } from './UnixSocket.js';

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
export const dialTtrpc = (dialling: Dialling): TE.TaskEither<ShimError, ShimSession> =>
  pipe(
    connectUnix(backlogRetryDelaysMs)({ name: dialling.target.socket, timeoutMs: dialling.timeoutMs }),
    TE.chainEitherK((socket) => E.mapLeft(dialFailed(dialling.target.socket))(clientOver(socket))),
    TE.map((client) => taskSession(taskConnection(dialling, client))),
  );

/** A shim that speaks gRPC (SPEC 9.7). */
import { connectivityState, status } from '@grpc/grpc-js';
import { ByteString as B } from '@shim-recovery/core';
import { isExhaustionCode, type ShimError, type ShimSession } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import { longestTimerMs, systemClock } from '../linux/LinuxClock.js';
import { type GrpcChannel, openChannel } from './GrpcChannel.js';
import { close } from '../native/Native.js';
import { type TaskConnection, TaskSession } from './TaskService.js';
import type { Dialling } from './TtrpcShim.js';
import { connectUnix } from './UnixSocket.js';

/** A timer may be a little early. */
const timerSlackMs = 20;

const neverMs = Number.POSITIVE_INFINITY;

/** Dials twice, as the reference does: plainly first, to the address taken literally, and then for gRPC. */
export const dialGrpc =
  (dialling: Dialling): TaskEither<ShimError, ShimSession> =>
  async () => {
    const { socket } = dialling.target;
    const connectPlainly = connectUnix([])({ name: socket, timeoutMs: dialling.timeoutMs });
    const plain = await connectPlainly();
    if (E.isLeft(plain)) return plain;
    close(plain.right);
    if (socket._tag === 'Abstract' || !/^.+$/.test(socket.path) || !B.isText(socket.path))
      return E.left({
        _tag: 'DialFailed',
        code: 'EAFNOSUPPORT',
        message: 'gRPC reaches sockets by a path of one line of text only',
      });
    const channel = openChannel(B.toText(socket.path));
    if (await whenReady(channel, dialling.timeoutMs))
      return E.right(new TaskSession(connectionOver(dialling, channel)));
    // The library tells nobody that it had no descriptor left to connect with, and tries again until the time is over.
    const again = await connectPlainly();
    channel.close();
    if (E.isRight(again)) close(again.right);
    else if (again.left._tag === 'DialFailed' && isExhaustionCode(again.left.code)) return again;
    return E.left({ _tag: 'TimedOut', afterMs: dialling.timeoutMs });
  };

const whenReady = ({ client }: GrpcChannel, timeoutMs: number): Promise<boolean> =>
  new Promise((resolve) =>
    client.waitForReady(Date.now() + Math.min(timeoutMs, longestTimerMs), (error) => resolve(error === undefined)),
  );

const connectionOver = ({ namespace, target }: Dialling, channel: GrpcChannel): TaskConnection => {
  let hasEnded = false;
  const end = watchEnd(channel).then(() => {
    hasEnded = true;
  });
  return {
    call:
      ({ method, payload, timeoutMs }) =>
      async () => {
        if (hasEnded) return E.left<ShimError>({ _tag: 'Closed' });
        const startedMs = systemClock.elapsedMs();
        const answer = await channel.unary({ path: `/${target.service}/${method}`, payload, namespace, timeoutMs })();
        if (E.isRight(answer)) return E.right({ code: 0, message: '', payload: answer.right });
        const { code, message } = answer.left;
        // The library says so when our time is up; a shim may say so of its own, long before.
        const isOver = systemClock.elapsedMs() - startedMs >= timeoutMs - timerSlackMs;
        if (code === Number(status.DEADLINE_EXCEEDED) && isOver)
          return E.left<ShimError>({ _tag: 'TimedOut', afterMs: timeoutMs });
        const state = channel.client.getChannel().getConnectivityState(false);
        return state === connectivityState.READY
          ? E.right({ code, message, payload: new Uint8Array() })
          : E.left<ShimError>({ _tag: 'Closed' });
      },
    close: async () => {
      channel.close();
      await end;
    },
    disconnected: () => end,
  };
};

/**
 * Completes when the connection leaves the state READY for IDLE or SHUTDOWN, once. That an idle channel counts as a
 * shim's end is the reference's own hazard (H26): the library lets a channel go idle after 30 minutes without a call.
 */
const watchEnd = ({ client }: GrpcChannel): Promise<void> =>
  new Promise((resolve) => {
    const channel = client.getChannel();
    const look = (): void => {
      const state = channel.getConnectivityState(false);
      if (state === connectivityState.IDLE || state === connectivityState.SHUTDOWN) resolve();
      else channel.watchConnectivityState(state, neverMs, (error) => (error === undefined ? look() : resolve()));
    };
    look();
  });

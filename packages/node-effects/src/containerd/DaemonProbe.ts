/** Whether a daemon serves a socket: then its shims are its own, and nobody else's to recover. */
import * as B from '@shim-recovery/core/ByteString';
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import { close } from '../Native.js';
import { connectUnix } from '../UnixSocket.js';

/** How long a daemon has to accept; a socket that takes longer counts as served, to be on the safe side. */
const probeTimeoutMs = 2_000;

const nobody: ReadonlyArray<string> = ['ENOENT', 'ECONNREFUSED', 'ENOTDIR'];

/** True when somebody accepts there, or might: only a missing or a refusing socket is certainly not served. */
export const isServed =
  (socketPath: string): Task<boolean> =>
  async () => {
    const name = { _tag: 'Path', path: B.fromText(socketPath) } as const;
    // A path that is too long for an address may still lead to a socket, which is served by a shorter one.
    const connected = await connectUnix([], { anyLength: true })({ name, timeoutMs: probeTimeoutMs })();
    if (E.isRight(connected)) {
      close(connected.right);
      return true;
    }
    return connected.left._tag !== 'DialFailed' || !nobody.includes(connected.left.code);
  };

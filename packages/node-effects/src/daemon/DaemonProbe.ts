/** Whether a daemon serves a socket: then its shims are its own, and no other program may recover them. */
import { ByteString as B } from '@shim-recovery/core';
import { hasNoListener, type ShimError } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import { close } from '../native/Native.js';
import { connectUnix } from '../shims/UnixSocket.js';

/** How long a daemon has to accept; a socket that takes longer counts as served, to be on the safe side. */
const probeTimeoutMs = 2_000;

/** `Unknown`: `why` it cannot be told. Only a missing or a refusing socket is certainly not served. */
export type Served =
  | { readonly _tag: 'Served' }
  | { readonly _tag: 'NotServed' }
  | { readonly _tag: 'Unknown'; readonly why: string };

/** Connects to the socket, and hangs up. */
export const probeDaemon =
  (socketPath: string): Task<Served> =>
  async () => {
    const name = { _tag: 'Path', path: B.fromText(socketPath) } as const;
    // A path that is too long for an address may still lead to a socket, which is served by a shorter one.
    const connected = await connectUnix([], { anyLength: true })({ name, timeoutMs: probeTimeoutMs })();
    if (E.isRight(connected)) {
      close(connected.right);
      return { _tag: 'Served' };
    }
    const { left } = connected;
    const isNoDirectory = left._tag === 'DialFailed' && left.code === 'ENOTDIR';
    return hasNoListener(left) || isNoDirectory ? { _tag: 'NotServed' } : { _tag: 'Unknown', why: showFailure(left) };
  };

const showFailure = (error: ShimError): string =>
  error._tag === 'DialFailed' ? `${error.message} (${error.code})` : 'it did not accept in time';

/** True when a daemon accepts there, or might. */
export const isServed =
  (socketPath: string): Task<boolean> =>
  async () =>
    (await probeDaemon(socketPath)())._tag !== 'NotServed';

/** A peer under a test's full control: a listener that hands over each connection, and frames to send on it. */
import { mkdtemp, rmdir, unlink } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import type { ShimError, ShimSession } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import { onTestFinished } from 'vitest';
import { decode, encode } from '../../src/protobuf/Message.js';
import { Request, Response } from '../../src/protobuf/TtrpcMessages.js';
import { makeShimConnector } from '../../src/shims/LinuxShimConnector.js';
import { encodeFrame, type Frame, FrameType, makeFrameDecoder } from '../../src/shims/ttrpc/Frame.js';

/** A directory of its own, removed with the named files in it when the test is over. */
export const temporaryDirectory = async (...names: ReadonlyArray<string>): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'shim-recovery-'));
  onTestFinished(async () => {
    for (const name of names) await unlink(join(directory, name)).catch(() => undefined);
    await rmdir(directory);
  });
  return directory;
};

export interface ReceivedRequest {
  readonly streamId: number;
  readonly request: Request;
}

export interface RawShim {
  readonly path: string;
  readonly received: ReadonlyArray<ReceivedRequest>;
}

export interface RawBehaviour {
  readonly onConnection?: (socket: Socket) => void;
  readonly onRequest?: (socket: Socket, received: ReceivedRequest) => void;
}

/** Listens until the test is over. Without `onRequest` it does not even read. */
export const rawShim = async ({ onConnection, onRequest }: RawBehaviour): Promise<RawShim> => {
  const path = join(await temporaryDirectory(), 's');
  const received: Array<ReceivedRequest> = [];
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    const decoder = makeFrameDecoder();
    socket.on('error', () => undefined);
    if (onRequest !== undefined) {
      socket.on('data', (chunk) => {
        for (const event of decoder.push(chunk)) {
          if (event._tag === 'Oversized') continue;
          const request = decode(Request)(event.frame.payload);
          if (E.isLeft(request)) throw new Error('the client sent a malformed request');
          const entry = { streamId: event.frame.streamId, request: request.right };
          received.push(entry);
          onRequest(socket, entry);
        }
      });
    }
    onConnection?.(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { path, received };
};

export const frame = (streamId: number, payload: Uint8Array, type: number = FrameType.response): Uint8Array =>
  encodeFrame({ streamId, type, flags: 0, payload } satisfies Frame);

/** A header that announces a payload, without the payload. */
export const header = (streamId: number, lengthBytes: number): Uint8Array => {
  const bytes = frame(streamId, new Uint8Array());
  new DataView(bytes.buffer).setUint32(0, lengthBytes);
  return bytes;
};

/** The frame of a good answer. */
export const answer = (streamId: number, payload: Uint8Array = new Uint8Array()): Uint8Array =>
  frame(streamId, encode(Response)({ status: O.none, payload }));

export const id = B.fromText('web');

const targetAt = (path: string) => ({
  protocol: 'ttrpc' as const,
  service: 'containerd.task.v2.Task',
  socket: { _tag: 'Path' as const, path: B.fromText(path) },
});

/** A session with the shim at this path, closed when the test is over. */
export const sessionWith = async (path: string): Promise<ShimSession> => {
  const dialling = { namespace: B.fromText('default'), target: targetAt(path), timeoutMs: 2_000 };
  const session = await makeShimConnector().dial(dialling)();
  if (E.isLeft(session)) throw new Error(`the dial failed: ${JSON.stringify(session.left)}`);
  onTestFinished(() => session.right.close());
  return session.right;
};

const failure = (tag: ShimError['_tag']) => ({ _tag: 'Left', left: { _tag: tag } });

/** What a failed call is compared with. */
export const failed = {
  protocolError: failure('ProtocolError'),
  timedOut: failure('TimedOut'),
  closed: failure('Closed'),
};

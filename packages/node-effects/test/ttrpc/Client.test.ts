import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as os from 'node:os';
import { ByteString as B } from '@shim-recovery/core';
import * as fc from 'fast-check';
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { native } from '../../src/native/CLibrary.js';
import { connectTo } from '../../src/native/Native.js';
import { encode } from '../../src/protobuf/Message.js';
import { Response } from '../../src/protobuf/TtrpcMessages.js';
import { clientOver, type TtrpcClient } from '../../src/shims/ttrpc/Client.js';
import type { UnaryCall } from '../../src/shims/ttrpc/RequestFrame.js';
import { right } from '../temporary.js';
import { answer, failed, frame, type RawBehaviour, type RawShim, rawShim, type ReceivedRequest } from './rawShim.js';

const call = (changes: Partial<UnaryCall> = {}): UnaryCall => ({
  service: 'containerd.task.v2.Task',
  method: 'Connect',
  payload: new Uint8Array(),
  namespace: B.fromText('default'),
  timeoutMs: 2_000,
  ...changes,
});

const clientOf = async (behaviour: RawBehaviour): Promise<{ readonly shim: RawShim; readonly client: TtrpcClient }> => {
  const shim = await rawShim(behaviour);
  const client = right(clientOver(right(connectTo(Buffer.from(`${shim.path}\0`)))));
  onTestFinished(() => client.close());
  return { shim, client };
};

const payloadOf = (outcome: E.Either<unknown, Response>): string =>
  E.isRight(outcome) ? Buffer.from(outcome.right.payload).toString('latin1') : 'failed';

describe('Client', () => {
  test.each([
    ['ENOBUFS', { _tag: 'DialFailed', code: 'ENOBUFS' }],
    ['ENOMEM', { _tag: 'DialFailed', code: 'ENOMEM' }],
    ['EPIPE', { _tag: 'Closed' }],
    ['ECONNRESET', { _tag: 'Closed' }],
  ] as const)('that a request cannot be sent (%s) is only sometimes the hanging up of the shim', async (code, left) => {
    const { client } = await clientOf({ onRequest: () => undefined });
    const sending = vi.spyOn(native(), 'send').mockReturnValue(-1);
    const told = vi.spyOn(native(), 'errno').mockReturnValue(os.constants.errno[code]);
    const first = await client.call(call())();
    sending.mockRestore();
    told.mockRestore();
    expect(first).toMatchObject({ left });
    expect(await client.call(call())()).toMatchObject({ left });
    await client.disconnected();
  });

  test('every call gets its own answer, in whatever order they come', async () => {
    const order = fc.sample(
      fc.shuffledSubarray(
        Array.from({ length: 100 }, (_, index) => index),
        { minLength: 100 },
      ),
      5,
    );
    for (const answered of order) {
      const requests: Array<ReceivedRequest> = [];
      const { client } = await clientOf({
        onRequest: (socket, received) => {
          requests.push(received);
          if (requests.length < answered.length) return;
          for (const index of answered) {
            const request = requests[index];
            if (request !== undefined) socket.write(answer(request.streamId, request.request.payload));
          }
        },
      });
      const asked = answered.map((_, index) => `call ${index}`);
      const outcomes = await Promise.all(
        asked.map((payload) => client.call(call({ payload: Buffer.from(payload, 'latin1') }))()),
      );
      expect(outcomes.map(payloadOf)).toEqual(asked);
    }
  });

  test('stream ids are odd and grow with every call', async () => {
    const { shim, client } = await clientOf({ onRequest: (socket, { streamId }) => socket.write(answer(streamId)) });
    for (const timeoutMs of [1_000, 1_000, 1_000]) await client.call(call({ timeoutMs }))();
    expect(shim.received.map(({ streamId }) => streamId)).toEqual([1, 3, 5]);
  });

  test('a request names service, method, namespace and the time left', async () => {
    const { shim, client } = await clientOf({ onRequest: (socket, { streamId }) => socket.write(answer(streamId)) });
    await client.call(call({ method: 'Pids', payload: Uint8Array.of(1), timeoutMs: 1_500 }))();
    expect(shim.received[0]?.request).toEqual({
      service: 'containerd.task.v2.Task',
      method: 'Pids',
      payload: Uint8Array.of(1),
      timeoutNanos: 1_500_000_000n,
      metadata: [{ key: 'containerd-namespace-ttrpc', value: 'default' }],
    });
  });

  test.each([0.5, 0, -1, Infinity, 2 ** 31])(
    'a time-out of %d ms is a time-out, not an accident',
    async (timeoutMs) => {
      const answersAtOnce = timeoutMs > 1_000;
      const { client } = await clientOf({
        onRequest: (socket, { streamId }) => {
          if (answersAtOnce) setImmediate(() => socket.write(answer(streamId)));
        },
      });
      expect(await client.call(call({ timeoutMs }))()).toMatchObject(
        answersAtOnce ? { _tag: 'Right' } : failed.timedOut,
      );
    },
  );

  test('an answer that came in time counts, even when we were too busy to read it', async () => {
    const { client } = await clientOf({
      onRequest: (socket, { streamId }) => {
        socket.write(answer(streamId));
        const endMs = performance.now() + 80;
        while (performance.now() < endMs);
      },
    });
    expect(await client.call(call({ timeoutMs: 40 }))()).toMatchObject({ _tag: 'Right' });
  });

  test('a status is handed on with the payload, for the caller to judge', async () => {
    const status = { code: 5, message: 'no such task', details: [] };
    const { client } = await clientOf({
      onRequest: (socket, { streamId }) =>
        socket.write(frame(streamId, encode(Response)({ status: O.some(status), payload: Uint8Array.of(9) }))),
    });
    expect(await client.call(call())()).toEqual(E.right({ status: O.some(status), payload: Uint8Array.of(9) }));
  });

  test('a request too long to send is refused, and the connection goes on', async () => {
    const { client } = await clientOf({ onRequest: (socket, { streamId }) => socket.write(answer(streamId)) });
    expect(await client.call(call({ payload: new Uint8Array(4_194_304) }))()).toMatchObject(failed.protocolError);
    expect(await client.call(call())()).toMatchObject({ _tag: 'Right' });
  });

  test('requests that the kernel does not take at once arrive whole, and in their order', async () => {
    const { client } = await clientOf({
      onRequest: (socket, { streamId, request }) =>
        socket.write(answer(streamId, Buffer.from(`${streamId}: ${request.payload.length}`, 'latin1'))),
    });
    const sizes = [3_000_000, 1, 2_000_000, 2];
    const outcomes = await Promise.all(sizes.map((size) => client.call(call({ payload: new Uint8Array(size) }))()));
    expect(outcomes.map(payloadOf)).toEqual(sizes.map((size, index) => `${1 + 2 * index}: ${size}`));
  });

  test('a process goes on for a connection, and no longer', async () => {
    const { path } = await rawShim({
      onRequest: (socket, { streamId }) => setTimeout(() => socket.end(answer(streamId)), 100),
    });
    const modules = new URL('../../dist/', import.meta.url).href;
    const script = `
      import { connectTo } from '${modules}native/Native.js';
      import { clientOver } from '${modules}shims/ttrpc/Client.js';
      const client = clientOver(connectTo(Buffer.from(${JSON.stringify(`${path}\0`)})).right).right;
      void client.call(${JSON.stringify({ ...call(), payload: [] })})().then(() => console.log('answered'));
      await client.disconnected();
      console.log('ended');`;
    const program = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => {
      program.kill('SIGKILL');
    });
    let printed = '';
    program.stdout.on('data', (chunk) => {
      printed += String(chunk);
    });
    const [code] = await once(program, 'close');
    expect({ code, printed }).toEqual({ code: 0, printed: 'answered\nended\n' });
  });

  test('when the connection ends all pending calls fail, then everybody who waits for it is told', async () => {
    const { client } = await clientOf({
      onRequest: (socket, { streamId }) => {
        if (streamId === 5) socket.destroy();
      },
    });
    const events: Array<string> = [];
    const told = client.disconnected().then(() => events.push('disconnected'));
    const pending = [1, 2, 3].map(async () => {
      const outcome = await client.call(call())();
      events.push(E.isLeft(outcome) ? outcome.left._tag : 'answered');
    });
    await Promise.all([told, ...pending]);
    expect(events).toEqual(['Closed', 'Closed', 'Closed', 'disconnected']);
    await client.disconnected();
    expect(await client.call(call())()).toMatchObject(failed.closed);
  });

  test('closing fails what is pending, tells everybody, and may be done twice', async () => {
    const { client } = await clientOf({ onRequest: () => undefined });
    const pending = client.call(call())();
    await Promise.all([client.close(), client.close()]);
    await client.disconnected();
    expect(await pending).toMatchObject(failed.closed);
    await client.close();
  });

  test('a client of somebody who hung up before anything was asked is closed from the start', async () => {
    const { client } = await clientOf({ onConnection: (socket) => socket.destroy() });
    await client.disconnected();
    expect(await client.call(call())()).toMatchObject(failed.closed);
  });
});

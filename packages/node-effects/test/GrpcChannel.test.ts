/** What comes back over gRPC where a peer misbehaves, or where a call cannot even begin. */
import { join } from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import type { SocketName } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { openContainerdStore } from '../src/stores/ContainerdStore.js';
import { openEventForwarder } from '../src/events/EventForwarder.js';
import { makeShimConnector } from '../src/shims/LinuxShimConnector.js';
import { right } from './temporary.js';
import { id, temporaryDirectory } from './ttrpc/rawShim.js';
import { answers, grpcServer, http2Server, stream, unary } from './containerd/grpcServer.js';

const service = 'containerd.task.v3.Task';
const listStream = '/containerd.services.containers.v1.Containers/ListStream';
const dial = (path: string, { namespace = 'default', timeoutMs = 1_000 } = {}) => {
  const socket: SocketName = { _tag: 'Path', path: B.fromText(path) };
  return makeShimConnector().dial({
    namespace: B.fromText(namespace),
    target: { protocol: 'grpc', service, socket },
    timeoutMs,
  })();
};
const key = { namespace: B.fromText('default'), id };
const event = {
  ...key,
  _tag: 'TaskExit',
  exit: { pid: 1, exitStatus: 1, exitedAt: { seconds: '0', nanos: 0 } },
  publishedAt: { seconds: '0', nanos: 0 },
} as const;

/** A message that claims to be compressed, in an answer that names no compression, or an unknown one. */
test.each([{}, { 'grpc-encoding': 'snappy' }])(
  'a compressed answer is an error, and no exception',
  async (encoding) => {
    const path = await http2Server((call) => {
      call.respond({ ':status': 200, 'content-type': 'application/grpc', ...encoding }, { waitForTrailers: true });
      call.once('wantTrailers', () => call.sendTrailers({ 'grpc-status': '0' }));
      call.end(Buffer.of(1, 0, 0, 0, 1, 0));
    });
    const session = right(await dial(path));
    onTestFinished(() => session.close());
    expect(E.isLeft(await session.connect({ id, timeoutMs: 500 })())).toBe(true);
  },
);

test.each<readonly [string, Parameters<typeof http2Server>[0]]>([
  [
    'answers with HTTP status 404',
    (call) => {
      call.respond({ ':status': 404 });
      call.end();
    },
  ],
  [
    'succeeds without a message',
    (call) => {
      call.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      call.once('wantTrailers', () => call.sendTrailers({ 'grpc-status': '0' }));
      call.end();
    },
  ],
])('a sandbox is unknown to a peer that %s', async (_, onCall) => {
  const store = openContainerdStore({ socketPath: await http2Server(onCall), timeoutMs: 1_000 });
  onTestFinished(store.close);
  expect(await store.stores.sandbox(key)()).toMatchObject({ _tag: 'Unknown' });
});

test('a sandbox is unknown to a server that is no containerd', async () => {
  const store = openContainerdStore({ socketPath: (await grpcServer({})).path, timeoutMs: 1_000 });
  onTestFinished(store.close);
  expect(await store.stores.sandbox(key)()).toMatchObject({ _tag: 'Unknown' });
});

test('a namespace that cannot be sent is an error of the call, and no exception', async () => {
  const taken = unary(() => answers(new Uint8Array()));
  const { path } = await grpcServer({ [`/${service}/Connect`]: taken, [listStream]: stream(() => answers()) });
  const session = right(await dial(path, { namespace: 'caf\u00e9' }));
  onTestFinished(() => session.close());
  expect(E.isLeft(await session.connect({ id, timeoutMs: 500 })())).toBe(true);
  const store = openContainerdStore({ socketPath: path, timeoutMs: 500 });
  onTestFinished(store.close);
  const namespace = B.fromText('caf\u00e9');
  expect(await store.stores.container({ namespace, id })()).toMatchObject({ _tag: 'Unknown' });
  expect(await store.stores.sandbox({ namespace, id })()).toMatchObject({ _tag: 'Unknown' });
});

test('after closing, every look-up is unknown, and every event not published', async () => {
  const { path } = await grpcServer({ [listStream]: stream(() => answers()) });
  const store = openContainerdStore({ socketPath: path, timeoutMs: 500 });
  store.close();
  expect(await store.stores.container(key)()).toMatchObject({ _tag: 'Unknown' });
  expect(await store.stores.sandbox(key)()).toMatchObject({ _tag: 'Unknown' });
  const forwarder = openEventForwarder({ socketPath: path, timeoutMs: 500 });
  forwarder.close();
  expect(await forwarder.sink.publish(event)()).toMatchObject({ left: { _tag: 'EventNotPublished' } });
});

test('a dial of a silent listener leaves no connection when it has timed out', async () => {
  const path = join(await temporaryDirectory('s'), 's');
  const listener = createServer((socket) => socket.resume());
  await new Promise<void>((resolve) => listener.listen(path, resolve));
  expect(await dial(path, { timeoutMs: 200 })).toMatchObject({ left: { _tag: 'TimedOut' } });
  await new Promise((resolve) => listener.close(resolve));
});

test('a path with two slashes is a path, and one of two lines fails with a value', async () => {
  const taken = unary(() => answers(new Uint8Array()));
  const directory = await temporaryDirectory();
  for (const name of ['s', 'a?b', 'a%41#']) {
    const server = await grpcServer({ [`/${service}/Connect`]: taken }, join(directory, name));
    for (const path of [server.path, `/${server.path}`, server.path.replace('/tmp/', '/tmp//')]) {
      const session = right(await dial(path));
      expect(E.isRight(await session.connect({ id, timeoutMs: 500 })())).toBe(true);
      await session.close();
    }
  }
  const { path } = await grpcServer({}, join(directory, 'a\nb'));
  expect(await dial(path)).toMatchObject({ left: { _tag: 'DialFailed', code: 'EAFNOSUPPORT' } });
});

test('a dial may take longer than the longest timer', async () => {
  const { path } = await grpcServer({});
  for (const timeoutMs of [2 ** 31 - 1, 2 ** 31, 2 ** 40]) await right(await dial(path, { timeoutMs })).close();
});

/** Look-ups in a daemon that runs: what it does not say is unknown, and never absent (SPEC 16.3). */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import type { Lookup } from '@shim-recovery/core/interpreter';
import * as fc from 'fast-check';
import * as O from 'fp-ts/lib/Option.js';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  type Container,
  ListContainerMessage,
  ListContainersResponse,
  StoreGetRequest,
} from '../../src/stores/ApiMessages.js';
import { type ContainerdStore, openContainerdStore } from '../../src/stores/ContainerdStore.js';
import { encode } from '../../src/protobuf/Message.js';
import { rawShim, temporaryDirectory } from '../ttrpc/rawShim.js';
import {
  abandonedSocket,
  answers,
  failsWith,
  grpcServer,
  type GrpcServer,
  hangs,
  hangsAfter,
  http2Server,
  type Methods,
  stream,
  unary,
} from './grpcServer.js';

const listStream = '/containerd.services.containers.v1.Containers/ListStream';
const list = '/containerd.services.containers.v1.Containers/List';
const sandboxGet = '/containerd.services.sandbox.v1.Store/Get';

const unimplemented = 12;
const statuses = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 99];

const key = (id: string, namespace = 'default') => ({ namespace: B.fromText(namespace), id: B.fromText(id) });

const container = (id: string, runtime?: string): Container => ({
  id: B.fromText(id),
  runtime: runtime === undefined ? O.none : O.some({ name: B.fromText(runtime) }),
});

const streamed = (one: Container): Uint8Array => encode(ListContainerMessage)({ container: O.some(one) });
const listed = (...containers: Array<Container>): Uint8Array => encode(ListContainersResponse)({ containers });

const web = container('web', 'io.containerd.runc.v2');
const webFound = { _tag: 'Found', value: { runtimeName: 'io.containerd.runc.v2' } };
const notFound = { _tag: 'NotFound' };

/** A store that asks the daemon at this path, closed when the test is over. */
const storeAt = (socketPath: string, timeoutMs = 5_000): ContainerdStore['stores'] => {
  const store = openContainerdStore({ socketPath, timeoutMs });
  onTestFinished(store.close);
  return store.stores;
};

const daemonWith = async (methods: Methods): Promise<GrpcServer & { readonly stores: ContainerdStore['stores'] }> => {
  const daemon = await grpcServer(methods);
  return { ...daemon, stores: storeAt(daemon.path) };
};

/** What was asked, in which namespace. */
const askedOf = ({ asked }: GrpcServer) =>
  asked.map(({ method, namespaces }) => `${method} ${namespaces['containerd-namespace']}`);

const expectUnknown = (answer: Lookup<unknown>, reason: string): void => {
  expect(answer).toEqual({
    _tag: 'Unknown',
    error: { _tag: 'StoreUnavailable', reason: expect.stringContaining(reason) },
  });
};

describe('a container', () => {
  test('is found by its id and in its namespace only, with the name of its runtime', async () => {
    const { stores } = await daemonWith({
      [listStream]: stream(({ namespaces }) =>
        namespaces['containerd-namespace'] === 'default' ? answers(streamed(web)) : answers(),
      ),
    });
    expect(await stores.container(key('web'))()).toEqual(webFound);
    expect(await stores.container(key('we'))()).toEqual(notFound);
    expect(await stores.container(key('web', 'k8s.io'))()).toEqual(notFound);
  });

  const ids = fc.oneof(
    fc.constantFrom('__proto__', 'constructor', 'toString', ''),
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'grapheme' }),
  );
  const recorded = fc.uniqueArray(fc.record({ id: ids, runtime: fc.option(fc.string(), { nil: undefined }) }), {
    selector: ({ id }) => id,
    maxLength: 8,
  });

  test.each<readonly [string, (containers: Array<Container>) => Methods]>([
    ['a stream', (containers) => ({ [listStream]: stream(() => answers(...containers.map(streamed))) })],
    [
      'one list, of a daemon without streams',
      (containers) => ({ [list]: unary(() => answers(listed(...containers))) }),
    ],
  ])('is found if and only if it is recorded, whatever its id: in %s', async (_, methodsFor) => {
    await fc.assert(
      fc.asyncProperty(recorded, fc.array(ids, { maxLength: 4 }), async (containers, others) => {
        const daemon = await grpcServer(methodsFor(containers.map(({ id, runtime }) => container(id, runtime))));
        const store = openContainerdStore({ socketPath: daemon.path, timeoutMs: 5_000 });
        const runtimes = new Map(containers.map(({ id, runtime }) => [id, runtime ?? '']));
        for (const id of [...runtimes.keys(), ...others]) {
          const runtime = runtimes.get(id);
          expect(await store.stores.container(key(id))()).toEqual(
            runtime === undefined ? notFound : { _tag: 'Found', value: { runtimeName: B.fromText(runtime) } },
          );
        }
        store.close();
        await daemon.drained();
      }),
      { numRuns: 30 },
    );
  });

  test('is asked about once in a namespace, however many are looked up, also at once', async () => {
    const daemon = await daemonWith({ [listStream]: stream(() => answers(streamed(web))) });
    const look = (namespace: string) =>
      Promise.all(Array.from({ length: 50 }, (_, index) => daemon.stores.container(key(`c${index}`, namespace))()));
    await Promise.all([look('default'), look('k8s.io')]);
    await look('default');
    expect(await daemon.stores.container(key('web', 'k8s.io'))()).toEqual(webFound);
    expect(askedOf(daemon).toSorted()).toEqual([`${listStream} default`, `${listStream} k8s.io`]);
  });

  test('is not asked about before it is looked up', async () => {
    const daemon = await daemonWith({ [listStream]: stream(() => answers(streamed(web))) });
    const look = daemon.stores.container(key('web'));
    expect(daemon.accepted()).toBe(0);
    expect(await look()).toEqual(webFound);
  });

  test('is asked about in one list only of a daemon without streams, and in the same namespace', async () => {
    const daemon = await daemonWith({ [list]: unary(() => answers(listed(web))) });
    expect(await daemon.stores.container(key('web', 'k8s.io'))()).toEqual(webFound);
    expect(askedOf(daemon)).toEqual([`${list} k8s.io`]);
  });

  test('is unknown after any other failure of the stream, and no list is asked for', async () => {
    for (const code of statuses.filter((status) => status !== unimplemented)) {
      const daemon = await daemonWith({
        [listStream]: stream(() => failsWith(code, `failure ${code}`, streamed(web))),
        [list]: unary(() => answers(listed(web))),
      });
      const reason = code === 4 ? 'it did not answer in time' : `failure ${code}`;
      // Also the one that came before the stream failed: nobody can tell which others would have followed.
      for (const id of ['web', 'cache'])
        expectUnknown(await daemon.stores.container(key(id))(), `containerd at ${daemon.path}: ${reason}`);
      expect(askedOf(daemon)).toEqual([`${listStream} default`, `${listStream} default`]);
    }
  });

  test('is unknown after any failure of the list', async () => {
    for (const code of statuses) {
      const { stores } = await daemonWith({ [list]: unary(() => failsWith(code, `failure ${code}`)) });
      const reason = code === 4 ? 'it did not answer in time' : `failure ${code}`;
      for (const id of ['web', 'cache']) expectUnknown(await stores.container(key(id))(), reason);
    }
  });

  test('is asked about again after a failure, by many at once in one list', async () => {
    let isDown = true;
    const daemon = await daemonWith({
      [listStream]: stream(() => (isDown ? failsWith(14, 'starting') : answers(streamed(web)))),
    });
    const ask = (): Promise<ReadonlyArray<string>> =>
      Promise.all([1, 2, 3].map(async () => (await daemon.stores.container(key('web'))())._tag));
    expect(await ask()).toEqual(['Unknown', 'Unknown', 'Unknown']);
    isDown = false;
    expect(await ask()).toEqual(['Found', 'Found', 'Found']);
    expect(await ask()).toEqual(['Found', 'Found', 'Found']);
    expect(askedOf(daemon)).toEqual([`${listStream} default`, `${listStream} default`]);
  });

  test('is unknown in the namespace that could not be listed, and known in others', async () => {
    const { stores } = await daemonWith({
      [listStream]: stream(({ namespaces }) =>
        namespaces['containerd-namespace'] === 'broken' ? failsWith(2, 'bad bucket') : answers(streamed(web)),
      ),
    });
    expectUnknown(await stores.container(key('web', 'broken'))(), 'bad bucket');
    expect(await stores.container(key('web'))()).toEqual(webFound);
    expect(await stores.container(key('cache'))()).toEqual(notFound);
  });

  test.each<readonly [string, (daemon: () => GrpcServer) => Methods, RegExp]>([
    [
      'the daemon dies in the middle of the stream',
      (daemon) => ({
        [listStream]: stream(() => {
          setImmediate(() => void daemon().die());
          return hangsAfter(streamed(web));
        }),
      }),
      /./,
    ],
    [
      'the stream does not end in time',
      () => ({ [listStream]: stream(() => hangsAfter(streamed(web))) }),
      /it did not answer in time/,
    ],
    ['the list does not come in time', () => ({ [list]: unary(() => hangs) }), /it did not answer in time/],
    [
      'a message of the stream is malformed',
      () => ({ [listStream]: stream(() => answers(streamed(web), Uint8Array.of(0x0a, 0x7f))) }),
      /no valid ListContainerMessage/,
    ],
    [
      'an id of the stream is not UTF-8',
      () => ({ [listStream]: stream(() => answers(streamed(web), Uint8Array.of(0x0a, 3, 0x0a, 1, 0xff))) }),
      /no valid ListContainerMessage: a string is not valid UTF-8/,
    ],
    [
      'the list is malformed',
      () => ({ [list]: unary(() => answers(Buffer.concat([listed(web), Uint8Array.of(0x0a, 0x7f)]))) }),
      /no valid ListContainersResponse/,
    ],
  ])('is unknown when %s', async (_, methods, reason) => {
    const daemon: GrpcServer = await grpcServer(methods(() => daemon));
    const stores = storeAt(daemon.path, 500);
    for (const id of ['web', 'cache'])
      expect(await stores.container(key(id))()).toMatchObject({
        _tag: 'Unknown',
        error: { _tag: 'StoreUnavailable', reason: expect.stringMatching(reason) },
      });
  });

  test('is found in messages beyond the 4 MiB that the library would take', async () => {
    // Field 5, the spec, which is not read.
    const spec = Buffer.concat([Buffer.of(0x2a, 0x80, 0x80, 0x80, 0x03), Buffer.alloc(6 * 1024 * 1024)]);
    const length = Buffer.of(0x0a, 0x8a, 0x80, 0x80, 0x03);
    const large = Buffer.concat([length, Buffer.of(0x0a, 3), Buffer.from('web'), spec]);
    for (const methods of [{ [listStream]: stream(() => answers(large)) }, { [list]: unary(() => answers(large)) }]) {
      const { stores } = await daemonWith(methods);
      expect(await stores.container(key('web'))()).toEqual({ _tag: 'Found', value: { runtimeName: '' } });
    }
  });
});

describe('a sandbox', () => {
  test('is asked for by exactly its id, one by one, and found when the daemon has it', async () => {
    const known = [...encode(StoreGetRequest)({ sandboxId: B.fromText('pod') })];
    const daemon = await daemonWith({
      [sandboxGet]: unary(({ payload }) =>
        [...payload].join() === known.join() ? answers(Uint8Array.of(0x0a, 0)) : failsWith(5, 'not found'),
      ),
    });
    expect(await daemon.stores.sandbox(key('pod'))()).toEqual({ _tag: 'Found', value: { id: 'pod' } });
    expect(await daemon.stores.sandbox(key('po'))()).toEqual(notFound);
    expect(await daemon.stores.sandbox(key('pod', 'k8s.io'))()).toEqual({ _tag: 'Found', value: { id: 'pod' } });
    expect(askedOf(daemon)).toEqual(['default', 'default', 'k8s.io'].map((name) => `${sandboxGet} ${name}`));
  });

  test('is asked for with any bytes in its id', async () => {
    const daemon = await daemonWith({ [sandboxGet]: unary(() => failsWith(5, 'not found')) });
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 127 }), async (bytes) => {
        expect(await daemon.stores.sandbox({ namespace: B.fromText('default'), id: B.fromBytes(bytes) })()).toEqual(
          notFound,
        );
        expect(daemon.asked.at(-1)?.payload).toEqual(Uint8Array.of(0x0a, bytes.length, ...bytes));
      }),
      { numRuns: 50 },
    );
  });

  test('is absent when the daemon says so or has no such store, and unknown after any other failure', async () => {
    for (const code of statuses) {
      const { stores, path } = await daemonWith({
        [listStream]: stream(() => answers()),
        [sandboxGet]: unary(() => failsWith(code, `failure ${code}`)),
      });
      const answer = await stores.sandbox(key('pod'))();
      if (code === 5 || code === unimplemented) expect(answer).toEqual(notFound);
      else expectUnknown(answer, `containerd at ${path}: ${code === 4 ? 'it did not answer in time' : 'failure'}`);
    }
    const { stores } = await daemonWith({ [listStream]: stream(() => answers()) });
    expect(await stores.sandbox(key('pod'))()).toEqual(notFound);
  });

  test('is known again when the daemon answers again', async () => {
    let isBroken = true;
    const { stores } = await daemonWith({
      [sandboxGet]: unary(() => (isBroken ? failsWith(14, 'starting') : answers(new Uint8Array()))),
    });
    expectUnknown(await stores.sandbox(key('pod'))(), 'starting');
    isBroken = false;
    expect(await stores.sandbox(key('pod'))()).toMatchObject({ _tag: 'Found' });
  });
});

describe('everything is unknown', () => {
  const inDirectory = async (): Promise<string> => join(await temporaryDirectory('s'), 's');

  test.each<readonly [string, () => Promise<string>, RegExp]>([
    ['nothing is there', inDirectory, /connect ENOENT \S+$/],
    [
      'a regular file is there',
      async () => {
        const path = await inDirectory();
        writeFileSync(path, '');
        return path;
      },
      /ECONNREFUSED/,
    ],
    ['a directory is there', () => temporaryDirectory(), /ECONNREFUSED/],
    ['the daemon was killed', abandonedSocket, /ECONNREFUSED/],
    ['the daemon is stopped', async () => (await rawShim({})).path, /it did not answer in time/],
    ['the listener hangs up', async () => (await rawShim({ onConnection: (socket) => socket.destroy() })).path, /./],
    [
      'the listener speaks HTTP/1',
      async () => (await rawShim({ onConnection: (socket) => socket.end('HTTP/1.1 404 Not Found\r\n\r\n') })).path,
      /./,
    ],
    [
      'the listener is no gRPC server',
      () =>
        http2Server((call) => {
          call.respond({ ':status': 200, 'content-type': 'text/html' });
          call.end('<p>hello</p>');
        }),
      /./,
    ],
    [
      'the listener is overloaded',
      () =>
        http2Server((call) => {
          call.respond({ ':status': 503 });
          call.end();
        }),
      /503/,
    ],
    ['every call is reset', () => http2Server((call) => call.close(2)), /./],
    [
      'the path is longer than that of any socket',
      async () => {
        const directory = await temporaryDirectory();
        const path = join(directory, 'x'.repeat(107 - directory.length - 1));
        const everything = {
          [listStream]: stream(() => answers(streamed(web))),
          [sandboxGet]: unary(() => answers(new Uint8Array())),
        };
        await grpcServer(everything, path);
        return `${path}x`;
      },
      /./,
    ],
  ])('when %s', async (_, make, reason) => {
    const path = await make();
    const stores = storeAt(path, 300);
    const startMs = performance.now();
    const answered = await Promise.all([stores.container(key('web'))(), stores.sandbox(key('pod'))()]);
    for (const answer of answered) {
      expectUnknown(answer, `containerd at ${path}: `);
      expect(answer).toMatchObject({ error: { reason: expect.stringMatching(reason) } });
    }
    expect(performance.now() - startMs).toBeLessThan(2_000);
  });
});

test('closing ends the connection, and twice is harmless', async () => {
  const daemon = await grpcServer({ [listStream]: stream(() => answers(streamed(web))) });
  const store = openContainerdStore({ socketPath: daemon.path, timeoutMs: 5_000 });
  expect(await store.stores.container(key('web'))()).toEqual(webFound);
  store.close();
  store.close();
  await daemon.drained();
  // What was listed before is still known.
  expect(await store.stores.container(key('web'))()).toEqual(webFound);
  expect(await store.stores.container(key('cache'))()).toEqual(notFound);
});

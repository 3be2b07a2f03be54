/** A shim that speaks gRPC: every call ends by its deadline, with what the shim said, and the end is seen (SPEC 9.7). */
import { renameSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import type { ServerHttp2Stream } from 'node:http2';
import * as os from 'node:os';
import { dirname, join } from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import type { ShimSession, SocketName } from '@shim-recovery/core/interpreter';
import { type ErrorClass, isTaskNotFound } from '../../core/src/capabilities/ShimConnector.js';
import * as fc from 'fast-check';
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { native } from '../src/native/CLibrary.js';
import { encode } from '../src/protobuf/Message.js';
import { ConnectResponse, DeleteResponse, PidsResponse } from '../src/protobuf/TaskMessages.js';
import { makeShimConnector } from '../src/shims/LinuxShimConnector.js';
import {
  abandonedSocket,
  answers,
  failsWith,
  grpcServer,
  type GrpcServer,
  hangs,
  http2Server,
  type Method,
  unary,
} from './containerd/grpcServer.js';
import { eventually, right } from './temporary.js';
import { failed, id, rawShim, temporaryDirectory } from './ttrpc/rawShim.js';

const service = 'containerd.task.v3.Task';
const connector = makeShimConnector();

interface Dialled {
  readonly socket: SocketName;
  readonly namespace?: string;
  readonly timeoutMs?: number;
}

const dial = ({ socket, namespace = 'default', timeoutMs = 2_000 }: Dialled) =>
  connector.dial({ namespace: B.fromText(namespace), target: { protocol: 'grpc', service, socket }, timeoutMs })();

const named = (path: string | Buffer): SocketName => ({
  _tag: 'Path',
  path: typeof path === 'string' ? B.fromText(path) : B.fromBytes(path),
});

/** A session with the shim at this path, closed when the test is over. */
const sessionAt = async (path: string, namespace = 'default'): Promise<ShimSession> => {
  const session = right(await dial({ socket: named(path), namespace }));
  onTestFinished(() => session.close());
  return session;
};

type Task = 'Connect' | 'Pids' | 'Delete' | 'Shutdown';

const shim = (methods: Partial<Record<Task, Method['reply']>>, at?: string): Promise<GrpcServer> =>
  grpcServer(
    Object.fromEntries(Object.entries(methods).map(([name, reply]) => [`/${service}/${name}`, unary(reply)])),
    at,
  );

const empty = answers(new Uint8Array());
const obliging = { Connect: () => empty, Pids: () => empty, Delete: () => empty, Shutdown: () => empty };

const call = { id, timeoutMs: 2_000 };
/** Longer than a test may take: what ends at this deadline fails its test. */
const patientCall = { id, timeoutMs: 60_000 };

const connected = { _tag: 'Right', right: { shimPid: 0, taskPid: 0, version: '' } };
const failedWith = (code: string) => ({ _tag: 'Left', left: { _tag: 'DialFailed', code } });

const timed = async <A>(work: () => Promise<A>): Promise<{ readonly outcome: A; readonly elapsedMs: number }> => {
  const startMs = performance.now();
  const outcome = await work();
  return { outcome, elapsedMs: performance.now() - startMs };
};

/** Timers may be a little early; a slow machine may be very late. */
const expectDeadline = (elapsedMs: number, deadlineMs: number): void => {
  expect(elapsedMs).toBeGreaterThan(deadlineMs * 0.9);
  expect(elapsedMs).toBeLessThan(deadlineMs + 1_500);
};

const uint32 = fc.nat(0xffff_ffff);

describe('a call', () => {
  test('is about exactly its task, whatever bytes its id has, in the namespace that was dialled', async () => {
    const { path, asked } = await shim(obliging);
    const namespaces = fc.stringMatching(/^[A-Za-z0-9]+([._-][A-Za-z0-9]+){0,3}$/);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 127 }), namespaces, async (bytes, namespace) => {
        const session = right(await dial({ socket: named(path), namespace }));
        const about = { id: B.fromBytes(bytes), timeoutMs: 2_000 };
        for (const method of ['connect', 'pids', 'delete', 'shutdown'] as const)
          right<unknown, unknown>(await session[method](about)());
        await session.close();
        // Field 1 and nothing else: no process of the task is meant, and the shim is not told to end at once.
        const payload = Uint8Array.of(0x0a, bytes.length, ...bytes);
        const both = { 'containerd-namespace': namespace, 'containerd-namespace-ttrpc': namespace };
        expect(asked.slice(-4)).toEqual(
          ['Connect', 'Pids', 'Delete', 'Shutdown'].map((method) => ({
            method: `/${service}/${method}`,
            payload,
            namespaces: both,
          })),
        );
      }),
      { numRuns: 30 },
    );
  });

  test('returns what the shim answered', async () => {
    const said = fc.record({
      connect: fc.record({ shimPid: uint32, taskPid: uint32, version: fc.string({ unit: 'grapheme' }) }),
      pids: fc.array(uint32),
      exit: fc.record({
        pid: uint32,
        exitStatus: uint32,
        exitedAt: fc.record({
          seconds: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
          nanos: fc.nat(999_999_999),
        }),
      }),
    });
    const nothing: Uint8Array = new Uint8Array();
    let payloads = { connect: nothing, pids: nothing, exit: nothing };
    const { path } = await shim({
      ...obliging,
      Connect: () => answers(payloads.connect),
      Pids: () => answers(payloads.pids),
      Delete: () => answers(payloads.exit),
    });
    const session = await sessionAt(path);
    await fc.assert(
      fc.asyncProperty(said, async ({ connect, pids, exit }) => {
        payloads = {
          connect: encode(ConnectResponse)(connect),
          pids: encode(PidsResponse)({ processes: pids.map((pid) => ({ pid, info: O.none })) }),
          exit: encode(DeleteResponse)(exit),
        };
        expect(await session.connect(call)()).toEqual(E.right(connect));
        expect(await session.pids(call)()).toEqual(E.right(pids));
        expect(await session.delete(call)()).toEqual(E.right(exit));
        expect(await session.shutdown(call)()).toEqual(E.right(undefined));
      }),
      { numRuns: 50 },
    );
  });

  test.each<readonly [number, ErrorClass]>([
    [1, 'Canceled'],
    [2, 'Unknown'],
    [3, 'InvalidArgument'],
    [5, 'NotFound'],
    [6, 'AlreadyExists'],
    [7, 'Unknown'],
    [8, 'Unknown'],
    [9, 'FailedPrecondition'],
    [10, 'Unknown'],
    [11, 'Unknown'],
    [12, 'NotImplemented'],
    [13, 'Unknown'],
    [14, 'Unavailable'],
    [15, 'Unknown'],
    [16, 'Unknown'],
    [99, 'Unknown'],
  ])('that fails with status %i is of class %s, and the session goes on (SPEC 17)', async (code, errorClass) => {
    const message = 'task „web“ is 100% gone:\n%41';
    const failing = () => failsWith(code, message);
    const { path } = await shim({ Connect: () => empty, Pids: failing, Delete: failing, Shutdown: failing });
    const session = await sessionAt(path);
    for (const method of ['pids', 'delete', 'shutdown'] as const) {
      const outcome: E.Either<unknown, unknown> = await session[method](call)();
      expect(outcome).toEqual(E.left({ _tag: 'Answered', status: code, class: errorClass, message }));
    }
    expect(await session.connect(call)()).toEqual(connected);
  });

  test('that fails without a word is an error of its class all the same', async () => {
    const { path } = await shim({ Delete: () => failsWith(5, '') });
    const outcome = await (await sessionAt(path)).delete(call)();
    expect(E.isLeft(outcome) && isTaskNotFound(outcome.left)).toBe(true);
  });

  test('of a method that the shim does not know is not implemented', async () => {
    const { path } = await shim({});
    expect(await (await sessionAt(path)).pids(call)()).toMatchObject({
      left: { _tag: 'Answered', status: 12, class: 'NotImplemented' },
    });
  });

  test('that is not answered ends at its deadline, and the session goes on', async () => {
    const { path } = await shim({ ...obliging, Pids: () => hangs });
    const session = await sessionAt(path);
    const { outcome, elapsedMs } = await timed(session.pids({ id, timeoutMs: 150 }));
    expect(outcome).toEqual(E.left({ _tag: 'TimedOut', afterMs: 150 }));
    expectDeadline(elapsedMs, 150);
    expect(await session.connect(call)()).toEqual(connected);
  });

  test('that the shim itself gives up in time is an answer, and no time-out of ours', async () => {
    const { path } = await shim({ ...obliging, Pids: () => failsWith(4, 'context deadline exceeded') });
    const session = await sessionAt(path);
    const { outcome, elapsedMs } = await timed(session.pids(patientCall));
    expect(outcome).toMatchObject({ left: { _tag: 'Answered', status: 4, class: 'DeadlineExceeded' } });
    expect(elapsedMs).toBeLessThan(10_000);
  });

  test('does not wait for another', async () => {
    const { path } = await shim({ ...obliging, Pids: () => hangs });
    const session = await sessionAt(path);
    const order: Array<string> = [];
    const slow = session
      .pids({ id, timeoutMs: 300 })()
      .then(() => order.push('slow'));
    const quick = session
      .connect(call)()
      .then(() => order.push('quick'));
    await Promise.all([slow, quick]);
    expect(order).toEqual(['quick', 'slow']);
  });

  test('whose answer is no such message is a protocol error', async () => {
    const truncated = answers(Uint8Array.of(0x0a, 0x7f));
    const { path } = await shim({
      Connect: () => answers(Uint8Array.of(0x1a, 1, 0xff)),
      Pids: () => truncated,
      Delete: () => truncated,
      Shutdown: () => truncated,
    });
    const session = await sessionAt(path);
    for (const method of ['connect', 'pids', 'delete', 'shutdown'] as const) {
      const outcome: E.Either<unknown, unknown> = await session[method](call)();
      expect(outcome).toMatchObject(failed.protocolError);
    }
  });

  test('takes more than the 4 MiB that the library would, and refuses more than 64 MiB', async () => {
    const process = Uint8Array.of(0x0a, 4, 0x08, 0xff, 0xff, 3);
    const pids = (count: number) => answers(Buffer.alloc(count * process.length, process));
    const tooMany = Math.ceil((64 * 1024 * 1024 + 1) / process.length);
    const { path } = await shim({
      ...obliging,
      Pids: ({ payload }) => pids(payload.at(-1) === 0x2b ? tooMany : 1_000_000),
    });
    const session = await sessionAt(path);
    const taken = right(await session.pids({ id, timeoutMs: 20_000 })());
    expect(taken).toHaveLength(1_000_000);
    expect(taken.at(-1)).toBe(0xffff);
    expect(await session.pids({ id: B.fromText('+'), timeoutMs: 20_000 })()).toMatchObject({
      left: { _tag: 'Answered', status: 8, class: 'Unknown' },
    });
    expect(await session.connect(call)()).toEqual(connected);
  }, 30_000);

  test('ends with a value, whatever a peer sends back over HTTP/2', async () => {
    const frame = fc.record({ announced: fc.nat(9), bytes: fc.uint8Array({ maxLength: 9 }) });
    const response = fc.record({
      status: fc.constantFrom(200, 200, 200, 204, 302, 400, 401, 404, 500, 503),
      contentType: fc.constantFrom('application/grpc', 'application/grpc+proto', 'text/html', ''),
      body: fc.array(frame, { maxLength: 3 }),
      trailers: fc.option(
        fc.record({
          'grpc-status': fc.constantFrom('0', '0', '5', '12', '-1', '1e9', 'x'),
          'grpc-message': fc.constantFrom('', 'no', '%', '%ff%41'),
        }),
      ),
      isReset: fc.boolean(),
    });
    let respond = (stream: ServerHttp2Stream): void => stream.close();
    const session = await sessionAt(await http2Server((stream) => respond(stream)));
    await fc.assert(
      fc.asyncProperty(response, async ({ status, contentType, body, trailers, isReset }) => {
        respond = (stream) => {
          stream.respond({ ':status': status, 'content-type': contentType }, { waitForTrailers: true });
          stream.once('wantTrailers', () => (trailers === null ? stream.close() : stream.sendTrailers(trailers)));
          for (const { announced, bytes } of body) stream.write(Uint8Array.of(0, 0, 0, 0, announced, ...bytes));
          if (isReset) stream.close(2);
          else stream.end();
        };
        const outcome = await session.connect({ id, timeoutMs: 200 })();
        const isAnswer = trailers?.['grpc-status'] === '0' && body.length > 0;
        if (E.isRight(outcome)) expect(isAnswer).toBe(true);
        else expect(['Answered', 'ProtocolError', 'TimedOut']).toContain(outcome.left._tag);
      }),
      { numRuns: 150 },
    );
  }, 30_000);
});

describe('a dial', () => {
  test.each<readonly [string, string, (path: string) => void]>([
    ['nothing', 'ENOENT', () => undefined],
    ['a regular file', 'ECONNREFUSED', (path) => writeFileSync(path, '')],
    ['a dangling link', 'ENOENT', (path) => symlinkSync('/nowhere/at/all', path)],
  ])('of %s fails with %s', async (_, code, make) => {
    const path = join(await temporaryDirectory('s'), 's');
    make(path);
    expect(await dial({ socket: named(path) })).toMatchObject(failedWith(code));
  });

  test('of a socket that its shim left behind is refused', async () => {
    expect(await dial({ socket: named(await abandonedSocket()) })).toMatchObject(failedWith('ECONNREFUSED'));
  });

  test('takes the address literally: `unix://` is part of a path', async () => {
    const { path, accepted } = await shim(obliging);
    expect(await dial({ socket: named(`unix://${path}`) })).toMatchObject(failedWith('ENOENT'));
    expect(accepted()).toBe(0);
  });

  test('of a path that is one byte too long is refused, and the socket of the shorter name left alone', async () => {
    const directory = await temporaryDirectory();
    const path = join(directory, 'x'.repeat(107 - directory.length - 1));
    const { accepted } = await shim(obliging, path);
    expect(await dial({ socket: named(`${path}x`) })).toMatchObject(failedWith('EINVAL'));
    expect(accepted()).toBe(0);
    expect(await (await sessionAt(path)).connect(call)()).toEqual(connected);
  });

  test('of a path that is not UTF-8 fails, and leaves no connection', async () => {
    const { path, accepted, drained } = await shim(obliging);
    const bytes = Buffer.concat([Buffer.from(`${dirname(path)}/`), Buffer.of(0xff)]);
    renameSync(path, bytes);
    onTestFinished(() => unlinkSync(bytes));
    expect(await dial({ socket: named(bytes) })).toMatchObject(failedWith('EAFNOSUPPORT'));
    await eventually('the connection', () => accepted() === 1);
    await drained();
    expect(accepted()).toBe(1);
  });

  test.each<readonly [string, Parameters<typeof rawShim>[0]]>([
    ['says nothing', {}],
    ['hangs up', { onConnection: (socket) => socket.destroy() }],
    ['speaks HTTP/1', { onConnection: (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n') }],
  ])('of a listener that %s ends at its deadline', async (_, behaviour) => {
    const { path } = await rawShim(behaviour);
    const { outcome, elapsedMs } = await timed(() => dial({ socket: named(path), timeoutMs: 200 }));
    expect(outcome).toEqual(E.left({ _tag: 'TimedOut', afterMs: 200 }));
    expectDeadline(elapsedMs, 200);
  });

  test('of which it is not known whether we had a descriptor for it is no time-out of the shim', async () => {
    const { path } = await rawShim({});
    const { socket } = native();
    const dialled = vi.spyOn(native(), 'socket').mockImplementationOnce(socket).mockReturnValue(-1);
    const told = vi.spyOn(native(), 'errno').mockReturnValue(os.constants.errno.EMFILE);
    onTestFinished(() => {
      dialled.mockRestore();
      told.mockRestore();
    });
    expect(await dial({ socket: named(path), timeoutMs: 200 })).toMatchObject(failedWith('EMFILE'));
  });

  test('is tried again until its deadline, while the listener hangs up', async () => {
    let connections = 0;
    const { path } = await rawShim({
      onConnection: (socket) => {
        connections += 1;
        socket.destroy();
        // The first is the plain dial, the second the first attempt to speak gRPC.
        if (connections < 2) return;
        unlinkSync(path);
        void shim(obliging, path);
      },
    });
    const session = right(await dial({ socket: named(path), timeoutMs: 20_000 }));
    expect(await session.connect(call)()).toEqual(connected);
    await session.close();
    expect(connections).toBe(2);
  }, 30_000);

  test('of silent shims holds up no other, however many they are', async () => {
    const [silent, { path }] = await Promise.all([rawShim({}), shim(obliging)]);
    const order: Array<string> = [];
    const dials = Array.from({ length: 80 }, () =>
      dial({ socket: named(silent.path), timeoutMs: 5_000 }).then((outcome) => {
        order.push('silent');
        return outcome;
      }),
    );
    const session = await sessionAt(path);
    expect(await session.connect(call)()).toEqual(connected);
    order.push('served');
    const outcomes = await Promise.all(dials);
    expect(outcomes.filter((outcome) => E.isRight(outcome) || outcome.left._tag !== 'TimedOut')).toEqual([]);
    expect(order[0]).toBe('served');
  });
});

describe('the end of a connection', () => {
  test('is none as long as the shim lives, whatever its answers are', async () => {
    const { path } = await shim({ ...obliging, Pids: () => hangs, Delete: () => failsWith(14, 'not now') });
    const session = await sessionAt(path);
    let hasEnded = false;
    const end = session.disconnected().then(() => {
      hasEnded = true;
    });
    await session.connect(call)();
    await session.delete(call)();
    await session.pids({ id, timeoutMs: 50 })();
    expect(await session.connect(call)()).toEqual(connected);
    expect(hasEnded).toBe(false);
    await session.close();
    await end;
  });

  test('is told to every reader when the shim dies, also to late ones', async () => {
    const { path, die } = await shim(obliging);
    const session = await sessionAt(path);
    const readers = [session.disconnected(), session.disconnected()];
    expect(await session.connect(call)()).toEqual(connected);
    await die();
    await Promise.all(readers);
    await session.disconnected();
  });

  test('is seen also before the first call', async () => {
    const { path, die } = await shim(obliging);
    const session = await sessionAt(path);
    await die();
    await session.disconnected();
  });

  test('closes the calls that wait for an answer', async () => {
    const server: GrpcServer = await shim({
      ...obliging,
      Delete: () => hangs,
      Pids: () => {
        void server.die();
        return hangs;
      },
    });
    const session = await sessionAt(server.path);
    const waiting = session.delete(patientCall)();
    expect(await session.pids(patientCall)()).toMatchObject(failed.closed);
    expect(await waiting).toMatchObject(failed.closed);
    await session.disconnected();
  });

  test('is for good: another shim at the same path is not asked', async () => {
    const { path, die } = await shim(obliging);
    const session = await sessionAt(path);
    await die();
    await session.disconnected();
    const successor = await shim(obliging, path);
    for (const method of ['connect', 'pids', 'delete', 'shutdown'] as const) {
      const outcome: E.Either<unknown, unknown> = await session[method](patientCall)();
      expect(outcome).toMatchObject(failed.closed);
    }
    expect(successor.accepted()).toBe(0);
  });
});

describe('closing', () => {
  test('ends the connection, and the shim goes on', async () => {
    const { path, accepted, drained } = await shim(obliging);
    const [first, second] = await Promise.all([sessionAt(path), sessionAt(path)]);
    await first.close();
    await first.disconnected();
    expect(await second.connect(call)()).toEqual(connected);
    await second.close();
    // A plain dial each, and a connection each: sessions share nothing.
    expect(accepted()).toBe(4);
    await drained();
  });

  test('twice is harmless, also at once and after the end', async () => {
    const { path, die } = await shim(obliging);
    const [first, second] = await Promise.all([sessionAt(path), sessionAt(path)]);
    await Promise.all([first.close(), first.close()]);
    await first.close();
    await first.disconnected();
    await die();
    await second.disconnected();
    await second.close();
    await second.close();
  });

  test('closes the calls that wait for an answer', async () => {
    const { path } = await shim({ ...obliging, Pids: () => hangs });
    const session = await sessionAt(path);
    const waiting = session.pids(patientCall)();
    await session.close();
    expect(await waiting).toMatchObject(failed.closed);
  });

  test('closes the calls that come later, and the shim is not asked', async () => {
    const { path, asked } = await shim(obliging);
    const session = await sessionAt(path);
    const closing = session.close();
    expect(await session.connect(patientCall)()).toMatchObject(failed.closed);
    await closing;
    expect(await session.shutdown(patientCall)()).toMatchObject(failed.closed);
    expect(asked).toEqual([]);
  });
});

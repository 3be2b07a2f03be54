import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ByteString as B } from '@shim-recovery/core';
import type { SocketName } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startScriptedShim } from '../src/demo/ScriptedShim.js';
import { close } from '../src/native/Native.js';
import { makeShimConnector } from '../src/shims/LinuxShimConnector.js';
import { connectUnix } from '../src/shims/UnixSocket.js';
import { answer, id, rawShim, temporaryDirectory } from './ttrpc/rawShim.js';

const connector = makeShimConnector();

const dialSocket = (socket: SocketName) =>
  connector.dial({
    namespace: B.fromText('default'),
    target: { protocol: 'ttrpc', service: 'containerd.task.v2.Task', socket },
    timeoutMs: 2_000,
  })();

const pathName = (path: string | Buffer): SocketName => ({
  _tag: 'Path',
  path: typeof path === 'string' ? B.fromText(path) : B.fromBytes(path),
});

const failedWith = (code: string) => ({ _tag: 'Left', left: { _tag: 'DialFailed', code } });

const answering = () => rawShim({ onRequest: (socket, { streamId }) => socket.write(answer(streamId)) });

/** Whether somebody there answers a call. */
const answersAt = async (socket: SocketName): Promise<unknown> => {
  const session = await dialSocket(socket);
  if (E.isLeft(session)) return session;
  const answered = await session.right.connect({ id, timeoutMs: 2_000 })();
  await session.right.close();
  return answered;
};

/** Descriptors of files: the sockets of both ends live in this process too, and come and go. */
const openFiles = (): number =>
  readdirSync('/proc/self/fd').filter((descriptor) => {
    try {
      return !readlinkSync(`/proc/self/fd/${descriptor}`).startsWith('socket:');
    } catch {
      return false;
    }
  }).length;

describe('a socket in the file system', () => {
  test.each([
    ['nothing', 'ENOENT', () => undefined],
    ['a regular file', 'ECONNREFUSED', (path: string) => writeFileSync(path, '')],
    ['a dangling link', 'ENOENT', (path: string) => symlinkSync('/nowhere/at/all', path)],
  ])('%s there is %s', async (_, code, make) => {
    const path = join(await temporaryDirectory('s'), 's');
    make(path);
    expect(await dialSocket(pathName(path))).toMatchObject(failedWith(code));
  });

  test('a socket that nobody listens on refuses', async () => {
    const socketPath = join(await temporaryDirectory('s'), 's');
    const script = { mode: 'refuse', connect: 'hang', pids: 'hang', del: 'hang', shutdown: 'hang' } as const;
    const shim = await startScriptedShim({ socketPath, script })();
    expect(E.isRight(shim)).toBe(true);
    expect(readdirSync(join(socketPath, '..'))).toEqual(['s']);
    expect(await dialSocket(pathName(socketPath))).toMatchObject(failedWith('ECONNREFUSED'));
  });

  test('a path that is one byte too long is refused, and the socket of the shorter name left alone', async () => {
    const directory = await temporaryDirectory();
    const path = join(directory, 'x'.repeat(107 - directory.length - 1));
    let connections = 0;
    const server = createServer(() => {
      connections += 1;
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    onTestFinished(() => new Promise((resolve) => server.close(() => resolve())));
    expect(await dialSocket(pathName(`${path}x`))).toMatchObject(failedWith('EINVAL'));
    expect(connections).toBe(0);
    const reached = await dialSocket(pathName(path));
    expect(E.isRight(reached)).toBe(true);
    if (E.isRight(reached)) await reached.right.close();
  });

  test('no path, and a path with a NUL in it, are refused', async () => {
    const { path } = await answering();
    expect(await dialSocket(pathName(''))).toMatchObject(failedWith('EINVAL'));
    expect(await dialSocket(pathName(`${path}\0`))).toMatchObject(failedWith('EINVAL'));
  });

  test.each([
    ['directory', Buffer.of(0xff, 0xfe), Buffer.from('s')],
    ['name', Buffer.from('d'), Buffer.of(0x73, 0xe9, 0x0a)],
    ['directory and name', Buffer.of(0x80), Buffer.of(0xc3, 0x28)],
  ])('a %s that is not UTF-8 is reached by its bytes, and no descriptor is left behind', async (_, folder, file) => {
    const { path } = await answering();
    const directory = Buffer.concat([Buffer.from(join(path, '..', '/')), folder]);
    mkdirSync(directory);
    const socket = Buffer.concat([directory, Buffer.from('/'), file]);
    renameSync(path, socket);
    onTestFinished(() => {
      unlinkSync(socket);
      rmdirSync(directory);
    });
    expect(await answersAt(pathName(socket))).toMatchObject({ _tag: 'Right' });
    const before = openFiles();
    for (let round = 0; round < 10; round++) await answersAt(pathName(socket));
    expect(openFiles()).toBeLessThanOrEqual(before);
    expect(await dialSocket(pathName(Buffer.concat([socket, Buffer.of(0xff)])))).toMatchObject(failedWith('ENOENT'));
  });

  test('a thousand dials of one shim at once all get through', async () => {
    const { path } = await answering();
    const sessions = await Promise.all(Array.from({ length: 1_000 }, () => dialSocket(pathName(path))));
    expect(sessions.filter(E.isLeft)).toEqual([]);
    await Promise.all(sessions.filter(E.isRight).map((session) => session.right.close()));
  });
});

/** A listener in another program, which does with its socket what Node does not: exact abstract names, small backlogs. */
const pythonListener = async (program: string, ...parameters: ReadonlyArray<string>) => {
  const child = spawn('python3', ['-c', program, ...parameters], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  expect(await lines.next()).toMatchObject({ value: 'listening' });
  return { tell: (line: string) => child.stdin.write(`${line}\n`), nextLine: () => lines.next() };
};

const python = spawnSync('python3', ['--version']);
const withoutPython = python.status === 0 ? undefined : 'python3 is not installed';

/** Accepts one connection, and answers stream 1 when told to. */
const acceptOnce = `
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(b'\\0' + bytes.fromhex(sys.argv[1]))
s.listen(8)
print('listening', flush=True)
c, _ = s.accept()
print('accepted', flush=True)
sys.stdin.readline()
c.recv(4096)
c.sendall(bytes.fromhex('00000004000000010200' + '12020805'))
sys.stdin.readline()
`;

/** Has room for two connections that are not accepted; accepts one for every line. */
const smallBacklog = `
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(1)
print('listening', flush=True)
kept = []
for line in sys.stdin:
    kept.append(s.accept())
`;

describe('an abstract socket', () => {
  const unique = (suffix: Buffer): Buffer => Buffer.concat([Buffer.from(`shim-recovery-${process.pid}-`), suffix]);
  const abstractName = (name: Buffer): SocketName => ({ _tag: 'Abstract', name: B.fromBytes(name) });

  test.for<readonly [string, Buffer]>([
    ['a short name', unique(Buffer.from('s'))],
    ['bytes that are no UTF-8, and a NUL', unique(Buffer.of(0xff, 0x00, 0xc3))],
    ['the longest name', Buffer.concat([unique(Buffer.of()), Buffer.alloc(107, 'x')]).subarray(0, 107)],
  ])('is reached by exactly its name: %s', async ([, name], ctx) => {
    if (withoutPython !== undefined) ctx.skip(withoutPython);
    const listener = await pythonListener(acceptOnce, name.toString('hex'));
    const session = await dialSocket(abstractName(name));
    expect(E.isRight(session)).toBe(true);
    expect(await listener.nextLine()).toMatchObject({ value: 'accepted' });
    if (E.isLeft(session)) return;
    const pending = session.right.connect({ id, timeoutMs: 5_000 })();
    listener.tell('answer');
    expect(await pending).toMatchObject({ _tag: 'Right', right: { shimPid: 5 } });
    await session.right.close();
  });

  test('an empty name is refused as the kernel does, a longer one than the kernel takes is invalid', async () => {
    expect(await dialSocket(abstractName(Buffer.of()))).toMatchObject(failedWith('ECONNREFUSED'));
    expect(await dialSocket(abstractName(unique(Buffer.from('nobody'))))).toMatchObject(failedWith('ECONNREFUSED'));
    expect(await dialSocket(abstractName(Buffer.alloc(108, 'x')))).toMatchObject(failedWith('EINVAL'));
  });
});

describe('a full backlog', () => {
  const fill = async (path: string): Promise<void> => {
    for (let filled = 0; filled < 2; filled++) {
      const socket = connect({ path }).on('error', () => undefined);
      onTestFinished(() => {
        socket.destroy();
      });
      await once(socket, 'connect');
    }
  };

  test('fails when it stays full', async (ctx) => {
    if (withoutPython !== undefined) ctx.skip(withoutPython);
    const path = join(await temporaryDirectory('s'), 's');
    await pythonListener(smallBacklog, path);
    await fill(path);
    const startMs = performance.now();
    expect(await dialSocket(pathName(path))).toMatchObject(failedWith('EAGAIN'));
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(600);
  });

  test('is tried again while it drains', async (ctx) => {
    if (withoutPython !== undefined) ctx.skip(withoutPython);
    const path = join(await temporaryDirectory('s'), 's');
    const listener = await pythonListener(smallBacklog, path);
    await fill(path);
    const patiently = Array.from({ length: 500 }, () => 10);
    const socket = connectUnix(patiently)({ name: pathName(path), timeoutMs: 5_000 })();
    listener.tell('accept');
    const connected = await socket;
    expect(E.isRight(connected)).toBe(true);
    if (E.isRight(connected)) close(connected.right);
  });

  test('is not tried again beyond the time-out', async (ctx) => {
    if (withoutPython !== undefined) ctx.skip(withoutPython);
    const path = join(await temporaryDirectory('s'), 's');
    await pythonListener(smallBacklog, path);
    await fill(path);
    const startMs = performance.now();
    const connected = await connectUnix([10, 60_000])({ name: pathName(path), timeoutMs: 100 })();
    expect(connected).toMatchObject(failedWith('EAGAIN'));
    expect(performance.now() - startMs).toBeLessThan(2_000);
  });
});

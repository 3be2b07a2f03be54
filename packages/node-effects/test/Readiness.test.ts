import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import { isExhaustionCode } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { native } from '../src/native/CLibrary.js';
import { connectionOver } from '../src/shims/Connection.js';
import * as Native from '../src/native/Native.js';
import { waitToRead, type Waiting } from '../src/native/Epoll.js';
import { eventually, right, temporaryDirectory } from './temporary.js';

const base = temporaryDirectory();

interface Pipe {
  readonly readEnd: number;
  readonly writeEnd: number;
}

/** A pipe whose ends are closed when the test is over. */
const pipe = (): Pipe => {
  const made = right(Native.pipe());
  onTestFinished(() => Object.values(made).forEach(Native.close));
  return made;
};

const wait = (descriptor: number, ready: () => void): Waiting => {
  const waiting = right(waitToRead(descriptor, { ready, keepsAlive: false }));
  onTestFinished(() => waiting.end());
  return waiting;
};

/** So many turns of the event loop that whoever is to be told has been told. */
const someTurns = async (): Promise<void> => {
  for (let turns = 0; turns < 10; turns += 1) await new Promise((resolve) => setImmediate(resolve));
};

const copyOf = (descriptor: number): E.Either<string, number> =>
  Native.openAt(Native.AT_FDCWD, `/proc/self/fd/${descriptor}`, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);

const readOne = (descriptor: number): void => {
  fs.readSync(descriptor, Buffer.alloc(1));
};

describe('waiting to read', () => {
  it('is told as long as there is something, and not before, and not afterwards', async () => {
    const { readEnd, writeEnd } = pipe();
    let told = 0;
    const waiting = wait(readEnd, () => {
      told += 1;
      readOne(readEnd);
    });
    await someTurns();
    expect(told).toBe(0);
    fs.writeSync(writeEnd, 'abc');
    await eventually('all of it', () => told === 3);
    await someTurns();
    expect(told).toBe(3);
    waiting.end();
    waiting.end();
    fs.writeSync(writeEnd, 'd');
    await someTurns();
    expect(told).toBe(3);
  });

  it('of nothing is not told either that the other side has hung up, until something is waited for again', async () => {
    const { readEnd, writeEnd } = right(Native.pipe());
    onTestFinished(() => Native.close(readEnd));
    let told = 0;
    const waiting = wait(readEnd, () => {
      told += 1;
    });
    waiting.waitFor('nothing');
    Native.close(writeEnd);
    await someTurns();
    expect(told).toBe(0);
    waiting.waitFor('reading');
    await eventually('the end', () => told > 0);
  });

  it('or to write, is told of room', async () => {
    const { writeEnd } = pipe();
    let told = 0;
    const waiting = wait(writeEnd, () => {
      told += 1;
    });
    await someTurns();
    expect(told).toBe(0);
    waiting.waitFor('reading and writing');
    await eventually('room', () => told > 0);
    waiting.waitFor('reading');
    const before = told;
    await someTurns();
    expect(told).toBeLessThanOrEqual(before + 1);
  });

  it('does not take one for the other that had its number before', async () => {
    const [first, second, spare] = [pipe(), right(Native.pipe()), pipe()];
    const told: Array<string> = [];
    const other: { waiting?: Waiting } = {};
    const replace = (): void => {
      other.waiting?.end();
      Native.close(second.readEnd);
      fs.closeSync(second.writeEnd);
      const copy = right(Native.openAt(Native.AT_FDCWD, `/proc/self/fd/${spare.readEnd}`, fs.constants.O_RDONLY));
      onTestFinished(() => Native.close(copy));
      expect(copy).toBe(Math.min(second.readEnd, second.writeEnd));
      wait(copy, () => told.push('the new one'));
    };
    wait(first.readEnd, () => {
      readOne(first.readEnd);
      told.push('first');
      replace();
    });
    other.waiting = wait(second.readEnd, () => told.push('second'));
    fs.writeSync(first.writeEnd, '1');
    fs.writeSync(second.writeEnd, '2');
    await eventually('the first', () => told.includes('first'));
    await someTurns();
    expect(told.filter((one) => one !== 'second')).toEqual(['first']);
  });

  it('is refused where nobody can wait', () => {
    const file = path.join(base.path(), 'file');
    const descriptor = fs.openSync(file, 'w+');
    onTestFinished(() => fs.closeSync(descriptor));
    expect(waitToRead(descriptor, { ready: () => undefined, keepsAlive: true })).toEqual(E.left('EPERM'));
  });
});

it('a connection that is paused is not looked at, and is read again once it is resumed', async () => {
  const { readEnd, writeEnd } = pipe();
  const received: Array<string> = [];
  const connection = right(
    connectionOver(right(copyOf(readEnd)), {
      received: (bytes) => received.push(Buffer.from(bytes).toString()),
      ended: () => undefined,
    }),
  );
  onTestFinished(() => connection.close());
  fs.writeSync(writeEnd, 'first');
  await eventually('the first', () => received.length === 1);
  connection.pause();
  fs.writeSync(writeEnd, 'second');
  const told = vi.spyOn(native(), 'epoll_wait');
  onTestFinished(() => told.mockRestore());
  await someTurns();
  connection.readNow();
  expect(received).toEqual(['first']);
  expect(told).not.toHaveBeenCalled();
  connection.resume();
  await eventually('the second', () => received.length === 2);
});

it('what a connection has unsent goes as there is room, unless it is paused, and then nobody asks for room', async () => {
  const socketPath = path.join(base.path(), 'reader.sock');
  const server = net.createServer({ pauseOnConnect: true });
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve));
  const socket = right(Native.connectTo(Buffer.from(`${socketPath}\0`)));
  const connection = right(connectionOver(socket, { received: () => undefined, ended: () => undefined }));
  onTestFinished(() => connection.close());
  const sizeBytes = 4_000_000;
  connection.send(new Uint8Array(sizeBytes));
  connection.pause();
  const reader = await accepted;
  let receivedBytes = 0;
  const sent = vi.spyOn(native(), 'send');
  const told = vi.spyOn(native(), 'epoll_wait');
  onTestFinished(() => [sent, told].forEach((spy) => spy.mockRestore()));
  reader.on('data', ({ length }) => (receivedBytes += length)).resume();
  await eventually('some of it', () => receivedBytes > 0);
  await someTurns();
  expect(sent).not.toHaveBeenCalled();
  connection.resume();
  await eventually('all of it', () => receivedBytes === sizeBytes);
  told.mockClear();
  await someTurns();
  expect(told).not.toHaveBeenCalled();
});

describe('where epoll refuses', () => {
  const refuse = (errno: number): void => {
    const refused = vi.spyOn(native(), 'epoll_ctl').mockReturnValue(-1);
    const told = vi.spyOn(native(), 'errno').mockReturnValue(errno);
    onTestFinished(() => {
      refused.mockRestore();
      told.mockRestore();
    });
  };

  it('that is said as a limit of ours, by which nobody is taken for dead', () => {
    const { readEnd } = pipe();
    refuse(os.constants.errno.ENOSPC);
    const waiting = waitToRead(readEnd, { ready: () => undefined, keepsAlive: true });
    expect(waiting).toEqual(E.left('ENOBUFS'));
    expect(isExhaustionCode('ENOBUFS')).toBe(true);
  });

  it('the event loop is not asked at all, which would end the process', async () => {
    vi.resetModules();
    const readiness = await import('../src/native/Epoll.js');
    const library = (await import('../src/native/CLibrary.js')).native();
    const watching = vi.spyOn(library, 'watch');
    vi.spyOn(library, 'epoll_ctl').mockReturnValue(-1);
    vi.spyOn(library, 'errno').mockReturnValue(os.constants.errno.ENOSPC);
    const { readEnd } = pipe();
    expect(readiness.waitToRead(readEnd, { ready: () => undefined, keepsAlive: true })).toEqual(E.left('ENOBUFS'));
    expect(watching).not.toHaveBeenCalled();
  });

  it('a connection is closed, and its receiver told, if only when it is resumed', () => {
    const { readEnd } = pipe();
    let ended = 0;
    const receiver = { received: () => undefined, ended: () => (ended += 1) };
    const connection = right(connectionOver(right(copyOf(readEnd)), receiver));
    connection.pause();
    refuse(os.constants.errno.ENOMEM);
    connection.resume();
    connection.resume();
    connection.close();
    expect(ended).toBe(1);
    const descriptor = right(copyOf(readEnd));
    expect(connectionOver(descriptor, receiver)).toEqual(E.left('ENOMEM'));
    expect(ended).toBe(1);
    expect(() => fs.fstatSync(descriptor)).toThrow('EBADF');
  });
});

describe('a worker thread that waits', () => {
  const modules = new URL('../dist/', import.meta.url).href;
  const worker = `
    import * as fs from 'node:fs';
    import { workerData, parentPort } from 'node:worker_threads';
    import * as Native from '${modules}native/Native.js';
    import { waitToRead } from '${modules}native/Epoll.js';
    const { readEnd, writeEnd } = Native.pipe().right;
    let told = 0;
    const waiting = waitToRead(readEnd, { ready: () => { told += 1; }, keepsAlive: true }).right;
    // There is something to read for as long as it lives.
    fs.writeSync(writeEnd, 'x');
    while (told < 3) await new Promise((resolve) => setTimeout(resolve, 1));
    // It ends at the earliest when the main thread has seen it.
    parentPort.once('message', () => {
      if (workerData === 'by itself') waiting.end();
      if (workerData === 'exit') process.exit(3);
      if (workerData === 'failure') throw new Error('a failure');
    });
    parentPort.postMessage('waits');`;
  const main = `
    import { Worker } from 'node:worker_threads';
    import { once } from 'node:events';
    const [file, how] = process.argv.slice(1);
    const worker = new Worker(file, { workerData: how, execArgv: [] });
    worker.on('error', () => undefined);
    await once(worker, 'message');
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    if (how === 'terminate') void worker.terminate();
    else worker.postMessage('end');
    console.log(await ended);`;

  it.each([
    ['by itself', '0'],
    ['exit', '3'],
    ['failure', '1'],
    ['terminate', '1'],
  ])('takes nobody along when it ends: %s', (how, code) => {
    const file = path.join(base.path(), 'worker.mjs');
    fs.writeFileSync(file, worker);
    const printed = execFileSync(process.execPath, ['--input-type=module', '-e', main, file, how], {
      encoding: 'utf8',
    });
    expect(printed).toBe(`${code}\n`);
  });
});

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import type { FileError, LogPipe } from '@shim-recovery/core/interpreter';
import type * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeLogPipes } from '../src/linux/LinuxLogPipes.js';
import { mkfifo } from '../src/native/Native.js';
import { eventually, nextTurn, problem, right, temporaryDirectory, withOpen } from './temporary.js';

const base = temporaryDirectory();
let next = 0;
const fresh = (): string => {
  const directory = path.join(base.path(), String(next++));
  fs.mkdirSync(directory);
  return directory;
};

const written = new Map<string, string>();
const pipes = makeLogPipes(({ id, bytes }) => written.set(id, (written.get(id) ?? '') + Buffer.from(bytes).toString()));

const open = (bundle: string, id = 'web', followsLinks = true): Promise<E.Either<FileError, LogPipe>> =>
  withOpen(bundle, (directory) =>
    pipes.open({ bundle: directory, namespace: B.fromText('ns'), id: B.fromText(id), followsLinks })(),
  );

const opened = async (planHost: (log: string) => void): Promise<string> => {
  const bundle = fresh();
  const log = path.join(bundle, 'log');
  planHost(log);
  const outcome = await open(bundle);
  if (outcome._tag === 'Right') await outcome.right.close();
  expect(descriptorsOf(log)).toBe(0);
  return problem(outcome);
};

/** How many descriptors of this process lead there. */
const descriptorsOf = (file: string): number =>
  fs.readdirSync('/proc/self/fd').filter((descriptor) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${descriptor}`) === file;
    } catch {
      return false; // the descriptor by which the directory itself was read
    }
  }).length;

/** The largest part of a flood that may be read before others have their turn. */
const maxBytesPerTurn = 4 * 1024 * 1024;

describe('log pipes (SPEC 8.3)', () => {
  it('are made where they are missing, for their owner alone', async () => {
    const bundle = fresh();
    const pipe = right(await open(bundle));
    const status = fs.lstatSync(path.join(bundle, 'log'));
    expect(status.isFIFO()).toBe(true);
    expect(status.mode & 0o777).toBe(0o700 & ~process.umask());
    await pipe.close();
    await pipe.close();
  });

  it('are what stands there, or cannot be', async () => {
    expect(await opened((log) => right(mkfifo(Buffer.from(log), 0o700)))).toBe('ok');
    expect(await opened((log) => fs.mkdirSync(log))).toBe('EISDIR');
    expect(await opened((log) => fs.symlinkSync('nowhere', log))).toBe('ENOENT');
    expect(await opened((log) => fs.symlinkSync('/dev/null', log))).toBe('ok');
    expect(await opened((log) => fs.writeFileSync(log, 'text'))).toBe('ok');
    const server = net.createServer();
    expect(await opened((log) => server.listen(log))).toBe('ENXIO');
    await new Promise((resolve) => server.close(resolve));
  });

  it('are reached through a link, as a shim reaches them', async () => {
    const bundle = fresh();
    const elsewhere = path.join(fresh(), 'fifo');
    right(mkfifo(Buffer.from(elsewhere), 0o700));
    fs.symlinkSync(elsewhere, path.join(bundle, 'log'));
    const pipe = right(await open(bundle, 'through'));
    fs.writeFileSync(elsewhere, 'told');
    await eventually('the line', () => written.get('through') === 'told');
    await pipe.close();
  });

  it('are not reached through a link where links are not to be followed: another program loses nothing', async () => {
    const bundle = fresh();
    const elsewhere = path.join(fresh(), 'fifo');
    right(mkfifo(Buffer.from(elsewhere), 0o700));
    fs.symlinkSync(elsewhere, path.join(bundle, 'log'));
    const pipe = right(await open(bundle, 'other', false));
    expect(descriptorsOf(elsewhere)).toBe(0);
    await pipe.close();
    expect(written.has('other')).toBe(false);
  });

  it('put no file into the log, wherever a link leads: it is not even opened', async () => {
    const bundle = fresh();
    const secret = path.join(fresh(), 'secret');
    fs.writeFileSync(secret, 'secret');
    fs.symlinkSync(secret, path.join(bundle, 'log'));
    const pipe = right(await open(bundle, 'linked'));
    expect(descriptorsOf(secret)).toBe(0);
    await pipe.close();
    expect(written.has('linked')).toBe(false);
  });

  it('lose no byte and keep their order', async () => {
    const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 4096 }), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(chunks, async (sent) => {
        const bundle = fresh();
        const received: Array<Buffer> = [];
        const collecting = makeLogPipes(({ bytes }) => received.push(Buffer.from(bytes)));
        const pipe = right(
          await withOpen(bundle, (directory) =>
            collecting.open({
              bundle: directory,
              namespace: B.fromText('ns'),
              id: B.fromText('web'),
              followsLinks: true,
            })(),
          ),
        );
        for (const bytes of sent) fs.writeFileSync(path.join(bundle, 'log'), bytes);
        const expected = Buffer.concat(sent);
        await eventually('all bytes', () => Buffer.concat(received).length >= expected.length);
        await pipe.close();
        expect(Buffer.concat(received)).toEqual(expected);
      }),
      { numRuns: 20 },
    );
  });

  it.each(['resolved', 'rejected'])(
    'are read no further until what took the last bytes is ready for more (%s)',
    async (how) => {
      const bundle = fresh();
      const received: Array<string> = [];
      let settle = (): void => undefined;
      const slow = makeLogPipes(({ bytes }) => {
        received.push(Buffer.from(bytes).toString());
        return new Promise<void>((resolve, reject) => {
          settle = () => (how === 'resolved' ? resolve() : reject(new Error('full')));
        });
      });
      const pipe = right(
        await withOpen(bundle, (directory) =>
          slow.open({ bundle: directory, namespace: B.fromText('ns'), id: B.fromText('web'), followsLinks: true })(),
        ),
      );
      const log = path.join(bundle, 'log');
      fs.writeFileSync(log, 'first');
      await eventually('the first', () => received.length === 1);
      fs.writeFileSync(log, 'second');
      for (let turns = 0; turns < 20; turns++) await nextTurn();
      expect(received).toEqual(['first']);
      settle();
      await eventually('the second', () => received.length === 2);
      await pipe.close();
      settle();
      await nextTurn();
      expect(received).toEqual(['first', 'second']);
    },
  );

  it('do not keep the process alive, which ends in peace even when something comes at its very end', () => {
    const bundle = fresh();
    const module = (name: string): string => JSON.stringify(new URL(`../dist/${name}.js`, import.meta.url).href);
    const script = `
      import * as fs from 'node:fs';
      import { makeLogPipes } from ${module('linux/LinuxLogPipes')};
      import { linuxFileSystem } from ${module('linux/LinuxFileSystem')};
      const directory = (await linuxFileSystem.openPath(${JSON.stringify(bundle)})()).right;
      const logs = makeLogPipes(() => undefined);
      const opened = await logs.open({ bundle: directory, namespace: 'ns', id: 'web' })();
      const writer = fs.openSync(${JSON.stringify(path.join(bundle, 'log'))}, 'r+');
      process.on('exit', () => fs.writeSync(writer, 'a line'));
      console.log(opened._tag);`;
    const program = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      timeout: 9_000,
    });
    expect(program).toMatchObject({ status: 0, signal: null, stdout: 'Right\n', stderr: '' });
  });

  it('are gone once closed, even with a writer', async () => {
    const bundle = fresh();
    const log = path.join(bundle, 'log');
    const pipe = right(await open(bundle));
    const writer = fs.openSync(log, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
    expect(descriptorsOf(log)).toBe(2);
    await Promise.all([pipe.close(), pipe.close()]);
    expect(() => fs.writeSync(writer, 'nobody')).toThrow('EPIPE');
    fs.closeSync(writer);
    expect(descriptorsOf(log)).toBe(0);
  });

  it('that are flooded leave everybody else their turn, and end the writer when they are closed', async () => {
    const bundle = fresh();
    let receivedBytes = 0;
    let bytesInTurn = 0;
    const flooded = makeLogPipes(({ bytes }) => {
      receivedBytes += bytes.length;
      bytesInTurn += bytes.length;
    });
    const pipe = right(
      await withOpen(bundle, (directory) =>
        flooded.open({ bundle: directory, namespace: B.fromText('ns'), id: B.fromText('web'), followsLinks: true })(),
      ),
    );
    const writer = spawn('sh', ['-c', 'exec cat /dev/zero > log'], { cwd: bundle, stdio: 'ignore' });
    const ended = once(writer, 'exit');
    try {
      let largest = 0;
      const endMs = performance.now() + 10_000;
      while (receivedBytes < 64 * 1024 * 1024 && performance.now() < endMs) {
        bytesInTurn = 0;
        await nextTurn();
        largest = Math.max(largest, bytesInTurn);
      }
      expect(receivedBytes).toBeGreaterThanOrEqual(64 * 1024 * 1024);
      expect(largest).toBeLessThanOrEqual(maxBytesPerTurn);
      const startedMs = performance.now();
      await fs.promises.readFile('/etc/passwd');
      expect(performance.now() - startedMs).toBeLessThan(1_000);
      await pipe.close();
      expect((await ended)[1]).toBe('SIGPIPE');
    } finally {
      writer.kill('SIGKILL');
      await ended;
    }
  });

  it('deliver what writers write who come and go, and cost nothing while idle', async () => {
    const bundles = Array.from({ length: 64 }, fresh);
    const open64 = await Promise.all(bundles.map(async (bundle, index) => right(await open(bundle, `idle-${index}`))));
    for (const round of ['one ', 'two ', 'three']) {
      for (const bundle of bundles) fs.writeFileSync(path.join(bundle, 'log'), round);
      // The pool of threads is free: a file is read at once, though 64 pipes are being read.
      const startedMs = performance.now();
      await Promise.all(Array.from({ length: 8 }, () => fs.promises.readFile('/etc/passwd')));
      expect(performance.now() - startedMs).toBeLessThan(1_000);
    }
    await eventually('all lines', () => bundles.every((_, index) => written.get(`idle-${index}`) === 'one two three'));
    for (const pipe of open64) await pipe.close();
  });
});

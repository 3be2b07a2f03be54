import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import * as B from '@shim-recovery/core/ByteString';
import type { FileError } from '@shim-recovery/core/FileSystem';
import type { LogPipe } from '@shim-recovery/core/LogPipes';
import type * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { makeLogPipes } from '../src/LogPipes.js';
import { mkfifo } from '../src/Native.js';
import { eventually, problem, right, temporaryDirectory, withOpen } from './temporary.js';

const base = temporaryDirectory();
let next = 0;
const fresh = (): string => {
  const directory = path.join(base.path(), String(next++));
  fs.mkdirSync(directory);
  return directory;
};

const written = new Map<string, string>();
const pipes = makeLogPipes(({ id, bytes }) => written.set(id, (written.get(id) ?? '') + Buffer.from(bytes).toString()));

const open = (bundle: string, id = 'web'): Promise<E.Either<FileError, LogPipe>> =>
  withOpen(bundle, (directory) => pipes.open({ bundle: directory, namespace: B.fromText('ns'), id: B.fromText(id) })());

const opened = async (prepare: (log: string) => void): Promise<string> => {
  const bundle = fresh();
  prepare(path.join(bundle, 'log'));
  const outcome = await open(bundle);
  if (outcome._tag === 'Right') await outcome.right.close();
  return problem(outcome);
};

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

  it('put no file into the log, wherever a link leads', async () => {
    const bundle = fresh();
    fs.symlinkSync('/etc/passwd', path.join(bundle, 'log'));
    const pipe = right(await open(bundle, 'linked'));
    await fs.promises.readFile('/etc/passwd');
    await pipe.close();
    expect(written.has('linked')).toBe(false);
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

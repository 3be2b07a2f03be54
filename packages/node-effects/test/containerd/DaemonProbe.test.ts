/** Whether a daemon serves a socket: in doubt it does, as its shims would be taken from it otherwise. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { isServed, probeDaemon } from '../../src/daemon/DaemonProbe.js';
import { eventually } from '../temporary.js';
import { rawShim, temporaryDirectory } from '../ttrpc/rawShim.js';
import { abandonedSocket, grpcServer } from './grpcServer.js';

const inDirectory = async (): Promise<string> => join(await temporaryDirectory('s'), 's');

/** A daemon in a process of its own that listens, with room for one connection that it has not accepted, and stops. */
const stoppedDaemon = async (): Promise<string> => {
  const path = await inDirectory();
  const program = `require('node:net').createServer().listen({ path: process.argv[1], backlog: 1 }, () => console.log())`;
  const child = spawn(process.execPath, ['-e', program, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(async () => {
    if (child.kill('SIGKILL')) await once(child, 'exit');
  });
  await once(child.stdout, 'data');
  child.kill('SIGSTOP');
  await eventually('the daemon to stop', () => /^\d+ \(.*\) T/.test(readFileSync(`/proc/${child.pid}/stat`, 'utf8')));
  return path;
};

/** Takes what room there is for connections that are not accepted. */
const fillBacklog = async (path: string): Promise<void> => {
  for (let isFull = false; !isFull; ) {
    const socket = connect(path);
    onTestFinished(() => {
      socket.destroy();
    });
    isFull = await new Promise((resolve) => {
      socket.once('connect', () => resolve(false));
      socket.once('error', () => resolve(true));
    });
  }
};

describe('a socket is served', () => {
  test('when a daemon accepts there; the probe leaves it alone and is gone at once', async () => {
    const daemon = await grpcServer({});
    expect(await isServed(daemon.path)()).toBe(true);
    await eventually('the connection', () => daemon.accepted() === 1);
    await daemon.drained();
    expect(daemon.accepted()).toBe(1);
    expect(daemon.asked).toEqual([]);
  });

  test('when somebody accepts there and hangs up, or says nothing', async () => {
    for (const behaviour of [{}, { onConnection: (socket: { destroy: () => void }) => socket.destroy() }])
      expect(await isServed((await rawShim(behaviour)).path)()).toBe(true);
  });

  test('behind a link', async () => {
    const { path } = await grpcServer({});
    const link = await inDirectory();
    symlinkSync(path, link);
    expect(await isServed(link)()).toBe(true);
  });

  test('when the daemon is stopped, also with no room for another connection', async () => {
    const path = await stoppedDaemon();
    expect(await isServed(path)()).toBe(true);
    expect(await probeDaemon(path)()).toEqual({ _tag: 'Served' });
    await fillBacklog(path);
    expect(await probeDaemon(path)()).toEqual({ _tag: 'Unknown', why: `cannot connect to ${path} (EAGAIN)` });
    expect(await isServed(path)()).toBe(true);
  });

  test('for all one can tell, when the way there cannot be followed', async () => {
    const link = await inDirectory();
    symlinkSync(link, link);
    expect(await isServed(link)()).toBe(true);
    expect(await isServed(`${link}/s`)()).toBe(true);
    expect(await probeDaemon(link)()).toEqual({ _tag: 'Unknown', why: `cannot connect to ${link} (ELOOP)` });
    expect(await isServed('')()).toBe(true);
  });

  test('when a daemon serves it by a shorter path than the one that is asked about', async () => {
    const directory = join(await temporaryDirectory(), 'x'.repeat(120));
    mkdirSync(directory);
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const { path, die } = await grpcServer({});
    renameSync(path, join(directory, 's'));
    expect(await isServed(join(directory, 's'))()).toBe(true);
    expect(await isServed(join(directory, 't'))()).toBe(false);
    await die();
    expect(await isServed(join(directory, 's'))()).toBe(false);
  });

  test('afresh each time: not after the daemon has ended', async () => {
    const { path, die } = await grpcServer({});
    const probe = isServed(path);
    expect(await probe()).toBe(true);
    await die();
    expect(await probe()).toBe(false);
    const next = await grpcServer({}, path);
    expect(await probe()).toBe(true);
    await next.die();
  });
});

describe('a socket is not served', () => {
  test.each<readonly [string, () => Promise<string>]>([
    ['nothing is there', inDirectory],
    ['its directory is missing', async () => join(await inDirectory(), 's')],
    [
      'its directory is a file',
      async () => {
        const path = await inDirectory();
        writeFileSync(path, '');
        return join(path, 's');
      },
    ],
    [
      'a regular file is there',
      async () => {
        const path = await inDirectory();
        writeFileSync(path, '');
        return path;
      },
    ],
    ['a directory is there', () => temporaryDirectory()],
    [
      'a dangling link is there',
      async () => {
        const path = await inDirectory();
        symlinkSync('/nowhere/at/all', path);
        return path;
      },
    ],
    ['its daemon was killed', abandonedSocket],
  ])('when %s', async (_, make) => {
    expect(await isServed(await make())()).toBe(false);
  });

  test('when its path is too long, though a daemon serves the shorter one', async () => {
    const directory = await temporaryDirectory();
    const { path } = await grpcServer({}, join(directory, 'x'.repeat(107 - directory.length - 1)));
    expect(await isServed(path)()).toBe(true);
    expect(await isServed(`${path}x`)()).toBe(false);
  });
});

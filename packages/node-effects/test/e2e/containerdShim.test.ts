/** Against the shim that containerd itself ships: what we say, it understands, and what it answers, we read. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import { parseBootstrap, targetOf } from '../../../core/src/capabilities/ShimSocket.js';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import { expect, onTestFinished, test } from 'vitest';
import { mkfifo } from '../../src/native/Native.js';
import { makeShimConnector } from '../../src/shims/LinuxShimConnector.js';

const binary = 'containerd-shim-runc-v2';

const missing = (): string | undefined => {
  if (process.getuid?.() !== 0) return 'a shim runs as root only';
  return spawnSync(binary, ['-v']).status === 0 ? undefined : `${binary} is not installed`;
};

/** The command line of a process, empty when it is gone, and when it is but a zombie. */
const commandLineOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
};

/** The processes of a namespace that only this test uses: those that it started. */
const processesOf = (namespace: string): ReadonlyArray<number> =>
  readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 1 && commandLineOf(pid).includes(`\0-namespace\0${namespace}\0`));

const configuration = {
  ociVersion: '1.0.2',
  process: { args: ['true'], cwd: '/', user: { uid: 0, gid: 0 } },
  root: { path: 'rootfs' },
  linux: {},
};

/** A bundle as containerd makes it, as far as a shim needs one to start. Its FIFO has a reader, or the shim would wait. */
const makeBundle = (): string => {
  const bundle = mkdtempSync(join(tmpdir(), 'shim-recovery-'));
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(configuration));
  expect(mkfifo(Buffer.from(join(bundle, 'log')), 0o700)).toEqual(E.right(undefined));
  const log = openSync(join(bundle, 'log'), constants.O_RDWR | constants.O_NONBLOCK);
  onTestFinished(() => {
    closeSync(log);
    for (const name of ['config.json', 'log', 'address']) unlinkSync(join(bundle, name));
    rmdirSync(bundle);
  });
  return bundle;
};

test('a real shim answers Connect, Pids, Delete and Shutdown, and is gone afterwards', async (ctx) => {
  const reason = missing();
  if (reason !== undefined && process.env['SHIM_RECOVERY_REQUIRE_E2E'] === '1') throw new Error(reason);
  if (reason !== undefined) ctx.skip(reason);
  const bundle = makeBundle();
  const namespace = `shim-recovery-${process.pid}`;
  const common = [
    '-namespace',
    namespace,
    '-id',
    'web',
    '-address',
    join(bundle, 'nobody'),
    '-publish-binary',
    '/bin/true',
  ];
  let socketPath: string | undefined;
  onTestFinished(() => {
    // Left over only when the test failed: a shim that was told to go removes its socket itself.
    for (const pid of processesOf(namespace)) {
      process.kill(pid, 'SIGKILL');
      if (socketPath !== undefined) unlinkSync(socketPath);
    }
  });
  // The shim inherits these: were they pipes, they would not end.
  const start = spawn(binary, [...common, 'start'], { cwd: bundle, stdio: 'ignore' });
  expect(await once(start, 'exit')).toEqual([0, null]);

  const address = B.fromBytes(readFileSync(join(bundle, 'address')));
  const target = pipe(
    parseBootstrap(address, 2),
    E.chain((parameters) => targetOf(parameters)),
  );
  if (E.isLeft(target)) throw new Error(`the shim printed no address: ${address}`);
  if (target.right.socket._tag === 'Path') socketPath = target.right.socket.path;
  const session = await makeShimConnector().dial({
    namespace: B.fromText(namespace),
    target: target.right,
    timeoutMs: 5_000,
  })();
  if (E.isLeft(session)) throw new Error(JSON.stringify(session.left));
  onTestFinished(() => session.right.close());

  const call = { id: B.fromText('web'), timeoutMs: 5_000 };
  const connected = await session.right.connect(call)();
  if (E.isLeft(connected)) throw new Error(JSON.stringify(connected.left));
  const { shimPid, taskPid } = connected.right;
  expect(taskPid).toBe(0);
  expect(processesOf(namespace)).toEqual([shimPid]);
  const unknownTask = { left: { _tag: 'Answered', class: 'NotFound' } };
  expect(await session.right.pids(call)()).toMatchObject(unknownTask);
  expect(await session.right.delete(call)()).toMatchObject(unknownTask);
  expect(await session.right.shutdown(call)()).toEqual(E.right(undefined));
  await session.right.disconnected();
  await expect.poll(() => processesOf(namespace), { timeout: 5_000 }).toEqual([]);
});

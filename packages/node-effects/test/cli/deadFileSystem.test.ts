/**
 * File systems that never answer whoever asks them anything: here of FUSE, with nobody behind them. (What is removed is only held
 * on ext4; elsewhere less is tried.)
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { expect, test } from 'vitest';
import { eventually, isRoot } from '../temporary.js';
import { start, withHost } from './host.js';

/** Nobody who removes what is below is kept waiting any more. */
const takeAway = (behind: ChildProcess, directories: ReadonlyArray<string>): void => {
  behind.kill();
  for (const directory of directories) spawnSync('umount', ['--lazy', directory]);
};

/** Mounts one on each directory; they stay silent until it ends, and then they answer that nobody is there. */
const mountDead = async (directories: ReadonlyArray<string>): Promise<ChildProcess> => {
  const script = `
import ctypes, os, sys
library = ctypes.CDLL(None, use_errno=True)
for directory in sys.argv[1:]:
    options = 'fd=%d,rootmode=40000,user_id=0,group_id=0' % os.open('/dev/fuse', os.O_RDWR)
    if library.mount(b'dead', os.fsencode(directory), b'fuse.dead', 0, options.encode()):
        sys.exit(os.strerror(ctypes.get_errno()))
print('mounted', flush=True)
sys.stdin.read()`;
  const child = spawn('python3', ['-c', script, ...directories], { stdio: ['pipe', 'pipe', 'inherit'] });
  let told = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (told += text));
  child.once('error', (error) => (told = `${error.message}\n`));
  child.once('exit', (code) => (told ||= `ended with ${String(code)}\n`));
  try {
    await eventually('them to be mounted', () => told.endsWith('\n'));
    expect(told).toBe('mounted\n');
  } catch (error) {
    takeAway(child, directories);
    throw error;
  }
  return child;
};

/** Whether a thread of a process waits for a file system of FUSE. */
const waitsForFuse = (pid: number): boolean =>
  fs
    .readdirSync(`/proc/${pid}/task`)
    .some((thread) => /fuse/.test(fs.readFileSync(`/proc/${pid}/task/${thread}/wchan`, 'utf8')));

test('keep nobody else waiting, however many they are', { timeout: 30_000 }, async (context) => {
  if (!isRoot || !fs.existsSync('/dev/fuse')) return context.skip('needs root, and FUSE');
  await withHost(async (host) => {
    // More than a process of Node has threads.
    const dead = Array.from({ length: 6 }, (_, index) => `dead${index}`);
    const others = Array.from({ length: 20 }, (_, index) => `other${index}`);
    for (const id of [...dead, ...others]) {
      await host.addBundle(id);
      fs.mkdirSync(path.join(host.bundlePath(id), 'rootfs'), { recursive: true });
      for (let file = 0; file < 8; file++) fs.writeFileSync(path.join(host.bundlePath(id), String(file)), 'x');
    }
    const points = dead.map((id) => path.join(host.bundlePath(id), 'rootfs'));
    const behind = await mountDead(points);
    const recovering = start(['recover', ...host.args]);
    try {
      await eventually('the others to be gone', () => host.bundles().join() === dead.join());
      expect(recovering.child.exitCode).toBeNull();
      behind.kill();
      expect(await recovering.ended).toMatchObject({ code: 0, stderr: '' });
      expect(host.bundles()).toEqual([]);
    } finally {
      recovering.child.kill('SIGKILL');
      takeAway(behind, points);
    }
  });
});

test('do not keep whoever wants to end', { timeout: 30_000 }, async (context) => {
  if (!isRoot || !fs.existsSync('/dev/fuse')) return context.skip('needs root, and FUSE');
  await withHost(async (host) => {
    await host.addBundle('dead');
    const point = path.join(host.bundlePath('dead'), 'rootfs');
    fs.mkdirSync(point, { recursive: true });
    const behind = await mountDead([point]);
    const recovering = start(['recover', ...host.args]);
    try {
      await eventually('a thread to be kept', () => waitsForFuse(recovering.child.pid ?? 0));
      recovering.child.kill('SIGINT');
      await eventually('the signal to be noticed', () => recovering.stderr().includes('once more ends at once'));
      recovering.child.kill('SIGINT');
      expect(await recovering.ended).toMatchObject({ code: 130 });
    } finally {
      recovering.child.kill('SIGKILL');
      takeAway(behind, [point]);
    }
  });
});

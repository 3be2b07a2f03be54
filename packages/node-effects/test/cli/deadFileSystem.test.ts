/** File systems that do not answer. (What is removed is only held on ext4; elsewhere less is tried.) */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { expect, test } from 'vitest';
import { mountDead, needsFuse, takeAway } from '../deadFileSystem.js';
import { eventually } from '../temporary.js';
import { type Host, start, withHost } from './host.js';

/** Whether a thread of a process waits for a file system of FUSE. */
const waitsForFuse = (pid: number): boolean =>
  fs
    .readdirSync(`/proc/${pid}/task`)
    .some((thread) => /fuse/.test(fs.readFileSync(`/proc/${pid}/task/${thread}/wchan`, 'utf8')));

test.for<readonly [string, ReadonlyArray<string>]>([
  ['containerd-1.7', []],
  ['careful', ['--may-destroy', '1']],
])(
  'are unmounted without a look into them, however many they are (%s)',
  {
    timeout: 30_000,
  },
  async ([policy, more], context) => {
    if (needsFuse !== undefined) return context.skip(needsFuse);
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
      const called = path.join(host.base, 'called');
      const helper = path.join(host.base, 'fusermount3');
      fs.writeFileSync(helper, `#!/bin/sh\necho "$*" >> ${called}\nexit 1\n`, { mode: 0o755 });
      const behind = await mountDead(points);
      try {
        const env = { PATH: `${host.base}:${process.env['PATH'] ?? ''}` };
        const args = ['recover', '--policy', policy, ...more, ...host.args];
        expect(await start(args, { env }).ended).toMatchObject({ code: 0, stderr: '' });
        expect(host.bundles()).toEqual([]);
        // As the reference, which asks the helper first.
        expect(new Set(fs.readFileSync(called, 'utf8').trim().split('\n'))).toEqual(
          new Set(points.map((at) => `-u ${at}`)),
        );
      } finally {
        takeAway(behind, points);
      }
    });
  },
);

/** Of a daemon that looks at whatever a bundle's rootfs leads to. */
const as16 = ['--policy', 'containerd-1.6'];

/** Bundles whose rootfs leads to a dead file system, which only whoever looks there notices. */
const withLinkedBundles = (ids: ReadonlyArray<string>, use: (host: Host) => Promise<void>): Promise<void> =>
  withHost(async (host) => {
    const points = ids.map((id) => path.join(host.base, `far-${id}`));
    for (const [index, id] of ids.entries()) {
      await host.addBundle(id);
      fs.mkdirSync(points[index] ?? '');
      fs.rmdirSync(path.join(host.bundlePath(id), 'rootfs'));
      fs.symlinkSync(points[index] ?? '', path.join(host.bundlePath(id), 'rootfs'));
    }
    const behind = await mountDead(points);
    try {
      await use(host);
    } finally {
      takeAway(behind, points);
    }
  });

test('that keep every thread cost a time-out, and do not keep the process', { timeout: 30_000 }, async (context) => {
  if (needsFuse !== undefined) return context.skip(needsFuse);
  const ids = Array.from({ length: 6 }, (_, index) => `dead${index}`);
  await withLinkedBundles(ids, async (host) => {
    await host.addBundle('other');
    const recovered = await start(['recover', ...as16, ...host.args]).ended;
    expect(recovered).toMatchObject({ code: 3, stderr: '' });
    expect(recovered.stdout.match(/unmount-rootfs failed: .* ETIMEDOUT \(its file system/g)).toHaveLength(
      2 * ids.length,
    );
    expect(host.bundles()).toEqual(ids);
  });
});

test('do not keep whoever wants to end', { timeout: 30_000 }, async (context) => {
  if (needsFuse !== undefined) return context.skip(needsFuse);
  await withLinkedBundles(['dead'], async (host) => {
    const recovering = start(['recover', ...as16, ...host.args]);
    try {
      await eventually('a thread to be kept', () => waitsForFuse(recovering.child.pid ?? 0));
      recovering.child.kill('SIGINT');
      await eventually('the signal to be noticed', () => recovering.stderr().includes('once more ends at once'));
      recovering.child.kill('SIGINT');
      expect(await recovering.ended).toMatchObject({ code: 130 });
    } finally {
      recovering.child.kill('SIGKILL');
    }
  });
});

import { execFile, execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { ByteString as B } from '@shim-recovery/core';
import { unmountBelow, viewMountTable } from '../../core/src/apply/Unmounting.js';
import * as E from 'fp-ts/lib/Either.js';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { native } from '../src/native/CLibrary.js';
import { systemClock } from '../src/linux/LinuxClock.js';
import { linuxMounts } from '../src/linux/LinuxMounts.js';
import { mountDead, mountStoppable, needsFuse, takeAway } from './deadFileSystem.js';
import { isRoot, nextTurn, problem, right, temporaryDirectory } from './temporary.js';

const base = temporaryDirectory();
let next = 0;
const fresh = (): string => {
  const directory = path.join(base.path(), String(next++));
  fs.mkdirSync(directory);
  return directory;
};

const mountTmpfs = (directory: string): string => {
  fs.mkdirSync(directory, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', directory]);
  return directory;
};

/** By the call alone: the command looks at what is there. */
const mountOver = (directory: string): void => {
  const script = `import ctypes, sys\nsys.exit(ctypes.CDLL(None).mount(b't', sys.argv[1].encode(), b'tmpfs', 0, None))`;
  execFileSync('python3', ['-c', script, directory]);
};

/** A table is used for a moment. */
const untilFuse = (directory: string, isFuse: boolean): Promise<void> =>
  vi.waitFor(async () => expect(await linuxMounts.isFuse(B.fromText(directory))()).toBe(isFuse), { interval: 10 });

const needsRoot = 'needs root, for mounts';
const isMounted = (directory: string): boolean =>
  fs.readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${directory.replaceAll(' ', '\\040')} `);
const unmount = (directory: string): Promise<string> => linuxMounts.unmount(B.fromText(directory))().then(problem);

describe.each([
  { how: 'opened by one call', isOpened: true },
  { how: 'walked to, as before Linux 5.6', isOpened: false },
])('what is mounted, where the parent is $how', ({ isOpened }) => {
  beforeEach(() => {
    const opening = vi.spyOn(native(), 'openat2');
    if (!isOpened) opening.mockReturnValue(-os.constants.errno.ENOSYS);
    onTestFinished(() => {
      const opened = opening.mock.results.filter(({ value }) => Number(value) >= 0);
      expect(opened.length > 0).toBe(isOpened && opening.mock.calls.length > 0);
      opening.mockRestore();
    });
  });

  it('says what the kernel says', async (context) => {
    if (!isRoot) return context.skip(needsRoot);
    const directory = fresh();
    expect(await unmount(directory)).toBe('EINVAL');
    expect(await unmount(path.join(directory, 'nowhere'))).toBe('ENOENT');
    expect(await unmount(path.join(directory, 'nowhere', 'deeper'))).toBe('ENOENT');
    mountTmpfs(directory);
    const held = fs.openSync(directory, 'r');
    expect(await unmount(directory)).toBe('EBUSY');
    fs.closeSync(held);
    expect(await unmount(directory)).toBe('ok');
    expect(isMounted(directory)).toBe(false);
  });

  it('follows no symlink, neither the last name nor one before it', async (context) => {
    if (!isRoot) return context.skip(needsRoot);
    const directory = fresh();
    const victim = mountTmpfs(path.join(fresh(), 'victim'));
    fs.symlinkSync(victim, path.join(directory, 'link'));
    fs.symlinkSync(path.dirname(victim), path.join(directory, 'parent'));
    expect(await unmount(path.join(directory, 'link'))).not.toBe('ok');
    expect(await unmount(path.join(directory, 'parent', 'victim'))).toBe('ENOTDIR');
    expect(isMounted(victim)).toBe(true);
    expect(await unmount(victim)).toBe('ok');
  });

  it('takes any number at once', async (context) => {
    if (!isRoot) return context.skip(needsRoot);
    const points = Array.from({ length: 200 }, fresh);
    const script = points.map((point) => `mount -t tmpfs -o size=4k tmpfs ${point}`).join('\n');
    execFileSync('sh', ['-e'], { input: script });
    expect(new Set(await Promise.all(points.map(unmount)))).toEqual(new Set(['ok']));
    expect(points.filter(isMounted)).toEqual([]);
  });

  it('knows what exists, what is FUSE, and where it leads', async (context) => {
    expect(await linuxMounts.exists(B.fromText(base.path()))()).toBe(true);
    expect(await linuxMounts.exists(B.fromText('/nowhere'))()).toBe(false);
    expect(await linuxMounts.exists(B.fromText('/etc/passwd/x'))()).toBe(true); // ENOTDIR is not "does not exist"
    expect(await linuxMounts.isFuse(B.fromText('/'))()).toBe(false);
    expect(await linuxMounts.isFuse(B.fromText('/nowhere'))()).toBe(false);
    if (!isRoot) return context.skip(needsRoot);
    const mounted = mountTmpfs(fresh());
    expect(await linuxMounts.exists(B.fromText(mounted))()).toBe(true);
    expect(await linuxMounts.isFuse(B.fromText(mounted))()).toBe(false);
    expect(right(await linuxMounts.resolve(B.fromText(mounted))())).toBe(mounted);
    expect(await unmount(mounted)).toBe('ok');
  });

  it('is not there where something else hides it', async (context) => {
    if (!isRoot) return context.skip(needsRoot);
    const directory = fresh();
    const hidden = mountTmpfs(path.join(directory, 'hidden'));
    mountTmpfs(directory);
    expect(await linuxMounts.exists(B.fromText(hidden))()).toBe(false);
    expect(problem(await linuxMounts.resolve(B.fromText(hidden))())).toBe('ENOENT');
    expect(await unmount(directory)).toBe('ok');
    expect(await linuxMounts.exists(B.fromText(hidden))()).toBe(true);
    expect(await unmount(hidden)).toBe('ok');
  });

  it('takes no path that is not absolute, or climbs', async () => {
    for (const path of ['', '/', 'relative', '/a/../b', '/a/..']) expect(await unmount(path)).toBe('EINVAL');
  });
});

describe('unmountBelow, on this machine (SPEC 7.3)', () => {
  const below = async (directory: string): Promise<string> => {
    const needs = { mounts: linuxMounts, clock: systemClock };
    return problem(await unmountBelow(needs, viewMountTable(needs))(B.fromText(directory))());
  };

  it('takes away nested and stacked mounts, whatever their names, and no neighbour', async (context) => {
    if (!isRoot) return context.skip(needsRoot);
    const directory = fresh();
    const rootfs = mountTmpfs(path.join(directory, 'rootfs'));
    mountTmpfs(rootfs);
    mountTmpfs(path.join(rootfs, 'a b\\c', 'd'));
    const neighbour = mountTmpfs(path.join(directory, 'rootfs2'));
    expect(await below(rootfs)).toBe('ok');
    expect(fs.readdirSync(rootfs)).toEqual([]);
    expect(isMounted(rootfs)).toBe(false);
    expect(isMounted(neighbour)).toBe(true);
    expect(await unmount(neighbour)).toBe('ok');
  });

  it('waits for a busy one as long as the reference, and then gives up', async (context) => {
    if (!isRoot) return context.skip(needsRoot);
    const rootfs = mountTmpfs(path.join(fresh(), 'rootfs'));
    const held = fs.openSync(rootfs, 'r');
    const startedMs = performance.now();
    expect(await below(rootfs)).toBe('EBUSY');
    expect(performance.now() - startedMs).toBeGreaterThan(2_300);
    fs.closeSync(held);
    expect(await below(rootfs)).toBe('ok');
  });
});

describe('a file system that does not answer', () => {
  it('is looked at from outside, and unmounted', async (context) => {
    if (needsFuse !== undefined) return context.skip(needsFuse);
    const directory = path.join(fresh(), 'line\nfeed');
    fs.mkdirSync(directory);
    const point = B.fromText(directory);
    expect(await linuxMounts.isFuse(point)()).toBe(false);
    const behind = await mountDead([directory]);
    try {
      expect(await linuxMounts.exists(point)()).toBe(true);
      await untilFuse(directory, true);
      expect(right(await linuxMounts.resolve(point)())).toBe(point);
      expect(await unmount(directory)).toBe('ok');
      expect(await linuxMounts.isFuse(point)()).toBe(false);
    } finally {
      takeAway(behind, [directory]);
    }
  });

  it('fails to be unmounted in time, and what leads to it is held until it answers', async (context) => {
    if (!isRoot) return context.skip(needsRoot);
    const directory = mountTmpfs(fresh());
    let answer: (outcome: E.Either<string, number>) => void = () => undefined;
    const asked = vi.spyOn(native(), 'umount2').mockReturnValue(new Promise((resolve) => (answer = resolve)));
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => {
      vi.useRealTimers();
      asked.mockRestore();
      execFileSync('umount', [directory]);
    });
    const outcome = unmount(directory);
    while (asked.mock.calls.length === 0) await nextTurn();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await outcome).toBe('ETIMEDOUT');
    const point = String(asked.mock.calls[0]?.[0]);
    expect(fs.realpathSync(path.dirname(point))).toBe(path.dirname(directory));
    const ending = vi.spyOn(native(), 'close');
    answer(E.left('EBUSY'));
    await nextTurn();
    expect(ending.mock.calls).toEqual([[Number(path.basename(path.dirname(point)))]]);
    ending.mockRestore();
  });

  it('stops nobody else where something else is mounted in it', { timeout: 20_000 }, async (context) => {
    if (needsFuse !== undefined) return context.skip(needsFuse);
    const directory = fresh();
    const behind = await mountStoppable(directory, 'sub');
    const inside = path.join(directory, 'sub');
    let longestMs = 0;
    let lastMs = performance.now();
    const ticking = setInterval(() => {
      longestMs = Math.max(longestMs, performance.now() - lastMs);
      lastMs = performance.now();
    }, 10);
    try {
      await promisify(execFile)('mount', ['-t', 'tmpfs', 'tmpfs', inside]);
      await untilFuse(directory, true);
      behind.kill('SIGSTOP');
      expect(await linuxMounts.exists(B.fromText(path.join(directory, 'other')))()).toBe(true);
      expect(await unmount(inside)).toBe('ETIMEDOUT');
      expect(longestMs).toBeLessThan(2_000);
    } finally {
      clearInterval(ticking);
      takeAway(behind, [inside, directory]);
    }
  });

  it('is asked nothing, and unmounted, also where something else was mounted over it', async (context) => {
    if (needsFuse !== undefined) return context.skip(needsFuse);
    const directory = fresh();
    const behind = await mountDead([directory]);
    try {
      await untilFuse(directory, true);
      mountOver(directory);
      await untilFuse(directory, false);
      expect(await unmount(directory)).toBe('ok');
      expect(await linuxMounts.isFuse(B.fromText(directory))()).toBe(true);
      expect(await unmount(directory)).toBe('ok');
    } finally {
      takeAway(behind, [directory]);
    }
  });
});

describe('the rest', () => {
  it('reads the table', async () => {
    expect(right(await linuxMounts.read()).length).toBeGreaterThan(100);
  });

  it('asks fusermount3 first, then fusermount', async () => {
    const programs = fresh();
    const called = path.join(programs, 'called');
    for (const [name, code] of [
      ['fusermount3', 1],
      ['fusermount', 0],
    ] as const)
      fs.writeFileSync(path.join(programs, name), `#!/bin/sh\necho "$0 $*" >> ${called}\nexit ${code}\n`, {
        mode: 0o755,
      });
    const { PATH } = process.env;
    process.env['PATH'] = `${programs}:${PATH ?? ''}`;
    const outcome = await linuxMounts.unmountFuse(B.fromText('/some/where'))();
    process.env['PATH'] = PATH;
    expect(E.isRight(outcome)).toBe(true);
    expect(fs.readFileSync(called, 'utf8')).toBe(
      `${programs}/fusermount3 -u /some/where\n${programs}/fusermount -u /some/where\n`,
    );
  });
});

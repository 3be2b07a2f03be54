import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Worker } from 'node:worker_threads';
import { ByteString as B } from '@shim-recovery/core';
import type { Directory, Location } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type Library, native } from '../src/native/CLibrary.js';
import { linuxFileSystem } from '../src/linux/LinuxFileSystem.js';
import { allFreed, freesSlowly, heldNow, removeDirectoryHolding, unlinkHolding } from '../src/native/DeferredFree.js';
import { linuxMounts } from '../src/linux/LinuxMounts.js';
import * as Native from '../src/native/Native.js';
import { eventually, isRoot, problem, right, temporaryDirectory, withOpen } from './temporary.js';

const base = temporaryDirectory();

/** As if this process might have so many descriptors. */
const limitTo = (library: Library, descriptors: number) =>
  vi.spyOn(library, 'getrlimit').mockImplementation((_, into) => {
    into.set([descriptors, 0, descriptors, 0]);
    return 0;
  });

// It is asked once.
beforeAll(() => void limitTo(native(), 20_000));
afterAll(() => void vi.restoreAllMocks());

/** An open directory with so many directories in it, named by number. */
const directoriesIn = (name: string, count: number): number => {
  const parent = path.join(base.path(), name);
  fs.mkdirSync(parent);
  for (let index = 0; index < count; index++) fs.mkdirSync(path.join(parent, String(index)));
  const opened = fs.openSync(parent, 'r');
  onTestFinished(() => fs.closeSync(opened));
  return opened;
};

/** What this process has open below this test's directory that is removed already. */
const openRemoved = (): ReadonlyArray<string> =>
  fs
    .readdirSync('/proc/self/fd')
    .map((descriptor) =>
      E.getOrElse(() => '')(
        E.tryCatch(
          () => fs.readlinkSync(`/proc/self/fd/${descriptor}`),
          () => 'closed meanwhile',
        ),
      ),
    )
    .filter((target) => target.startsWith(base.path()) && target.endsWith(' (deleted)'));

/** As if everything were on ext4. */
const pretendExt = (): void => {
  const asked = vi.spyOn(native(), 'fstatfs').mockImplementation((_, into) => {
    into[0] = 0xef53;
    return 0;
  });
  onTestFinished(() => asked.mockRestore());
};

describe('what is removed and held', () => {
  it('is gone at once, and let go of soon, in no more descriptors than a few hundred', async () => {
    const parent = directoriesIn('many', 1_000);
    const closed = vi.spyOn(native(), 'syscallInThread');
    onTestFinished(() => closed.mockRestore());
    let most = 0;
    for (let index = 0; index < 1_000; index++) {
      right(removeDirectoryHolding(parent, String(index)));
      most = Math.max(most, heldNow());
    }
    expect(fs.readdirSync(`/proc/self/fd/${parent}`)).toEqual([]);
    expect(most).toBe(256);
    await allFreed();
    expect(heldNow()).toBe(0);
    const outcomes = closed.mock.settledResults;
    expect(outcomes).toEqual(outcomes.map(() => ({ type: 'fulfilled', value: E.right(0) })));
    // Of as many as follow each other, and of 32 at the most.
    expect(outcomes.length).toBeGreaterThanOrEqual(8);
    expect(outcomes.length).toBeLessThan(200);
    expect(openRemoved()).toEqual([]);
  });

  it('is any kind of file, and no symlink is followed', async () => {
    const parent = directoriesIn('kinds', 0);
    const at = (name: string): string => path.join(base.path(), 'kinds', name);
    fs.writeFileSync(at('file'), 'something');
    fs.symlinkSync('file', at('link'));
    right(Native.mkfifoAt(parent, 'fifo', 0o600));
    fs.symlinkSync('nothing', at('dangling'));
    right(unlinkHolding(parent, 'dangling'));
    expect(heldNow()).toBe(1);
    right(unlinkHolding(parent, 'link'));
    expect(fs.readFileSync(at('file'), 'utf8')).toBe('something');
    right(unlinkHolding(parent, 'fifo'));
    right(unlinkHolding(parent, 'file'));
    expect(fs.readdirSync(at('.'))).toEqual([]);
    await allFreed();
  });

  it('is not held where it could not be removed, or was not there', () => {
    const parent = directoriesIn('full', 1);
    fs.writeFileSync(path.join(base.path(), 'full', '0', 'file'), '');
    expect(removeDirectoryHolding(parent, '0')).toEqual(E.left('ENOTEMPTY'));
    expect(removeDirectoryHolding(parent, 'nothing')).toEqual(E.left('ENOENT'));
    expect(unlinkHolding(parent, 'nothing')).toEqual(E.left('ENOENT'));
    expect(unlinkHolding(parent, '0')).toEqual(E.left('EISDIR'));
    expect(heldNow()).toBe(0);
    const open = fs.readdirSync('/proc/self/fd').map((descriptor) => `/proc/self/fd/${descriptor}`);
    const full = path.join(base.path(), 'full', '0');
    expect(open.filter((link) => E.toUnion(E.tryCatch(() => fs.readlinkSync(link), String)) === full)).toEqual([]);
  });

  it('is waited for a second, no longer, and nothing more is held, while threads are kept by something else', async () => {
    const parent = directoriesIn('stuck', 3);
    let goOn = (): void => undefined;
    const others = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const { syscallInThread } = native();
    const closing = vi.spyOn(native(), 'syscallInThread').mockImplementation(async (...call) => {
      await others;
      return syscallInThread(...call);
    });
    onTestFinished(() => closing.mockRestore());
    right(removeDirectoryHolding(parent, '0'));
    const startedMs = performance.now();
    await Promise.all([allFreed(), allFreed()]);
    const tookMs = performance.now() - startedMs;
    expect(tookMs).toBeGreaterThan(900);
    expect(tookMs).toBeLessThan(1_500);
    right(removeDirectoryHolding(parent, '1'));
    expect(heldNow()).toBe(1);
    await allFreed();
    expect(performance.now() - startedMs - tookMs).toBeLessThan(500);
    goOn();
    await eventually('threads to get on with it', () => heldNow() === 0);
    right(removeDirectoryHolding(parent, '2'));
    expect(heldNow()).toBe(1);
    await allFreed();
    expect(heldNow()).toBe(0);
    expect(fs.readdirSync(`/proc/self/fd/${parent}`)).toEqual([]);
  });

  it('is closed, and nothing else, whatever is opened and closed in between', async () => {
    const parent = directoriesIn('between', 0);
    const file = path.join(base.path(), 'kept');
    fs.writeFileSync(file, '');
    const { ino } = fs.statSync(file);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('remove', 'remove', 'open', 'close', 'turn'), { maxLength: 120 }),
        async (moves) => {
          const others: Array<number> = [];
          for (const [index, move] of moves.entries())
            switch (move) {
              case 'remove':
                right(Native.mkfifoAt(parent, String(index), 0o600));
                right(unlinkHolding(parent, String(index)));
                break;
              case 'open':
                others.push(fs.openSync(file, 'r'));
                break;
              case 'close':
                others.splice(0, 1).forEach(fs.closeSync);
                break;
              case 'turn':
                await new Promise((resolve) => setImmediate(resolve));
            }
          await allFreed();
          expect(others.map((descriptor) => fs.fstatSync(descriptor).ino)).toEqual(others.map(() => ino));
          others.forEach(fs.closeSync);
          expect(openRemoved()).toEqual([]);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('is not held where it is large', async () => {
    const parent = directoriesIn('large', 0);
    for (const [name, size] of [['small', 64 * 1024] as const, ['large', 64 * 1024 + 1] as const]) {
      fs.writeFileSync(path.join(base.path(), 'large', name), Buffer.alloc(size));
      right(unlinkHolding(parent, name));
      expect(heldNow()).toBe(name === 'small' ? 1 : 0);
      await allFreed();
    }
  });

  it('is not held where something is mounted on it', (context) => {
    if (!isRoot) return context.skip('needs root, for a mount');
    const parent = directoriesIn('mounted', 1);
    const held = vi.spyOn(native(), 'openat2');
    onTestFinished(() => held.mockRestore());
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', path.join(base.path(), 'mounted', '0')]);
    expect(removeDirectoryHolding(parent, '0')).toEqual(E.left('EBUSY'));
    expect(held).toHaveReturnedWith(-1);
  });

  it('is removed all the same where nothing can be opened any more', () => {
    const parent = directoriesIn('exhausted', 1);
    const refused = vi.spyOn(native(), 'openat2').mockReturnValue(-1);
    onTestFinished(() => refused.mockRestore());
    right(removeDirectoryHolding(parent, '0'));
    expect(heldNow()).toBe(0);
    expect(fs.readdirSync(path.join(base.path(), 'exhausted'))).toEqual([]);
  });
});

/** A module of its own, which has not counted anything yet. */
const afresh = () => {
  vi.resetModules();
  return import('../src/native/DeferredFree.js');
};

describe('where what is removed cannot be held', () => {
  it.each(['ENOSYS', 'EPERM'])('it is closed one by one, and nothing is held any more: %s', async (code) => {
    const freeing = await afresh();
    const { native: library } = await import('../src/native/CLibrary.js');
    const refused = vi.spyOn(library(), 'syscallInThread').mockResolvedValue(E.left(code));
    onTestFinished(() => refused.mockRestore());
    const parent = directoriesIn(code, 100);
    for (let index = 0; index < 99; index++) right(freeing.removeDirectoryHolding(parent, String(index)));
    await freeing.allFreed();
    expect(refused).toHaveBeenCalled();
    expect(openRemoved()).toEqual([]);
    right(freeing.removeDirectoryHolding(parent, '99'));
    expect(freeing.heldNow()).toBe(0);
  });

  it.each([
    [4_095, 0],
    [4_096, 1],
  ])('as a process may have %i descriptors, %i is', async (descriptors, held) => {
    const freeing = await afresh();
    const { native: library } = await import('../src/native/CLibrary.js');
    const asked = limitTo(library(), descriptors);
    onTestFinished(() => asked.mockRestore());
    const parent = directoriesIn(`of ${descriptors}`, 1);
    right(freeing.removeDirectoryHolding(parent, '0'));
    expect(freeing.heldNow()).toBe(held);
    await freeing.allFreed();
  });

  it('as a worker thread may be ended, nothing is', async () => {
    const directory = path.join(base.path(), 'worker');
    fs.mkdirSync(directory);
    const freeing = new URL('../dist/native/DeferredFree.js', import.meta.url).href;
    const code = `
      const { workerData, parentPort } = require('node:worker_threads');
      const fs = require('node:fs');
      import(workerData.freeing).then(({ freesSlowly }) =>
        parentPort.postMessage(freesSlowly(fs.openSync(workerData.directory))));
    `;
    const worker = new Worker(code, { eval: true, workerData: { freeing, directory } });
    const told: unknown = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    await worker.terminate();
    expect(told).toBe(false);
  });
});

describe('where what is removed is held', () => {
  it('is told by what the file system is', () => {
    for (const directory of ['/proc', '/dev/shm', base.path()]) {
      const opened = fs.openSync(directory, 'r');
      onTestFinished(() => fs.closeSync(opened));
      const { type } = fs.statfsSync(directory);
      expect(right(Native.fileSystemType(opened))).toBe(type);
      expect(freesSlowly(opened)).toBe(type === 0xef53);
    }
  });

  const at = (name: string, directory: Directory): Location => ({ directory, name: B.fromText(name) });

  it('is asked once for each open directory, which is closed once what was removed in it is freed', async () => {
    pretendExt();
    directoriesIn('asked', 6);
    await withOpen(base.path(), async (root) => {
      const directory = right(await linuxFileSystem.openDirectory(at('asked', root))());
      for (const name of ['0', '1', '2', '3', '4']) right(await linuxFileSystem.removeDirectory(at(name, directory))());
      expect(native().fstatfs).toHaveBeenCalledTimes(1);
      expect(problem(await linuxFileSystem.unlink(at('5', directory))())).toBe('EISDIR');
      await linuxFileSystem.close(directory)();
      expect(heldNow()).toBe(0);
    });
  });

  it('keeps nobody waiting where only a few were removed, until the root directory is closed', async () => {
    pretendExt();
    directoriesIn('few', 1);
    const root = right(await linuxFileSystem.openPath(B.fromText(base.path()))());
    const directory = right(await linuxFileSystem.openDirectory(at('few', root))());
    right(await linuxFileSystem.removeDirectory(at('0', directory))());
    const closed = linuxFileSystem.close(directory)();
    expect(heldNow()).toBe(1);
    await closed;
    await linuxFileSystem.close(root)();
    expect(heldNow()).toBe(0);
  });

  it('keeps nobody from unmounting', async (context) => {
    if (!isRoot) return context.skip('needs root, for a mount');
    pretendExt();
    const point = path.join(base.path(), 'point');
    fs.mkdirSync(point);
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', point]);
    for (let index = 0; index < 100; index++) fs.mkdirSync(path.join(point, String(index)));
    const opened = fs.openSync(point, 'r');
    for (let index = 0; index < 100; index++) right(removeDirectoryHolding(opened, String(index)));
    fs.closeSync(opened);
    expect(heldNow()).toBe(100);
    expect(problem(await linuxMounts.unmount(B.fromText(point))())).toBe('ok');
  });
});

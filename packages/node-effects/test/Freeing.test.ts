import * as fs from 'node:fs';
import * as path from 'node:path';
import * as B from '@shim-recovery/core/ByteString';
import * as E from 'fp-ts/lib/Either.js';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { native } from '../src/CLibrary.js';
import { linuxFileSystem } from '../src/FileSystem.js';
import { freesSlowly, heldRemoved, removeHolding } from '../src/Freeing.js';
import * as Native from '../src/Native.js';
import { eventually, problem, right, temporaryDirectory, withOpen } from './temporary.js';

const base = temporaryDirectory();

const removeDirectory = removeHolding(Native.removeDirectoryAt);
const removeFile = removeHolding(Native.unlinkAt);

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

const allLetGo = (): Promise<void> => eventually('all that was removed', () => heldRemoved() === 0);

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
    let most = 0;
    for (let index = 0; index < 1_000; index++) {
      right(removeDirectory(parent, String(index)));
      most = Math.max(most, heldRemoved());
    }
    expect(fs.readdirSync(`/proc/self/fd/${parent}`)).toEqual([]);
    expect(most).toBeGreaterThan(30);
    expect(most).toBeLessThanOrEqual(256);
    await allLetGo();
    expect(openRemoved()).toEqual([]);
  });

  it('is any kind of file, and no symlink is followed', async () => {
    const parent = directoriesIn('kinds', 0);
    const at = (name: string): string => path.join(base.path(), 'kinds', name);
    fs.writeFileSync(at('file'), 'something');
    fs.symlinkSync('file', at('link'));
    right(Native.mkfifoAt(parent, 'fifo', 0o600));
    right(removeFile(parent, 'link'));
    expect(fs.readFileSync(at('file'), 'utf8')).toBe('something');
    right(removeFile(parent, 'fifo'));
    right(removeFile(parent, 'file'));
    expect(fs.readdirSync(at('.'))).toEqual([]);
    await allLetGo();
  });

  it('is not held where it could not be removed, or was not there', () => {
    const parent = directoriesIn('full', 1);
    fs.writeFileSync(path.join(base.path(), 'full', '0', 'file'), '');
    expect(removeDirectory(parent, '0')).toEqual(E.left('ENOTEMPTY'));
    expect(removeDirectory(parent, 'nothing')).toEqual(E.left('ENOENT'));
    expect(removeFile(parent, '0')).toEqual(E.left('EISDIR'));
    expect(heldRemoved()).toBe(0);
    const open = fs.readdirSync('/proc/self/fd').map((descriptor) => `/proc/self/fd/${descriptor}`);
    const full = path.join(base.path(), 'full', '0');
    expect(open.filter((link) => E.toUnion(E.tryCatch(() => fs.readlinkSync(link), String)) === full)).toEqual([]);
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
                right(removeFile(parent, String(index)));
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
          await allLetGo();
          expect(others.map((descriptor) => fs.fstatSync(descriptor).ino)).toEqual(others.map(() => ino));
          others.forEach(fs.closeSync);
          expect(openRemoved()).toEqual([]);
        },
      ),
      { numRuns: 50 },
    );
  });

  it.each(['ENOSYS', 'EAGAIN'])('is closed one by one where a range cannot be: %s', async (code) => {
    const refused = vi.spyOn(native(), 'syscallInThread').mockResolvedValue(E.left(code));
    onTestFinished(() => refused.mockRestore());
    const parent = directoriesIn(code, 100);
    for (let index = 0; index < 100; index++) right(removeDirectory(parent, String(index)));
    await allLetGo();
    expect(refused).toHaveBeenCalled();
    expect(openRemoved()).toEqual([]);
  });

  it('is removed all the same where nothing can be opened any more', () => {
    const parent = directoriesIn('exhausted', 1);
    const refused = vi.spyOn(native(), 'openat').mockReturnValue(-1);
    onTestFinished(() => refused.mockRestore());
    right(removeDirectory(parent, '0'));
    expect(heldRemoved()).toBe(0);
    expect(fs.readdirSync(path.join(base.path(), 'exhausted'))).toEqual([]);
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

  it('is asked once for each open directory', async () => {
    pretendExt();
    directoriesIn('asked', 3);
    await withOpen(path.join(base.path(), 'asked'), async (directory) => {
      for (const name of ['0', '1'])
        right(await linuxFileSystem.removeDirectory({ directory, name: B.fromText(name) })());
      expect(native().fstatfs).toHaveBeenCalledTimes(1);
      expect(heldRemoved()).toBe(2);
      expect(problem(await linuxFileSystem.unlink({ directory, name: B.fromText('2') })())).toBe('EISDIR');
    });
    await allLetGo();
  });
});

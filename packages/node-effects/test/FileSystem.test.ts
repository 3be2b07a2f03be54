import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import { codeOf, type Directory, type Location, Removal } from '@shim-recovery/core/interpreter';
import * as fc from 'fast-check';
import * as E from 'fp-ts/lib/Either.js';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { native } from '../src/native/CLibrary.js';
import { checkMachine, linuxFileSystem as files, openDirectories } from '../src/linux/LinuxFileSystem.js';
import { mkfifo } from '../src/native/Native.js';
import { isRoot, problem, right, temporaryDirectory, withOpen } from './temporary.js';

const base = temporaryDirectory();
let next = 0;
const fresh = (): string => {
  const directory = path.join(base.path(), String(next++));
  fs.mkdirSync(directory);
  return directory;
};

const at = (directory: Directory, name: string): Location => ({ directory, name: B.fromText(name) });
const limit = 64 * 1024;

afterEach(() => {
  expect(openDirectories(), 'directories that were not closed').toBe(0);
});

const nameBytes = fc
  .uint8Array({ minLength: 1, maxLength: 255 })
  .map((bytes) => bytes.map((byte) => (byte === 0 || byte === 0x2f ? 0x61 : byte)))
  .filter((bytes) => !['.', '..'].includes(Buffer.from(bytes).toString('latin1')));

describe('names', () => {
  it('are bytes: each entry is listed in byte order, and reached by what the listing said', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(nameBytes, { selector: (name) => name.join(), maxLength: 5 }), async (names) => {
        const directory = fresh();
        for (const name of names) fs.writeFileSync(Buffer.concat([Buffer.from(`${directory}/`), name]), name);
        await withOpen(directory, async (open) => {
          const entries = right(await files.list(open)());
          expect(entries.map(({ name }) => name)).toEqual(names.map(B.fromBytes).sort(B.Ord.compare));
          for (const { name } of entries) {
            expect(right(await files.readSmallFile({ directory: open, name }, limit)())).toBe(name);
            right(await files.unlink({ directory: open, name })());
          }
        });
        expect(fs.readdirSync(directory)).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });

  it.each(['', '.', '..', 'a/b', '/', 'a\0b'])('%j is none', async (name) => {
    await withOpen(fresh(), async (open) => {
      for (const operation of [files.openDirectory, files.readLink, files.status, files.unlink, files.removeDirectory])
        expect(problem(await operation(at(open, name))())).toBe('EINVAL');
      expect(problem(await files.rename(at(open, 'x'), at(open, name))())).toBe('EINVAL');
      expect(problem(await files.readSmallFile(at(open, name), limit)())).toBe('EINVAL');
    });
  });
});

describe('a listing where the file system does not tell what its entries are', () => {
  /** Runs with the kinds left out; when an entry is then looked at, the call fails. */
  const listing = async (names: ReadonlyArray<string>, code?: keyof typeof os.constants.errno): Promise<unknown> => {
    const library = native();
    const { getdents64 } = library;
    const directory = fresh();
    for (const name of names) fs.mkdirSync(path.join(directory, name));
    vi.spyOn(library, 'getdents64').mockImplementation((open, into, size) => {
      const length = getdents64(open, into, size);
      const view = new DataView(into.buffer, into.byteOffset);
      for (let start = 0; start < length; start += view.getUint16(start + 16, true)) into[start + 18] = 0;
      return length;
    });
    if (code !== undefined) {
      vi.spyOn(library, 'statx').mockReturnValue(-1);
      vi.spyOn(library, 'errno').mockReturnValue(os.constants.errno[code]);
    }
    try {
      return await withOpen(directory, async (open) => {
        const entries = await files.list(open)();
        return E.isLeft(entries) ? codeOf(entries.left) : entries.right.map(({ name, kind }) => `${name} ${kind}`);
      });
    } finally {
      vi.restoreAllMocks();
    }
  };
  const many = Array.from({ length: 3_000 }, (_, index) => String(index));

  it('looks at each, and leaves out those that vanished', async () => {
    expect(await listing(['a', 'b'])).toEqual(['a directory', 'b directory']);
    expect(await listing(['a', 'b'], 'ENOENT')).toEqual([]);
  });

  it.each(['ENOMEM', 'EIO', 'EACCES'] as const)(
    'fails where one cannot be looked at (%s), rather than leave it out',
    async (code) => {
      expect(await listing(['a', 'b'], code)).toBe(code);
      expect(await listing(many, code)).toBe(code);
    },
  );
});

describe('a rename as the reference does it, where nothing may be written', () => {
  it('looks first, and says what stands in its way', async (context) => {
    if (!isRoot) return context.skip('needs root, for mounts');
    const directory = fresh();
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', directory]);
    onTestFinished(() => void execFileSync('umount', [directory]));
    for (const name of ['a', 'b', '.b', '.c']) fs.mkdirSync(path.join(directory, name));
    execFileSync('mount', ['-o', 'remount,ro', directory]);
    const move = (name: string): Promise<string> =>
      withOpen(directory, (open) => Removal.rename(files)(at(open, name), at(open, `.${name}`))()).then(problem);
    expect([await move('a'), await move('b'), await move('c')]).toEqual(['EROFS', 'EEXIST', 'ENOENT']);
  });
});

describe('a small file', () => {
  const reading = async (planHost: (file: string) => void): Promise<string> => {
    const directory = fresh();
    planHost(path.join(directory, 'address'));
    const startedMs = performance.now();
    const outcome = await withOpen(directory, (open) => files.readSmallFile(at(open, 'address'), limit)());
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    return problem(outcome);
  };

  it('is read to its end, whatever size it is said to have, and however little comes at once', async () => {
    const read = (directory: string, name: string) =>
      withOpen(directory, (open) => files.readSmallFile(at(open, name), limit)()).then(
        E.matchW(codeOf, (content) => content === fs.readFileSync(path.join(directory, name), 'latin1')),
      );
    // Said to be empty, to be larger than it is, and to be empty again.
    expect(await read('/proc', 'filesystems')).toBe(true);
    expect(await read('/sys/devices/system/cpu', 'possible')).toBe(true);
    expect(await read('/proc', 'kallsyms')).toBe('TooLarge');
  });

  it('is read whole, up to the limit', async () => {
    expect(await reading((file) => fs.writeFileSync(file, Buffer.alloc(limit)))).toBe('ok');
    expect(await reading((file) => fs.writeFileSync(file, Buffer.alloc(limit + 1)))).toBe('TooLarge');
    expect(await reading((file) => fs.writeFileSync(file, ''))).toBe('ok');
  });

  it('is not what else stands there, and nothing of it blocks', async () => {
    expect(await reading(() => undefined)).toBe('ENOENT');
    expect(await reading((file) => fs.mkdirSync(file))).toBe('NotRegularFile');
    expect(await reading((file) => right(mkfifo(Buffer.from(file), 0o600)))).toBe('NotRegularFile');
    expect(await reading((file) => fs.symlinkSync('/etc/passwd', file))).toBe('NotRegularFile');
    expect(await reading((file) => fs.symlinkSync(file, file))).toBe('NotRegularFile');
    const sparse = (file: string): void => {
      fs.writeFileSync(file, '');
      fs.truncateSync(file, 3 * 2 ** 30);
    };
    expect(await reading(sparse)).toBe('TooLarge');
  });

  it('is no socket', async () => {
    const server = net.createServer();
    expect(await reading((file) => server.listen(file))).toBe('NotRegularFile');
    await new Promise((resolve) => server.close(resolve));
  });

  it('is no device', async (context) => {
    if (!isRoot) return context.skip('needs root, to make a device');
    for (const minor of ['5', '7']) // zero and full
      expect(await reading((file) => execFileSync('mknod', [file, 'c', '1', minor]))).toBe('NotRegularFile');
  });
});

describe('a new file', () => {
  it.skipIf(!isRoot)('is not left there in part, when the disk is full', async () => {
    const directory = fresh();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', directory]);
    await withOpen(directory, async (open) => {
      const there = at(open, 'bootstrap.json');
      expect(problem(await files.createFile(there, B.fromBytes(Buffer.alloc(limit)))())).toBe('ENOSPC');
      expect(fs.readdirSync(directory)).toEqual([]);
      right(await files.createFile(there, B.fromText('small'))());
      expect(fs.readFileSync(`${directory}/bootstrap.json`, 'utf8')).toBe('small');
    });
  });
});

describe('an open directory', () => {
  it('stays what it was, whatever takes its name', async () => {
    const directory = fresh();
    const outside = fresh();
    fs.writeFileSync(path.join(outside, 'f'), 'precious');
    fs.mkdirSync(path.join(directory, 'd'));
    fs.writeFileSync(path.join(directory, 'd', 'f'), 'mine');
    await withOpen(directory, async (open) => {
      const inner = right(await files.openDirectory(at(open, 'd'))());
      fs.renameSync(path.join(directory, 'd'), path.join(directory, 'moved'));
      fs.symlinkSync(outside, path.join(directory, 'd'));
      expect(right(await files.readSmallFile(at(inner, 'f'), limit)())).toBe('mine');
      right(await files.unlink(at(inner, 'f'))());
      expect(problem(await files.openDirectory(at(open, 'd'))())).toBe('ENOTDIR');
      await files.close(inner)();
    });
    expect(fs.readdirSync(path.join(directory, 'moved'))).toEqual([]);
    expect(fs.readFileSync(path.join(outside, 'f'), 'utf8')).toBe('precious');
  });

  it('is listed whole and in order, however large it is, and by several at once', async () => {
    const directory = fresh();
    const names = Array.from({ length: 5_000 }, (_, index) => `entry-${String(index).padStart(5, '0')}`);
    for (const name of names) fs.symlinkSync('nowhere', path.join(directory, name));
    await withOpen(directory, async (open) => {
      const listings = await Promise.all(Array.from({ length: 3 }, () => files.list(open)()));
      for (const listing of listings) expect(right(listing).map(({ name }) => name)).toEqual(names);
      expect(right(await files.list(open)())).toHaveLength(names.length);
    });
  });

  it('is listed as it is at that moment, each time anew', async () => {
    const directory = fresh();
    await withOpen(directory, async (open) => {
      for (const expected of [[], ['a'], ['a', 'b']]) {
        for (const name of expected) fs.writeFileSync(path.join(directory, name), '');
        expect(right(await files.list(open)()).map(({ name }) => name)).toEqual(expected);
      }
    });
  });

  it('is closed once and for all, also when its descriptor is used again', async () => {
    const directory = fresh();
    const opened = right(await files.openPath(B.fromText(directory))());
    await files.close(opened)();
    await withOpen(fresh(), async () => {
      expect(problem(await files.list(opened)())).toBe('EBADF');
      expect(problem(await files.unlink(at(opened, 'x'))())).toBe('EBADF');
    });
    await files.close(opened)();
  });

  it('is not a file, nor one that is missing', async () => {
    const directory = fresh();
    fs.writeFileSync(path.join(directory, 'f'), '');
    await withOpen(directory, async (open) => {
      expect(problem(await files.openDirectory(at(open, 'f'))())).toBe('ENOTDIR');
      expect(problem(await files.openDirectory(at(open, 'g'))())).toBe('ENOENT');
    });
    expect(problem(await files.openPath(B.fromText(path.join(directory, 'f')))())).toBe('ENOTDIR');
  });
});

describe('status', () => {
  it('tells a name from what it leads to', async () => {
    const directory = fresh();
    fs.mkdirSync(path.join(directory, 'd'));
    fs.symlinkSync('d', path.join(directory, 'l'));
    fs.symlinkSync('nowhere', path.join(directory, 'dangling'));
    await withOpen(directory, async (open) => {
      expect(right(await files.status(at(open, 'l'))()).kind).toBe('symlink');
      expect(right(await files.resolvedStatus(at(open, 'l'))())).toEqual(right(await files.status(at(open, 'd'))()));
      expect(right(await files.status(at(open, 'dangling'))()).kind).toBe('symlink');
      expect(problem(await files.resolvedStatus(at(open, 'dangling'))())).toBe('ENOENT');
      expect(right(await files.readLink(at(open, 'l'))())).toBe('d');
      expect(problem(await files.readLink(at(open, 'd'))())).toBe('EINVAL');
    });
  });

  it('tells a directory from its successor of the same name', async () => {
    const directory = fresh();
    const bornOf = (open: Directory): Promise<string> =>
      files
        .status(at(open, 'd'))()
        .then((status) => right(status).bornNs);
    await withOpen(directory, async (open) => {
      fs.mkdirSync(path.join(directory, 'd'));
      const first = await bornOf(open);
      fs.rmdirSync(path.join(directory, 'd'));
      fs.mkdirSync(path.join(directory, 'd'));
      expect(await bornOf(open)).not.toBe(first);
    });
  });
});

describe('recursive removal, with these operations', () => {
  it('removes a deep tree, and nothing that links in it lead to', async () => {
    const directory = fresh();
    const outside = fresh();
    fs.writeFileSync(path.join(outside, 'f'), 'precious');
    let deep = path.join(directory, 'tree');
    for (let level = 0; level < 200; level++) {
      fs.mkdirSync(deep);
      fs.symlinkSync(outside, path.join(deep, 'link'));
      deep = path.join(deep, 'd');
    }
    await withOpen(directory, async (open) => {
      right(await Removal.removeRecursively(files)(at(open, 'tree'))());
    });
    expect(fs.readdirSync(directory)).toEqual([]);
    expect(fs.readdirSync(outside)).toEqual(['f']);
  });

  it('empties a file system that is mounted in the tree, and fails on the mount point (H12)', async (context) => {
    if (!isRoot) return context.skip('needs root, for a mount');
    const directory = fresh();
    const mountPoint = path.join(directory, 'tree', 'b');
    fs.mkdirSync(mountPoint, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', mountPoint]);
    for (const name of ['a', 'b/f', 'c']) fs.writeFileSync(path.join(directory, 'tree', name), '');
    await withOpen(directory, async (open) => {
      expect(problem(await Removal.removeRecursively(files)(at(open, 'tree'))())).toBe('EBUSY');
    });
    expect(fs.readdirSync(path.join(directory, 'tree'))).toEqual(['b']);
    expect(fs.readdirSync(mountPoint)).toEqual([]);
  });
});

it('gives others their turn while a large directory is removed', async () => {
  const directory = fresh();
  fs.mkdirSync(path.join(directory, 'tree'));
  for (let file = 0; file < 5_000; file++) fs.writeFileSync(path.join(directory, 'tree', String(file)), '');
  let turns = 0;
  let isRemoved = false;
  const count = (): void => {
    turns++;
    if (!isRemoved) setImmediate(count);
  };
  setImmediate(count);
  await withOpen(directory, async (open) => {
    right(await Removal.removeRecursively(files)(at(open, 'tree'))());
  });
  isRemoved = true;
  expect(fs.readdirSync(directory)).toEqual([]);
  expect(turns).toBeGreaterThan(3);
});

describe('checkMachine', () => {
  it('is content with this machine', () => {
    right(checkMachine());
  });
});

import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import koffi from 'koffi';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type Find, functionIn, native } from '../src/native/CLibrary.js';
import * as Native from '../src/native/Native.js';
import { reap } from '../src/native/Spawn.js';
import { eventually, right, temporaryDirectory } from './temporary.js';

const base = temporaryDirectory();

const library = koffi.load(null);
const find: Find = (name, result, parameters) => library.func(name, result, [...parameters]);

/** A C library that lacks some. */
const without =
  (...missing: ReadonlyArray<string>): Find =>
  (name, ...rest) => {
    if (missing.includes(name)) throw new Error(`no ${name}`);
    return find(name, ...rest);
  };

/** A function that is not one of `native`, whose errno that does not know. */
const tellingErrno =
  (call: ReturnType<Find>): ReturnType<Find> =>
  (...args) => {
    const result: unknown = call(...args);
    vi.spyOn(native(), 'errno').mockReturnValue(koffi.errno());
    return result;
  };

describe('a C library that lacks a function', () => {
  it('has it as a system call', () => {
    const statx = functionIn(without('statx'))('statx');
    const [expected, actual] = [new Uint32Array(64), new Uint32Array(64)];
    for (const [call, into] of [
      [functionIn(find)('statx'), expected],
      [statx, actual],
    ] as const)
      expect(call(Native.AT_FDCWD, '/proc/self/exe', 0, 0x7ff, into)).toBe(0);
    expect(actual).toEqual(expected);
    expect(statx(Native.AT_FDCWD, '/nowhere', 0, 0x7ff, actual)).toBe(-1);

    fs.mkdirSync(path.join(base.path(), 'listed', 'one'), { recursive: true });
    const descriptor = fs.openSync(path.join(base.path(), 'listed'), 'r');
    const entries = Buffer.alloc(4_096);
    const list = functionIn(without('getdents64', 'getdents'))('getdents64');
    const length = Number(list(descriptor, entries, entries.length));
    expect(entries.toString('latin1', 0, length)).toContain('one\0');
    expect(Number(list(descriptor, entries, entries.length))).toBe(0);
    fs.closeSync(descriptor);
  });

  it('has it under another name', () => {
    const asked: Array<string> = [];
    functionIn((name, ...rest) => {
      asked.push(name);
      return without('getdents64')(name === 'getdents' ? 'read' : name, ...rest);
    })('getdents64');
    expect(asked).toEqual(['getdents64', 'getdents']);
  });

  it.each([
    { what: 'no such function', lacks: () => tellingErrno(functionIn(without('renameat2'))('renameat2')) },
    { what: 'no such call', lacks: () => functionIn(without('renameat2', 'syscall'))('renameat2') },
    ...(['EINVAL', 'EPERM', 'ENOSYS', 'EOPNOTSUPP'] as const).map((code) => ({
      what: `only ${code}`,
      lacks: () => () => {
        vi.spyOn(native(), 'errno').mockReturnValueOnce(os.constants.errno[code]);
        return -1;
      },
    })),
  ])('has a rename that replaces nothing all the same: $what', ({ what, lacks: way }) => {
    const directory = path.join(base.path(), what);
    fs.mkdirSync(path.join(directory, 'a'), { recursive: true });
    fs.mkdirSync(path.join(directory, 'b'));
    const open = right(Native.openAt(Native.AT_FDCWD, directory, fs.constants.O_RDONLY));
    const lacks = way();
    const renaming = vi.spyOn(native(), 'renameat2').mockImplementation((...args) => Number(lacks(...args)));
    onTestFinished(() => {
      vi.restoreAllMocks();
      Native.close(open);
    });
    const outcomeOf = E.match(String, () => 'ok');
    const rename = (from: string, to: string): string => outcomeOf(Native.renameAtNoReplace(open, from, open, to));
    expect([rename('a', 'b'), rename('none', 'b'), rename('none', 'c'), rename('a', 'c')]).toEqual([
      'EEXIST',
      'ENOENT',
      'ENOENT',
      'ok',
    ]);
    expect(fs.readdirSync(directory)).toEqual(['b', 'c']);
    expect(renaming).toHaveBeenCalledTimes(4);
  });

  it('is refused where there is no other way', () => {
    expect(() => functionIn(without('openat'))('openat')).toThrow('no openat');
  });

  it('cannot enter an open directory, which a shell does then, with nothing left open', async () => {
    const directory = path.join(base.path(), 'entered');
    fs.mkdirSync(directory);
    const script = path.join(base.path(), 'program');
    fs.writeFileSync(
      script,
      `#!/bin/sh\n{ pwd; ls -l /proc/$$/fd > open; sed 's/.*[0-9]:[0-9][0-9] //' open; printf '%s\\n' "$@"; cat; } > out; mv out told\n`,
      { mode: 0o755 },
    );
    const open = right(Native.openAt(Native.AT_FDCWD, directory, fs.constants.O_RDONLY));
    fs.renameSync(directory, `${directory} now`);
    const sink = fs.openSync('/dev/null', 'w');
    const program = {
      file: script,
      arguments: [script, 'a b', "'$(c)"],
      environment: ['PATH=/usr/bin:/bin'],
      workingDirectory: open,
    };
    const told: Array<string> = [];
    for (const start of [Native.spawnByShell, Native.spawn]) {
      const pid = right(start(program, { stdout: sink, stderr: sink }));
      await eventually('it to end', () => reap(pid)?._tag === 'Exited');
      told.push(fs.readFileSync(path.join(`${directory} now`, 'told'), 'utf8'));
      fs.rmSync(path.join(`${directory} now`, 'told'));
    }
    Native.close(open);
    fs.closeSync(sink);
    expect(told[0]).toContain(`${directory} now\n`);
    expect(told[0]).toContain("\na b\n'$(c)\n");
    expect(told[0]).toBe(told[1]);
  });
});

it('is found also where somebody else in this process uses the library that calls it already', () => {
  const script = `
    const koffi = require('koffi');
    koffi.load(null).func('int getppid()')();
    import(${JSON.stringify(new URL('../dist/native/Native.js', import.meta.url).href)}).then(({ unavailable }) =>
      console.log(unavailable() ?? 'available'));`;
  const printed = execFileSync(process.execPath, ['-e', script], {
    cwd: path.join(import.meta.dirname, '..'),
    encoding: 'utf8',
  });
  expect(printed).toBe('available\n');
  expect(E.isRight(Native.lstatAt(Native.AT_FDCWD, '/'))).toBe(true);
});

describe('where every allocation leaves an errno', () => {
  /** As glibc's own leaves one behind whenever the heap cannot be extended, and finds the memory elsewhere. */
  const source = `
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <errno.h>
    #include <stdlib.h>
    void *malloc(size_t size) {
      static void *(*real)(size_t);
      if (!real) real = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
      void *memory = real(size);
      errno = ENOMEM;
      return memory;
    }`;
  const modules = new URL('../dist/', import.meta.url).href;
  const script = `
    import { connectTo } from '${modules}native/Native.js';
    import { native } from '${modules}native/CLibrary.js';
    const told = new Set();
    for (let call = 0; call < 2_000; call += 1) told.add(connectTo(Buffer.from('/nowhere\\0')).left);
    for (let call = 0; call < 100; call += 1) told.add((await native().umount2('/nowhere', 0)).left);
    console.log([...told].join());`;

  it('that of a call is known all the same, in this thread and in others', (context) => {
    const preloaded = path.join(base.path(), 'allocation.so');
    try {
      execFileSync('cc', ['-shared', '-fPIC', '-x', 'c', '-o', preloaded, '-', '-ldl'], { input: source });
    } catch (error) {
      return context.skip(`needs a C compiler: ${String(error)}`);
    }
    const env = { ...process.env, LD_PRELOAD: preloaded };
    const printed = execFileSync(process.execPath, ['--input-type=module', '-e', script], { env, encoding: 'utf8' });
    expect(printed).toBe('ENOENT\n');
  });
});

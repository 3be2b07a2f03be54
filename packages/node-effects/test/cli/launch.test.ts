import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { cacheOf, keptCode, scriptOf } from '../../src/cli/CodeCache.js';

const built = fileURLToPath(new URL('../../dist/command', import.meta.url));

const fileIn = (directory: string, pattern: RegExp): string => {
  const [name, ...others] = fs.readdirSync(directory).filter((entry) => pattern.test(entry));
  if (name === undefined || others.length > 0) throw new Error(`not one ${pattern} in ${directory}`);
  return path.join(directory, name);
};

const programIn = (directory: string): string => fileIn(directory, /^program-[0-9a-f]+\.cjs$/);
const cacheIn = (directory: string): string => fileIn(directory, /^program-.*\.cache$/);

/** A copy that may be spoilt. */
const copy = (): string => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sr-launch-'));
  onTestFinished(() => fs.rmSync(directory, { recursive: true, force: true }));
  fs.cpSync(built, directory, { recursive: true });
  return directory;
};

const help = (directory: string): string =>
  execFileSync(process.execPath, [path.join(directory, 'main.cjs'), '--help'], { encoding: 'utf8' });

describe('the code that is kept beside the command', () => {
  it('is what this Node takes', () => {
    expect(scriptOf(programIn(built), keptCode(programIn(built))).cachedDataRejected).toBe(false);
  });

  it('is not needed, and nobody is harmed when it is spoilt', () => {
    const directory = copy();
    const cache = cacheIn(directory);
    const expected = help(built);
    const whole = fs.readFileSync(cache);
    for (const spoilt of [
      whole.subarray(0, 1_000),
      Buffer.from('something else'),
      Buffer.alloc(0),
      Buffer.concat([whole.subarray(0, whole.length - 4_096), Buffer.alloc(4_096)]),
    ]) {
      fs.writeFileSync(cache, spoilt);
      expect(help(directory)).toBe(expected);
    }
    fs.rmSync(cache);
    expect(help(directory)).toBe(expected);
    fs.mkdirSync(cache);
    expect(help(directory)).toBe(expected);
  });

  it('is refused with any bit turned round', () => {
    const directory = copy();
    const program = programIn(directory);
    const cache = cacheIn(directory);
    const whole = fs.readFileSync(cache);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(7), (at, bit) => {
        const spoilt = Buffer.from(whole);
        spoilt[at] = (whole[at] ?? 0) ^ (1 << bit);
        fs.writeFileSync(cache, spoilt);
        return keptCode(program) === undefined;
      }),
    );
  });

  it('is named after the program that it was made of, and the Node that made it', () => {
    expect(cacheIn(built)).toBe(cacheOf(programIn(built)));
  });

  it('says that the command is not whole where its program is empty', () => {
    const directory = copy();
    fs.truncateSync(programIn(directory));
    const { status, stderr } = spawnSync(process.execPath, [path.join(directory, 'main.cjs'), '--help'], {
      encoding: 'utf8',
    });
    expect(status).toBe(1);
    expect(stderr).toContain('is not whole; build or install the command again');
  });
});

describe('the native part', () => {
  /** A copy that stands elsewhere, with its libraries or without them, and how a run of it ends. */
  const elsewhere = (libraries: 'with its libraries' | 'without them') => {
    const base = fs.mkdtempSync(path.join(os.tmpdir(), 'sr-launch-'));
    onTestFinished(() => fs.rmSync(base, { recursive: true, force: true }));
    const directory = path.join(base, 'packages', 'one', 'dist', 'command');
    fs.cpSync(built, directory, { recursive: true });
    if (libraries === 'with its libraries')
      fs.symlinkSync(path.resolve(built, '../../node_modules'), path.join(base, 'packages', 'one', 'node_modules'));
    const run = () => {
      const args = ['plan', '--state', path.join(base, 'state'), '--root', path.join(base, 'root'), '--store', 'none'];
      const main = path.join(directory, 'main.cjs');
      // Without NODE_PATH, which tells of all libraries wherever one stands.
      return spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', env: {} });
    };
    fs.mkdirSync(path.join(base, 'state', 'default'), { recursive: true });
    fs.mkdirSync(path.join(base, 'root'));
    return { directory, run };
  };

  /** Where the build found it, seen from a command that stands there. */
  const whereBuilt = (directory: string): string => {
    const [, file = ''] = /"([^"]*koffi\.node)"/.exec(fs.readFileSync(programIn(directory), 'utf8')) ?? [];
    return path.join(directory, file);
  };

  /** As if the copy had been built where it stands, with the native file where its build would have found it. */
  const pretendBuilt = (directory: string, contents: Buffer | string): void => {
    fs.writeFileSync(path.join(directory, 'built-in.cache'), directory);
    fs.mkdirSync(path.dirname(whereBuilt(directory)), { recursive: true });
    fs.writeFileSync(whereBuilt(directory), contents);
  };
  const nativeFile = (): Buffer => fs.readFileSync(whereBuilt(built));
  const done = { status: 0, stderr: '' };

  it('is loaded from where the build found it', () => {
    const { directory, run } = elsewhere('without them');
    pretendBuilt(directory, nativeFile());
    expect(run()).toMatchObject(done);
  });

  it('is found by its name where the command was installed elsewhere', () => {
    const { directory, run } = elsewhere('with its libraries');
    expect(fs.existsSync(whereBuilt(directory))).toBe(false);
    expect(run()).toMatchObject(done);
  });

  it('is found by its name where something else stands in its place', () => {
    const { directory, run } = elsewhere('with its libraries');
    pretendBuilt(directory, 'something else');
    expect(run()).toMatchObject(done);
  });

  it('is not looked for there by a copy', () => {
    const { directory, run } = elsewhere('without them');
    pretendBuilt(directory, nativeFile());
    fs.copyFileSync(path.join(built, 'built-in.cache'), path.join(directory, 'built-in.cache'));
    expect(run()).toMatchObject({ status: 1 });
    fs.rmSync(path.join(directory, 'built-in.cache'));
    expect(run()).toMatchObject({ status: 1 });
  });

  it('is found by its name where it is another version by now', () => {
    const { directory, run } = elsewhere('with its libraries');
    const { version } = createRequire(path.join(built, '../..', 'package.json'))('koffi');
    fs.rmSync(cacheIn(directory));
    const program = programIn(directory);
    const text = fs.readFileSync(program, 'utf8');
    expect(text.split(`"${version}"`)).toHaveLength(2);
    fs.writeFileSync(program, text.replace(`"${version}"`, '"0.0.0"'));
    pretendBuilt(directory, nativeFile());
    expect(run()).toMatchObject(done);
  });

  it('is missed, in a sentence, where there is none', () => {
    const { status, stderr } = elsewhere('without them').run();
    expect(status).toBe(1);
    expect(stderr).toContain('shim-recovery: the native part could not be loaded: Cannot find module');
  });
});

import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
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
const cacheIn = (directory: string): string => fileIn(directory, /\.cache$/);

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

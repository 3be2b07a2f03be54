import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';
import { describe, expect, it, onTestFinished } from 'vitest';

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
    const program = fs.readFileSync(programIn(built), 'utf8');
    const script = new Script(program, { cachedData: fs.readFileSync(cacheIn(built)) });
    expect(script.cachedDataRejected).toBe(false);
  });

  it('is not needed, and nobody is harmed when it is spoilt', () => {
    const directory = copy();
    const cache = cacheIn(directory);
    const expected = help(built);
    fs.truncateSync(cache, 1_000);
    expect(help(directory)).toBe(expected);
    fs.writeFileSync(cache, 'something else');
    expect(help(directory)).toBe(expected);
    fs.rmSync(cache);
    expect(help(directory)).toBe(expected);
  });

  it('is named after the program that it was made of', () => {
    expect(path.basename(cacheIn(built))).toBe(
      `${path.basename(programIn(built))}.${process.version}-${process.arch}.cache`,
    );
  });
});

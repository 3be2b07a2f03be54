/** `pnpm simulate`, as somebody types it. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { loadCounterexamples } from '../../src/campaign/Counterexamples.js';

const command = fileURLToPath(new URL('../../dist/cli/simulate.js', import.meta.url));

const simulate = (...args: ReadonlyArray<string>) =>
  spawnSync(process.execPath, [command, ...args], { encoding: 'utf8' });

describe('pnpm simulate', { timeout: 60_000 }, () => {
  it('says how it is used', () => {
    const { status, stdout } = simulate('--help');
    expect(status).toBe(0);
    expect(stdout).toContain('Usage: pnpm simulate');
  });

  it.each([
    [['--runs', '0'], '--runs takes a whole number from 1 on, not "0"'],
    [['--seed', 'x'], '--seed takes a whole number from 0 on, not "x"'],
    [['--policy', 'docker'], 'there is no policy "docker"'],
    [['--find', '9'], '--find takes a property\'s number and a hazard, such as 9/H1, not "9"'],
    [['--fast'], "Unknown option '--fast'"],
    [['--case', '/nowhere'], 'cannot read /nowhere: ENOENT'],
  ])('refuses %j with what is wrong about it', (args, problem) => {
    const { status, stdout, stderr } = simulate(...args);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(problem);
  });

  it('sums up what it met, the same for the same seed', () => {
    const [first, second] = [
      simulate('--runs', '60', '--seed', '5'),
      simulate('--runs', '60', '--seed', '5', '--jobs', '1'),
    ];
    expect(first.status).toBe(0);
    expect(first.stdout).toContain('worlds    60\n');
    const withoutSpeed = (text: string): string => text.replace(/^speed.*$/m, '');
    expect(withoutSpeed(second.stdout)).toBe(withoutSpeed(first.stdout));
  });

  it('finds a hazard that is asked for, and how to see it again', () => {
    const { status, stdout } = simulate('--find', '8/H30', '--runs', '500', '--seed', '1');
    expect(status).toBe(1);
    expect(stdout).toMatch(/8 containment: outside: .*\(H30\)/);
    expect(stdout).toMatch(/again: pnpm simulate --runs 1 --seed 1 --policy containerd-1\.7 --path \S+ --find 8\/H30/);
    const [, again = ''] = /again: pnpm simulate (.*)/.exec(stdout) ?? [];
    expect(simulate(...again.split(' ')).stdout).toContain('8 containment: outside');
  });

  it('shows what becomes of one case', () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sr-case-'));
    try {
      const file = path.join(directory, 'case.json');
      const counterexamples = loadCounterexamples();
      const found = (E.isRight(counterexamples) ? counterexamples.right : []).find(
        ({ policy, hazard }) => policy === 'containerd-1.7' && hazard === 'H10',
      );
      fs.writeFileSync(file, JSON.stringify(found));
      const { status, stdout } = simulate('--case', file);
      expect(status).toBe(1);
      expect(stdout).toMatch(/run 0: Crashed[^]*3 convergence: left over: .*\(H10\)/);
    } finally {
      fs.rmSync(directory, { recursive: true, force: true });
    }
  });
});

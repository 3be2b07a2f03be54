/** `compare`: what two policies would do differently, on this host and on a recorded one. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Comparison } from '@shim-recovery/core/documents';
import { describe, expect, test } from 'vitest';
import { right } from '../temporary.js';
import { dead, type Host, type Run, run, running, withHost } from './host.js';

/** Generous: other tests run at the same time. */
const timeout = 30_000;

const pair = (first: string, second: string): ReadonlyArray<string> => [
  '--policy',
  `containerd-${first}`,
  '--policy',
  `containerd-${second}`,
];

const layOut = async (host: Host): Promise<void> => {
  await host.addBundle('alive', { shim: running });
  await host.addBundle('leaked', { shim: { ...running, pids: { ok: { pids: [] } } } });
  await host.addBundle('dead', { shim: dead });
  await host.addBundle('mute', { shim: running, files: { address: '{"version":3}' } });
  fs.mkdirSync(path.join(host.state, host.namespace, '.leftover'));
};

const comparisonOf = ({ stdout, stderr }: Run): Comparison => {
  expect(stderr).toBe('');
  return right(Comparison.decode(JSON.parse(stdout)));
};

const namesOf = ({ bundles }: Comparison): ReadonlyArray<string> =>
  bundles.map(({ id, parts }) =>
    [id, ...parts.flatMap(({ difference, choices }) => [difference, ...choices])].join(' '),
  );

describe.concurrent('compare', { timeout }, () => {
  test('has what lives and would be destroyed on top, and changes nothing', async () => {
    await withHost(async (host) => {
      await layOut(host);
      const before = host.fingerprint();
      const comparison = comparisonOf(await run(['compare', '--json', ...pair('1.6', '1.7'), ...host.args]));
      expect(host.fingerprint()).toEqual(before);
      expect(namesOf(comparison)).toEqual([
        'leaked alive-destroyed reapsLeakedShims',
        'dead steps logOpened unmounting unmounts',
        'mute steps logOpened unmounting unmounts',
      ]);
      expect(comparison).toMatchObject({
        first: 'containerd-1.6',
        second: 'containerd-1.7',
        workDirs: [{ name: 'leaked', first: 'registered', second: 'with-bundle' }],
        summary: { same: 2, workDirs: 1 },
      });
    });
  });

  test('asks each shim once for both', async () => {
    await withHost(async (host) => {
      await host.addBundle('alive', { shim: running });
      await run(['compare', ...pair('1.7', '2.1'), ...host.args]);
      expect(host.callsTo('alive')).toBe(2); // Connect and Pids
    });
  });

  test('says for people which policy does what, and why, each difference in a few lines', async () => {
    await withHost(async (host) => {
      await layOut(host);
      const { stdout, stderr } = await run(['compare', ...pair('1.6', '1.7'), ...host.args]);
      expect(stderr).toBe('');
      expect(stdout.split('\n').slice(0, 5)).toEqual([
        'alive, and destroyed by one of them only',
        `  ${host.namespace}/leaked`,
        '    containerd-1.6  adopt     the shim answers, and this daemon asks nothing more',
        '    containerd-1.7  reap      the shim answers, but its task has no process and no sandbox of this id is recorded: a leaked shim',
        '    why: containerd-1.6 takes back every shim that answers, whatever it has; containerd-1.7 asks a shim that answers for its processes, and reaps it when it has none',
      ]);
      expect(stdout).toMatch(/\ncompare: containerd-1\.6 and containerd-1\.7: 1 alive, .*; 2 bundles fare the same\n$/);
    });
  });

  test('says once what is to be said of many', async () => {
    await withHost(async (host) => {
      for (let nth = 10; nth < 23; nth++) await host.addBundle(`left-${nth}`);
      const { stdout } = await run(['compare', '--policy', 'containerd-2.1', ...host.args]);
      expect(stdout).toContain(`\n  ${host.namespace}/left-10, ${host.namespace}/left-11, `);
      expect(stdout).toContain(`, ${host.namespace}/left-19 and 3 more (--json names them all)\n    why: `);
    });
  });

  test('tells by its exit code whether they differ', async () => {
    await withHost(async (host) => {
      const args = ['compare', '--detailed-exitcode', ...pair('1.6', '1.7'), ...host.args];
      await host.addBundle('alive', { shim: running });
      expect(await run(args)).toMatchObject({
        code: 0,
        stdout: 'compare: containerd-1.6 and containerd-1.7: 1 bundle fares the same\n',
      });
      expect((await run([...args, '--no-probe'])).code).toBe(3);
      await host.addBundle('leaked', { shim: { ...running, pids: { ok: { pids: [] } } } });
      expect((await run(args)).code).toBe(3);
      expect((await run(args.filter((arg) => arg !== '--detailed-exitcode'))).code).toBe(0);
    });
  });
});

describe.concurrent('compare FILE', { timeout }, () => {
  test('finds on a recorded host what it found on the host itself', async () => {
    await withHost(async (host) => {
      await layOut(host);
      const file = path.join(host.base, 'recording');
      await run(['plan', '--record', file, ...host.args]);
      const policies = pair('1.7', '2.1');
      const there = await run(['compare', '--json', ...policies, ...host.args]);
      fs.rmSync(host.state, { recursive: true });
      expect(await run(['compare', '--json', ...policies, file])).toEqual(there);
      const elsewhere = await run(['compare', file, '--json', ...policies, '--namespace', 'k8s.io']);
      expect(elsewhere.stderr).toBe(`shim-recovery: there is no namespace k8s.io in ${file}\n`);
      expect(JSON.parse(elsewhere.stdout)).toMatchObject({ bundles: [], workDirs: [] });
    });
  });

  test('needs the answers to both', async () => {
    await withHost(async (host) => {
      await host.addBundle('left');
      const file = path.join(host.base, 'recording');
      await run(['recover', '--record', file, ...host.as17]);
      const { code, stderr } = await run(['compare', file, ...pair('1.7', '2.1')]);
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /^shim-recovery: the recording .* cannot be compared: what containerd-2\.1 would ask was not/,
      );
    });
  });

  test('of a recording that ends early says so', async () => {
    await withHost(async (host) => {
      await host.addBundle('alive', { shim: running });
      const file = path.join(host.base, 'recording');
      await run(['plan', '--record', file, ...host.args]);
      const lines = fs.readFileSync(file, 'utf8').split('\n');
      fs.writeFileSync(file, lines.slice(0, -2).join('\n'));
      const { code, stderr } = await run(['compare', file, ...pair('1.6', '1.7'), '--detailed-exitcode']);
      expect(stderr).toMatch(/^shim-recovery: the recording .* ends early: [^\n]*\n$/);
      expect(code).toBe(3);
    });
  });
});

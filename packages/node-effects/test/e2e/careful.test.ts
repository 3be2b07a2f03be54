/**
 * The same six containers under `careful`: what the reference loses is taken back or held, what is dead goes without a
 * trace, and the daemon, started again, has all that lives.
 */
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Report } from '@shim-recovery/core/Report';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect } from 'vitest';
import { command, shimRecovery, verdicts } from './command.js';
import { isAlive, kill, until } from './containerd.js';
import { killBoth, killedHost, step, watching } from './killedHost.js';

const expected = {
  alive: 'adopt task-running',
  'both-killed': 'cleanUp dial-failed',
  exited: 'adopt task-exited',
  moved: 'adopt task-running',
  'shim-killed': 'hold orphan-workload',
  stopped: 'hold shim-unresponsive',
};

describe('careful recovery of a host whose containerd was killed', () => {
  let program = '';
  const { host, of, left, mounted } = killedHost(Object.keys(expected), async (container) => {
    await kill(container('exited').taskPid);
    await kill(container('shim-killed').shimPid);
    await killBoth(container('both-killed'));
    const file = path.join(container('moved').bundle, 'shim-binary-path');
    program = fs.readFileSync(file, 'utf8');
    fs.writeFileSync(file, '/nowhere/containerd-shim-runc-v2');
    process.kill(container('stopped').shimPid, 'SIGSTOP');
  });

  const run = async (
    ...args: ReadonlyArray<string>
  ): Promise<{ readonly code: number | null; readonly report: Report }> => {
    const careful = ['--policy', 'careful', '--json', '--load-timeout', '1s'];
    const { code, stdout } = await shimRecovery(host(), ...args, ...careful);
    const report = Report.decode(JSON.parse(stdout));
    return E.isRight(report) ? { code, report: report.right } : expect.fail(stdout);
  };

  step('plan foretells it', async () => {
    expect(verdicts((await run('plan')).report)).toEqual(expected);
  });

  step(
    'in a pid namespace of its own, where none of their processes can be seen, it holds what seems dead',
    async () => {
      const inNamespace = ['--pid', '--fork', '--mount-proc', process.execPath, command];
      const where = ['--state', host().state, '--root', host().root, '--address', host().socket];
      const args = ['plan', '--policy', 'careful', '--json', '--load-timeout', '1s'];
      const printed = await new Promise<string>((resolve) =>
        execFile('unshare', [...inNamespace, ...args, ...where], (_, stdout) => resolve(stdout)),
      );
      expect(verdicts(JSON.parse(printed) as Report)).toEqual({
        ...expected,
        'both-killed': 'hold processes-unknown',
        'shim-killed': 'hold processes-unknown',
      });
    },
  );

  step('recover takes back or holds whatever lives, and says how the one that exited ended', async () => {
    const { code, report } = await run('recover');
    expect(verdicts(report)).toEqual(expected);
    expect(code).toBe(3);
    const bundles = new Map(report.namespaces.flatMap((namespace) => namespace.bundles).map((one) => [one.id, one]));
    expect(bundles.get('exited')).toMatchObject({ exitStatus: 137 });
    expect(bundles.get('shim-killed')?.pids).toContain(of('shim-killed').taskPid);
    expect(bundles.get('shim-killed')?.advice).toContain('--orphans reap');
    for (const id of ['alive', 'moved', 'shim-killed', 'stopped']) {
      expect(isAlive(of(id).taskPid), id).toBe(true);
      expect(mounted(id), id).toBe(true);
      expect(left(id), id).toHaveLength(2);
    }
    expect(left('exited')).toHaveLength(2);
  });

  step('the dead one is gone, with its mounts, its processes and its directories', async () => {
    expect(left('both-killed')).toEqual([]);
    expect(mounted('both-killed')).toBe(false);
    expect((await host().runcState()).has('both-killed')).toBe(false);
  });

  step('a second run changes nothing', async () => {
    const { 'both-killed': _, ...rest } = expected;
    expect(verdicts((await run('recover')).report)).toEqual(rest);
  });

  step('the orphan is cleaned up where that is asked for', async () => {
    expect(verdicts((await run('recover', '--orphans', 'reap')).report)).toMatchObject({
      'shim-killed': 'cleanUp orphan-reaped',
    });
    await until('the process to end', () => (isAlive(of('shim-killed').taskPid) ? undefined : true));
    expect(left('shim-killed')).toEqual([]);
    expect(mounted('shim-killed')).toBe(false);
  });

  step('containerd, started again, takes back what lives, and the exit can still be collected', async () => {
    process.kill(of('stopped').shimPid, 'SIGCONT');
    fs.writeFileSync(path.join(of('moved').bundle, 'shim-binary-path'), program);
    await host().start();
    const tasks = await host().ctr('tasks', 'list');
    for (const id of ['alive', 'moved', 'stopped'])
      expect(tasks).toMatch(new RegExp(`^${id} +${of(id).taskPid} +RUNNING`, 'm'));
    expect(tasks).toMatch(/^exited +\d+ +STOPPED/m);
    expect(tasks).not.toContain('killed');
    await host().killDaemon();
  });

  step('recover --watch holds what runs on when its shim is killed, and cleans up after what is dead', () =>
    watching(host(), ['--policy', 'careful', '--load-timeout', '1s'], async ({ lines, said, end }) => {
      await until('it to watch', () => (said().includes('watching') ? true : undefined));
      expect(lines[0]).toMatchObject({ schema: 'shim-recovery/report@1', summary: { adopt: 4, hold: 0 } });

      process.kill(of('alive').shimPid, 'SIGKILL');
      await until('it to be said', () => (/\/alive: [^\n]*\n/.test(said()) ? true : undefined));
      expect(said()).toMatch(
        new RegExp(
          `/alive: the shim's connection ended; held, and watched no more: the shim is dead, but its container still runs: process(es)? [^;]*${of('alive').taskPid}.*--orphans reap`,
        ),
      );
      expect(isAlive(of('alive').taskPid)).toBe(true);
      expect(mounted('alive')).toBe(true);
      expect(left('alive')).toHaveLength(2);
      expect(lines).toHaveLength(1);

      await kill(of('moved').taskPid);
      process.kill(of('moved').shimPid, 'SIGKILL');
      await until('two events', () => (lines.length > 2 ? true : undefined));
      expect(lines.slice(1)).toMatchObject([
        { topic: '/tasks/exit', containerId: 'moved', pid: of('moved').taskPid, exitStatus: 137 },
        { topic: '/tasks/delete', containerId: 'moved', pid: of('moved').taskPid, exitStatus: 137 },
      ]);
      expect(said()).toContain("/moved: the shim's connection ended; cleaning up");
      expect(left('moved')).toEqual([]);
      expect(mounted('moved')).toBe(false);

      expect(await end()).toBe(0);
      expect(isAlive(of('alive').taskPid) && isAlive(of('stopped').shimPid)).toBe(true);
    }),
  );
});

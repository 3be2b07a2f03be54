/**
 * The same six containers under `careful`: what the reference loses is taken back or held, what is dead goes without a
 * trace, and the daemon, started again, has all that lives.
 */
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Report } from '@shim-recovery/core/documents';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect } from 'vitest';
import { command, shimRecovery, verdicts } from './command.js';
import { isAlive, kill, until } from './containerd.js';
import { killBoth, killedHost, step, watching } from './killedHost.js';

const expected = {
  carefulLiving: 'adopt task-running',
  carefulDead: 'cleanUp dial-failed',
  carefulEnded: 'adopt task-exited',
  carefulElsewhere: 'adopt task-running',
  carefulOrphan: 'hold orphan-workload',
  carefulSilent: 'hold shim-unresponsive',
};

describe('careful recovery of a host whose containerd was killed', () => {
  let program = '';
  const { host, of, left, mounted } = killedHost(Object.keys(expected), async (container) => {
    await kill(container('carefulEnded').taskPid);
    await kill(container('carefulOrphan').shimPid);
    await killBoth(container('carefulDead'));
    const file = path.join(container('carefulElsewhere').bundle, 'shim-binary-path');
    program = fs.readFileSync(file, 'utf8');
    fs.writeFileSync(file, '/nowhere/containerd-shim-runc-v2');
    process.kill(container('carefulSilent').shimPid, 'SIGSTOP');
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
        carefulDead: 'hold processes-unknown',
        carefulOrphan: 'hold processes-unknown',
      });
    },
  );

  step('recover takes back or holds whatever lives, and says how the one that exited ended', async () => {
    const { code, report } = await run('recover');
    expect(verdicts(report)).toEqual(expected);
    expect(code).toBe(3);
    const bundles = new Map(report.namespaces.flatMap((namespace) => namespace.bundles).map((one) => [one.id, one]));
    expect(bundles.get('carefulEnded')).toMatchObject({ exitStatus: 137 });
    expect(bundles.get('carefulOrphan')?.pids).toContain(of('carefulOrphan').taskPid);
    expect(bundles.get('carefulOrphan')?.advice).toContain('--orphans reap');
    for (const id of ['carefulLiving', 'carefulElsewhere', 'carefulOrphan', 'carefulSilent']) {
      expect(isAlive(of(id).taskPid), id).toBe(true);
      expect(mounted(id), id).toBe(true);
      expect(left(id), id).toHaveLength(2);
    }
    expect(left('carefulEnded')).toHaveLength(2);
  });

  step('the dead one is gone, with its mounts, its processes and its directories', async () => {
    expect(left('carefulDead')).toEqual([]);
    expect(mounted('carefulDead')).toBe(false);
    expect((await host().runcState()).has('carefulDead')).toBe(false);
  });

  step('a second run changes nothing', async () => {
    const { carefulDead: _, ...rest } = expected;
    expect(verdicts((await run('recover')).report)).toEqual(rest);
  });

  step('the orphan is cleaned up where that is asked for', async () => {
    expect(verdicts((await run('recover', '--orphans', 'reap')).report)).toMatchObject({
      carefulOrphan: 'cleanUp orphan-reaped',
    });
    await until('the process to end', () => (isAlive(of('carefulOrphan').taskPid) ? undefined : true));
    expect(left('carefulOrphan')).toEqual([]);
    expect(mounted('carefulOrphan')).toBe(false);
  });

  step('containerd, started again, takes back what lives, and the exit can still be collected', async () => {
    process.kill(of('carefulSilent').shimPid, 'SIGCONT');
    fs.writeFileSync(path.join(of('carefulElsewhere').bundle, 'shim-binary-path'), program);
    await host().start();
    const tasks = await host().ctr('tasks', 'list');
    for (const id of ['carefulLiving', 'carefulElsewhere', 'carefulSilent'])
      expect(tasks).toMatch(new RegExp(`^${id} +${of(id).taskPid} +RUNNING`, 'm'));
    expect(tasks).toMatch(/^carefulEnded +\d+ +STOPPED/m);
    expect(tasks).not.toMatch(/^(?:carefulDead|carefulOrphan) /m);
    await host().killDaemon();
  });

  step('recover --watch holds what runs on when its shim is killed, and cleans up after what is dead', () =>
    watching(host(), ['--policy', 'careful', '--load-timeout', '1s'], async ({ lines, said, end }) => {
      await until('it to watch', () => (said().includes('watching') ? true : undefined));
      expect(lines[0]).toMatchObject({ schema: 'shim-recovery/report@1', summary: { adopt: 4, hold: 0 } });

      process.kill(of('carefulLiving').shimPid, 'SIGKILL');
      await until('it to be said', () => (/\/carefulLiving: [^\n]*\n/.test(said()) ? true : undefined));
      expect(said()).toMatch(
        new RegExp(
          `/carefulLiving: the shim's connection ended; held, and watched no more: the shim is dead, but its container still runs: process(es)? [^;]*${of('carefulLiving').taskPid}.*--orphans reap`,
        ),
      );
      expect(isAlive(of('carefulLiving').taskPid)).toBe(true);
      expect(mounted('carefulLiving')).toBe(true);
      expect(left('carefulLiving')).toHaveLength(2);
      expect(lines).toHaveLength(1);

      await kill(of('carefulElsewhere').taskPid);
      process.kill(of('carefulElsewhere').shimPid, 'SIGKILL');
      await until('two events', () => (lines.length > 2 ? true : undefined));
      expect(lines.slice(1)).toMatchObject([
        { topic: '/tasks/exit', containerId: 'carefulElsewhere', pid: of('carefulElsewhere').taskPid, exitStatus: 137 },
        {
          topic: '/tasks/delete',
          containerId: 'carefulElsewhere',
          pid: of('carefulElsewhere').taskPid,
          exitStatus: 137,
        },
      ]);
      expect(said()).toContain("/carefulElsewhere: the shim's connection ended; cleaning up");
      expect(left('carefulElsewhere')).toEqual([]);
      expect(mounted('carefulElsewhere')).toBe(false);

      expect(await end()).toBe(0);
      expect(isAlive(of('carefulLiving').taskPid) && isAlive(of('carefulSilent').shimPid)).toBe(true);
    }),
  );
});

/**
 * A plan is saved, then a shim dies: carrying the plan out holds what it kept, and does the rest; a run without it, and the
 * daemon itself, go on from there.
 */
import * as path from 'node:path';
import { Report } from '@shim-recovery/core/documents';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect } from 'vitest';
import { run, shimRecovery, verdicts } from './command.js';
import { isAlive, kill, until } from './containerd.js';
import { killBoth, killedHost, step } from './killedHost.js';

const as17 = ['--policy', 'containerd-1.7'];

const planned = {
  savedKept: 'adopt task-running',
  savedLost: 'cleanUp dial-failed',
  savedDying: 'adopt task-running',
  savedFinished: 'reap no-processes',
};

describe('a plan of a host whose containerd was killed', () => {
  const { host, of, left, mounted } = killedHost(Object.keys(planned), async (container) => {
    await kill(container('savedFinished').taskPid);
    await killBoth(container('savedLost'));
  });
  const plan = (): string => path.join(host().base, 'plan');
  const reportOf = (stdout: string): Report => {
    const report = Report.decode(JSON.parse(stdout));
    return E.isRight(report) ? report.right : expect.fail(stdout);
  };

  step('is saved', async () => {
    const { code, stdout, stderr } = await shimRecovery(host(), 'plan', ...as17, '--json', '--out', plan());
    expect(stderr).toBe('');
    expect(verdicts(reportOf(stdout))).toEqual(planned);
    expect(code).toBe(0);
  });

  step('is carried out but for the shim that died meanwhile', async () => {
    await kill(of('savedDying').shimPid);
    const { code, stdout } = await run('recover', '--json', '--plan', plan());
    const report = reportOf(stdout);
    expect(verdicts(report)).toEqual({ ...planned, savedDying: 'hold plan-stale' });
    expect(report.summary).toMatchObject({ adopt: 1, reap: 1, cleanUp: 1, hold: 1, failedSteps: 0 });
    expect(code).toBe(3);
    const [dying] = report.namespaces.flatMap(({ bundles }) => bundles).filter(({ id }) => id === 'savedDying');
    expect(dying?.explanation).toMatch(/^not as planned: planned was adopt, .*; now it would be clean up, as the shim/);
  });

  step('leaves what it held as it was, container and all', async () => {
    expect(isAlive(of('savedDying').taskPid)).toBe(true);
    expect(mounted('savedDying')).toBe(true);
    expect(left('savedDying')).toHaveLength(2);
    expect((await host().runcState()).get('savedDying')).toBe('running');
  });

  step('leaves what it took back alive, and of the rest nothing', async () => {
    expect(isAlive(of('savedKept').taskPid) && isAlive(of('savedKept').shimPid) && mounted('savedKept')).toBe(true);
    await until('the shim to end', () => (isAlive(of('savedFinished').shimPid) ? undefined : true));
    for (const id of ['savedFinished', 'savedLost']) {
      expect(left(id), id).toEqual([]);
      expect(mounted(id), id).toBe(false);
      expect((await host().runcState()).has(id), id).toBe(false);
    }
  });

  step('can be carried out again, and comes to the same', async () => {
    const { code, stdout } = await run('recover', '--json', '--plan', plan());
    expect(verdicts(reportOf(stdout))).toEqual({
      savedKept: planned.savedKept,
      savedLost: 'ignore gone',
      savedDying: 'hold plan-stale',
      savedFinished: 'ignore gone',
    });
    expect(code).toBe(3);
  });

  step('is followed by a run without it, which cleans up what was held', async () => {
    const { code, stdout } = await shimRecovery(host(), 'recover', ...as17, '--allow-killing', '--json');
    expect(verdicts(reportOf(stdout))).toEqual({ savedKept: planned.savedKept, savedDying: 'cleanUp dial-failed' });
    expect(code).toBe(4);
    await until('the process to end', () => (isAlive(of('savedDying').taskPid) ? undefined : true));
    expect(left('savedDying')).toEqual([]);
    expect(mounted('savedDying')).toBe(false);
  });

  step('is not carried out while a daemon serves, which has the live one and no other', async () => {
    await host().start();
    const { code, stderr } = await run('recover', '--plan', plan());
    expect(stderr).toMatch(/a daemon serves/);
    expect(code).toBe(1);
    expect(await host().ctr('tasks', 'list')).toMatch(
      new RegExp(`^TASK .*\\nsavedKept +${of('savedKept').taskPid} +RUNNING *\\n$`),
    );
    await host().killDaemon();
  });
});

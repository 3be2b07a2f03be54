/**
 * The whole way, with Debian's containerd and runc: containers run, the daemon is killed, six things happen to them,
 * and the command takes back what is left.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { Report } from '@shim-recovery/core/documents';
import { describe, expect } from 'vitest';
import { shimRecovery, verdicts } from './command.js';
import { isAlive, kill, mountsBelow, until } from './containerd.js';
import { killBoth, killedHost, step, watching } from './killedHost.js';

/** Everything below a directory, one line an entry: kind, mode, size, times, link text. Looking does not change it. */
const tree = (directory: string): ReadonlyArray<string> =>
  fs.readdirSync(directory, { withFileTypes: true, recursive: true }).map((entry) => {
    const file = path.join(entry.parentPath, entry.name);
    const { mode, size, mtimeMs, ino } = fs.lstatSync(file);
    return [file, mode, size, mtimeMs, ino, entry.isSymbolicLink() ? fs.readlinkSync(file) : ''].join(' ');
  });

const as17 = ['--policy', 'containerd-1.7'];

const expected = {
  recoveredAlive: 'adopt task-running',
  recoveredBothKilled: 'cleanUp dial-failed',
  recoveredExited: 'reap no-processes',
  recoveredMoved: 'discard shim-binary-not-found',
  recoveredShimKilled: 'cleanUp dial-failed',
  recoveredStopped: 'cleanUp connect-failed',
};

describe('recovery of a host whose containerd was killed', () => {
  const { host, of, left, mounted } = killedHost(Object.keys(expected), async (container) => {
    await kill(container('recoveredExited').taskPid);
    await kill(container('recoveredShimKilled').shimPid);
    await killBoth(container('recoveredBothKilled'));
    fs.writeFileSync(
      path.join(container('recoveredMoved').bundle, 'shim-binary-path'),
      '/nowhere/containerd-shim-runc-v2',
    );
    process.kill(container('recoveredStopped').shimPid, 'SIGSTOP');
  });

  step('plan says what is to come, and changes nothing', async () => {
    const look = (): unknown => [
      tree(path.join(host().base, 'state')),
      tree(path.join(host().base, 'root')),
      mountsBelow(host().base),
    ];
    const before = look();
    const { code, stdout, stderr } = await shimRecovery(
      host(),
      'plan',
      ...as17,
      '--json',
      '--detailed-exitcode',
      '--load-timeout',
      '1s',
    );
    expect(stderr).toBe('');
    const report = JSON.parse(stdout) as Report;
    expect(verdicts(report)).toEqual(expected);
    // Three of them live, by what the world shows: their processes run.
    const alive = report.namespaces.flatMap(({ bundles }) => bundles.filter((bundle) => bundle.alive !== undefined));
    expect(alive.map(({ id }) => id)).toEqual(['recoveredMoved', 'recoveredShimKilled', 'recoveredStopped']);
    for (const { id, alive: life } of alive) expect(life?.pids, id).toContain(of(id).taskPid);
    expect(report.summary.aliveDestroyed).toBe(3);
    expect(code).toBe(4);
    expect(look()).toEqual(before);
    expect(
      [...(await host().runcState())]
        .filter(([, status]) => status === 'running')
        .map(([id]) => id)
        .sort(),
    ).toEqual(['recoveredAlive', 'recoveredMoved', 'recoveredShimKilled', 'recoveredStopped']);
  });

  step('recover does it where killing is allowed', async () => {
    const allowed = [...as17, '--allow-killing', '--json', '--load-timeout', '1s'];
    const { code, stdout, stderr } = await shimRecovery(host(), 'recover', ...allowed);
    // The shim's binary talks about its own start, and about a container that runc does not know any more.
    expect(stderr.split('\n').filter((line) => !/^(shim-recovery: \S+ delete: time=.*)?$/.test(line))).toEqual([]);
    const report = JSON.parse(stdout) as Report;
    expect(verdicts(report)).toEqual(expected);
    expect(report.summary).toMatchObject({ adopt: 1, reap: 1, cleanUp: 3, discard: 1, failedSteps: 0 });
    expect(report.summary.outcomes).toMatchObject({ adopted: 1, removed: 5 });
    expect(code).toBe(4);
  });

  step('the live one is untouched', async () => {
    expect(isAlive(of('recoveredAlive').taskPid) && isAlive(of('recoveredAlive').shimPid)).toBe(true);
    expect(mounted('recoveredAlive')).toBe(true);
    expect(left('recoveredAlive')).toHaveLength(2);
    expect((await host().runcState()).get('recoveredAlive')).toBe('running');
  });

  step('the one that had exited is reaped, and its shim told to end', async () => {
    await until('the shim to end', () => (isAlive(of('recoveredExited').shimPid) ? undefined : true));
    expect(left('recoveredExited')).toEqual([]);
    expect((await host().runcState()).has('recoveredExited')).toBe(false);
  });

  for (const id of ['recoveredShimKilled', 'recoveredBothKilled', 'recoveredStopped'])
    step(`${id} is cleaned up, its process ended`, async () => {
      await until('the process to end', () => (isAlive(of(id).taskPid) ? undefined : true));
      expect(left(id)).toEqual([]);
      expect((await host().runcState()).has(id)).toBe(false);
    });

  step('the one whose shim binary is gone loses its bundle, and runs on without anyone (H8)', async () => {
    expect(left('recoveredMoved')).toEqual([]);
    expect(isAlive(of('recoveredMoved').taskPid) && isAlive(of('recoveredMoved').shimPid)).toBe(true);
  });

  step('no mount is left but the live one', async () => {
    expect(mountsBelow(path.join(host().base, 'state'))).toEqual([path.join(of('recoveredAlive').bundle, 'rootfs')]);
  });

  step('a daemon that serves is noticed', async () => {
    await host().start();
    const { code, stderr } = await shimRecovery(host(), 'recover');
    expect(code).toBe(1);
    expect(stderr).toMatch(/daemon/);
  });

  step('containerd, started again, has the live one and no other', async () => {
    expect(await host().ctr('tasks', 'list')).toMatch(
      new RegExp(`^TASK .*\\nrecoveredAlive +${of('recoveredAlive').taskPid} +RUNNING *\\n$`),
    );
    await host().killDaemon();
  });

  step('recover --watch cleans up after a shim that is killed, and prints its events', () =>
    watching(host(), [...as17, '--allow-killing'], async ({ lines, end }) => {
      await until('the report', () => (lines.length > 0 ? true : undefined));
      expect(lines[0]).toMatchObject({ schema: 'shim-recovery/report@1', summary: { adopt: 1 } });
      process.kill(of('recoveredAlive').shimPid, 'SIGKILL');
      await until('two events', () => (lines.length > 2 ? true : undefined));
      expect(lines.slice(1)).toMatchObject([
        { topic: '/tasks/exit', containerId: 'recoveredAlive', pid: of('recoveredAlive').taskPid, exitStatus: 137 },
        { topic: '/tasks/delete', containerId: 'recoveredAlive', pid: of('recoveredAlive').taskPid, exitStatus: 137 },
      ]);
      await until('the process to end', () => (isAlive(of('recoveredAlive').taskPid) ? undefined : true));
      expect(left('recoveredAlive')).toEqual([]);
      expect(await end()).toBe(0);
    }),
  );
});

/**
 * Containers of gVisor: runsc is the OCI program under runc's shim. No process of the container is one of this machine; those
 * of runsc are, and it keeps its records in files of its own.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Report } from '@shim-recovery/core/documents';
import * as E from 'fp-ts/lib/Either.js';
import { expect, it } from 'vitest';
import { shimRecovery, verdicts } from './command.js';
import {
  type Container,
  type Host,
  ifTrue,
  isAlive,
  kill,
  makeHost,
  missing,
  mountsBelow,
  until,
} from './containerd.js';
import { pidsIn, removeCgroup } from './processes.js';

const patienceMs = 60_000;

/** Why runsc cannot run here; undefined where it can. */
const withoutRunsc = (): string | undefined => {
  try {
    execFileSync('runsc', ['--version'], { stdio: 'ignore' });
  } catch {
    return 'needs runsc (Debian: runsc)';
  }
  try {
    execFileSync('runsc', ['--network=none', '--ignore-cgroups', 'do', '/bin/true'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'runsc cannot run a program here';
  }
};

const reportOf = async (host: Host, command: string, ...args: ReadonlyArray<string>): Promise<Report> => {
  const careful = ['--policy', 'careful', '--json', '--load-timeout', '1s'];
  const { stdout, stderr } = await shimRecovery(host, command, ...careful, ...args);
  const report = Report.decode(JSON.parse(stdout));
  return E.isRight(report) ? report.right : expect.fail(stdout + stderr);
};

it(
  'careful takes back, holds and cleans up containers of runsc as those of runc',
  async (context) => {
    const because = missing() ?? withoutRunsc();
    if (because !== undefined) {
      if (process.env['SHIM_RECOVERY_REQUIRE_E2E'] === '1') throw new Error(because);
      return context.skip(because);
    }
    const host = await makeHost();
    context.onTestFinished(async () => {
      await host.killDaemon();
      for (const pid of pidsIn(host.namespace)) await kill(pid);
      await host.cleanUp();
      await removeCgroup(host.namespace);
    }, patienceMs);
    await host.start();
    // Without a network, as the kernel of this machine may give it none.
    const program = path.join(host.base, 'runsc');
    fs.writeFileSync(program, '#!/bin/sh\nexec runsc --network=none "$@"\n', { mode: 0o755 });
    const containers = new Map<string, Container>();
    for (const id of ['runscAlive', 'runscBothKilled', 'runscInitPidLost', 'runscShimKilled'])
      containers.set(id, await host.runContainer(id, '--runc-binary', program));
    const of = (id: string): Container => containers.get(id) ?? expect.fail(id);
    await host.killDaemon();
    for (const id of ['runscBothKilled', 'runscInitPidLost', 'runscShimKilled']) await kill(of(id).shimPid);
    await kill(of('runscBothKilled').taskPid);
    await until('the gofer to end', () => ifTrue(pidsIn(`${host.namespace}/runscBothKilled`).length === 0));
    fs.unlinkSync(path.join(of('runscInitPidLost').bundle, 'init.pid'));

    const report = await reportOf(host, 'recover');
    expect(verdicts(report)).toEqual({
      runscAlive: 'adopt task-running',
      runscBothKilled: 'cleanUp dial-failed',
      runscInitPidLost: 'hold orphan-workload',
      runscShimKilled: 'hold orphan-workload',
    });
    const bundles = report.namespaces.flatMap((namespace) => namespace.bundles);
    const explained = (id: string): string => bundles.find((bundle) => bundle.id === id)?.explanation ?? '';
    expect(explained('runscShimKilled')).toMatch(
      /^the shim is dead, but its container still runs: .*init\.pid.*control group/,
    );
    expect(explained('runscInitPidLost')).toMatch(/^the shim is dead, but its container still runs: .*control group/);
    for (const id of ['runscAlive', 'runscInitPidLost', 'runscShimKilled']) {
      expect(isAlive(of(id).taskPid), id).toBe(true);
      expect(mountsBelow(of(id).bundle), id).toEqual([path.join(of(id).bundle, 'rootfs')]);
    }
    expect(isAlive(of('runscAlive').shimPid)).toBe(true);
    expect(fs.existsSync(of('runscBothKilled').bundle)).toBe(false);

    const reaped = await reportOf(host, 'recover', '--orphans', `reap=${host.namespace}/runscShimKilled`);
    expect(verdicts(reaped)).toMatchObject({
      runscInitPidLost: 'hold orphan-workload',
      runscShimKilled: 'cleanUp orphan-reaped',
    });
    await until('its sandbox to end', () => ifTrue(!isAlive(of('runscShimKilled').taskPid)));
    expect(isAlive(of('runscInitPidLost').taskPid)).toBe(true);
  },
  patienceMs,
);

/** What a report says became of a bundle: what was planned, and what a shim did meanwhile, is not the same. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { reportOf, run, running } from '../cli/host.js';
import { type Bundle, inWorld, withoutTask, type World } from './world.js';

/** Leaves no room in a file system: neither for a name nor for a byte. */
const fill = (directory: string): void => {
  try {
    for (let nth = 0; ; nth++) fs.writeFileSync(path.join(directory, `filling-${nth}`), '');
  } catch {
    expect(() => fs.writeFileSync(path.join(directory, 'filling-0'), Buffer.alloc(1024 * 1024))).toThrow(/ENOSPC/);
  }
};

/** A live bundle on a file system that is full, and that the daemon's directory is the mount point of. */
const addOnFull = async (world: World) => {
  world.mount('tmpfs', world.daemon.state, 'size=128k,nr_inodes=64');
  const bundle = world.addBundle('live');
  const shim = await world.startShimOf(bundle);
  fill(world.daemon.state);
  return { bundle, shim };
};

const cannotWrite = ({ path: bundle }: Bundle): string =>
  `bootstrap.json cannot be written: cannot write in ${bundle}: ENOSPC`;

describe.concurrent('a bundle in which bootstrap.json cannot be written, under containerd-2.1', () => {
  test(
    'is said to lose its living shim where nothing keeps that from happening',
    inWorld(async (world) => {
      const { bundle, shim } = await addOnFull(world);
      const planned = await world.plan('containerd-2.1');
      expect(planned.of(bundle)).toMatchObject({
        verdict: 'adopt',
        foreseen: [cannotWrite(bundle)],
        alive: { pids: [900], says: 'its shim answers' },
      });
      expect(planned.code).toBe(4);
      expect(planned.report.summary.aliveDestroyed).toBe(1);
      const outcome = await world.recover('containerd-2.1', '--allow-killing');
      expect(outcome.of(bundle)).toMatchObject({ verdict: 'adopt', outcome: 'removed', registered: false });
      expect([outcome.code, bundle.exists()]).toEqual([4, false]);
      expect(shim.isRunning()).toBe(true);
    }),
  );

  test(
    'is held by a run that may not kill, and not counted as adopted',
    inWorld(async (world) => {
      const { bundle, shim } = await addOnFull(world);
      const witness = world.witness(shim);
      const outcome = await world.recover('containerd-2.1');
      expect(outcome.of(bundle)).toMatchObject({ verdict: 'adopt', outcome: 'held', registered: false });
      expect(outcome.report.summary.outcomes).toMatchObject({ adopted: 0, held: 1, removed: 0 });
      expect(outcome.code).toBe(3);
      expect(world.programCalls()).toEqual([]);
      witness.expectNothingChanged();
    }),
  );

  for (const saving of [[], ['--allow-killing']])
    test(
      `is held by a saved plan that says adopt${saving.length === 0 ? '' : ', even one that allows killing'}`,
      inWorld(async (world) => {
        world.mount('tmpfs', world.daemon.state, 'size=128k,nr_inodes=64');
        const bundle = world.addBundle('live');
        const shim = await world.startShimOf(bundle);
        const file = path.join(world.base, 'saved');
        const saved = await world.plan('containerd-2.1', '--out', file, ...saving);
        expect(saved.of(bundle)).toMatchObject({ verdict: 'adopt' });
        fill(world.daemon.state);
        const witness = world.witness(shim);
        const carriedOut = await run(['recover', '--plan', file, '--json']);
        const [report] = reportOf(carriedOut).namespaces.flatMap(({ bundles }) => bundles);
        expect(report).toMatchObject({ verdict: 'adopt', outcome: 'held', registered: false });
        expect(report?.steps.filter(({ outcome }) => outcome === 'failed')).toMatchObject([
          { step: 'write-bootstrap' },
        ]);
        expect(carriedOut.code).toBe(3);
        witness.expectNothingChanged();
      }),
    );
});

describe.concurrent('a shim that hangs up when it is asked for its processes', () => {
  test(
    'is not reported as adopted by careful',
    inWorld(async (world) => {
      const bundle = world.addBundle('hangs-up');
      const shim = await world.startShimOf(bundle, { script: { ...running, pids: 'close' } });
      const witness = world.witness(shim);
      const outcome = await world.recover('careful');
      expect(outcome.of(bundle)).toMatchObject({ verdict: 'adopt', outcome: 'held', registered: false });
      expect(outcome.report.summary.outcomes).toMatchObject({ adopted: 0, held: 1 });
      witness.expectNothingChanged();
      const { stdout } = await world.run('recover', '--policy', 'careful');
      expect(stdout).toMatch(/ adopt .*\n +not adopted: its shim hung up, and the bundle is still there\n/);
      expect(stdout).not.toMatch(/[1-9] adopted/);
    }),
  );

  test(
    'is held by containerd-1.7, as it lives',
    inWorld(async (world) => {
      const bundle = world.addBundle('hangs-up');
      const shim = await world.startShimOf(bundle, { script: { ...running, pids: 'close' } });
      const outcome = await world.recover('containerd-1.7');
      expect(outcome.of(bundle)).toMatchObject({ reason: 'would-kill', outcome: 'held', alive: { pids: [shim.pid] } });
      expect([outcome.code, bundle.exists(), shim.isRunning()]).toEqual([4, true, true]);
    }),
  );
});

describe.concurrent('a pod whose shim has a task for one bundle, and none for another', () => {
  const addPod = async (world: World) => {
    const sandbox = world.addBundle('sandbox');
    const container = world.addBundle('container', { address: `unix://${sandbox.socket}` });
    const { connect, pids } = running;
    const script = {
      ...withoutTask,
      tasks: { container: { connect, pids, state: { ok: { status: 'running' } } } },
    } as const;
    return { sandbox, container, shim: await world.startShimOf(sandbox, { script }) };
  };

  test(
    'is held by containerd-1.7 where it would tell the shim to end, and its plan says so first',
    inWorld(async (world) => {
      const { sandbox, container, shim } = await addPod(world);
      const planned = await world.plan('containerd-1.7');
      expect(planned.verdicts).toEqual({ container: 'adopt task-running', sandbox: 'reap task-not-found' });
      expect(planned.of(sandbox).alive).toMatchObject({ pids: [shim.pid] });
      expect([planned.code, planned.report.summary.aliveDestroyed]).toEqual([4, 1]);
      const outcome = await world.recover('containerd-1.7');
      expect(outcome.outcomes).toEqual({ container: 'adopted', sandbox: 'held' });
      expect(outcome.of(sandbox)).toMatchObject({
        reason: 'would-kill',
        explanation: expect.stringMatching(
          /^containerd-1\.7 would reap it: .*; but it is alive: its shim answers, which is also the shim of container$/,
        ),
      });
      expect((await shim.calls()).filter(({ call }) => /Delete|Shutdown/.test(call))).toEqual([]);
      expect([container.exists(), sandbox.exists(), shim.isRunning()]).toEqual([true, true, true]);
    }),
  );

  test(
    'is not adopted by the run that told its shim to end',
    inWorld(async (world) => {
      const { sandbox, container, shim } = await addPod(world);
      const outcome = await world.recover('containerd-1.7', '--allow-killing');
      expect(outcome.of(sandbox)).toMatchObject({ verdict: 'reap', outcome: 'removed' });
      expect((await shim.calls()).map(({ call }) => call)).toContainEqual(expect.stringMatching(/Shutdown$/));
      expect(outcome.of(container)).toMatchObject({ verdict: 'adopt', registered: false });
      expect(outcome.of(container).outcome).not.toBe('adopted');
      expect(outcome.report.summary.outcomes).toMatchObject({ adopted: 0 });
      expect(outcome.code).toBe(4);
    }),
  );

  test(
    'is left by careful as it is, with its container adopted',
    inWorld(async (world) => {
      const { sandbox, shim } = await addPod(world);
      const outcome = await world.recover('careful');
      expect(outcome.outcomes).toEqual({ container: 'adopted', sandbox: 'held' });
      expect(outcome.of(sandbox)).toMatchObject({
        reason: 'shim-shared',
        explanation: 'the shim has no task for it, but other bundles share the shim, or may: container',
      });
      expect(shim.isRunning()).toBe(true);
    }),
  );
});

describe.concurrent('a task of which its shim lists no process', () => {
  for (const status of ['created', 'paused'] as const)
    test(
      `is called ${status}, adopted by careful, and held by containerd-1.7`,
      inWorld(async (world) => {
        const bundle = world.addBundle('quiet');
        const script = { ...running, pids: { ok: { pids: [] } }, state: { ok: { status } } };
        const shim = await world.startShimOf(bundle, { script });
        const witness = world.witness(shim);
        expect((await world.plan('careful')).of(bundle).explanation).toBe(`the shim answers and its task is ${status}`);
        const planned = await world.plan('containerd-1.7');
        expect(planned.of(bundle)).toMatchObject({ verdict: 'reap', alive: { pids: [shim.pid] } });
        expect(planned.of(bundle).alive?.says).toMatch(new RegExp(`^its shim says that its task is ${status}`));
        expect(planned.code).toBe(4);
        const outcome = await world.recover('containerd-1.7');
        expect(outcome.of(bundle)).toMatchObject({ reason: 'would-kill', outcome: 'held' });
        witness.expectNothingChanged();
        expect((await world.recover('careful')).outcomes).toEqual({ quiet: 'adopted' });
      }),
    );
});

/** Bundles that share a shim: what lives for one of them lives for all, in both trees of a daemon. */
import * as fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { ScriptedProcess } from './processes.js';
import { type Bundle, inWorld, withoutTask, type World } from './world.js';

const soon = ['--load-timeout', '100ms'];

interface Pod {
  readonly sandbox: Bundle;
  readonly container: Bundle;
  readonly shim: ScriptedProcess;
}

/** A sandbox, a container with the same socket, and their shim, whose command line names the sandbox only. */
const addPod = async (world: World): Promise<Pod> => {
  const sandbox = world.addBundle('sandbox');
  const container = world.addBundle('container', { address: `unix://${sandbox.socket}` });
  return { sandbox, container, shim: await world.startShimOf(sandbox) };
};

describe.concurrent('a pod whose shim lives, and whose socket lost its name', () => {
  const expectHeld = (world: World, { sandbox, container, shim }: Pod, outcome: Awaited<ReturnType<World['plan']>>) => {
    expect(outcome.verdicts).toEqual({ container: 'hold shim-unreachable', sandbox: 'hold shim-unreachable' });
    for (const bundle of [sandbox, container]) {
      const { explanation, advice } = outcome.of(bundle);
      expect(explanation).toContain(`, but the shim lives: process ${shim.pid} listens at ${sandbox.socket}`);
      expect(`${explanation} ${advice}`).not.toMatch(/shim is dead|--orphans/);
    }
    expect(world.programCalls()).toEqual([]);
  };

  for (const orphans of [[], ['--orphans', 'reap']])
    test(
      `is held as a whole with ${orphans.join(' ') || 'nothing'} asked for`,
      inWorld(async (world) => {
        const pod = await addPod(world);
        const workload = await world.startContainer();
        pod.container.write('init.pid', String(workload.pid));
        fs.unlinkSync(pod.sandbox.socket);
        const witness = world.witness(pod.shim, workload);
        expectHeld(world, pod, await world.recover('careful', ...orphans, ...soon));
        witness.expectNothingChanged();
      }),
    );

  test(
    'is held when a container of it is named for reaping, and told that its shim lives',
    inWorld(async (world) => {
      const pod = await addPod(world);
      const workload = await world.startContainer();
      pod.container.write('init.pid', String(workload.pid));
      fs.unlinkSync(pod.sandbox.socket);
      const witness = world.witness(pod.shim, workload);
      expectHeld(world, pod, await world.recover('careful', '--orphans', `reap=${pod.container.name}`, ...soon));
      witness.expectNothingChanged();
    }),
  );

  test(
    'is held where no shim listens any more, and the shim names only the sandbox',
    inWorld(async (world) => {
      const sandbox = world.addBundle('sandbox');
      const container = world.addBundle('container', { address: `unix://${sandbox.socket}` });
      const shim = await world.startShimOf(sandbox, { socket: `${sandbox.socket}-elsewhere` });
      const outcome = await world.recover('careful', ...soon);
      expect(outcome.of(container)).toMatchObject({
        reason: 'shim-unreachable',
        explanation: expect.stringContaining(
          `, but the shim lives: the shim of its pod, that of sandbox, is there (process ${shim.pid})`,
        ),
      });
      expect(outcome.of(sandbox)).toMatchObject({ reason: 'shim-unreachable', pids: [shim.pid] });
      expect([sandbox.exists(), container.exists()]).toEqual([true, true]);
    }),
  );
});

describe.concurrent('a container that names its sandbox, and has no address yet', () => {
  const signs: ReadonlyArray<readonly [string, Parameters<World['addBundle']>[1]]> = [
    ['its file `sandbox`', { files: { sandbox: 'sandbox' } }],
    ['its annotations', { config: { annotations: { 'io.kubernetes.cri.sandbox-id': 'sandbox' } } }],
    ['the group of its shim', { config: { annotations: { 'io.containerd.runc.v2.group': 'sandbox' } } }],
  ];
  for (const [by, options] of signs)
    test(
      `is held by ${by} while the shim of that answers`,
      inWorld(async (world) => {
        const sandbox = world.addBundle('sandbox');
        const container = world.addBundle('container', { address: null, ...options });
        const shim = await world.startShimOf(sandbox);
        const outcome = await world.recover('careful');
        expect(outcome.verdicts).toEqual({ container: 'hold shim-unreachable', sandbox: 'adopt task-running' });
        expect(outcome.of(container).explanation).toBe(
          `address is missing, but the shim lives: the shim of its pod, that of sandbox, is there (process ${shim.pid})`,
        );
        expect([container.exists(), shim.isRunning()]).toEqual([true, true]);
      }),
    );
});

describe.concurrent("a half-made container of a pod whose sandbox is in the sandbox controller's tree", () => {
  const tree = 'io.containerd.sandbox.controller.v1.shim';

  /** The shim knows the sandbox, and says of the container that it has no such task. */
  const addHalfMade = async (world: World, by: 'socket' | 'sandbox file') => {
    const sandbox = world.addBundle('sandbox', { tree: 'sandbox' });
    const options = by === 'socket' ? {} : { files: { sandbox: 'sandbox' } };
    const container = world.addBundle('container', { address: `unix://${sandbox.socket}`, ...options });
    // By its file alone, where the shim has another name for the same socket.
    const other = `${sandbox.socket}-by-another-name`;
    if (by === 'sandbox file') container.write('address', `unix://${other}`);
    const shim = await world.startShimOf(sandbox, { script: withoutTask });
    if (by === 'sandbox file') fs.linkSync(sandbox.socket, other);
    return { sandbox, container, shim };
  };

  for (const by of ['socket', 'sandbox file'] as const) {
    test(
      `is held by its ${by}, and the shim is not told to end`,
      inWorld(async (world) => {
        const { container, shim } = await addHalfMade(world, by);
        const witness = world.witness(shim);
        const outcome = await world.recover('careful');
        expect(outcome.of(container)).toMatchObject({
          verdict: 'hold',
          reason: 'shim-shared',
          explanation: `the shim has no task for it, but other bundles share the shim, or may: ${tree}/${world.namespace}/sandbox`,
        });
        expect((await shim.calls()).map(({ call }) => call).filter((call) => /Delete|Shutdown/.test(call))).toEqual([]);
        witness.expectNothingChanged();
      }),
    );

    test(
      `is held by its ${by} under containerd-2.1, as that would end the pod`,
      inWorld(async (world) => {
        const { container, shim } = await addHalfMade(world, by);
        const witness = world.witness(shim);
        const planned = await world.plan('containerd-2.1');
        expect(planned.of(container)).toMatchObject({ verdict: 'reap', alive: { pids: [shim.pid] } });
        expect(planned.code).toBe(4);
        const outcome = await world.recover('containerd-2.1');
        expect(outcome.of(container)).toMatchObject({ verdict: 'hold', reason: 'would-kill', outcome: 'held' });
        expect(outcome.code).toBe(4);
        expect((await shim.calls()).map(({ call }) => call).filter((call) => /Delete|Shutdown/.test(call))).toEqual([]);
        witness.expectAllRunning();
        expect(container.exists()).toBe(true);
      }),
    );
  }

  test(
    'is reaped with its pod under containerd-2.1 where killing is allowed',
    inWorld(async (world) => {
      const { container, shim } = await addHalfMade(world, 'socket');
      const outcome = await world.recover('containerd-2.1', '--allow-killing');
      expect(outcome.of(container)).toMatchObject({ verdict: 'reap', outcome: 'removed', alive: { pids: [shim.pid] } });
      expect(outcome.code).toBe(4);
      expect(outcome.report.summary.aliveDestroyed).toBe(1);
    }),
  );
});

describe.concurrent('a shim that shares nothing and has no task', () => {
  test(
    'is told to end, and its bundle goes',
    inWorld(async (world) => {
      const bundle = world.addBundle('leaked');
      const shim = await world.startShimOf(bundle, { script: withoutTask });
      const outcome = await world.recover('careful');
      expect(outcome.of(bundle)).toMatchObject({ verdict: 'reap', outcome: 'removed' });
      expect((await shim.calls()).map(({ call }) => call).at(-1)).toMatch(/Shutdown$/);
      expect(bundle.exists()).toBe(false);
    }),
  );

  test(
    'holds the bundle while a process of the task runs',
    inWorld(async (world) => {
      const bundle = world.addBundle('disputed');
      const workload = await world.startContainer();
      bundle.write('init.pid', String(workload.pid));
      const shim = await world.startShimOf(bundle, {
        script: { ...withoutTask, connect: { ok: { task: workload.pid } } },
      });
      const witness = world.witness(shim, workload);
      const outcome = await world.recover('careful');
      expect(outcome.of(bundle)).toMatchObject({
        reason: 'task-disputed',
        explanation: `the shim answers that it has no such task, but its container lives: process ${workload.pid} (init.pid)`,
      });
      witness.expectNothingChanged();
    }),
  );
});

/**
 * Recovery of pods. A sandbox and its containers have a bundle each, but one shim serves them all, and that shim's command
 * line names the sandbox only.
 */
import * as fs from 'node:fs';
import { type BundleReport, Report } from '@shim-recovery/core/documents';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { shimRecovery } from './command.js';
import { isAlive, kill, until } from './containerd.js';
import { isIntact, type Pod, type PodContainer, type PodHost, withPods } from './pods.js';
import { isRunning } from './processes.js';

const request = { name: 'shop', containers: [{ name: 'web' }, { name: 'cache' }] };

/** Runs a pod and kills the daemon. */
const runOrphanedPod = async (host: PodHost): Promise<Pod> => {
  const pod = await host.runPod(request);
  await host.killDaemon();
  return pod;
};

/** Runs a pod, kills the daemon, and removes the file of the shim's socket: the shim lives, but cannot be reached. */
const runUnreachablePod = async (host: PodHost): Promise<Pod> => {
  const pod = await runOrphanedPod(host);
  fs.unlinkSync(pod.shimSocket);
  return pod;
};

/** Runs a pod, and kills the daemon and the shim: the containers run on. */
const runShimlessPod = async (host: PodHost): Promise<Pod> => {
  const pod = await runOrphanedPod(host);
  await kill(pod.shim.pid);
  return pod;
};

interface Outcome {
  readonly code: number | null;
  /** The report on the bundle of the container with this name. */
  readonly of: (name: string) => BundleReport;
  /** By the container's name: `adopt task-running`, for example. */
  readonly verdicts: Readonly<Record<string, string>>;
}

const report = async (host: PodHost, { all }: Pod, ...args: ReadonlyArray<string>): Promise<Outcome> => {
  const { code, stdout, stderr } = await shimRecovery(host, ...args, '--json');
  const decoded = Report.decode(JSON.parse(stdout));
  if (E.isLeft(decoded)) return expect.fail(`no report: ${stdout} ${stderr}`);
  const bundles = decoded.right.namespaces.flatMap((namespace) => namespace.bundles);
  expect(bundles).toHaveLength(all.length);
  const of = (name: string): BundleReport => {
    const { id } = all.find((container) => container.name === name) ?? expect.fail(`no container ${name}`);
    return bundles.find((bundle) => bundle.id === id) ?? expect.fail(`no report of ${name}`);
  };
  const verdicts = all.map(({ name }) => [name, `${of(name).verdict} ${of(name).reason}`]);
  return { code, of, verdicts: Object.fromEntries(verdicts) };
};

const intact = ({ all }: Pod): ReadonlyArray<string> => all.filter(isIntact).map(({ name }) => name);

const everything = ['pause', 'web', 'cache'];

const container = ({ all }: Pod, name: string): PodContainer =>
  all.find((one) => one.name === name) ?? expect.fail(`no container ${name}`);

describe('careful', () => {
  const careful = ['--policy', 'careful'];

  it(
    'adopts the sandbox and the containers of a pod whose shim answers',
    withPods(async (host) => {
      const pod = await runOrphanedPod(host);
      const { code, verdicts } = await report(host, pod, 'plan', ...careful);
      expect(verdicts).toEqual({ pause: 'adopt task-running', web: 'adopt task-running', cache: 'adopt task-running' });
      expect(code).toBe(0);
    }),
  );

  const expectHeldAsAlive = ({ of }: Outcome): void => {
    for (const name of everything) {
      expect(of(name).verdict, name).toBe('hold');
      expect(of(name).explanation, name).not.toMatch(/shim is dead/);
      expect(of(name).advice ?? '', name).not.toMatch(/--orphans/);
    }
  };

  it(
    'holds every bundle of a pod whose shim lives but cannot be reached, and does not call the shim dead',
    withPods(async (host) => {
      const pod = await runUnreachablePod(host);
      expectHeldAsAlive(await report(host, pod, 'plan', ...careful));
    }),
  );

  it(
    'ends no container of a pod whose shim lives but cannot be reached when orphans are to be reaped',
    withPods(async (host) => {
      const pod = await runUnreachablePod(host);
      const outcome = await report(host, pod, 'recover', '--orphans', 'reap', ...careful);
      expect(intact(pod)).toEqual(everything);
      expect(isRunning(pod.shim)).toBe(true);
      expectHeldAsAlive(outcome);
      expect(outcome.code).toBe(3);
    }),
  );

  it(
    'holds every bundle of a pod whose shim was killed, each as an orphaned workload',
    withPods(async (host) => {
      const pod = await runShimlessPod(host);
      const { code, of, verdicts } = await report(host, pod, 'recover', ...careful);
      const held = 'hold orphan-workload';
      expect(verdicts).toEqual({ pause: held, web: held, cache: held });
      for (const name of everything) expect(of(name).pids, name).toEqual([container(pod, name).process.pid]);
      expect(code).toBe(3);
      expect(intact(pod)).toEqual(everything);
    }),
  );

  describe('with one orphan named', () => {
    it(
      'ends the orphan that was named, and no other of its pod',
      withPods(async (host) => {
        const pod = await runShimlessPod(host);
        const { id, process, bundle } = container(pod, 'web');
        const orphans = ['--orphans', `reap=${host.namespace}/${id}`];
        const { verdicts } = await report(host, pod, 'recover', ...orphans, ...careful);
        const held = 'hold orphan-workload';
        expect(verdicts).toEqual({ pause: held, web: 'cleanUp orphan-reaped', cache: held });
        await until('the process to end', () => (isAlive(process.pid) ? undefined : true));
        expect(fs.existsSync(bundle)).toBe(false);
        expect(intact(pod)).toEqual(['pause', 'cache']);
      }),
    );
  });
});

describe("a daemon's policy", () => {
  it(
    'cleans up every bundle of a pod whose shim lives but cannot be reached',
    withPods(async (host) => {
      const pod = await runUnreachablePod(host);
      for (const policy of ['containerd-1.6', 'containerd-1.7']) {
        const { verdicts, code, of } = await report(host, pod, 'plan', '--policy', policy);
        const lost = 'cleanUp dial-failed';
        expect(verdicts, policy).toEqual({ pause: lost, web: lost, cache: lost });
        for (const { name, process } of pod.all)
          expect(of(name).alive?.pids, `${policy} ${name}`).toEqual(
            expect.arrayContaining([process.pid, pod.shim.pid]),
          );
        expect(code, policy).toBe(4);
      }
      expect(isRunning(pod.shim)).toBe(true);
      expect(intact(pod)).toEqual(everything);
    }),
  );

  it(
    'destroys nothing that lives unless that is allowed, and then says so',
    withPods(async (host) => {
      const pod = await runUnreachablePod(host);
      const held = await report(host, pod, 'recover', '--policy', 'containerd-1.7');
      const kept = 'hold would-kill';
      expect(held.verdicts).toEqual({ pause: kept, web: kept, cache: kept });
      expect(held.code).toBe(4);
      expect(intact(pod)).toEqual(everything);

      const killed = await report(host, pod, 'recover', '--policy', 'containerd-1.7', '--allow-killing');
      const lost = 'cleanUp dial-failed';
      expect(killed.verdicts).toEqual({ pause: lost, web: lost, cache: lost });
      for (const name of everything) expect(killed.of(name).outcome, name).toBe('removed');
      expect(killed.code).toBe(4);
      expect(intact(pod)).toEqual([]);
    }),
  );

  it(
    'leaves a pod to its daemon, started again, which still runs programs in it',
    withPods(async (host) => {
      const pod = await runOrphanedPod(host);
      const { code, verdicts } = await report(host, pod, 'recover', '--policy', 'containerd-1.6');
      const adopted = 'adopt shim-answers';
      expect(verdicts).toEqual({ pause: adopted, web: adopted, cache: adopted });
      expect(code).toBe(0);

      await host.startDaemon();
      expect(await host.sandboxStatus(pod.sandbox.id)).toBe('READY');
      for (const { id, name } of pod.containers) {
        expect(await host.status(id), name).toBe('RUNNING');
        const said = { stdout: 'still here\n', stderr: '', exitCode: 3 };
        expect(await host.exec(id, ['/bin/sh', '-c', 'echo still here; exit 3']), name).toEqual(said);
      }
      expect(intact(pod)).toEqual(everything);

      await host.removePod(pod);
      await until('the shim to end', () => (isRunning(pod.shim) ? undefined : true));
      expect(intact(pod)).toEqual([]);
    }),
  );
});

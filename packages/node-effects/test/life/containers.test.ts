/** Containers that run though their shim is dead: any one sign of a process of theirs holds the bundle. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { argsWithoutMainThread } from '../endedMainThread.js';
import { eventually } from '../temporary.js';
import { makeControlGroups } from './controlGroups.js';
import { type Bundle, inWorld, type Outcome, type World } from './world.js';

const soon = ['--load-timeout', '100ms'];

const expectOrphan = (outcome: Outcome, bundle: Bundle, pid: number, sources: string): void =>
  expect(outcome.of(bundle)).toMatchObject({
    verdict: 'hold',
    reason: 'orphan-workload',
    outcome: 'held',
    explanation: `the shim is dead, but its container still runs: process ${pid} (${sources})`,
    pids: [pid],
    advice: `to end this container and clean up: shim-recovery recover --policy careful --orphans reap=${bundle.name}, with the other options as they were`,
  });

describe.concurrent('the control group of a container', () => {
  const inner = (id: string): ReadonlyArray<string> => [
    `docker/${id}`,
    `docker/4fd6f0e4c6d5/docker/${id}`,
    `system.slice/docker-${id}.scope`,
    `kubepods.slice/kubepods-pod7.slice/cri-containerd-${id}.scope`,
    `kubepods-besteffort-pod7.slice:cri-containerd:${id}`,
    `kubepods/burstable/pod7/${id}`,
    `user.slice/user-1000.slice/user@1000.service/user.slice/nerdctl-${id}.scope`,
    `machine.slice/crio-${id}.scope/container`,
    `lxc.payload/system.slice/${id}.service.d/${id}_init`,
  ];

  test(
    'holds its bundle by the id, in whatever form that is part of the path',
    inWorld(async (world, context) => {
      const groups = makeControlGroups(world, context);
      const laid = inner('').map((_, nth) => {
        const id = randomBytes(32).toString('hex');
        return { bundle: world.addBundle(id), group: inner(id)[nth] ?? '' };
      });
      const dead = world.addBundle(randomBytes(32).toString('hex'));
      const all: Array<{ readonly bundle: Bundle; readonly pid: number }> = [];
      for (const { bundle, group } of laid) {
        const { pid } = await world.startContainer();
        groups.add(group, pid);
        all.push({ bundle, pid });
      }
      const outcome = await world.recover('careful', ...soon);
      for (const { bundle, pid } of all) expectOrphan(outcome, bundle, pid, 'control group');
      expect(outcome.of(dead)).toMatchObject({ reason: 'dial-failed', outcome: 'removed' });
    }),
  );

  const configured: ReadonlyArray<readonly [string, string]> = [
    ['/tenants/blue/ID', 'tenants/blue/ID'],
    ['tenants.slice:job:ID', 'tenants.slice/job-ID.scope'],
    ['tenants.slice:job:ID', 'tenants.slice:job:ID'],
    ['system.slice::ID', 'system.slice/ID.scope'],
    [':ctr:ID', 'outer/ctr-ID.scope/payload'],
  ];

  for (const [cgroupsPath, group] of configured)
    test(
      `holds its bundle as config.json names it: ${cgroupsPath} is ${group}`,
      inWorld(async (world, context) => {
        const groups = makeControlGroups(world, context);
        const unique = (text: string): string => text.replace('ID', `workload${path.basename(world.base)}`);
        const bundle = world.addBundle('by-config', { config: { linux: { cgroupsPath: unique(cgroupsPath) } } });
        const { pid } = await world.startContainer();
        groups.add(unique(group), pid);
        expectOrphan(await world.recover('careful', ...soon), bundle, pid, 'control group');
      }),
    );

  test(
    'does not hold the bundle of another namespace that has the same id',
    inWorld(async (world, context) => {
      const groups = makeControlGroups(world, context);
      const namespaces = ['a', 'b'].map((suffix) => `${world.namespace}-${suffix}`);
      const [dead, live] = namespaces.map((namespace) =>
        world.addBundle('web', { namespace, config: { linux: { cgroupsPath: `/${namespace}/web` } } }),
      );
      if (dead === undefined || live === undefined) return;
      const { pid } = await world.startContainer();
      groups.add(live.name, pid);
      const outcome = await world.recover('careful', ...soon);
      expectOrphan(outcome, live, pid, 'control group');
      expect(outcome.of(dead)).toMatchObject({ reason: 'dial-failed', outcome: 'removed' });
      expect([dead.exists(), live.exists()]).toEqual([false, true]);
    }),
  );

  test(
    'does not hold a bundle whose id is only a part of a word in it',
    inWorld(async (world, context) => {
      const groups = makeControlGroups(world, context);
      const bundle = world.addBundle('part');
      const { pid } = await world.startContainer();
      groups.add('system.slice/partition.service', pid);
      expect((await world.recover('careful', ...soon)).of(bundle).outcome).toBe('removed');
    }),
  );

  test(
    'may hold a bundle whose short id is a word in it',
    inWorld(async (world, context) => {
      const groups = makeControlGroups(world, context);
      const bundle = world.addBundle('whole');
      const { pid } = await world.startContainer();
      groups.add('system.slice/whole.service', pid);
      expect((await world.recover('careful', ...soon)).of(bundle)).toMatchObject({
        reason: 'processes-unknown',
        explanation: expect.stringMatching(new RegExp(`: process(?:es)? .*${pid}.* may be in its control group$`)),
      });
    }),
  );
});

describe.concurrent('the first process of a container', () => {
  test(
    'holds its bundle by init.pid after its main thread has ended',
    inWorld(async (world) => {
      const program = await world.start(process.execPath, argsWithoutMainThread, world.base);
      await eventually('its main thread to end', () =>
        /^State:\tZ/m.test(fs.readFileSync(`/proc/${program.pid}/status`, 'utf8')),
      );
      const bundle = world.addBundle('threads', { files: { 'init.pid': String(program.pid) } });
      const witness = world.witness(program);
      expectOrphan(await world.recover('careful', ...soon), bundle, program.pid, 'init.pid');
      witness.expectNothingChanged();
    }),
  );

  test(
    'does not hold its bundle once it is a zombie without threads',
    inWorld(async (world) => {
      const parent = await world.start('perl', ['-e', '$| = 1; $child = fork or exit; print "$child\\n"; <STDIN>']);
      const zombie = Number(parent.told);
      await eventually('it to end', () => /^State:\tZ/m.test(fs.readFileSync(`/proc/${zombie}/status`, 'utf8')));
      world.addBundle('zombie', { files: { 'init.pid': String(zombie) } });
      expect((await world.recover('careful', ...soon)).outcomes).toEqual({ zombie: 'removed' });
    }),
  );

  test(
    'holds its bundle by the record of its runtime, wherever options.json says that this is',
    inWorld(async (world) => {
      const records = path.join(world.base, 'records');
      const addRecorded = async (id: string, file: string, record: (pid: number, startTicks: number) => unknown) => {
        const bundle = world.addBundle(id, { files: { 'options.json': JSON.stringify({ root: records }) } });
        const workload = await world.startContainer();
        const directory = path.join(records, bundle.name);
        fs.mkdirSync(directory, { recursive: true });
        const { pid, startTicks } = workload.process;
        fs.writeFileSync(path.join(directory, file), JSON.stringify(record(pid, startTicks)));
        return { bundle, pid };
      };
      const all = [
        await addRecorded('of-runc', 'state.json', (pid, start) => ({
          init_process_pid: pid,
          init_process_start: start,
        })),
        await addRecorded('of-crun', 'status', (pid, start) => ({ pid, 'process-start-time': start })),
      ];
      const outcome = await world.recover('careful', ...soon);
      for (const { bundle, pid } of all) expectOrphan(outcome, bundle, pid, "runtime's record");
    }),
  );

  test(
    'holds its bundle by its root file system, which is mounted on rootfs',
    inWorld(async (world) => {
      const bundle = world.addBundle('rooted');
      world.mount('tmpfs', bundle.rootfs);
      const workload = await world.startContainer(bundle.rootfs);
      const witness = world.witness(workload);
      expectOrphan(await world.recover('careful', ...soon), bundle, workload.pid, 'root file system');
      witness.expectNothingChanged();
    }),
  );
});

describe.concurrent('the root of a container', () => {
  test(
    'holds its bundle where config.json names it, outside the bundle',
    inWorld(async (world) => {
      const root = path.join(world.base, 'image');
      const [live, dead] = [root, `${root}-of-none`].map((where, nth) => {
        fs.mkdirSync(where);
        return world.addBundle(`root${nth}`, { config: { root: { path: where } } });
      });
      if (live === undefined || dead === undefined) return;
      const workload = await world.startContainer(root);
      const outcome = await world.recover('careful', ...soon);
      expectOrphan(outcome, live, workload.pid, 'root file system');
      expect(outcome.of(dead).outcome).toBe('removed');
      expect([live.exists(), dead.exists()]).toEqual([true, false]);
    }),
  );

  test(
    'may be any directory below the bundle, also one that was removed',
    inWorld(async (world) => {
      const rooted = world.addBundle('rooted-deeper');
      const removed = world.addBundle('removed-root');
      const working = world.addBundle('working');
      const below = (bundle: Bundle): string => path.join(bundle.rootfs, 'sub');
      for (const bundle of [rooted, removed, working]) fs.mkdirSync(below(bundle), { recursive: true });
      const first = await world.startContainer(below(rooted));
      const second = await world.startContainer(below(removed));
      fs.rmdirSync(below(removed));
      const third = await world.start('perl', ['-e', '$| = 1; print "ready\\n"; <STDIN>'], below(working));
      const witness = world.witness(first, second, third);
      const outcome = await world.recover('careful', ...soon);
      for (const [bundle, { pid }] of [
        [rooted, first],
        [removed, second],
        [working, third],
      ] as const)
        expect(outcome.of(bundle)).toMatchObject({
          outcome: 'held',
          reason: 'processes-unknown',
          explanation: expect.stringContaining(`process ${pid} works or runs below the bundle`),
        });
      witness.expectNothingChanged();
    }),
  );
});

describe.concurrent('a container without its shim', () => {
  const addOrphans = async (world: World) => {
    const [named, other] = [world.addBundle('named'), world.addBundle('other')];
    const [first, second] = [await world.startContainer(), await world.startContainer()];
    named.write('init.pid', String(first.pid));
    other.write('init.pid', String(second.pid));
    return { named, other, witness: world.witness(first, second) };
  };

  /** As runc's shim does where runc has a record of the container. */
  const endsContainers = ({ program }: World): void => {
    const [shebang, ...lines] = fs.readFileSync(program, 'utf8').split('\n');
    fs.writeFileSync(program, [shebang, 'kill -KILL "$(cat init.pid)"', ...lines].join('\n'));
  };

  test(
    'is cleaned up after where it is named, as its hint says, and no other is',
    inWorld(async (world) => {
      const { named, other } = await addOrphans(world);
      endsContainers(world);
      const { advice } = (await world.plan('careful', ...soon)).of(named);
      const [, words = ''] =
        /: shim-recovery recover (.*), with the other options as they were$/.exec(advice ?? '') ?? [];
      expect(words).toBe(`--policy careful --orphans reap=${named.name}`);
      const outcome = await world.recover('careful', ...words.split(' ').slice(2), ...soon);
      expect(outcome.of(named)).toMatchObject({ verdict: 'cleanUp', reason: 'orphan-reaped', outcome: 'removed' });
      expect(outcome.of(other)).toMatchObject({ verdict: 'hold', reason: 'orphan-workload' });
      expect(world.programCalls()).toEqual([expect.stringContaining(' -id named ')]);
      expect([named.exists(), other.exists()]).toEqual([false, true]);
    }),
  );

  test(
    'stays as it is where its program ends nothing, and the report does not call it destroyed',
    inWorld(async (world) => {
      const bundle = world.addBundle('survivor');
      const sleep = await world.start('sh', ['-c', 'echo ready; exec sleep 1000']);
      bundle.write('init.pid', String(sleep.pid));
      world.mount('tmpfs', bundle.rootfs);
      const witness = world.witness(sleep);
      const reap = ['--policy', 'careful', '--orphans', `reap=${bundle.name}`, ...soon];
      const outcome = await world.recover('careful', ...reap.slice(2));
      expect(outcome.of(bundle)).toMatchObject({
        reason: 'orphan-reaped',
        outcome: 'failed',
        steps: [
          {
            step: 'run-binary',
            outcome: 'failed',
            error: `process ${sleep.pid} of the container still lives`,
            living: [sleep.pid],
          },
        ],
      });
      expect([outcome.code, outcome.report.summary.aliveDestroyed]).toEqual([3, 0]);
      const { code, stdout } = await world.run('recover', ...reap);
      expect(code).toBe(3);
      expect(stdout).toMatch(/^recover: 1 bundle not finished, 1 step failed, in /m);
      expect(stdout).not.toMatch(/destroyed|exit status/);
      witness.expectNothingChanged();
    }),
  );

  test(
    'whose program is not known is not said to be reaped by naming it, and a name without a bundle is said',
    inWorld(async (world) => {
      const bundle = world.addBundle('nameless', { program: '', isRecorded: false });
      const { pid } = await world.startContainer();
      bundle.write('init.pid', String(pid));
      const missing = `${bundle.namespace}/missing`;
      const reap = ['--orphans', `reap=${bundle.name}`, '--orphans', `reap=${missing}`, ...soon];
      for (const outcome of [await world.plan('careful', ...reap), await world.recover('careful', ...reap)]) {
        expect(outcome.stderr).toBe(`shim-recovery: there is no bundle ${missing} in ${world.state}\n`);
        expect(outcome.of(bundle)).toMatchObject({
          reason: 'orphan-workload',
          advice: `the program that would end this container is not known, as shim-binary-path does not name one that can be run; end its processes by hand (ps -fp ${pid}), then run shim-recovery recover --policy careful again`,
        });
      }
    }),
  );
});

/** Hosts that are as they may be, but that the other tests do not lay out. Each was tried to know what becomes of it. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { running } from '../cli/host.js';
import { mountDead, needsFuse, takeAway } from '../deadFileSystem.js';
import { makeControlGroups } from './controlGroups.js';
import { startShim } from './processes.js';
import { type Bundle, inWorld, type Outcome, runcWords, runscWords, withoutTask, type World } from './world.js';

const soon = ['--load-timeout', '100ms'];

const unknownBecause = (outcome: Outcome, bundle: Bundle, why: string): void =>
  expect(outcome.of(bundle)).toMatchObject({
    verdict: 'hold',
    reason: 'processes-unknown',
    outcome: 'held',
    explanation: `whether it lives cannot be told: ${why}`,
  });

describe.concurrent('a bundle that was renamed while its container runs', () => {
  /** Its shim knows its task by the former name only. */
  const addRenamed = async (world: World, words?: ReadonlyArray<string>) => {
    const before = world.addBundle('web');
    const { connect, pids } = running;
    const tasks = { web: { connect, pids, state: { ok: { status: 'running' } } } } as const;
    const shim = await world.startShimOf(before, { script: { ...withoutTask, tasks }, ...(words && { words }) });
    const bundle: Bundle = { ...before, id: 'web.bak', name: `${before.name}.bak`, path: `${before.path}.bak` };
    fs.renameSync(before.path, bundle.path);
    return { bundle, shim };
  };

  for (const [kind, words] of [
    ['its former name', undefined],
    ['no name', runscWords],
  ] as const)
    test(
      `is not reaped as a leaked shim's, and keeps its working directory, if the shim's command line has ${kind}`,
      inWorld(async (world) => {
        const { bundle, shim } = await addRenamed(world, words?.(world.namespace));
        const witness = world.witness(shim);
        const careful = await world.recover('careful');
        expect(careful.of(bundle)).toMatchObject({
          verdict: 'hold',
          reason: 'shim-shared',
          explanation: 'the shim has no task for it, but other bundles share the shim, or may: web',
        });
        witness.expectNothingChanged();

        const planned = await world.plan('containerd-1.7');
        expect(planned.of(bundle)).toMatchObject({ verdict: 'reap', alive: { pids: [shim.pid] } });
        expect(planned.code).toBe(4);
        const daemon = await world.recover('containerd-1.7');
        expect(daemon.of(bundle)).toMatchObject({
          reason: 'would-kill',
          explanation: expect.stringMatching(/ but it is alive: its shim answers, which is also the shim of web$/),
        });
        expect((await shim.calls()).filter(({ call }) => /Delete|Shutdown/.test(call))).toEqual([]);
        witness.expectNothingChanged();
      }),
    );
});

describe.concurrent('a container all of whose processes have another root inside its root file system', () => {
  test(
    'holds its bundle where the file system is mounted for it alone',
    inWorld(async (world) => {
      const bundle = world.addBundle('jailed');
      world.mount('tmpfs', bundle.rootfs);
      const workload = await world.startContainer(path.join(bundle.rootfs, 'jail'));
      const witness = world.witness(workload);
      const outcome = await world.recover('careful', ...soon);
      unknownBecause(
        outcome,
        bundle,
        `process ${workload.pid} has its root on the file system that is mounted on its rootfs`,
      );
      witness.expectNothingChanged();
    }),
  );

  test(
    'does not hold other bundles of which a part of the same file system is mounted',
    inWorld(async (world) => {
      const disk = path.join(world.base, 'disk');
      world.mount('tmpfs', disk);
      const mountPart = (bundle: Bundle): void => {
        const part = path.join(disk, bundle.id);
        fs.mkdirSync(part);
        execFileSync('mount', ['--bind', part, bundle.rootfs]);
      };
      const [live, dead] = [world.addBundle('live'), world.addBundle('dead')];
      mountPart(live);
      mountPart(dead);
      const workload = await world.startContainer(live.rootfs);
      const outcome = await world.recover('careful', ...soon);
      expect(outcome.of(live)).toMatchObject({ reason: 'orphan-workload', pids: [workload.pid] });
      expect(outcome.of(dead)).toMatchObject({ reason: 'dial-failed', outcome: 'removed' });
      expect(workload.isRunning()).toBe(true);
    }),
  );
});

describe.concurrent('a shim in namespaces of its own', () => {
  test(
    'of mounts and network, as those of Kata, holds its own bundle only',
    inWorld(async (world) => {
      const program = world.programNamed('containerd-shim-kata-v2');
      const [lost, dead] = [world.addBundle('lost', { program }), world.addBundle('dead', { program })];
      const words = ['/opt/kata/bin/containerd-shim-kata-v2', ...runcWords(lost).slice(1)];
      const shim = await world.startShimOf(lost, { words, wrapper: ['unshare', '--mount', '--net'] });
      fs.unlinkSync(lost.socket);
      const outcome = await world.recover('careful', ...soon);
      expect(outcome.of(lost)).toMatchObject({
        reason: 'shim-unreachable',
        explanation: expect.stringMatching(
          new RegExp(`the shim lives: process ${shim.pid} listens at ${lost.socket}$`),
        ),
      });
      expect(outcome.of(dead)).toMatchObject({ reason: 'dial-failed', outcome: 'removed' });
      expect([lost.exists(), shim.isRunning()]).toEqual([true, true]);
    }),
  );

  for (const [which, options] of [
    ['mount', ['--mount']],
    ['pid', ['--pid', '--fork']],
  ] as const)
    test(
      `of runc's kind shows that its daemon has another ${which} namespace, and holds all that seems dead`,
      inWorld(async (world) => {
        const [lost, dead] = [world.addBundle('lost'), world.addBundle('dead')];
        const shim = await world.startShimOf(lost, { wrapper: ['unshare', ...options] });
        fs.unlinkSync(lost.socket);
        const witness = world.witness(shim);
        const outcome = await world.recover('careful', ...soon);
        expect(outcome.of(lost)).toMatchObject({ reason: 'shim-unreachable', pids: [shim.pid] });
        const other = `shims of this tree (process ${shim.pid}) are in another ${which} namespace than this program`;
        unknownBecause(outcome, dead, other);
        witness.expectNothingChanged();
      }),
    );
});

describe.concurrent('a process that is no shim, in a bundle', () => {
  test(
    'holds it as a shell of a person who looks around, and is named',
    inWorld(async (world) => {
      const bundle = world.addBundle('looked-at');
      const shell = await world.start('sh', ['-c', 'echo ready; read nothing'], bundle.path);
      const witness = world.witness(shell);
      const outcome = await world.recover('careful', ...soon);
      unknownBecause(outcome, bundle, `process ${shell.pid} (sh) may belong to it`);
      expect((await world.plan('containerd-1.7', ...soon)).of(bundle)).not.toHaveProperty('alive');
      witness.expectNothingChanged();
    }),
  );

  test(
    "holds it as a shim's program that a daemon just started",
    inWorld(async (world) => {
      const bundle = world.addBundle('starting', { address: null });
      for (const file of ['config.json', 'shim-binary-path']) fs.unlinkSync(bundle.at(file));
      const words = [...runcWords(bundle), 'start'];
      const starting = await world.startShimOf(bundle, { words, socket: path.join(world.base, 's', 'none') });
      const witness = world.witness(starting);
      const outcome = await world.recover('careful', ...soon);
      unknownBecause(outcome, bundle, `process ${starting.pid} (containerd-shim-runc-v2) may belong to it`);
      witness.expectNothingChanged();
    }),
  );
});

describe.concurrent('a shim that is dead, and looks alive', () => {
  test(
    'as a zombie does not hold its bundle',
    inWorld(async (world) => {
      const bundle = world.addBundle('zombie');
      const fork =
        'use POSIX; $| = 1; $child = fork; if (!$child) { chdir $ARGV[0]; POSIX::_exit(0) } print "$child\\n"; <STDIN>';
      const parent = await world.start('perl', ['-e', fork, bundle.path]);
      expect((await world.recover('careful', ...soon)).of(bundle).outcome).toBe('removed');
      expect(parent.isRunning()).toBe(true);
    }),
  );

  test(
    'as another process inherited its socket holds its bundle, and that process is named',
    inWorld(async (world) => {
      const bundle = world.addBundle('inherited');
      const listen = `use Socket; $| = 1; socket(my $s, PF_UNIX, SOCK_STREAM, 0); $^F = 100;
        bind($s, sockaddr_un($ARGV[0])) or die $!; listen($s, 5); print "ready\\n"; <STDIN>`;
      const heir = await world.start('perl', ['-e', listen, bundle.socket]);
      const witness = world.witness(heir);
      const outcome = await world.recover('careful', ...soon);
      expect(outcome.of(bundle)).toMatchObject({ reason: 'shim-unresponsive', pids: [heir.pid] });
      witness.expectNothingChanged();
      await heir.end();
      expect((await world.recover('careful', ...soon)).of(bundle).outcome).toBe('removed');
    }),
  );
});

describe.concurrent("another daemon's shim that has the same namespace and id", () => {
  test(
    'holds the bundle, as it may be the one of a daemon that was moved',
    inWorld(async (world) => {
      const bundle = world.addBundle('twin');
      const elsewhere = path.join(world.base, 'other-daemon', bundle.name);
      fs.mkdirSync(elsewhere, { recursive: true });
      const socket = path.join(world.base, 's', 'other-daemon');
      const shim = await startShim({ words: runcWords(bundle), cwd: elsewhere, socket, script: running });
      world.afterwards(shim.end);
      const witness = world.witness(shim);
      const outcome = await world.recover('careful', ...soon);
      expect(outcome.of(bundle)).toMatchObject({ reason: 'shim-unreachable', pids: [shim.pid] });
      witness.expectNothingChanged();
    }),
  );
});

describe.concurrent('files of unusual kinds', () => {
  test(
    'hold their bundle where config.json is too large to be read, and say so',
    inWorld(async (world) => {
      const bundle = world.addBundle('huge', { config: { filler: 'x'.repeat(5 * 1024 * 1024) } });
      const outcome = await world.recover('careful', ...soon);
      unknownBecause(outcome, bundle, `${bundle.at('config.json')} is larger than 4194304 bytes; it was not read`);
      expect(bundle.exists()).toBe(true);
    }),
  );

  test(
    'do not matter where an address is one file under two names',
    inWorld(async (world) => {
      const [first, second] = [world.addBundle('first'), world.addBundle('second', { address: null })];
      fs.linkSync(first.at('address'), second.at('address'));
      await world.startShimOf(first);
      expect((await world.recover('careful')).outcomes).toEqual({ first: 'adopted', second: 'adopted' });
    }),
  );

  test(
    'do not make the run wait where the root file system is of FUSE, and its server is dead',
    inWorld(async (world, context) => {
      if (needsFuse !== undefined) return context.skip(needsFuse);
      const bundle = world.addBundle('served');
      const server = await mountDead([bundle.rootfs]);
      world.afterwards(() => takeAway(server, [bundle.rootfs]));
      const startedMs = performance.now();
      expect((await world.recover('careful', ...soon)).of(bundle)).toMatchObject({ outcome: 'removed' });
      expect(performance.now() - startedMs).toBeLessThan(10_000);
    }),
  );
});

describe.concurrent('a /proc that shows processes and nothing else', () => {
  test(
    'is not enough to call anything dead',
    inWorld(async (world, context) => {
      const onlyProcesses = `unshare --mount sh -ec 'mount -t proc -o subset=pid proc /proc; exec "$@"' sh "$@"`;
      try {
        execFileSync('sh', ['-c', onlyProcesses, 'sh', 'true'], { stdio: 'ignore' });
      } catch {
        return context.skip('needs a kernel that mounts a part of /proc (5.8)');
      }
      const bundle = world.addBundle('dead');
      const outcome = await world.inShell(onlyProcesses, 'recover', '--policy', 'careful', ...soon);
      unknownBecause(outcome, bundle, 'processes cannot be seen: cannot read /proc/stat: ENOENT');
      expect(bundle.exists()).toBe(true);
    }),
  );
});

describe.concurrent('a program in a time namespace of its own', () => {
  test(
    'does not take a container that lives for dead, whose process its runtime recorded with its start',
    inWorld(async (world, context) => {
      const within = 'exec unshare --time --boottime 100000 "$@"';
      try {
        execFileSync('sh', ['-c', within, 'sh', 'true'], { stdio: 'ignore' });
      } catch {
        return context.skip('needs a kernel with time namespaces (5.6)');
      }
      const root = path.join(world.base, 'runc');
      const bundle = world.addBundle('lives', { files: { 'options.json': JSON.stringify({ root }) } });
      const workload = await world.startContainer();
      const record = path.join(root, bundle.namespace, bundle.id);
      fs.mkdirSync(record, { recursive: true });
      const state = { init_process_pid: workload.pid, init_process_start: Number(workload.process.startTicks) };
      fs.writeFileSync(path.join(record, 'state.json'), JSON.stringify(state));
      const witness = world.witness(workload);
      const outcome = await world.inShell(within, 'recover', '--policy', 'careful', ...soon);
      unknownBecause(
        outcome,
        bundle,
        'this program is in a time namespace of its own, in which processes may seem to begin at other times',
      );
      expect((await world.recover('careful', ...soon)).of(bundle)).toMatchObject({ reason: 'orphan-workload' });
      witness.expectNothingChanged();
    }),
  );
});

describe.concurrent('a control group that is seen from another one', () => {
  test(
    'holds its bundle though its path begins elsewhere',
    inWorld(async (world, context) => {
      const groups = makeControlGroups(world, context);
      const cgroupsPath = `/workloads/seen-${path.basename(world.base)}`;
      const bundle = world.addBundle('seen', { config: { linux: { cgroupsPath } } });
      const workload = await world.startContainer();
      groups.add(cgroupsPath, workload.pid);
      const own = groups.path('operators/shell');
      const within = `echo $$ > ${own}/cgroup.procs; exec unshare --cgroup "$@"`;
      const witness = world.witness(workload);
      const outcome = await world.inShell(within, 'recover', '--policy', 'careful', ...soon);
      expect(outcome.of(bundle)).toMatchObject({ reason: 'orphan-workload', pids: [workload.pid] });
      witness.expectNothingChanged();
    }),
  );
});

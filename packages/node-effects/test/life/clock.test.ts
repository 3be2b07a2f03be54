/**
 * A clock that was behind when containers were started, and set forward since: to it, bundles are older than the machine's
 * start. They lie on a file system whose inodes were given such a birth, as no program may set that of a mounted one.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, expect, type TestContext, test } from 'vitest';
import { inWorld, type Bundle, runscWords, type World } from './world.js';

const programs = ['mkfs.ext4', 'debugfs', 'losetup'];

const missing = (): string | undefined => {
  const absent = programs.filter((program) => {
    try {
      execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
      return false;
    } catch {
      return true;
    }
  });
  if (absent.length > 0) return `needs ${absent.join(', ')} (Debian: e2fsprogs mount)`;
  return fs.existsSync('/dev/loop-control') ? undefined : 'needs loop devices';
};

/** The 9th of September 2001, long before any machine was started that runs this. */
const longAgo = '@1000000000';

const everythingBelow = (directory: string): ReadonlyArray<string> =>
  fs.readdirSync(directory, { recursive: true, encoding: 'utf8' });

/** Lays bundles on an image of their own, and gives all that is in it a birth of long ago. */
const layLongAgo = (world: World, context: TestContext, lay: () => ReadonlyArray<Bundle>): ReadonlyArray<Bundle> => {
  const because = missing();
  if (because !== undefined) context.skip(because);
  const image = path.join(world.base, 'image');
  fs.writeFileSync(image, '');
  fs.truncateSync(image, 8 * 1024 * 1024);
  execFileSync('mkfs.ext4', ['-q', '-F', '-I', '256', image], { stdio: 'pipe' });
  world.mount('ext4', world.state, 'loop', image);
  const bundles = lay();
  const names = everythingBelow(world.state);
  execFileSync('umount', [world.state]);
  const commands = names.flatMap((name) =>
    ['crtime', 'mtime', 'ctime'].map((field) => `set_inode_field /${name} ${field} ${longAgo}\n`),
  );
  execFileSync('debugfs', ['-w', '-f', '-', image], { input: commands.join(''), stdio: ['pipe', 'pipe', 'pipe'] });
  world.mount('ext4', world.state, 'loop', image);
  for (const bundle of bundles) expect(fs.statSync(bundle.path).birthtime.getUTCFullYear()).toBe(2001);
  return bundles;
};

describe.concurrent('a bundle that is older than the start of the machine, by the clock', () => {
  for (const [kind, words] of [
    ['its id', undefined],
    ['no id', runscWords],
  ] as const)
    test(
      `is adopted when its shim answers whose command line has ${kind}`,
      inWorld(async (world, context) => {
        const [bundle] = layLongAgo(world, context, () => [world.addBundle('healthy')]);
        if (bundle === undefined) return;
        const shim = await world.startShimOf(bundle, words === undefined ? {} : { words: words(world.namespace) });
        const outcome = await world.recover('careful');
        expect(outcome.of(bundle)).toMatchObject({ verdict: 'adopt', reason: 'task-running', outcome: 'adopted' });
        expect((await shim.calls()).length).toBeGreaterThan(0);
        expect([bundle.exists(), shim.isRunning()]).toEqual([true, true]);
      }),
    );

  test(
    'is held while its shim lives, though no address reaches it',
    inWorld(async (world, context) => {
      const [bundle] = layLongAgo(world, context, () => [world.addBundle('nameless', { address: null })]);
      if (bundle === undefined) return;
      const shim = await world.startShimOf(bundle, { words: runscWords(world.namespace) });
      const witness = world.witness(shim);
      expect((await world.recover('careful')).of(bundle)).toMatchObject({
        reason: 'shim-unreachable',
        pids: [shim.pid],
      });
      witness.expectNothingChanged();
    }),
  );

  test(
    'is held while the process of a container runs that its init.pid names',
    inWorld(async (world, context) => {
      const workload = await world.startContainer();
      const [bundle] = layLongAgo(world, context, () => [
        world.addBundle('orphan', { files: { 'init.pid': String(workload.pid) } }),
      ]);
      if (bundle === undefined) return;
      const witness = world.witness(workload);
      const outcome = await world.recover('careful', '--load-timeout', '100ms');
      expect(outcome.of(bundle)).toMatchObject({
        verdict: 'hold',
        reason: 'processes-unknown',
        explanation: `whether it lives cannot be told: process ${workload.pid} has the number in init.pid, but began later by the clock, which may have been set`,
        pids: [workload.pid],
      });
      witness.expectNothingChanged();
    }),
  );

  test(
    'is cleaned up when the number in its init.pid was given to a later process that is in no container',
    inWorld(async (world, context) => {
      const later = await world.start('sh', ['-c', 'echo ready; read nothing']);
      const [bundle] = layLongAgo(world, context, () => [
        world.addBundle('reused', { files: { 'init.pid': String(later.pid) } }),
      ]);
      if (bundle === undefined) return;
      const explained = await world.run('explain', bundle.name, '--policy', 'careful', '--load-timeout', '100ms');
      expect(explained.stdout).toContain(
        `process ${later.pid} began later than init.pid was written, and is in no container\n`,
      );
      expect((await world.recover('careful', '--load-timeout', '100ms')).outcomes).toEqual({ reused: 'removed' });
      expect(later.isRunning()).toBe(true);
    }),
  );

  test(
    'is held by the start that its runtime recorded, whatever the clock says',
    inWorld(async (world, context) => {
      const workload = await world.startContainer();
      const records = path.join(world.base, 'runc');
      const [bundle] = layLongAgo(world, context, () => [
        world.addBundle('recorded', {
          files: { 'init.pid': String(workload.pid), 'options.json': JSON.stringify({ root: records }) },
        }),
      ]);
      if (bundle === undefined) return;
      const record = (startedTicks: number): void => {
        const directory = path.join(records, bundle.name);
        fs.mkdirSync(directory, { recursive: true });
        const state = { init_process_pid: workload.pid, init_process_start: startedTicks };
        fs.writeFileSync(path.join(directory, 'state.json'), JSON.stringify(state));
      };
      record(workload.process.startTicks);
      const witness = world.witness(workload);
      const held = await world.recover('careful', '--load-timeout', '100ms');
      expect(held.of(bundle)).toMatchObject({
        reason: 'orphan-workload',
        explanation: `the shim is dead, but its container still runs: process ${workload.pid} (init.pid, runtime's record)`,
      });
      witness.expectNothingChanged();

      record(workload.process.startTicks - 1);
      expect((await world.recover('careful', '--load-timeout', '100ms')).outcomes).toEqual({ recorded: 'removed' });
      expect(workload.isRunning()).toBe(true);
    }),
  );

  test(
    'is cleaned up when nothing of it lives',
    inWorld(async (world, context) => {
      const [bundle] = layLongAgo(world, context, () => [world.addBundle('dead')]);
      if (bundle === undefined) return;
      const outcome = await world.recover('careful', '--load-timeout', '100ms');
      expect(outcome.of(bundle)).toMatchObject({ verdict: 'cleanUp', reason: 'dial-failed', outcome: 'removed' });
      expect(bundle.exists()).toBe(false);
    }),
  );
});

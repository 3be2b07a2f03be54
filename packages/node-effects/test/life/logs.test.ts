/** The `log` of a bundle that is not what it should be, and bundles on a file system that changes what they are. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { start } from '../cli/host.js';
import { eventually } from '../temporary.js';
import { type Bundle, inWorld, type World } from './world.js';

const soon = ['--load-timeout', '100ms'];

const { O_NONBLOCK, O_RDONLY, O_WRONLY } = fs.constants;

/** What the descriptors of a process lead to, and those of its children. */
const openedBy = (pid: number): ReadonlyArray<string> => {
  const own = fs.readdirSync(`/proc/${pid}/fd`).flatMap((name) => {
    try {
      return [fs.readlinkSync(`/proc/${pid}/fd/${name}`)];
    } catch {
      return [];
    }
  });
  const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  return [...own, ...children.map(Number).flatMap(openedBy)];
};

describe.concurrent("a log that links to another program's FIFO", () => {
  test(
    'is not opened, so that the reader of that program gets every byte',
    inWorld(async (world) => {
      const others = path.join(world.base, 'fifo-of-another-program');
      execFileSync('mkfifo', [others]);
      const [linked, own] = [world.addBundle('linked', { hasLog: false }), world.addBundle('own')];
      fs.symlinkSync(others, linked.at('log'));
      const shims = [await world.startShimOf(linked), await world.startShimOf(own)];
      const reader = fs.openSync(others, O_RDONLY | O_NONBLOCK);
      const writer = fs.openSync(others, O_WRONLY | O_NONBLOCK);
      const watching = start(['recover', '--policy', 'careful', '--watch', '--json', ...world.args]);
      try {
        await eventually('it to watch', () => watching.stderr().includes('watching'));
        const opened = openedBy(watching.child.pid ?? 0);
        expect(opened).toContain(own.at('log'));
        expect(opened).not.toContain(others);
        const text = 'a line of another program\n'.repeat(1_000);
        fs.writeSync(writer, text);
        expect(fs.readSync(reader, Buffer.alloc(2 * text.length))).toBe(text.length);
      } finally {
        watching.child.kill('SIGTERM');
        fs.closeSync(reader);
        fs.closeSync(writer);
      }
      const { stdout } = await watching.ended;
      expect(stdout).toMatch(/"outcomes":\{"adopted":2,/);
      expect(shims.map(({ isRunning }) => isRunning())).toEqual([true, true]);
    }),
  );
});

/** Mounts an overlay over what was laid so far. What is made in a bundle then copies it up. */
const mountOverlay = (world: World, options = ''): void => {
  const [lower, upper] = ['lower', 'upper'].map((name) => path.join(world.base, name));
  if (lower === undefined || upper === undefined) return;
  fs.renameSync(world.state, lower);
  world.mount('tmpfs', upper);
  for (const name of ['files', 'work']) fs.mkdirSync(path.join(upper, name));
  world.mount('overlay', world.state, `lowerdir=${lower},upperdir=${upper}/files,workdir=${upper}/work${options}`);
};

describe.concurrent('a bundle in the lower directory of an overlay', () => {
  const birthOf = ({ path: bundle }: Bundle): bigint => fs.statSync(bundle, { bigint: true }).birthtimeNs;

  for (const [policy, made] of [
    ['careful', 'log'],
    ['containerd-2.1', 'bootstrap.json'],
  ] as const)
    test(
      `is adopted under ${policy}, though what is made in it gives it another birth`,
      inWorld(async (world) => {
        const bundle = world.addBundle('live', { hasLog: false });
        mountOverlay(world);
        const shim = await world.startShimOf(bundle);
        const before = birthOf(bundle);
        const outcome = await world.recover(policy);
        expect(outcome.of(bundle)).toMatchObject({ verdict: 'adopt', outcome: 'adopted', registered: true });
        expect(outcome.of(bundle).steps.map((step) => step.outcome)).not.toContain('failed');
        expect(fs.existsSync(bundle.at(made))).toBe(true);
        expect(birthOf(bundle)).not.toBe(before);
        expect(shim.isRunning()).toBe(true);
        expect((await world.recover(policy)).outcomes).toEqual({ live: 'adopted' });
      }),
    );

  test(
    'goes when it is dead, though the program of its shim wrote into it',
    inWorld(async (world) => {
      const bundle = world.addBundle('dead', { hasLog: false });
      fs.appendFileSync(world.program, 'echo written > written-by-the-program\n');
      // Without this option the kernel renames no directory of the lower one (EXDEV), and no daemon can remove it.
      mountOverlay(world, ',redirect_dir=on');
      for (const policy of ['careful', 'containerd-2.1']) {
        const outcome = await world.recover(policy, ...soon);
        expect(outcome.of(bundle)).toMatchObject({ verdict: 'cleanUp', outcome: 'removed' });
        expect([bundle.exists(), fs.existsSync(bundle.work)], policy).toEqual([false, false]);
        world.addBundle('dead');
      }
      expect(world.programCalls()).toHaveLength(2);
    }),
  );
});

describe.concurrent('a bundle that the kernel does not let anyone rename', () => {
  test(
    'stays, and the report says that it could not be removed',
    inWorld(async (world) => {
      const bundle = world.addBundle('dead');
      mountOverlay(world);
      const outcome = await world.recover('careful', ...soon);
      expect(outcome.of(bundle)).toMatchObject({
        verdict: 'cleanUp',
        outcome: 'failed',
        steps: expect.arrayContaining([
          { step: 'remove-bundle', outcome: 'failed', error: `cannot rename ${bundle.path}: EXDEV` },
        ]),
      });
      expect([outcome.code, bundle.exists()]).toEqual([3, true]);
    }),
  );
});

describe.concurrent('a host whose daemon wrote bootstrap.json and no address', () => {
  test(
    'is adopted where no policy is named, and the report names the one that decided',
    inWorld(async (world) => {
      const bundles = ['one', 'two', 'three', 'four', 'five'].map((id) => world.addBundle(id, { address: null }));
      for (const bundle of bundles) {
        const address = `unix://${bundle.socket}`;
        bundle.write('bootstrap.json', JSON.stringify({ version: 3, address, protocol: 'ttrpc' }));
      }
      const shims = await Promise.all(bundles.map((bundle) => world.startShimOf(bundle)));
      const witness = world.witness(...shims);
      const outcome = await world.inShell('"$@"', 'recover');
      expect(outcome).toMatchObject({ code: 0, report: { policy: 'careful', summary: { adopt: 5 } } });
      expect(Object.values(outcome.outcomes)).toEqual(bundles.map(() => 'adopted'));
      witness.expectNothingChanged();
      expect((await world.run('plan')).stdout).toMatch(/^Dry run as careful of /);
    }),
  );
});

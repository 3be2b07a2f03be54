/** What plans, comparisons, explanations and hints say: of what lives first, and for the reason that decided. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Explanation } from '@shim-recovery/core/documents';
import { describe, expect, test } from 'vitest';
import { run } from '../cli/host.js';
import { eventually, right } from '../temporary.js';
import { type Bundle, inWorld, runningAs, type World } from './world.js';

const soon = ['--load-timeout', '100ms'];
const daemons = ['containerd-1.6', 'containerd-1.7', 'containerd-2.1'];

/** A container that runs without its shim. By its name, it would come last. */
const addOrphan = async (world: World): Promise<{ readonly orphan: Bundle; readonly pid: number }> => {
  const { pid } = await world.startContainer();
  return { orphan: world.addBundle('z-orphan', { files: { 'init.pid': String(pid) } }), pid };
};

describe.concurrent('a container that runs without its shim', () => {
  test(
    "comes first in a daemon's plan, with its process, and is counted",
    inWorld(async (world) => {
      world.addBundle('a-dead');
      const { pid } = await addOrphan(world);
      for (const policy of daemons) {
        const { stdout, code } = await world.run('plan', '--policy', policy, ...soon);
        const lines = stdout.split('\n');
        const at = lines.findIndex((line) => line.startsWith('  z-orphan  clean up  '));
        expect(lines[at + 1], policy).toBe(
          `                      alive: pid ${pid} (its container runs: process ${pid} (init.pid))`,
        );
        expect(at, policy).toBeLessThan(lines.findIndex((line) => line.startsWith('  a-dead ')));
        expect(stdout, policy).toMatch(/plan: 2 to clean up, 1 that LIVES would be destroyed, in /);
        expect(code, policy).toBe(4);
        const { report } = await world.plan(policy, ...soon);
        expect(report.summary, policy).toMatchObject({ cleanUp: 2, aliveDestroyed: 1 });
      }
      const careful = await world.run('plan', '--policy', 'careful', ...soon);
      expect(careful.code).toBe(0);
      expect(careful.stdout).not.toMatch(/LIVE|alive:/);
    }),
  );

  test(
    'is above what is dead in a comparison',
    inWorld(async (world) => {
      world.addBundle('a-foreign', { address: 'tcp://10.0.0.1:7' });
      await addOrphan(world);
      const compared = await world.run(
        'compare',
        '--policy',
        'careful',
        '--policy',
        'containerd-1.7',
        '--json',
        ...soon,
      );
      expect(JSON.parse(compared.stdout).bundles).toMatchObject([
        { id: 'z-orphan', difference: 'alive-destroyed', alive: true },
        { id: 'a-foreign', difference: 'destroyed', alive: false },
      ]);
      const { stdout } = await world.run('compare', '--policy', 'careful', '--policy', 'containerd-1.7', ...soon);
      expect(stdout).toMatch(/^alive, and destroyed by one of them only\n {2}\S+\/z-orphan\n/);
      expect(stdout).toContain(
        'why: careful: a container that runs without its shim is left as it is; containerd-1.7: a shim that cannot be reached counts as dead: its binary cleans up',
      );
    }),
  );

  test(
    'is held where it may not be killed, and ended by the command that its hint gives',
    inWorld(async (world) => {
      const { orphan, pid } = await addOrphan(world);
      const held = await world.recover('containerd-1.7', ...soon);
      expect(held.of(orphan)).toMatchObject({
        reason: 'would-kill',
        explanation: `containerd-1.7 would clean it up: the shim cannot be reached: cannot connect to ${orphan.socket} (ENOENT); but it is alive: its container runs: process ${pid} (init.pid)`,
        advice:
          'stop its container first, or run the same command with --allow-killing; for a saved plan, save it anew with plan --allow-killing --out FILE',
      });
      const killed = await world.recover('containerd-1.7', ...soon, '--allow-killing');
      expect(killed.of(orphan)).toMatchObject({ outcome: 'removed', alive: { pids: [pid] } });
      expect([held.code, killed.code]).toEqual([4, 4]);
    }),
  );

  test(
    'is held by a plan that was saved without --allow-killing, and ended by one that was saved with it',
    inWorld(async (world) => {
      const { orphan } = await addOrphan(world);
      const carriedOut = async (...saving: ReadonlyArray<string>) => {
        const file = path.join(world.base, `saved-${saving.length}`);
        await world.plan('containerd-1.7', ...soon, '--out', file, ...saving);
        return run(['recover', '--plan', file]);
      };
      const held = await carriedOut();
      expect(held.stdout).toMatch(
        / hold .* but it is alive: .*\n +alive: pid .*\n +stop its container first, or run the same command with --allow-killing/,
      );
      expect([held.code, orphan.exists()]).toEqual([4, true]);
      const killed = await carriedOut('--allow-killing');
      expect([killed.code, orphan.exists()]).toEqual([4, false]);
      expect(killed.stdout).toContain('1 that LIVED was destroyed');
    }),
  );
});

const sources = [
  'shim-answer',
  'own-view',
  'listener',
  'shim-process',
  'pod',
  'init-pid',
  'control-group',
  'runtime-state',
  'root-file-system',
];

describe.concurrent('explain --policy careful', () => {
  test(
    'lists every source, also of what is destroyed, and ends with the rule that all of them made',
    inWorld(async (world) => {
      const [dead, live] = [world.addBundle('dead'), world.addBundle('live')];
      await world.startShimOf(live);
      for (const { name } of [dead, live]) {
        const { stdout } = await world.run('explain', name, '--policy', 'careful', ...soon);
        const listed = stdout.split('what each source says of its life\n')[1]?.split('\n\n')[0] ?? '';
        expect(
          listed.split('\n').map((line) => line.trim().split(' ')[0]),
          name,
        ).toEqual(sources);
      }
      const explained = await world.run('explain', dead.name, '--policy', 'careful', '--json', ...soon);
      const { rows, verdict } = right(Explanation.decode(JSON.parse(explained.stdout)));
      expect(verdict).toBe('cleanUp');
      expect(rows.at(-1)).toEqual({
        question: 'what do the other sources say of its life?',
        answer: 'every source says that it is dead',
        rule: { step: null, text: 'every source says that it is dead: its binary cleans up' },
      });
    }),
  );

  test(
    'is what the hint on a bundle gives of which something is not known',
    inWorld(async (world) => {
      const bundle = world.addBundle('unsure', { files: { 'init.pid': 'no number' } });
      const { advice } = (await world.recover('careful', ...soon)).of(bundle);
      const [, words = ''] = /^see what each source says: shim-recovery (.*)$/.exec(advice ?? '') ?? [];
      expect(words).toBe(`explain --policy careful ${bundle.name}`);
      const explained = await run([...words.split(' '), ...world.args, ...soon]);
      expect(explained.stdout).toMatch(/ init-pid +unknown +init\.pid holds no number of a process\n/);
      expect(explained.code).toBe(0);
    }),
  );
});

describe.concurrent('compare', () => {
  test(
    'explains a missing program by that, and not by an answer that came',
    inWorld(async (world) => {
      const bundle = world.addBundle('answers', { program: '/opt/gone/containerd-shim-runc-v2' });
      await world.startShimOf(bundle);
      const { stdout } = await world.run('compare', '--policy', 'containerd-1.7', '--policy', 'careful');
      expect(stdout).toMatch(/^alive, and destroyed by one of them only\n/);
      expect(stdout).toContain(
        'why: containerd-1.7: without its program a bundle is removed without asking its shim; careful: a shim with a task is taken back\n',
      );
      expect(stdout).not.toContain('a shim that does not answer');
    }),
  );
});

describe.concurrent('the processes of a task', () => {
  test(
    'are told once each, and no number that is none',
    inWorld(async (world) => {
      const { pid } = await world.startContainer();
      const listed = world.addBundle('listed', { files: { 'init.pid': String(pid) } });
      const script = {
        ...runningAs(pid),
        connect: { ok: { task: 4_294_967_295 } },
        pids: { ok: { pids: [pid, pid, 4_294_967_295] } },
      };
      await world.startShimOf(listed, { script });
      const { stdout } = await world.run('explain', listed.name, '--policy', 'careful');
      expect(stdout).toContain(`which processes has its task? ${pid} →`);
      expect(stdout).toContain('adopt (task-running): the shim answers and its task has 1 process\n');
      const outputs = await Promise.all(
        [...daemons, 'careful'].map((policy) => world.run('plan', '--policy', policy, '--allow-killing')),
      );
      for (const output of [stdout, ...outputs.map((ended) => ended.stdout)])
        expect(output).not.toMatch(new RegExp(`4294967295|${pid}, ${pid}`));
    }),
  );
});

describe.concurrent('a hint that names processes', () => {
  test(
    'is on a stopped shim the command that lets it go on, after which it is adopted',
    inWorld(async (world) => {
      const bundle = world.addBundle('stopped');
      const shim = await world.startShimOf(bundle);
      shim.signal('SIGSTOP');
      await eventually('it to stop', () => /^State:\tT/m.test(fs.readFileSync(`/proc/${shim.pid}/status`, 'utf8')));
      const held = (await world.recover('careful', ...soon)).of(bundle);
      expect(held).toMatchObject({ verdict: 'hold', reason: 'shim-unresponsive', pids: [shim.pid] });
      expect(held.advice).toBe(
        `run shim-recovery recover --policy careful again when the shim answers; a stopped shim continues after kill -CONT ${shim.pid} (ps -fp ${shim.pid})`,
      );
      execFileSync('sh', ['-c', /kill -CONT \d+/.exec(held.advice ?? '')?.[0] ?? 'false']);
      expect((await world.recover('careful')).outcomes).toEqual({ stopped: 'adopted' });
    }),
  );
});

describe.concurrent('the brake', () => {
  const addManyDead = async (world: World): Promise<void> => {
    for (const nth of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) world.addBundle(`dead-${nth}`);
    await world.startShimOf(world.addBundle('live'));
  };

  test(
    'is foreseen by a plan, with a share that lets recover pass',
    inWorld(async (world) => {
      await addManyDead(world);
      const planned = await world.run('plan', '--policy', 'careful', ...soon);
      const refused = await world.run('recover', '--policy', 'careful', ...soon);
      expect(refused.code).toBe(1);
      for (const { stderr } of [planned, refused])
        expect(stderr).toMatch(/10 of 11 bundles would be destroyed, .* allow it with --may-destroy 0\.91\n/);
      const share = /--may-destroy (\S+)/.exec(refused.stderr)?.[1] ?? '';
      const tooSmall = await world.run('recover', '--policy', 'careful', '--may-destroy', '0.9', ...soon);
      expect(tooSmall.code).toBe(1);
      const outcome = await world.recover('careful', '--may-destroy', share, ...soon);
      expect(outcome.report.summary.outcomes).toMatchObject({ adopted: 1, removed: 10 });
    }),
  );
});

describe.concurrent('a plan', () => {
  const remountReadOnly = (at: string): void => void execFileSync('mount', ['-o', 'remount,ro', at]);

  test(
    'foresees that a daemon loses what lives on a read-only file system, where a log or bootstrap.json must be made',
    inWorld(async (world) => {
      world.mount('tmpfs', world.state);
      const [whole, logless] = [world.addBundle('whole'), world.addBundle('logless', { hasLog: false })];
      await world.startShimOf(whole);
      await world.startShimOf(logless);
      remountReadOnly(world.state);
      const cannotMakeLog = `its log cannot be made: cannot write in ${logless.path}: EROFS`;
      const cannotWrite = ({ path: bundle }: Bundle): string =>
        `bootstrap.json cannot be written: cannot write in ${bundle}: EROFS`;
      const foreseen: ReadonlyArray<readonly [string, ReadonlyArray<string>, ReadonlyArray<string>]> = [
        ['containerd-1.6', [], [cannotMakeLog]],
        ['containerd-1.7', [], [cannotMakeLog]],
        ['containerd-2.1', [cannotWrite(whole)], [cannotMakeLog, cannotWrite(logless)]],
        ['careful', [], []],
      ];
      for (const [policy, ofWhole, ofLogless] of foreseen) {
        const planned = await world.plan(policy);
        expect(planned.of(whole).foreseen ?? [], policy).toEqual(ofWhole);
        expect(planned.of(logless).foreseen ?? [], policy).toEqual(ofLogless);
        const lost = [ofWhole, ofLogless].filter((sentences) => sentences.length > 0).length;
        expect(planned.report.summary.aliveDestroyed, policy).toBe(lost);
        expect(planned.code, policy).toBe(lost > 0 ? 4 : 0);
        expect((await world.recover(policy)).of(logless).outcome, policy).toBe(
          policy === 'careful' ? 'adopted' : 'held',
        );
      }
    }),
  );

  test(
    'foresees that nothing is removed from a read-only file system',
    inWorld(async (world) => {
      world.mount('tmpfs', world.state);
      const bundle = world.addBundle('dead');
      remountReadOnly(world.state);
      for (const policy of ['containerd-1.7', 'careful']) {
        const says = `the bundle cannot be removed: cannot write in ${bundle.path}: EROFS`;
        expect((await world.plan(policy, ...soon)).of(bundle).foreseen, policy).toEqual([says]);
      }
      expect((await world.recover('careful', ...soon)).of(bundle)).toMatchObject({ outcome: 'failed' });
    }),
  );

  test(
    'foresees that containerd-1.7 does not unmount through a symlink to the state directory (H13)',
    inWorld(async (world) => {
      const bundle = world.addBundle('mounted');
      world.mount('tmpfs', bundle.rootfs);
      fs.writeFileSync(path.join(bundle.rootfs, 'data'), 'of the container');
      const link = path.join(world.base, 'link');
      fs.symlinkSync(world.daemon.state, link);
      // The last one counts.
      const throughLink = ['--state', link, ...soon];
      const args = world.args.slice(2);
      const planned = await run(['plan', '--policy', 'containerd-1.7', ...args, ...throughLink]);
      const says =
        'what is mounted on rootfs stays mounted, as a symlink leads to the state directory (H13): containerd-1.7 then cannot remove the bundle';
      expect(planned.stdout).toContain(`\n                    ${says}\n`.replace(/ +/, ' '.repeat(21)));
      const carriedOut = await run(['recover', '--policy', 'containerd-1.7', ...args, ...throughLink]);
      expect(carriedOut.stdout).toMatch(/remove-rootfs failed: cannot remove .*rootfs: EBUSY/);
      expect(fs.readFileSync(path.join(bundle.rootfs, 'data'), 'utf8')).toBe('of the container');
      const careful = await run(['recover', '--policy', 'careful', ...args, ...throughLink]);
      expect(careful.stdout).not.toContain(says);
      expect([bundle.exists(), world.mounts()]).toEqual([false, []]);
    }),
  );
});

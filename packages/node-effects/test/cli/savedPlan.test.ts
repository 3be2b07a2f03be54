/** `plan --out` and `recover --plan`: what was planned is done, where it is still as it was, and nothing else. */
import { execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { type BundleReport, parseSavedPlan } from '@shim-recovery/core/documents';
import { describe, expect, test } from 'vitest';
import { writeMetadata } from '../bolt/writer.js';
import { holdLock } from '../lockHolder.js';
import { eventually, isRoot, right } from '../temporary.js';
import { dead, goodBinary, type Host, reportOf, type Run, run, runInShell, running, start, withHost } from './host.js';

/** Generous: other tests run at the same time. */
const timeout = 30_000;

const planIn = ({ base }: Host): string => path.join(base, 'plan');

const layOut = async (host: Host): Promise<void> => {
  await host.addBundle('alive', { shim: running });
  await host.addBundle('leaked', { shim: { ...running, pids: { ok: { pids: [] } } } });
  await host.addBundle('dead', { shim: dead });
  await host.addBundle('unknown');
  fs.mkdirSync(path.join(host.root, host.namespace, 'old'));
};

const savePlan = async (host: Host, ...more: ReadonlyArray<string>): Promise<string> => {
  const file = planIn(host);
  const planned = await run(['plan', '--out', file, ...host.args, ...more]);
  expect(planned).toMatchObject({ code: 0, stderr: '' });
  return file;
};

/** What became of each, as `adopt task-running`. */
const fates = (ended: Run): Readonly<Record<string, string>> =>
  Object.fromEntries(
    reportOf(ended).namespaces.flatMap(({ bundles }) =>
      bundles.map(({ id, verdict, reason }) => [id, `${verdict} ${reason}`]),
    ),
  );

const bundleOf = (ended: Run, id: string): BundleReport =>
  reportOf(ended)
    .namespaces.flatMap(({ bundles }) => bundles)
    .find((bundle) => bundle.id === id) ?? expect.fail(`${id} is not in the report`);

/** One line on stderr, and nothing on stdout. */
const expectRefusal = (ended: Run, sentence: RegExp, code = 1): void => {
  expect(ended.stderr).toMatch(/^shim-recovery: [^\n]+\n$/);
  expect(ended.stderr).toMatch(sentence);
  expect(ended.stderr).not.toMatch(/\n {4}at |[\u0000-\u0009\u000b-\u001f\u007f]/);
  expect(ended).toMatchObject({ code, stdout: '' });
};

describe.concurrent('a plan that is saved', { timeout }, () => {
  test('changes nothing, is read by its owner only, and is carried out as it was planned', async () => {
    await withHost(async (host) => {
      await layOut(host);
      const before = host.fingerprint();
      const planned = await run(['plan', '--json', '--out', planIn(host), ...host.as17]);
      expect(planned).toMatchObject({ code: 0, stderr: '' });
      expect(host.fingerprint()).toEqual(before);
      expect(fs.statSync(planIn(host)).mode & 0o777).toBe(0o600);
      const saved = right(parseSavedPlan(fs.readFileSync(planIn(host), 'utf8')));
      expect(saved.madeAt).toBe(reportOf(planned).startedAt);
      // From anywhere, without a word of what the plan settles.
      const recovered = await run(['recover', '--json', '--plan', planIn(host)], { cwd: '/' });
      expect(recovered).toMatchObject({ code: 0, stderr: '' });
      expect(reportOf(recovered)).toMatchObject({
        policy: 'containerd-1.7',
        state: host.state,
        root: host.root,
        plannedAt: saved.madeAt,
      });
      expect(fates(recovered)).toEqual(fates(planned));
      expect(reportOf(recovered).namespaces[0]?.workDirs).toEqual([
        { name: 'alive', removed: false, reason: 'registered' },
        { name: 'old', removed: true, reason: 'not-registered' },
      ]);
      expect(host.bundles()).toEqual(['alive']);
      expect(host.workDirectories()).toEqual(['alive']);
      // Once more: what it planned is gone, or as it was.
      const again = await run(['recover', '--plan', planIn(host)]);
      expect(again).toMatchObject({ code: 0, stderr: '' });
      expect(again.stdout).toMatch(/ {2}dead {5}ignore {4}it is not there any more; planned was clean up, as the shim/);
      expect(again.stdout).toMatch(/\nrecover: 1 adopted, 3 ignored, as planned at 2\d{3}-[-:.0-9T]+Z, in \d+ ms\n$/);
    });
  });

  test('settles the policy, with all that was said of it, and the namespaces', async () => {
    await withHost(async (host) => {
      const ids = ['a', 'b', 'c', 'd', 'e'];
      for (const id of ids) await host.addBundle(id, { shim: dead });
      fs.mkdirSync(path.join(host.state, 'other', 'x'), { recursive: true });
      const { namespace } = host;
      const options = ['--policy', 'careful', '--orphans', 'reap', '--may-destroy', '1', '--namespace', namespace];
      const file = await savePlan(host, ...options, '--debug');
      const saved = right(parseSavedPlan(fs.readFileSync(file, 'utf8')));
      expect(saved).toMatchObject({
        policy: { name: 'careful', orphans: 'reaped', mayDestroy: 1 },
        namespaces: [namespace],
        options: { store: `json:${host.store}`, debug: '' },
      });
      host.setBinary(`case "$*" in *-debug*) printf '\\010\\204\\007\\020\\211\\001';; *) exit 7;; esac`);
      const recovered = await run(['recover', '--json', '--plan', file]);
      expect(recovered).toMatchObject({ code: 0, stderr: '' });
      expect(reportOf(recovered)).toMatchObject({ policy: 'careful', summary: { cleanUp: 5, failedSteps: 0 } });
      expect(reportOf(recovered).namespaces.map(({ name }) => name)).toEqual([namespace]);
      expect(host.bundles('other')).toEqual(['x']);
    });
  });

  test('is recorded when it is carried out, and watched', async () => {
    await withHost(async (host) => {
      await host.addBundle('ending', { shim: running });
      const file = await savePlan(host);
      const recording = path.join(host.base, 'recording');
      const watching = start(['recover', '--plan', file, '--watch', '--record', recording]);
      await eventually('it to watch', () => watching.stderr().includes('watching 1 shim'));
      await host.stopShim('ending');
      await eventually('the bundle to go', () => host.bundles().length === 0);
      watching.child.kill('SIGTERM');
      expect((await watching.ended).code).toBe(0);
      expect(fates(await run(['replay', '--json', recording]))).toEqual({ ending: 'adopt task-running' });
      const inside = path.join(host.state, 'recording');
      expectRefusal(
        await run(['recover', '--plan', file, '--record', inside]),
        /--record \S+ lies in \S+, which is looked at and cleaned up; name a file elsewhere/,
      );
    });
  });

  test('is carried out as far as it goes when a signal comes, and further when it is carried out again', async () => {
    await withHost(async (host) => {
      const marks = path.join(host.base, 'marks');
      fs.mkdirSync(marks);
      const ids = Array.from({ length: 2 * 64 }, (_, nth) => `dead-${nth}`);
      for (const id of ids)
        await host.addBundle(id, { files: { 'shim-binary-path': host.binary, address: 'unix:///x' } });
      const file = await savePlan(host, '--may-destroy', '1');
      host.setBinary(`touch '${marks}/'"$(basename "$(pwd -P)")"; sleep 0.3; printf '\\010\\001'`);
      const recovering = start(['recover', '--json', '--plan', file]);
      await eventually('a shim binary to run', () => fs.readdirSync(marks).length > 0);
      recovering.child.kill('SIGTERM');
      const ended = await recovering.ended;
      expect(ended.code).toBe(143);
      expect(host.bundles().length).toBeGreaterThan(0);
      expect(host.bundles().length).toBeLessThan(ids.length + 1);
      host.setBinary("printf '\\010\\001'");
      expect(await run(['recover', '--plan', file])).toMatchObject({ code: 0, stderr: '' });
      expect([...host.bundles(), ...host.workDirectories()]).toEqual([]);
    });
  });
});

describe.concurrent('a plan of what lives', { timeout }, () => {
  /** Dead shims whose containers run: processes that their `init.pid` names. */
  const withContainers = async (
    ids: ReadonlyArray<string>,
    use: (host: Host, isRunning: (id: string) => boolean) => Promise<void>,
  ): Promise<void> => {
    const containers = new Map(ids.map((id) => [id, spawn('sleep', ['1000'])]));
    try {
      await withHost(async (host) => {
        for (const [id, { pid }] of containers)
          await host.addBundle(id, { shim: dead, files: { 'init.pid': String(pid) } });
        // As runc's shim does, the program ends the container.
        host.setBinary(`kill -KILL "$(cat init.pid)"; ${goodBinary}`);
        await use(host, (id) => containers.get(id)?.signalCode === null);
      });
    } finally {
      for (const container of containers.values()) container.kill('SIGKILL');
    }
  };

  const save = async (host: Host, ...more: ReadonlyArray<string>): Promise<string> => {
    const planned = await run(['plan', '--json', '--out', planIn(host), ...more, ...host.args]);
    expect(planned).toMatchObject({ code: 4, stderr: '' });
    return planIn(host);
  };

  const schemaOf = (file: string): string | undefined =>
    /^\{"schema":"([^"]*)"/.exec(fs.readFileSync(file, 'utf8'))?.[1];

  test('without --allow-killing is of the first version, and holds what lives when it is carried out', async () => {
    await withContainers(['web'], async (host, isRunning) => {
      const file = await save(host, '--policy', 'containerd-1.7');
      expect(schemaOf(file)).toBe('shim-recovery/plan@1');
      const recovered = await run(['recover', '--json', '--plan', file]);
      expect(recovered).toMatchObject({ code: 4, stderr: '' });
      expect(bundleOf(recovered, 'web')).toMatchObject({
        verdict: 'hold',
        reason: 'would-kill',
        outcome: 'held',
        explanation: expect.stringMatching(
          /^containerd-1\.7 would clean it up: the shim cannot be reached: .*; but it is alive: .*process \d+ \(init\.pid\)$/,
        ),
        alive: { pids: [expect.any(Number)] },
        advice: expect.stringContaining('--allow-killing'),
        steps: [],
      });
      expect(reportOf(recovered).summary).toMatchObject({ hold: 1, aliveDestroyed: 0 });
      expect(host.bundles()).toEqual(['web']);
      expect(host.workDirectories()).toEqual(['web']);
      expect(isRunning('web')).toBe(true);
    });
  });

  test('with --allow-killing is of the second version, and destroys what lives when it is carried out', async () => {
    await withContainers(['web'], async (host, isRunning) => {
      const file = await save(host, '--policy', 'containerd-1.7', '--allow-killing');
      expect(schemaOf(file)).toBe('shim-recovery/plan@2');
      const recovered = await run(['recover', '--json', '--plan', file]);
      expect(recovered).toMatchObject({ code: 4, stderr: '' });
      expect(bundleOf(recovered, 'web')).toMatchObject({ verdict: 'cleanUp', outcome: 'removed' });
      expect(reportOf(recovered).summary).toMatchObject({ cleanUp: 1, aliveDestroyed: 1 });
      expect([...host.bundles(), ...host.workDirectories()]).toEqual([]);
      await eventually('the container to end', () => !isRunning('web'));
    });
  });

  test('of one orphan is read back as that, and ends no other', async () => {
    await withContainers(['db', 'web'], async (host, isRunning) => {
      const file = await save(host, '--orphans', `reap=${host.namespace}/web`);
      expect(schemaOf(file)).toBe('shim-recovery/plan@2');
      expect(right(parseSavedPlan(fs.readFileSync(file, 'utf8')))).toMatchObject({
        policy: { name: 'careful', orphans: 'reaped', reapedOrphans: [`${host.namespace}/web`] },
      });
      const recovered = await run(['recover', '--json', '--plan', file]);
      expect(recovered.stderr).toBe('');
      expect(fates(recovered)).toEqual({ db: 'hold orphan-workload', web: 'cleanUp orphan-reaped' });
      expect(host.bundles()).toEqual(['db']);
      expect(host.workDirectories()).toEqual(['db']);
      await eventually('the container to end', () => !isRunning('web'));
      expect(isRunning('db')).toBe(true);
    });
  });
});

describe.concurrent('what changed since', { timeout }, () => {
  /** Carries the plan out after something happened; the rest of it goes on. */
  const after = async (
    happens: (host: Host) => Promise<unknown>,
    check: (recovered: Run, host: Host) => Promise<void> | void,
    { policy = 'careful' }: { readonly policy?: string } = {},
  ): Promise<void> =>
    withHost(async (host) => {
      await layOut(host);
      const file = await savePlan(host, '--policy', policy);
      await happens(host);
      await check(await run(['recover', '--json', '--plan', file]), host);
    });

  const asPlanned = {
    alive: 'adopt task-running',
    dead: 'cleanUp dial-failed',
    leaked: 'reap no-processes',
    unknown: 'discard container-not-found',
  };

  test('a directory that was replaced is left, with its working directory', async () => {
    await after(
      async (host) => {
        fs.renameSync(host.bundlePath('dead'), path.join(host.base, 'aside'));
        fs.cpSync(path.join(host.base, 'aside'), host.bundlePath('dead'), {
          recursive: true,
          filter: (file) => path.basename(file) !== 'log',
        });
      },
      (recovered, host) => {
        expect(recovered.code).toBe(3);
        expect(fates(recovered)).toEqual({ ...asPlanned, dead: 'hold plan-stale' });
        expect(bundleOf(recovered, 'dead')).toMatchObject({
          explanation: 'not as planned: another directory stands there',
          steps: [],
          advice: expect.stringMatching(/shim-recovery plan --out FILE/),
        });
        expect(host.bundles()).toEqual(['alive', 'dead']);
        expect(host.workDirectories()).toEqual(['alive', 'dead']);
        expect(fs.readdirSync(host.bundlePath('dead'))).not.toContain('log');
      },
    );
  });

  test('a shim that died is left, with what it left', async () => {
    await after(
      (host) => host.stopShim('alive'),
      (recovered, host) => {
        expect(recovered.code).toBe(3);
        expect(fates(recovered)).toEqual({ ...asPlanned, alive: 'hold plan-stale' });
        expect(bundleOf(recovered, 'alive').explanation).toMatch(
          /^not as planned: planned was adopt, as the shim answers and its task has 1 process; now it would be clean up, as the shim cannot be reached: /,
        );
        expect(host.bundles()).toEqual(['alive']);
        expect(host.workDirectories()).toEqual(['alive']);
      },
    );
  });

  test('a shim that came alive is left to itself', async () => {
    await after(
      (host) => host.replaceShim('dead', running),
      async (recovered, host) => {
        expect(recovered.code).toBe(3);
        expect(fates(recovered)).toEqual({ ...asPlanned, dead: 'hold plan-stale' });
        expect(bundleOf(recovered, 'dead').explanation).toMatch(/planned was clean up.*; now it would be adopt, as/);
        expect(host.bundles()).toEqual(['alive', 'dead']);
      },
    );
  });

  test('another shim at the same place is not taken for the one that answered', async () => {
    await after(
      (host) => host.replaceShim('alive', { ...running, connect: { ok: { task: 901 } } }),
      (recovered) => {
        expect(fates(recovered)).toEqual({ ...asPlanned, alive: 'hold plan-stale' });
        expect(bundleOf(recovered, 'alive').explanation).toMatch(
          /another shim answers, or for another task: planned was shim \d+, task 900, version scripted, now it is shim \d+, task 901/,
        );
      },
    );
  });

  test('one more process of a task is no change', async () => {
    await after(
      (host) => host.replaceShim('alive', { ...running, pids: { ok: { pids: [900, 905] } } }),
      (recovered) => {
        // Every scripted shim lives in this process, so that it is the same one to whoever asks.
        expect(bundleOf(recovered, 'alive').explanation).toBe('the shim answers and its task has 2 processes');
        expect(fates(recovered)).toEqual(asPlanned);
        expect(recovered.code).toBe(0);
      },
    );
  });

  test('a bundle that is new is left, with its working directory', async () => {
    await after(
      (host) => host.addBundle('new', { shim: dead }),
      (recovered, host) => {
        expect(recovered.code).toBe(3);
        expect(fates(recovered)).toEqual({ ...asPlanned, new: 'hold not-planned' });
        expect(bundleOf(recovered, 'new').explanation).toMatch(
          /^the plan does not name it; a new one would say: clean up, as the shim cannot be reached/,
        );
        expect(host.bundles()).toEqual(['alive', 'new']);
        expect(host.workDirectories()).toEqual(['alive', 'new']);
      },
    );
  });

  test('a bundle that is gone is said, and nothing is missed', async () => {
    await after(
      async (host) => fs.rmSync(host.bundlePath('unknown'), { recursive: true }),
      (recovered, host) => {
        expect(recovered.code).toBe(0);
        expect(fates(recovered)).toEqual({ ...asPlanned, unknown: 'ignore gone' });
        expect(host.workDirectories()).toEqual(['alive']);
      },
    );
  });

  const replaceWork = async (host: Host): Promise<void> => {
    const work = path.join(host.root, host.namespace, 'dead');
    fs.renameSync(work, path.join(host.base, 'aside'));
    fs.mkdirSync(work);
    fs.writeFileSync(path.join(work, 'new'), '');
  };

  test('the working directory of a bundle that was replaced keeps its bundle, where both would go together', async () => {
    await after(
      replaceWork,
      (recovered, host) => {
        expect(recovered.code).toBe(3);
        expect(fates(recovered)).toEqual({ ...asPlanned, dead: 'hold plan-stale' });
        expect(bundleOf(recovered, 'dead').explanation).toBe(
          `not as planned: another working directory stands at ${path.join(host.root, host.namespace, 'dead')}`,
        );
        expect(host.bundles()).toEqual(['alive', 'dead']);
        expect(fs.readdirSync(path.join(host.root, host.namespace, 'dead'))).toEqual(['new']);
      },
      { policy: 'containerd-1.7' },
    );
  });

  test('the working directory of a bundle that was replaced stays, where no bundle owns it any more', async () => {
    await after(replaceWork, (recovered, host) => {
      expect(recovered.code).toBe(3);
      expect(fates(recovered)).toEqual(asPlanned);
      expect(reportOf(recovered).namespaces[0]?.workDirs).toContainEqual({
        name: 'dead',
        removed: false,
        reason: 'not-registered',
        error: expect.stringMatching(/another one than when it was looked at; it was not touched$/),
      });
      expect(host.bundles()).toEqual(['alive']);
      expect(fs.readdirSync(path.join(host.root, host.namespace, 'dead'))).toEqual(['new']);
    });
  });

  test('a working directory of nobody that was replaced, or is new, stays', async () => {
    await withHost(async (host) => {
      await layOut(host);
      const file = await savePlan(host);
      const old = path.join(host.root, host.namespace, 'old');
      fs.rmdirSync(old);
      fs.writeFileSync(old, 'younger');
      fs.mkdirSync(path.join(host.root, host.namespace, 'younger'));
      const recovered = await run(['recover', '--plan', file]);
      expect(recovered).toMatchObject({ code: 3, stderr: '' });
      expect(recovered.stdout).toMatch(/ working directory old is still there: .* another one than when it was looked/);
      expect(recovered.stdout).toMatch(/ working directory younger stays: .* the plan does not name it\n/);
      expect(host.workDirectories()).toEqual(['alive', 'old', 'younger']);
    });
  });

  test('only a new working directory makes the run end with 3, too', async () => {
    await after(
      async (host) => fs.mkdirSync(path.join(host.root, host.namespace, 'younger')),
      (recovered) => {
        expect(fates(recovered)).toEqual(asPlanned);
        expect(recovered.code).toBe(3);
      },
    );
  });

  test('everything at once is said one by one', async () => {
    await after(
      async (host) => {
        await host.stopShim('alive');
        fs.renameSync(host.bundlePath('alive'), path.join(host.base, 'aside'));
        fs.mkdirSync(host.bundlePath('alive'));
      },
      (recovered) =>
        expect(bundleOf(recovered, 'alive').explanation).toMatch(
          /^not as planned: another directory stands there; planned was adopt, .*; now it would be discard, as the bundle is empty$/,
        ),
    );
  });
});

describe.concurrent('a plan that is not saved', { timeout }, () => {
  test.each<readonly [string, (file: string) => string, RegExp]>([
    ['where a file stands', (file) => (fs.writeFileSync(file, 'mine'), file), /exists already, .* --out that does not/],
    ['through a dangling link', (file) => (fs.symlinkSync('nowhere', file), file), /exists already/],
    ['on a device', () => '/dev/null', /exists already/],
    ['in a directory that is not there', (file) => `${file}/x`, /the plan cannot be saved as \S+: ENOENT/],
  ])('%s is said before anybody is asked', async (_, arrange, sentence) => {
    await withHost(async (host) => {
      await host.addBundle('alive', { shim: running });
      const file = arrange(planIn(host));
      expectRefusal(await run(['plan', '--out', file, ...host.args]), sentence);
      expect(host.callsTo('alive')).toBe(0);
      if (file === planIn(host) && fs.lstatSync(file).isFile()) expect(fs.readFileSync(file, 'utf8')).toBe('mine');
    });
  });

  test('with a store that tells nothing once the daemon is stopped is refused, with what to do', async () => {
    await withHost(async (host) => {
      const args = [...host.args, '--store', `containerd:${path.join(host.base, 'containerd.sock')}`];
      expectRefusal(
        await run(['plan', '--out', planIn(host), ...args]),
        /stop the daemon, and make the plan with --store bolt:FILE/,
      );
      expect(fs.existsSync(planIn(host))).toBe(false);
    });
  });

  test('where nobody may write is said', async (context) => {
    if (!isRoot) context.skip('needs root, to become somebody else');
    await withHost(async (host) => {
      const directory = path.join(host.base, 'closed');
      fs.mkdirSync(directory, { mode: 0o755 });
      fs.chmodSync(host.base, 0o755);
      expectRefusal(
        await run(['plan', '--out', path.join(directory, 'plan'), ...host.args], { uid: 65_534 }),
        /the plan cannot be saved as \S+: EACCES/,
      );
    });
  });

  test('to its end is taken away, and said beside the report', async () => {
    await withHost(async (host) => {
      for (let nth = 0; nth < 9; nth++) await host.addBundle(`left-${nth}`);
      // Files of this process may not grow beyond two or four blocks, according to the shell.
      const limited = await runInShell('trap "" XFSZ; ulimit -f 4; exec "$@"', [
        'plan',
        '--out',
        planIn(host),
        ...host.as17,
      ]);
      expect(limited.stderr).toMatch(/^shim-recovery: the plan cannot be saved as \S+: EFBIG[^\n]*\n$/);
      expect(limited.stdout).toMatch(/plan: 9 to discard/);
      expect(limited.code).toBe(1);
      expect(fs.existsSync(planIn(host))).toBe(false);
    });
  });

  test('as it was interrupted is said, with what was found out', async () => {
    await withHost(async (host) => {
      await host.addBundle('silent', { shim: { ...running, connect: 'hang' } });
      await host.addBundle('dead', { shim: dead });
      const planning = start(['plan', '--json', '--out', planIn(host), ...host.args]);
      await eventually('the shim to be asked', () => host.callsTo('silent') > 0);
      planning.child.kill('SIGINT');
      const ended = await planning.ended;
      expect(ended.code).toBe(130);
      expect(ended.stderr).toContain('shim-recovery: interrupted, so that the plan was not saved\n');
      expect(reportOf(ended).interrupted).toBe(true);
      expect(fs.existsSync(planIn(host))).toBe(false);
    });
  });

  test('as recover would refuse it is said, with what to do', async () => {
    await withHost(async (host) => {
      for (let nth = 0; nth < 5; nth++) await host.addBundle(`dead-${nth}`, { shim: dead });
      const refused = await run(['plan', '--out', planIn(host), ...host.args]);
      expect(refused.stderr).toMatch(
        /^shim-recovery: the plan was not saved, as recover would refuse it: 5 of 5 [^\n]* --may-destroy 1\n$/,
      );
      expect(refused.stdout).toMatch(/plan: 5 to clean up/);
      expect(refused.code).toBe(1);
      expect(fs.existsSync(planIn(host))).toBe(false);
    });
  });
});

describe.concurrent('what cannot be carried out', { timeout }, () => {
  test.each<readonly [string, (file: string) => void, RegExp]>([
    ['a file that is missing', (file) => fs.rmSync(file), /the plan \S+ cannot be carried out: ENOENT/],
    ['a directory', (file) => (fs.rmSync(file), fs.mkdirSync(file)), /it is no regular file/],
    ['a FIFO', (file) => (fs.rmSync(file), execFileSync('mkfifo', [file])), /it is no regular file/],
    ['nothing', (file) => fs.truncateSync(file), /it is no saved plan: it is empty; plan --out FILE makes one/],
    ['other bytes', (file) => fs.writeFileSync(file, Buffer.from([0xff, 0xfe])), /it is not UTF-8/],
    ['a report', (file) => fs.writeFileSync(file, '{"schema":"shim-recovery/report@1"}\n'), /it is no saved plan: its/],
    [
      'half a plan',
      (file) => fs.truncateSync(file, Math.floor(fs.statSync(file).size / 2)),
      /its end is missing; make a new one with plan --out FILE/,
    ],
    [
      'an edited plan',
      (file) => fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('"Adopt"', '"Reap"')),
      /it is not as it was written, and a plan is carried out as it is or not at all; make a new one/,
    ],
    [
      'a newer plan',
      (file) => fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('plan@1', 'plan@3')),
      /written as shim-recovery\/plan@3, and this version reads \S+\/plan@1 and \S+\/plan@2; .* the version that made it, or make a new one/,
    ],
  ])('%s is said, and nothing is done', async (_, spoil, sentence) => {
    await withHost(async (host) => {
      await layOut(host);
      const file = await savePlan(host);
      spoil(file);
      const before = host.fingerprint();
      expectRefusal(await run(['recover', '--plan', file]), sentence);
      expect(host.fingerprint()).toEqual(before);
    });
  });

  test('what the plan settles is not said again', async () => {
    await withHost(async (host) => {
      const file = await savePlan(host);
      for (const option of [['--policy', 'careful'], host.args.slice(0, 2), ['--may-destroy', '1'], ['--debug']])
        expectRefusal(
          await run(['recover', '--plan', file, ...option]),
          new RegExp(`^shim-recovery: ${option[0]} was settled when the plan was made; leave it out, or make a new`),
          2,
        );
    });
  });

  test('a plan without its store is not carried out', async () => {
    await withHost(async (host) => {
      await layOut(host);
      const file = await savePlan(host);
      fs.rmSync(host.store);
      const before = host.fingerprint();
      expectRefusal(await run(['recover', '--plan', file]), /store/);
      expect(host.fingerprint()).toEqual(before);
    });
  });

  test('while a daemon serves the directories, or holds the store, nothing is done', async () => {
    await withHost(async (host) => {
      await host.addBundle('dead', { shim: dead });
      const database = path.join(host.base, 'meta.db');
      fs.writeFileSync(database, writeMetadata({ containers: [], sandboxes: [] }));
      const file = await savePlan(host, '--store', `bolt:${database}`);
      const daemon = net.createServer().listen(path.join(host.base, 'containerd.sock'));
      await new Promise((resolve) => daemon.once('listening', resolve));
      expectRefusal(await run(['recover', '--plan', file]), /a daemon serves/);
      await new Promise((resolve) => daemon.close(resolve));
      const lock = await holdLock(database, 'exclusive');
      expectRefusal(await run(['recover', '--plan', file]), /meta\.db.* stop it first$/m);
      await lock.release();
      expect(host.bundles()).toEqual(['dead']);
      expect(await run(['recover', '--plan', file])).toMatchObject({ code: 0, stderr: '' });
      expect(host.bundles()).toEqual([]);
    });
  });

  test('without any store it is done by force only', async () => {
    await withHost(async (host) => {
      await host.addBundle('unknown');
      const file = await savePlan(host, '--store', 'none');
      expectRefusal(await run(['recover', '--plan', file]), /without a store every container is unknown/);
      expect(await run(['recover', '--plan', file, '--force'])).toMatchObject({ code: 0 });
    });
  });
});

/** `--record` and `replay`: what a run learns goes to a file, and any machine makes the same plan of it. */
import { execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { parseRecording, type Recording } from '@shim-recovery/core/documents';
import { describe, expect, test } from 'vitest';
import { eventually, isRoot, right } from '../temporary.js';
import { dead, type Host, reportOf, type Run, run, runInShell, running, start, withHost } from './host.js';

/** Generous: other tests run at the same time. */
const timeout = 30_000;

const layOut = async (host: Host): Promise<void> => {
  await host.addBundle('alive', { shim: running });
  await host.addBundle('leaked', { shim: { ...running, pids: { ok: { pids: [] } } } });
  await host.addBundle('dead', { shim: dead });
  await host.addBundle('unknown');
  host.addRawBundle(Buffer.from([0x77, 0xff, 0x0a]), { address: 'unix:///nonexistent' });
  fs.mkdirSync(path.join(host.root, host.namespace, 'old'));
};

const recordingIn = ({ base }: Host): string => path.join(base, 'recording');

const read = (file: string): Recording => right(parseRecording(fs.readFileSync(file, 'utf8')));

/** What is the same each time. */
const lasting = (ended: Run) => {
  const { startedAt: _, durationMs: __, command: ___, ...report } = reportOf(ended);
  return report;
};

/** One line on stderr, and nothing on stdout. */
const expectRefusal = (ended: Run, sentence: RegExp): void => {
  expect(ended.stderr).toMatch(/^shim-recovery: [^\n]+\n$/);
  expect(ended.stderr).toMatch(sentence);
  expect(ended.stderr).not.toMatch(/\n {4}at |[\u0000-\u0009\u000b-\u001f\u007f]/);
  expect(ended).toMatchObject({ code: 1, stdout: '' });
};

describe.concurrent('plan --record', { timeout }, () => {
  test('can be replayed under each policy, elsewhere and by anybody, as that policy would plan there', async () => {
    await withHost(async (host) => {
      await layOut(host);
      const file = recordingIn(host);
      // A daemon of another test may come and go: its PATH would be in some of these reports.
      const args = [...host.args, '--path', '/usr/sbin:/usr/bin:/sbin:/bin'];
      const before = host.fingerprint();
      const planned = await run(['plan', '--json', '--record', file, ...args]);
      expect(planned).toMatchObject({ code: 0, stderr: '' });
      expect(host.fingerprint()).toEqual(before);
      expect(fs.statSync(file).mode & 0o777).toBe(0o600);
      const policies = ['containerd-1.6', 'containerd-1.7', 'containerd-2.1', 'careful'];
      const plans = [];
      for (const policy of policies) plans.push(lasting(await run(['plan', '--json', '--policy', policy, ...args])));
      const { startedAt } = read(file).head;
      // Now the host is gone, and who replays has no rights there.
      await Promise.all(['alive', 'leaked', 'dead'].map((id) => host.stopShim(id)));
      for (const directory of [host.state, host.root]) fs.rmSync(directory, { recursive: true });
      fs.chmodSync(host.base, 0o755);
      fs.chmodSync(file, 0o644);
      const options = isRoot ? { uid: 65_534 } : {};
      const replayed = await run(['replay', file, '--json'], options);
      expect(replayed).toMatchObject({ code: 0, stderr: '' });
      expect(lasting(replayed)).toEqual(lasting(planned));
      expect(reportOf(replayed)).toMatchObject({
        command: 'replay',
        startedAt,
        durationMs: reportOf(planned).durationMs,
      });
      for (const [index, policy] of policies.entries())
        expect(lasting(await run(['replay', '--policy', policy, '--json', file], options))).toEqual(plans[index]);
      const detailed = await run(['replay', file, '--detailed-exitcode'], options);
      expect(detailed).toMatchObject({ code: 3, stderr: '' });
      const asRecorded = `Replay as careful of ${host.state}\n\nnamespace ${host.namespace}\n`;
      expect(detailed.stdout.slice(0, asRecorded.length)).toBe(asRecorded);
      expect(detailed.stdout).toMatch(/\n {2}working directory old would be removed/);
      expect(detailed.stdout).toMatch(/\nreplay: 1 to adopt, .*, as recorded at 2\d{3}-[-:.0-9T]+Z\n$/);
      const elsewhere = await run(['replay', file, '--namespace', 'k8s.io', '--detailed-exitcode'], options);
      expect(elsewhere).toMatchObject({ code: 0, stderr: `shim-recovery: there is no namespace k8s.io in ${file}\n` });
    });
  });

  test('without probing replays what is held for it', async () => {
    await withHost(async (host) => {
      await host.addBundle('alive', { shim: running });
      const file = recordingIn(host);
      await run(['plan', '--no-probe', '--record', file, ...host.args]);
      for (const policy of ['containerd-1.6', 'containerd-2.1'])
        expect(
          reportOf(await run(['replay', file, '--json', '--policy', policy])).namespaces[0]?.bundles,
        ).toMatchObject([{ id: 'alive', verdict: 'hold', reason: 'not-probed' }]);
    });
  });
});

test('what a run chose of its policy holds for who reads its recording, unless it says otherwise', {
  timeout,
}, async () => {
  await withHost(async (host) => {
    const container = spawn('sleep', ['1000']);
    try {
      await host.addBundle('orphan', { shim: dead, files: { 'init.pid': String(container.pid) } });
      const file = recordingIn(host);
      const careful = ['--policy', 'careful'];
      const reasons = (ended: Run) => reportOf(ended).namespaces[0]?.bundles.map(({ reason }) => reason);
      const planned = await run(['plan', '--json', ...careful, '--orphans', 'reap', '--record', file, ...host.args]);
      expect(reasons(planned)).toEqual(['orphan-reaped']);
      expect(lasting(await run(['replay', '--json', file]))).toEqual(lasting(planned));
      expect(lasting(await run(['replay', '--json', ...careful, file]))).toEqual(lasting(planned));
      expect(reasons(await run(['replay', '--json', '--orphans', 'hold', file]))).toEqual(['orphan-workload']);
      expect((await run(['explain', 'orphan', '--recording', file])).stdout).toMatch(/clean up \(orphan-reaped\)/);
      const held = await run(['explain', 'orphan', '--recording', file, '--orphans', 'hold']);
      expect(held.stdout).toMatch(/hold \(orphan-workload\)/);
      const compared = ['compare', '--policy', 'containerd-1.6', ...careful];
      const whyReaped = /careful ends a container that runs without its shim, by the shim's binary/;
      expect((await run([...compared, file])).stdout).toMatch(whyReaped);
      expect((await run([...compared, file, '--orphans', 'hold'])).stdout).toMatch(/careful +hold/);
      const here = await run([...compared, '--orphans', 'reap', ...host.args]);
      expect(here.stdout).toMatch(whyReaped);
      const explained = await run(['explain', 'orphan', ...careful, '--orphans', 'reap', ...host.args]);
      expect(explained.stdout).toMatch(/clean up \(orphan-reaped\)/);
      const other = path.join(host.base, 'other');
      await run(['plan', '--record', other, ...host.as17]);
      expectRefusal(
        await run(['replay', other, '--orphans', 'reap']),
        /containerd-1.7 does not look for containers that run without their shim, .* name careful with --policy$/m,
      );
    } finally {
      container.kill('SIGKILL');
    }
  });
});

describe.concurrent('recover --record', { timeout }, () => {
  test('has what was decided on, before it was carried out', async () => {
    await withHost(async (host) => {
      await layOut(host);
      const file = recordingIn(host);
      const recovered = reportOf(await run(['recover', '--json', '--record', file, ...host.as17]));
      expect(recovered.summary).toMatchObject({ adopt: 1, reap: 1 });
      expect(read(file)).toMatchObject({
        isComplete: true,
        head: { command: 'recover', policies: ['containerd-1.7'] },
      });
      const replayed = reportOf(await run(['replay', '--json', file]));
      const decided = (report: typeof replayed) =>
        report.namespaces.map(({ bundles }) =>
          bundles.map(({ id, verdict, reason, explanation }) => ({ id, verdict, reason, explanation })),
        );
      expect(decided(replayed)).toEqual(decided(recovered));
      expectRefusal(
        await run(['replay', file, '--policy', 'containerd-2.1']),
        /containerd-2.1 would ask was not recorded; it can be replayed under containerd-1.7; plan --record asks/,
      );
    });
  });

  test('that is killed leaves what it had learnt', async () => {
    await withHost(async (host) => {
      await host.addBundle('alive', { shim: running });
      await host.addBundle('dead', { shim: dead });
      const pidFile = path.join(host.base, 'pid');
      host.setBinary(`echo $$ > ${pidFile}.new; mv ${pidFile}.new ${pidFile}; exec sleep 30`);
      const file = recordingIn(host);
      const recovering = start(['recover', '--record', file, '--cleanup-timeout', '20s', ...host.args]);
      await eventually('the shim binary to run', () => fs.existsSync(pidFile));
      recovering.child.kill('SIGKILL');
      process.kill(Number(fs.readFileSync(pidFile, 'utf8')));
      await recovering.ended;
      expect(read(file).isComplete).toBe(false);
      const replayed = await run(['replay', '--json', file]);
      expect(replayed.stderr).toMatch(/^shim-recovery: the recording .* ends early: [^\n]+\n$/);
      const [namespace] = reportOf(replayed).namespaces;
      expect(namespace?.bundles.map(({ id, verdict }) => [id, verdict])).toEqual([
        ['alive', 'adopt'],
        ['dead', 'cleanUp'],
      ]);
      expect(namespace?.error).toMatch(/^the recording ends before its working directories/);
      expect((await run(['replay', '--detailed-exitcode', file])).code).toBe(3);
    });
  });

  test('that watches has its end before it watches', async () => {
    await withHost(async (host) => {
      await host.addBundle('alive', { shim: running });
      const file = recordingIn(host);
      const watching = start(['recover', '--watch', '--record', file, ...host.args]);
      await eventually('it to watch', () => watching.stderr().includes('watching 1 shim'));
      expect(read(file).isComplete).toBe(true);
      watching.child.kill('SIGTERM');
      expect((await watching.ended).code).toBe(0);
    });
  });
});

test('where a recording ends early, nobody knows that nothing would be destroyed', { timeout }, async () => {
  await withHost(async (host) => {
    await host.addBundle('alive', { shim: running });
    const file = recordingIn(host);
    await run(['plan', '--record', file, ...host.args]);
    expect((await run(['replay', '--detailed-exitcode', file])).code).toBe(0);
    fs.truncateSync(file, fs.statSync(file).size - 2);
    expect((await run(['replay', '--detailed-exitcode', file])).code).toBe(3);
    expect((await run(['replay', file])).code).toBe(0);
  });
});

describe.concurrent('a recording that cannot be written', { timeout }, () => {
  test.each<readonly [string, (host: Host, file: string) => string, RegExp]>([
    [
      'where a file stands',
      (_, file) => (fs.writeFileSync(file, 'mine'), file),
      /exists already, .* --record that does/,
    ],
    ['through a dangling link', (_, file) => (fs.symlinkSync('nowhere', file), file), /exists already/],
    ['on a device', () => '/dev/null', /exists already/],
    ['in a directory that is not there', (_, file) => `${file}/x`, /the recording .* cannot be made: ENOENT/],
    ['below a file', ({ store }) => `${store}/x`, /the recording .* cannot be made: ENOTDIR/],
  ])('%s is said, and nothing is done', async (_, arrange, sentence) => {
    await withHost(async (host) => {
      await layOut(host);
      const file = arrange(host, recordingIn(host));
      const before = host.fingerprint();
      for (const command of ['plan', 'recover'])
        expectRefusal(await run([command, '--record', file, ...host.args]), sentence);
      expect(host.fingerprint()).toEqual(before);
      if (file === recordingIn(host) && fs.lstatSync(file).isFile()) expect(fs.readFileSync(file, 'utf8')).toBe('mine');
    });
  });

  test('to its end is said once, and the recovery is as without it', async () => {
    await withHost(async (host) => {
      for (let nth = 0; nth < 9; nth++) await host.addBundle(`left-${nth}`);
      const file = recordingIn(host);
      // Files of this process may not grow beyond two or four blocks, according to the shell.
      const limited = await runInShell('trap "" XFSZ; ulimit -f 4; exec "$@"', [
        'recover',
        '--record',
        file,
        ...host.as17,
      ]);
      expect(limited.stderr).toMatch(
        /^shim-recovery: the recording \S+ ends here, and the run goes on: EFBIG[^\n]*\n$/,
      );
      expect(limited.stdout).toMatch(/recover: 9 discarded/);
      expect(limited.code).toBe(1);
      expect(host.bundles()).toEqual([]);
      const replayed = await run(['replay', file]);
      expect(replayed.stderr).toMatch(/ends early/);
      expect(replayed).toMatchObject({ code: 0 });
      expect(read(file).bundles.length).toBeGreaterThan(0);
    });
  });

  test.each(['plan', 'recover'])('is not left behind where %s is refused', async (command) => {
    await withHost(async (host) => {
      const file = recordingIn(host);
      expectRefusal(
        await run([command, '--record', file, ...host.args, '--root', `${host.base}/none`]),
        /root directory/,
      );
      expect(fs.existsSync(file)).toBe(false);
    });
  });
});

describe.concurrent('what cannot be replayed', { timeout }, () => {
  test.each<readonly [string, (file: string) => void, RegExp]>([
    ['a file that is missing', () => undefined, /the recording \S+ cannot be replayed: ENOENT/],
    ['a directory', (file) => fs.mkdirSync(file), /cannot be replayed: it is no regular file/],
    ['a FIFO', (file) => execFileSync('mkfifo', [file]), /cannot be replayed: it is no regular file/],
    ['nothing', (file) => fs.writeFileSync(file, ''), /it is no recording: it is empty; plan --record FILE makes one/],
    ['other bytes', (file) => fs.writeFileSync(file, Buffer.from([0xff, 0xfe])), /cannot be replayed: it is not UTF-8/],
    [
      'a report',
      (file) => fs.writeFileSync(file, '{"schema":"shim-recovery/report@1"}\n'),
      /it is no recording: its schema is "shim-recovery\/report@1"/,
    ],
    [
      'a newer recording',
      (file) => fs.writeFileSync(file, '{"schema":"shim-recovery/recording@2"}\n'),
      /written as shim-recovery\/recording@2, and this version reads .* the version that recorded it, or a newer one/,
    ],
    [
      'a damaged line with what would steer a terminal',
      (file) => {
        const text = fs.readFileSync(
          new URL('../../../core/test/fixtures/recording@1/plan.ndjson', import.meta.url),
          'utf8',
        );
        fs.writeFileSync(file, text.replace('"kind":"directory"', '"kind":"\\u001b[2J\u009b\\n"'));
      },
      /line 2 is damaged: \/evidence\/kind is "\\u001b\[2J\\x9b\\n", which is no FileKind/,
    ],
  ])('%s is said', async (_, arrange, sentence) => {
    await withHost(async (host) => {
      arrange(recordingIn(host));
      expectRefusal(await run(['replay', recordingIn(host)]), sentence);
    });
  });

  test('a socket', async (context) => {
    await withHost(async (host) => {
      await host.addBundle('alive', { shim: running });
      if (!fs.existsSync(`${host.base}/alive.sock`)) context.skip('the shim listens elsewhere');
      expectRefusal(await run(['replay', `${host.base}/alive.sock`]), /cannot be replayed: ENXIO/);
    });
  });
});

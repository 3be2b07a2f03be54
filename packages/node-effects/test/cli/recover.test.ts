/** The command on hosts that are not as they should be, and runs that do not end as they should. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { BundleReport, Report } from '@shim-recovery/core/documents';
import { describe, expect, test } from 'vitest';
import { writeMetadata } from '../bolt/writer.js';
import { eventually } from '../temporary.js';
import type { ShimScript } from '../../src/demo/ScriptedShim.js';
import {
  dead,
  goodBinary,
  type Host,
  makeHost,
  reportOf,
  type Run,
  run,
  running,
  runInShell,
  start,
  withHost,
} from './host.js';

/** Generous: other tests run at the same time. */
const timeout = 30_000;

const bundleOf = (report: Report, id: string): BundleReport =>
  report.namespaces.flatMap(({ bundles }) => bundles).find((bundle) => bundle.id === id) ??
  expect.fail(`${id} is not in the report`);

const outcomesOf = ({ steps }: BundleReport): ReadonlyArray<readonly [string, string]> =>
  steps.map(({ step, outcome }) => [step, outcome]);

describe.concurrent('names', { timeout }, () => {
  const raw = Buffer.from([0x77, 0xff, 0x0a, 0x1b, 0x5c, 0x80]);
  const shown = String.raw`w\xff\x0a\x1b\\\x80`;

  test('that are not UTF-8 are shown escaped, and their bundles removed', async () => {
    await withHost(async (host) => {
      host.addRawBundle(raw, {});
      host.addRawBundle(Buffer.from([0xe4]), {});
      fs.mkdirSync(Buffer.concat([Buffer.from(`${host.root}/${host.namespace}/`), Buffer.from([0xf6])]));
      const planned = await run(['plan', ...host.args]);
      expect(planned.stdout).toContain(`  ${shown}  discard   shim-binary-path is missing`);
      expect(planned.stdout).toContain(String.raw`working directory \xf6 would be removed`);
      expect(planned.stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\ufffd]/);
      const recovered = await run(['recover', '--json', ...host.args]);
      expect(recovered).toMatchObject({ code: 0, stderr: '' });
      expect(bundleOf(reportOf(recovered), shown)).toMatchObject({ verdict: 'discard', registered: false });
      expect(host.bundles()).toEqual([]);
      expect(host.workDirectories()).toEqual([]);
    });
  });

  test('that are not UTF-8 cannot be told to a shim binary, which is said', async () => {
    await withHost(async (host) => {
      host.addRawBundle(raw, { 'shim-binary-path': host.binary, address: 'unix:///nonexistent.sock' });
      const recovered = await run(['recover', '--json', ...host.args]);
      const bundle = bundleOf(reportOf(recovered), shown);
      expect(bundle.verdict).toBe('cleanUp');
      expect(bundle.steps.find(({ outcome }) => outcome === 'failed')).toMatchObject({
        step: 'run-binary',
        error: expect.stringContaining('EILSEQ'),
      });
      expect(recovered.code).toBe(3);
    });
  });

  test('that are not valid for a namespace are said, and nothing in them is touched', async () => {
    await withHost(async (host) => {
      await host.addBundle('left');
      for (const directory of [host.state, host.root])
        fs.mkdirSync(path.join(directory, 'bad..ns', 'web', 'rootfs'), { recursive: true });
      const untouched = () => host.fingerprint().filter((line) => line.includes('bad..ns'));
      const before = untouched();
      const recovered = await run(['recover', '--json', ...host.args]);
      expect(recovered.code).toBe(3);
      expect(reportOf(recovered).namespaces.map(({ name, error }) => [name, error])).toEqual([
        ['bad..ns', 'the name is not valid for a namespace; nothing in it is touched'],
        [host.namespace, null],
      ]);
      expect(untouched()).toEqual(before);
      expect(before).toHaveLength(6);
      expect(host.bundles()).toEqual([]);
    });
  });
});

describe.concurrent('odd things where a small file belongs', { timeout }, () => {
  const sparseBytes = 3 * 1024 ** 3;
  const kinds: ReadonlyArray<readonly [string, (at: string) => unknown, RegExp]> = [
    ['fifo', (at) => execFileSync('mkfifo', [at]), /fifo|not a regular file/],
    ['directory', (at) => fs.mkdirSync(at), /directory|not a regular file/],
    ['device', (at) => fs.symlinkSync('/dev/zero', at), /device|symlink|ELOOP|not a regular file/],
    [
      'sparse',
      (at) => {
        fs.writeFileSync(at, '');
        fs.truncateSync(at, sparseBytes);
      },
      /larger than|too large/,
    ],
  ];

  const lay = async (host: Host): Promise<void> => {
    host.setContainers(Object.fromEntries(kinds.map(([kind]) => [`path-${kind}`, host.binary])));
    for (const [kind, make] of kinds) {
      await host.addBundle(`address-${kind}`, { files: { 'shim-binary-path': host.binary } });
      make(path.join(host.bundlePath(`address-${kind}`), 'address'));
      await host.addBundle(`path-${kind}`);
      make(path.join(host.bundlePath(`path-${kind}`), 'shim-binary-path'));
      await host.addBundle(`forgotten-${kind}`);
      make(path.join(host.bundlePath(`forgotten-${kind}`), 'shim-binary-path'));
    }
  };

  test('do not make the run wait, are named as the reason, and are removed by containerd 1.7', async () => {
    await withHost(async (host) => {
      await lay(host);
      const before = host.fingerprint();
      const startedMs = performance.now();
      const planned = await run(['plan', '--json', ...host.as17]);
      expect(performance.now() - startedMs).toBeLessThan(10_000);
      expect(planned).toMatchObject({ code: 0, stderr: '' });
      expect(host.fingerprint()).toEqual(before);
      for (const [kind, , reason] of kinds) {
        const report = reportOf(planned);
        expect(bundleOf(report, `address-${kind}`)).toMatchObject({
          reason: 'address-unreadable',
          explanation: expect.stringMatching(reason),
        });
        // The recorded path cannot be read: the container's own record counts instead.
        expect(bundleOf(report, `path-${kind}`)).toMatchObject({ verdict: 'cleanUp', reason: 'address-unreadable' });
        expect(bundleOf(report, `forgotten-${kind}`)).toMatchObject({
          reason: 'container-not-found',
          explanation: expect.stringMatching(reason),
        });
      }
      const recovered = await run(['recover', '--json', ...host.as17]);
      expect(reportOf(recovered).summary).toMatchObject({ failedSteps: 0, cleanUp: 8, discard: 4 });
      expect(recovered.code).toBe(0);
      expect(host.bundles()).toEqual([]);
      expect(fs.statSync('/dev/zero').isCharacterDevice()).toBe(true);
    });
  });

  test('hold their bundles without a policy, as what they said is lost', async () => {
    await withHost(async (host) => {
      await lay(host);
      const before = host.fingerprint();
      const recovered = await run(['recover', '--json', ...host.args]);
      expect(recovered).toMatchObject({ code: 3, stderr: '' });
      for (const [kind, , explanation] of kinds) {
        const named = { verdict: 'hold', explanation: expect.stringMatching(explanation) };
        const report = reportOf(recovered);
        expect(bundleOf(report, `address-${kind}`)).toMatchObject({ ...named, reason: 'address-unknown' });
        expect(bundleOf(report, `path-${kind}`)).toMatchObject({ ...named, reason: 'bundle-unreadable' });
        expect(bundleOf(report, `forgotten-${kind}`)).toMatchObject({ ...named, reason: 'bundle-unreadable' });
      }
      expect(host.fingerprint()).toEqual(before);
    });
  });
});

describe.concurrent('--namespace', { timeout }, () => {
  /** A process with this command line, until it is ended. */
  const startNamed = (...words: ReadonlyArray<string>): ChildProcess =>
    spawn('sh', ['-c', 'read nothing', ...words], { stdio: ['pipe', 'ignore', 'ignore'] });

  const withNamespace = (use: (host: Host, namespace: string) => Promise<void>): Promise<void> =>
    withHost(async (host) => {
      await host.addBundle('web', { shim: dead });
      await host.addBundle('unknown');
      await use(host, host.namespace);
    });

  test('does not make the command itself, nor what runs it, the shim of a bundle', async () => {
    await withNamespace(async (host, namespace) => {
      const command = ['recover', '--namespace', namespace, ...host.args];
      const above = startNamed('shim-recovery', ...command);
      try {
        expect(await run(command)).toMatchObject({ code: 0, stderr: '' });
        expect(host.bundles(namespace)).toEqual([]);
      } finally {
        above.kill('SIGKILL');
      }
    });
  });

  test('of another program holds only the bundles of which no program is known', async () => {
    await withNamespace(async (host, namespace) => {
      const other = startNamed('kubectl', 'get', 'pods', '--namespace', namespace);
      try {
        const recovered = await run(['recover', '--json', ...host.args]);
        expect(bundleOf(reportOf(recovered), 'web')).toMatchObject({ verdict: 'cleanUp', outcome: 'removed' });
        expect(bundleOf(reportOf(recovered), 'unknown')).toMatchObject({
          reason: 'processes-unknown',
          explanation: `whether it lives cannot be told: process ${other.pid} (sh) may belong to it`,
        });
        expect(host.bundles(namespace)).toEqual(['unknown']);
      } finally {
        other.kill('SIGKILL');
      }
    });
  });
});

describe.concurrent('a shim binary', { timeout }, () => {
  test('that fails makes the run end with 3, and is named with what it complained', async () => {
    await withHost(async (host) => {
      host.setBinary("printf 'no such\\033[2J runtime\\n' >&2; exit 7");
      await host.addBundle('web', { shim: dead });
      await host.addBundle('alive', { shim: running });
      const recovered = await run(['recover', '--json', ...host.args]);
      expect(recovered.code).toBe(3);
      const report = reportOf(recovered);
      expect(report.summary).toMatchObject({ adopt: 1, cleanUp: 1, failedSteps: 1 });
      expect(bundleOf(report, 'web').steps.find(({ outcome }) => outcome === 'failed')).toEqual({
        step: 'run-binary',
        outcome: 'failed',
        target: host.binary,
        error: expect.stringMatching(/exit code 7.*no such\\x1b\[2J runtime/),
      });
      expect(host.bundles()).toContain('alive');
    });
  });

  test('that warns but succeeds is quoted, and the run ends with 0', async () => {
    await withHost(async (host) => {
      host.setBinary(`echo 'a warning' >&2; ${goodBinary}`);
      await host.addBundle('web', { shim: dead });
      const recovered = await run(['recover', ...host.args]);
      expect(recovered).toMatchObject({ code: 0, stderr: `shim-recovery: ${host.binary} delete: a warning\n` });
    });
  });
});

describe.concurrent('interrupted by a signal', { timeout }, () => {
  /** A host on which every shim binary says that it runs, and hangs. */
  const layHanging = async (host: Host, ids: ReadonlyArray<string>): Promise<() => ReadonlyArray<string>> => {
    const marks = path.join(host.base, 'marks');
    fs.mkdirSync(marks);
    host.setBinary(`touch '${marks}/'"$(basename "$(pwd -P)")"; exec sleep 100`);
    for (const id of ids) await host.addBundle(id, { shim: dead });
    await host.addBundle('unknown');
    return () => fs.readdirSync(marks);
  };

  /** More than run at once on this machine. */
  const ids = Array.from({ length: 2 * os.availableParallelism() + 2 }, (_, nth) => `dead-${nth}`);

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)(
    'recover (%s) finishes what is under way, says what is left, and goes on from there when run again',
    async (signal, code) => {
      await withHost(async (host) => {
        const started = await layHanging(host, ids);
        const database = path.join(host.base, 'meta.db');
        fs.writeFileSync(database, writeMetadata({ containers: [], sandboxes: [] }));
        const args = [...host.args, '--may-destroy', '1', '--store', `bolt:${database}`];
        const recovering = start(['recover', '--json', '--cleanup-timeout', '2s', ...args]);
        await eventually('a shim binary to run', () => started().length > 0);
        // Meanwhile a daemon would wait for its database.
        expect(() => execFileSync('flock', ['--nonblock', database, 'true'], { stdio: 'ignore' })).toThrow();
        recovering.child.kill(signal);
        const ended = await recovering.ended;
        expect(ended).toMatchObject({ code, signal: null });
        expect(ended.stderr).toBe(`shim-recovery: ${signal}: finishing what is under way; once more ends at once\n`);
        const report = reportOf(ended);
        expect(report.interrupted).toBe(true);
        expect(report.namespaces[0]?.error).toMatch(/^interrupted/);
        const left = ids.filter((id) => outcomesOf(bundleOf(report, id)).some(([, outcome]) => outcome === 'left'));
        const ran = started();
        expect(left.length).toBeGreaterThan(0);
        expect(ran.length).toBeLessThan(ids.length);
        // What was begun ran into its time-out; what was not begun is as it was.
        for (const id of ids) {
          const outcomes = outcomesOf(bundleOf(report, id));
          const expected = ran.includes(id) ? ['run-binary', 'failed'] : ['run-binary', 'left'];
          expect(outcomes).toContainEqual(expected);
        }
        for (const id of left) expect(host.bundles()).toContain(id);

        host.setBinary(goodBinary);
        const again = await run(['recover', '--json', ...args]);
        expect(again).toMatchObject({ code: 0, stderr: '' });
        expect(host.bundles()).toEqual([]);
        expect(host.workDirectories()).toEqual([]);
      });
    },
  );

  test('twice, recover ends at once', async () => {
    await withHost(async (host) => {
      const started = await layHanging(host, ['a']);
      host.setBinary(`echo $$ > '${host.base}/pid.new'; mv '${host.base}/pid.new' '${host.base}/pid'; exec sleep 100`);
      expect(started()).toEqual([]);
      const recovering = start(['recover', ...host.args]);
      const pidFile = path.join(host.base, 'pid');
      await eventually('the shim binary to run', () => fs.existsSync(pidFile));
      recovering.child.kill('SIGINT');
      await eventually('the signal to be noticed', () => recovering.stderr().includes('once more ends at once'));
      recovering.child.kill('SIGINT');
      const ended = await recovering.ended;
      process.kill(Number(fs.readFileSync(pidFile, 'utf8')), 'SIGKILL');
      expect(ended.code).toBe(130);
      expect(host.bundles()).toContain('a');
    });
  });
});

describe.concurrent('what a shim or its binary says', { timeout }, () => {
  const noise = 'no\u001b[2J\u009b1m\u202e\u2028\nnamespace forged\u0007';
  const error = { error: 13, message: noise };
  const leaked = { ...running, pids: { ok: { pids: [] } } };

  test.each(['containerd-1.7', 'careful'])(
    'neither begins a line of the report nor steers a terminal (%s)',
    async (policy) => {
      await withHost(async (host) => {
        host.setBinary(`printf 'bad\\033[2J\\302\\233\\nnamespace forged\\n' >&2; exit 7`);
        await host.addBundle('connect', { shim: { ...running, connect: error } });
        await host.addBundle('pids', { shim: { ...running, pids: error } });
        await host.addBundle('delete', { shim: { ...leaked, del: error } });
        await host.addBundle('shutdown', { shim: { ...leaked, shutdown: error } });
        await host.addBundle('dead', { shim: dead });
        const args = ['--policy', policy, ...host.args];
        const texts = [await run(['plan', ...args]), await run(['recover', ...args])];
        for (const { stdout, stderr } of texts) {
          expect(stdout + stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e-\u202e\u2028]/);
          expect(stdout).not.toMatch(/^ *namespace forged/m);
          expect(stdout).toContain('no\\u{1b}[2J\\u{9b}1m\\u{202e}\\u{2028}\\u{a}namespace forged\\u{7}');
        }
        expect(texts[1]?.stdout).toMatch(/call-delete failed: .*no\\u\{1b\}/);
        expect(texts[1]?.stdout).toMatch(/call-shutdown failed: .*no\\u\{1b\}/);
        expect(texts[1]?.stdout).toMatch(/run-binary \S+ failed: .*exit code 7: bad\\/);
      });
    },
  );
});

describe.concurrent('recover --watch', { timeout }, () => {
  test('stays, prints what becomes of a shim that ends, and leaves the others to themselves', async () => {
    await withHost(async (host) => {
      await host.addBundle('ending', { shim: running });
      await host.addBundle('staying', { shim: running });
      const watching = start(['recover', '--json', '--watch', ...host.args]);
      await eventually('it to watch', () => watching.stderr().includes('watching 2 shims'));
      await host.stopShim('ending');
      await eventually('both events', () => watching.stdout().split('\n').length > 3);
      await eventually('the bundle to go', () => !host.bundles().includes('ending'));
      watching.child.kill('SIGTERM');
      const ended = await watching.ended;
      expect(ended.code).toBe(0);
      const events = ended.stdout
        .trimEnd()
        .split('\n')
        .slice(1)
        .map((line): unknown => JSON.parse(line));
      expect(events).toMatchObject([
        { topic: '/tasks/exit', containerId: 'ending', pid: 900, exitStatus: 137 },
        { topic: '/tasks/delete', containerId: 'ending', pid: 900, exitStatus: 137 },
      ]);
      expect(host.bundles()).toEqual(['staying']);
      expect(host.workDirectories()).toEqual(['staying']);
    });
  });
});

describe.concurrent('demo', { timeout }, () => {
  /** A directory of its own for temporary files, and what is left in it. */
  const withTemporary = async (use: (directory: string) => Promise<void>): Promise<void> => {
    const { base, cleanUp } = makeHost();
    const directory = path.join(base, 't');
    fs.mkdirSync(directory);
    try {
      await use(directory);
      expect(fs.readdirSync(directory)).toEqual([]);
    } finally {
      await cleanUp();
    }
  };

  test('shows a plan and a recovery, and leaves nothing behind', async () => {
    await withTemporary(async (directory) => {
      const ended = await run(['demo'], { env: { TMPDIR: directory } });
      expect(ended).toMatchObject({ code: 0, stderr: '' });
      expect(ended.stdout).toMatch(/plan: 1 to adopt, 1 to reap, 2 to clean up, 1 to discard/);
      expect(ended.stdout).toMatch(/recover: 1 adopted, 1 reaped, 2 cleaned up, 1 discarded/);
      expect(ended.stdout).toMatch(/Nothing of it is left: .* is gone\.\n$/);
    });
  });

  // Tried again where the demonstration was over before the signal came.
  test.each([
    ['while it plans', 'A throw-away host'],
    ['while it recovers', 'Now doing it'],
  ])('interrupted %s leaves nothing behind either', { retry: 2 }, async (_, sign) => {
    await withTemporary(async (directory) => {
      const demo = start(['demo'], { env: { TMPDIR: directory } });
      await eventually(sign, () => demo.stdout().includes(sign));
      demo.child.kill('SIGINT');
      const ended = await demo.ended;
      expect(ended).toMatchObject({ code: 130, signal: null });
      expect(ended.stdout).toMatch(/Nothing of it is left/);
    });
  });

  test('interrupted twice ends at once, and leaves nothing behind either', { retry: 2 }, async () => {
    await withTemporary(async (directory) => {
      const demo = start(['demo'], { env: { TMPDIR: directory } });
      await eventually('it to recover', () => demo.stdout().includes('Now doing it'));
      demo.child.kill('SIGINT');
      await eventually('the signal to be noticed', () => demo.stderr().includes('once more'));
      demo.child.kill('SIGINT');
      expect(await demo.ended).toMatchObject({ code: 130, signal: null });
    });
  });

  test('without a place for temporary files says so in one line', async () => {
    const ended = await run(['demo'], { env: { TMPDIR: '/nonexistent' } });
    expect(ended).toMatchObject({ code: 1, stdout: '' });
    expect(ended.stderr).toMatch(/^shim-recovery: the demo cannot run here: ENOENT[^\n]*\n$/);
  });
});

// Not beside the others: laying so many keeps this process from seeing what theirs do.
describe('with few file descriptors', { timeout }, () => {
  const count = 200;
  const ids = Array.from({ length: count }, (_, index) => `b${index}`);

  /** The command with these options, on bundles that all name the socket of one shim. */
  const recoverAtOneShim = async (
    descriptors: number,
    shim: ShimScript,
    options: (host: Host) => ReadonlyArray<string>,
    check: (recovered: Run, host: Host) => void,
  ): Promise<void> =>
    withHost(async (host) => {
      const [first = '', ...others] = ids;
      await host.addBundle(first, { shim });
      const files = {
        'shim-binary-path': host.binary,
        address: fs.readFileSync(path.join(host.bundlePath(first), 'address'), 'utf8'),
      };
      for (const id of others) await host.addBundle(id, { files });
      const args = ['recover', '--json', ...options(host), '--load-timeout', '300ms'];
      check(await runInShell(`ulimit -n ${descriptors}; exec "$@"`, args), host);
    });

  test.each([128, 256])('no bundle is held that could have been waited for: %i', async (descriptors) => {
    await recoverAtOneShim(
      descriptors,
      { ...running, connect: 'hang' },
      ({ as17 }) => [...as17, '--allow-killing'],
      (recovered, host) => {
        expect(reportOf(recovered).summary).toMatchObject({
          cleanUp: count,
          hold: 0,
          failedSteps: 0,
          aliveDestroyed: count,
        });
        expect(recovered).toMatchObject({ code: 4, stderr: '' });
        expect(host.bundles()).toEqual([]);
      },
    );
  });

  test.each([128, 256])('without a policy, every shim that hangs was waited for: %i', async (descriptors) => {
    await recoverAtOneShim(
      descriptors,
      { ...running, connect: 'hang' },
      ({ args }) => args,
      (recovered, host) => {
        const { namespaces } = reportOf(recovered);
        expect(new Set(namespaces.flatMap(({ bundles }) => bundles.map(({ reason }) => reason)))).toEqual(
          new Set(['shim-unresponsive']),
        );
        expect(recovered).toMatchObject({ code: 3, stderr: '' });
        expect(host.bundles()).toHaveLength(count);
      },
    );
  });

  test.each([128, 256])('without a policy, every source was asked of each that is dead: %i', async (descriptors) => {
    await recoverAtOneShim(
      descriptors,
      dead,
      ({ args }) => [...args, '--may-destroy', '1'],
      (recovered, host) => {
        expect(reportOf(recovered).summary).toMatchObject({ cleanUp: count, hold: 0, failedSteps: 0 });
        expect(recovered).toMatchObject({ code: 0, stderr: '' });
        expect(host.bundles()).toEqual([]);
      },
    );
  });
});

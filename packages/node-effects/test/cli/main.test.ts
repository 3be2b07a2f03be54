/** The command as a whole: what it says about itself, to whom, and with which exit code. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { helpText } from '../../src/cli/arguments/Help.js';
import { commandNames } from '../../src/cli/arguments/OptionTable.js';
import { databaseOf } from '../../src/cli/arguments/Options.js';
import { writeMetadata } from '../bolt/writer.js';
import { holdLock } from '../lockHolder.js';
import { isRoot } from '../temporary.js';
import { dead, type Host, reportOf, type Run, run, runInShell, running, withHost } from './host.js';

/** One line on stderr that begins with the program's name, and nothing on stdout. */
const expectRefusal = (ended: Run, code: number, sentence: RegExp): void => {
  expect(ended.stderr).toMatch(/^shim-recovery: [^\n]+\n$/);
  expect(ended.stderr).toMatch(sentence);
  expect(ended.stderr).not.toMatch(/\n {4}at |[\u0000-\u0009\u000b-\u001f\u007f]/);
  expect(ended).toMatchObject({ code, signal: null, stdout: '' });
};

/** Generous: other tests run at the same time. */
const testTimeoutMs = 30_000;

const escapeCodes = /\u001b/;

describe.concurrent('about itself', { timeout: testTimeoutMs }, () => {
  test.each([undefined, ...commandNames])('the help of %s is printed to stdout', async (about) => {
    const args = about === undefined ? ['--help'] : [about, '--help'];
    expect(await run(args)).toEqual({ code: 0, signal: null, stdout: helpText(about), stderr: '' });
  });

  test('the version is that of the package', async () => {
    const { version } = JSON.parse(fs.readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(await run(['--version'])).toEqual({
      code: 0,
      signal: null,
      stdout: `shim-recovery ${version}\n`,
      stderr: '',
    });
  });

  test.each<readonly [ReadonlyArray<string>, RegExp]>([
    [[], /a command is missing; it takes plan, recover, compare, explain, replay, demo/],
    [['pln'], /did you mean plan\?/],
    [['recover', '--forse'], /did you mean --force\?/],
    [['plan', '--namespace', 'bad..ns'], /--namespace "bad..ns" is not valid/],
    [['plan', '--load-timeout', 'soon'], /is no duration/],
    [['plan', '--one\ntwo\u001b[2J\u009b'], /no option --one\\x0atwo\\x1b\[2J\\x9b;/],
  ])('%j is refused in one line', async (args, sentence) => {
    expectRefusal(await run(args), 2, sentence);
  });
});

describe.concurrent('what cannot be run', { timeout: testTimeoutMs }, () => {
  type Case = readonly [string, (host: Host) => ReadonlyArray<string> | Promise<ReadonlyArray<string>>, RegExp];

  const withStore =
    (content: string | Uint8Array, kind: 'bolt' | 'json') =>
    ({ args, base }: Host): ReadonlyArray<string> => {
      const file = path.join(base, 'other-store');
      fs.writeFileSync(file, content);
      return [...args, '--store', `${kind}:${file}`];
    };

  const cases: ReadonlyArray<Case> = [
    [
      'a root directory that is missing',
      ({ args, base }) => [...args, '--root', `${base}/nothing`],
      /the root directory cannot be used: .*ENOENT/,
    ],
    [
      'a state directory that is a file',
      ({ args, store }) => [...args, '--state', store],
      /the state directory cannot be used: .*ENOTDIR/,
    ],
    [
      'a state directory below a file',
      ({ args, store }) => [...args, '--state', `${store}/state`],
      /the state directory cannot be used: .*ENOTDIR/,
    ],
    [
      'a state directory through a dangling link',
      ({ args, base }) => {
        fs.symlinkSync('/nonexistent/state', `${base}/link`);
        return [...args, '--state', `${base}/link`];
      },
      /the state directory cannot be used: .*(ENOENT|ELOOP|ENOTDIR)/,
    ],
    [
      'a state directory that is a FIFO',
      ({ args, base }) => {
        execFileSync('mkfifo', [`${base}/fifo`]);
        return [...args, '--state', `${base}/fifo`];
      },
      /the state directory cannot be used: .*ENOTDIR/,
    ],
    [
      'a database that is missing',
      ({ args, base }) => [...args, '--store', `bolt:${base}/nothing.db`],
      /cannot be opened: ENOENT; say where/,
    ],
    ['a database of garbage', withStore(Buffer.alloc(65_536, 'garbage'), 'bolt'), /it is no bbolt database/],
    [
      'a database that was cut off',
      withStore(writeMetadata({ containers: [], sandboxes: [] }).subarray(0, 5_000), 'bolt'),
      /cannot be used: it is no bbolt database.*nothing was done/,
    ],
    [
      'a database that is a directory',
      ({ args, base }) => [...args, '--store', `bolt:${base}`],
      /it is no regular file/,
    ],
    [
      'a store file that is missing',
      ({ args, base }) => [...args, '--store', `json:${base}/nothing.json`],
      /cannot be used: ENOENT/,
    ],
    [
      'a store file that was cut off',
      withStore('{"schema":"shim-reco', 'json'),
      /the store file .* cannot be used: .*JSON/,
    ],
    [
      'a store file with a mistake',
      withStore('{"schema":"shim-recovery/store@1","namespaces":{"a":1}}', 'json'),
      /\/namespaces\/a is not/,
    ],
    [
      'a database that was cut off where its records are',
      ({ args, base, namespace }) => {
        const file = path.join(base, 'cut.db');
        const containers = Array.from({ length: 200 }, (_, index) => ({
          namespace,
          id: `container-${index}`,
          runtimeName: 'io.containerd.runc.v2',
        }));
        const whole = writeMetadata({ containers, sandboxes: [] });
        fs.writeFileSync(file, whole.subarray(0, 4 * 4096));
        return [...args, '--store', `bolt:${file}`];
      },
      /cut\.db cannot be used: page \d+ is corrupt: .*; nothing was done, as every container would seem unknown/,
    ],
    [
      'a daemon that does not run',
      ({ args, base }) => [...args, '--store', `containerd:${base}/nothing.sock`],
      /no daemon serves/,
    ],
  ];

  test.each(cases)('%s is said, and nothing is done', async (_, arrange, sentence) => {
    await withHost(async (host) => {
      await host.addBundle('left', { files: { address: 'unix:///nonexistent' } });
      const args = await arrange(host);
      const before = host.fingerprint();
      expectRefusal(await run(['recover', ...args]), 1, sentence);
      expect(host.fingerprint()).toEqual(before);
    });
  });

  test('a state directory that may not be read is said', async (context) => {
    if (!isRoot) context.skip('only root may run the command as somebody else');
    await withHost(async (host) => {
      fs.chmodSync(host.base, 0o755);
      fs.chmodSync(host.state, 0o700);
      expectRefusal(
        await run(['plan', ...host.args], { uid: 65_534 }),
        1,
        /the state directory cannot be used: .*EACCES/,
      );
    });
  });

  test('a database that a daemon holds is said, with the daemon', async () => {
    await withHost(async (host) => {
      const file = path.join(host.base, 'meta.db');
      fs.writeFileSync(file, writeMetadata({ containers: [], sandboxes: [] }));
      await host.addBundle('left', { files: { address: 'unix:///nonexistent' } });
      const args = [...host.args, '--store', `bolt:${file}`];
      const before = host.fingerprint();
      const daemon = await holdLock(file, 'exclusive');
      try {
        const sentence = new RegExp(`is in use by process ${daemon.pid}: .*--store containerd:`);
        expectRefusal(await run(['plan', ...args]), 1, sentence);
        expectRefusal(await run(['recover', ...args]), 1, sentence);
        expect(host.fingerprint()).toEqual(before);
        const forced = await run(['recover', '--force', ...args]);
        expect(forced.stderr).toMatch(/^shim-recovery: going on by force, although .* in use by process \d+[^\n]*\n$/);
        expect(forced.code).toBe(0);
        expect(host.bundles()).toEqual([]);
      } finally {
        await daemon.release();
      }
    });
  });

  test('the database beside the root directory tells of a daemon, wherever it listens, and whatever store is asked', async () => {
    await withHost(async (host) => {
      await host.addBundle('left');
      const file = databaseOf(host.root);
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(file, '');
      const daemon = await holdLock(file, 'exclusive');
      try {
        expectRefusal(await run(['recover', ...host.args]), 1, /most likely a daemon is running.*--force/);
        expect(host.bundles()).toEqual(['left']);
      } finally {
        await daemon.release();
      }
      expect(await run(['recover', ...host.args])).toMatchObject({ code: 0, stderr: '' });
    });
  });

  test.each([
    ['careful', 'what you may not see is held'],
    ['containerd-1.7', 'shims that you may not connect to will look dead'],
  ])('a user who is not root is told what that means under %s, and destroys nothing by it', async (...about) => {
    const [policy, meaning] = about;
    if (!isRoot) return;
    await withHost(async (host) => {
      await host.addBundle('web', { shim: running });
      execFileSync('chown', ['--recursive', '65534:65534', host.base]);
      const args = ['--policy', policy, ...host.args];
      const refused = new RegExp(
        `: not root \\(uid 65534\\): ${meaning}; run it as root, or insist with --force$`,
        'm',
      );
      expectRefusal(await run(['recover', ...args], { uid: 65_534 }), 1, refused);
      expect(await run(['plan', ...args], { uid: 65_534 })).toMatchObject({
        code: 0,
        stderr: `shim-recovery: not root (uid 65534): ${meaning}\n`,
      });
      expect(host.bundles()).toEqual(['web']);
    });
  });

  test('two recoveries of the same directories do not go on at once, whatever their stores', async () => {
    await withHost(async (host) => {
      await host.addBundle('left');
      const other = await holdLock(host.state, 'exclusive');
      try {
        expectRefusal(await run(['recover', ...host.args]), 1, /another recovery works on .*--force/);
        expect(host.bundles()).toEqual(['left']);
        expect((await run(['plan', ...host.args])).code).toBe(0);
        const forced = await run(['recover', '--force', ...host.args]);
        expect(forced).toMatchObject({ code: 0, stderr: expect.stringMatching(/^shim-recovery: going on by force, /) });
        expect(host.bundles()).toEqual([]);
      } finally {
        await other.release();
      }
      expect(await run(['recover', ...host.args])).toMatchObject({ code: 0, stderr: '' });
    });
  });

  test('without a store, recover insists on --force', async () => {
    await withHost(async (host) => {
      await host.addBundle('left');
      const args = [...host.args, '--store', 'none'];
      expect(reportOf(await run(['plan', '--json', ...args])).summary.discard).toBe(1);
      expectRefusal(await run(['recover', ...args]), 1, /without a store every container is unknown.*--force/);
      expect(host.bundles()).toEqual(['left']);
      expect(await run(['recover', '--force', ...args])).toMatchObject({ code: 0, stderr: '' });
      expect(host.bundles()).toEqual([]);
      expect(host.workDirectories()).toEqual([]);
    });
  });

  test('where a daemon serves the address, recover insists on --force', async () => {
    await withHost(async (host) => {
      await host.addBundle('left');
      const address = path.join(host.base, 'daemon.sock');
      const daemon = net.createServer((connection) => connection.destroy());
      await new Promise<void>((resolve) => daemon.listen(address, resolve));
      try {
        const args = [...host.args, '--address', address];
        expect(await run(['plan', ...args])).toMatchObject({ code: 0, stderr: '' });
        expectRefusal(await run(['recover', ...args]), 1, /a daemon serves \S*daemon.sock; .*--force/);
        expect(host.bundles()).toEqual(['left']);
        expect(await run(['recover', '--force', ...args])).toMatchObject({ code: 0, stderr: '' });
        expect(host.bundles()).toEqual([]);
      } finally {
        await new Promise((resolve) => daemon.close(resolve));
      }
    });
  });
});

describe.concurrent('its output', { timeout: testTimeoutMs }, () => {
  const layMany = async (host: Host): Promise<void> => {
    for (let nth = 0; nth < 40; nth++) await host.addBundle(`left-${nth}`);
  };

  test('into a pipe that nobody reads ends without a complaint', async () => {
    await withHost(async (host) => {
      await layMany(host);
      const closed = await runInShell('{ "$@"; echo "exit $?" >&2; } | true', ['plan', ...host.as17]);
      expect(closed.stderr).toBe('exit 0\n');
      const first = await runInShell('{ "$@"; echo "exit $?" >&2; } | head -1', ['plan', ...host.as17]);
      expect(first).toMatchObject({
        stdout: `Dry run as containerd-1.7 of ${host.state}\n`,
        stderr: 'exit 0\n',
      });
    });
  });

  test('on a full disk is an error', async () => {
    const full = await runInShell('"$@" > /dev/full', ['--help']);
    expectRefusal(full, 1, /the result cannot be written: ENOSPC/);
  });

  test('has colours on a terminal, unless NO_COLOR says otherwise, and none in a pipe', async () => {
    await withHost(async (host) => {
      await host.addBundle('left');
      const args = ['plan', ...host.args];
      // `script` runs its command through a shell of its own, so the words are handed over in one string.
      const line = (environment: string): string =>
        `command="env ${environment}"; for word in "$@"; do command="$command '$word'"; done; script --quiet --return --command "$command" /dev/null`;
      const coloured = await runInShell(line('TERM=xterm'), args);
      expect(coloured.stdout).toMatch(/\u001b\[1mnamespace sr-\w+\u001b\[0m/);
      const plain = await runInShell(line('NO_COLOR=1'), args);
      expect(plain.stdout).toContain(`namespace ${host.namespace}`);
      expect(plain.stdout).not.toMatch(/\u001b\[[0-9;]*m/);
      const piped = await run(args);
      expect(piped.stdout).toContain(`namespace ${host.namespace}`);
      expect(piped.stdout + piped.stderr).not.toMatch(escapeCodes);
    });
  });

  test('has a bar on a terminal, for one run after the other', async () => {
    const demo = await runInShell(
      `command=""; for word in "$@"; do command="$command '$word'"; done; script --quiet --return --command "$command" /dev/null`,
      ['demo'],
    );
    expect(demo.stdout).toMatch(/asking \[#{30}\] 5\/5/);
    expect(demo.stdout).toMatch(/1 adopted, 1 reaped, 2 cleaned up/);
  });

  test('names a namespace that was asked for and is not there', async () => {
    await withHost(async (host) => {
      await host.addBundle('left');
      for (const command of ['plan', 'recover']) {
        const ended = await run([command, '--json', '--namespace', 'defualt', ...host.args]);
        expect(ended).toMatchObject({
          code: 0,
          stderr: `shim-recovery: there is no namespace defualt in ${host.state}\n`,
        });
        expect(reportOf(ended).namespaces).toEqual([]);
      }
      expect(host.bundles()).toEqual(['left']);
    });
  });
});

describe.concurrent('plan', { timeout: testTimeoutMs }, () => {
  test.each([
    ['containerd-1.7', 'ignore', 'hidden'],
    ['careful', 'discard', 'leftover'],
  ] as const)('leaves everything byte for byte as it was, and says what recover then does (%s)', async (...about) => {
    const [policy, ...fateOfLeftover] = about;
    await withHost(async (host) => {
      const args = ['--policy', policy, '--may-destroy', '1', ...host.args];
      await host.addBundle('alive', { shim: running });
      await host.addBundle('leaked', { shim: { ...running, pids: { ok: { pids: [] } } } });
      await host.addBundle('dead', { shim: dead });
      await host.addBundle('unknown');
      await host.addBundle('recorded');
      host.setContainers({ recorded: host.binary });
      fs.mkdirSync(path.join(host.root, host.namespace, 'stale'));
      fs.mkdirSync(path.join(host.state, host.namespace, '.leftover'));
      fs.writeFileSync(path.join(host.state, host.namespace, 'file'), 'x');
      const before = host.fingerprint();
      const planned = await run(['plan', '--json', '--detailed-exitcode', ...args]);
      expect(planned).toMatchObject({ code: 3, stderr: '' });
      expect(host.fingerprint()).toEqual(before);
      await run(['plan', '--no-probe', ...args]);
      expect(host.fingerprint()).toEqual(before);

      const recovered = await run(['recover', '--json', ...args]);
      expect(recovered).toMatchObject({ code: 0, stderr: '' });
      const verdicts = (ended: Run) =>
        reportOf(ended).namespaces.flatMap(({ bundles }) =>
          bundles.map(({ id, verdict, reason }) => [id, verdict, reason]),
        );
      expect(verdicts(planned)).toEqual([
        ['.leftover', ...fateOfLeftover],
        ['alive', 'adopt', 'task-running'],
        ['dead', 'cleanUp', 'dial-failed'],
        ['file', 'ignore', 'not-a-directory'],
        ['leaked', 'reap', 'no-processes'],
        ['recorded', 'cleanUp', 'address-unreadable'],
        ['unknown', 'discard', 'container-not-found'],
      ]);
      expect(verdicts(recovered)).toEqual(verdicts(planned));
      expect(host.bundles()).toEqual([...(policy === 'careful' ? [] : ['.leftover']), 'alive', 'file']);
      expect(host.workDirectories()).toEqual(['alive']);

      // Now there is nothing left to do, which both say.
      expect((await run(['plan', '--detailed-exitcode', ...args])).code).toBe(0);
      const again = await run(['recover', '--json', '--detailed-exitcode', ...args]);
      expect(again.code).toBe(0);
      expect(reportOf(again).summary).toMatchObject({ adopt: 1, cleanUp: 0, reap: 0, discard: 0, failedSteps: 0 });
    });
  });

  test('what cannot be looked at is counted, and told by the exit code', async () => {
    await withHost(async (host) => {
      await host.addBundle('alive', { shim: running });
      fs.mkdirSync(path.join(host.state, 'no namespace'));
      const planned = await run(['plan', '--detailed-exitcode', ...host.args]);
      expect(planned.stdout).toMatch(/\nplan: 1 to adopt, 1 namespace with an error, in /);
      expect(planned.code).toBe(3);
      expect((await run(['plan', ...host.args])).code).toBe(0);
      const compared = await run(['compare', '--detailed-exitcode', '--policy', 'containerd-1.6', ...host.args]);
      expect(compared.stderr).toMatch(
        /^shim-recovery: nothing in namespace no namespace was compared: the name is not/,
      );
      expect(compared.code).toBe(3);
    });
  });
});

/** Which directories the command works on, and which it refuses, on hosts with shims that live. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import type { BundleReport } from '@shim-recovery/core/documents';
import { describe, expect, test } from 'vitest';
import { databaseOf } from '../../src/cli/arguments/Options.js';
import { writeMetadata } from '../bolt/writer.js';
import { isRoot } from '../temporary.js';
import { dead, type Host, reportOf, type Run, run, running, withHost } from './host.js';

/** Generous: other tests run at the same time. */
const timeout = 60_000;

const tasks = 'io.containerd.runtime.v2.task';

/** As a daemon names them. */
const daemons = { state: `run/${tasks}`, root: `lib/${tasks}` };

const policies = ['containerd-1.6', 'containerd-1.7', 'containerd-2.1', 'careful'];

const ids = ['cache', 'db', 'web'];

/** Containers that run. */
const layOut = async (host: Host): Promise<void> => {
  for (const id of ids) await host.addBundle(id, { shim: running });
};

const bundlesOf = (ended: Run): ReadonlyArray<BundleReport> =>
  reportOf(ended).namespaces.flatMap(({ bundles }) => bundles);

const verdictsOf = (ended: Run): ReadonlyArray<readonly [string, string]> =>
  bundlesOf(ended).map(({ id, verdict }) => [id, verdict]);

const adopted = ids.map((id) => [id, 'adopt'] as const);

/** The last of several options of one name counts. */
const withDirectories = ({ args }: Host, { state, root }: { readonly state?: string; readonly root?: string }) => [
  ...args,
  ...(state === undefined ? [] : ['--state', state]),
  ...(root === undefined ? [] : ['--root', root]),
];

/** All commands that look at a host, as every policy. */
const commandsOn = (host: Host, args: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => [
  ...policies.flatMap((policy) => [
    [
      'plan',
      '--policy',
      policy,
      '--record',
      path.join(host.base, 'record'),
      '--out',
      path.join(host.base, 'out'),
      ...args,
    ],
    ['recover', '--policy', policy, '--record', path.join(host.base, 'record'), ...args],
  ]),
  ['recover', '--force', '--may-destroy', '1', ...args],
  ['recover', '--watch', ...args],
  ['compare', '--policy', 'containerd-2.1', ...args],
  ['explain', 'web', ...args],
];

/** Each command refuses with exit 2 and what to do, asks no shim, and changes and writes nothing. */
const expectRefused = async (
  host: Host,
  args: ReadonlyArray<string>,
  { problem, hint }: { readonly problem: RegExp; readonly hint: string },
): Promise<void> => {
  const everything = () => [host.fingerprint(), fs.readdirSync(host.base).sort()];
  const before = everything();
  for (const command of commandsOn(host, args)) {
    const ended = await run(command);
    expect({ command, ...ended }).toMatchObject({ code: 2, signal: null, stdout: '' });
    const [said, hinted, ...more] = ended.stderr.split('\n');
    expect(said).toMatch(/^shim-recovery: /);
    expect(said).toMatch(problem);
    expect([hinted, ...more]).toEqual([`hint: ${hint}`, '']);
  }
  expect(everything()).toEqual(before);
  expect(ids.map(host.callsTo)).toEqual(ids.map(() => 0));
};

/** Mounts a directory at another place as long as it is used. */
const withBind = async (from: string, to: string, use: () => Promise<void>): Promise<void> => {
  fs.mkdirSync(to);
  execFileSync('mount', ['--bind', from, to]);
  try {
    await use();
  } finally {
    execFileSync('umount', ['--lazy', to]);
  }
};

/** Gives it to a user of no container here. */
const give = (directory: string): void => void execFileSync('chown', ['--recursive', '65534:65534', directory]);

const needsRoot = 'only root may mount, and give files away';

describe("the daemon's own directories", { timeout }, () => {
  test('are understood as those of its plugin, and its database and socket with them', async () => {
    await withHost(async (host) => {
      await layOut(host);
      await host.addBundle('gone', { shim: dead });
      const [state, root] = [path.dirname(host.state), path.dirname(host.root)];
      const database = databaseOf(host.root);
      fs.mkdirSync(path.dirname(database));
      fs.writeFileSync(database, writeMetadata({ containers: [], sandboxes: [] }));
      const args = ['--state', state, '--root', root, '--load-timeout', '2s'];
      const said = [
        `shim-recovery: --state ${state} is the daemon's directory: looking at ${host.state}`,
        `shim-recovery: --root ${root} is the daemon's directory: looking at ${host.root}`,
        '',
      ].join('\n');

      const before = host.fingerprint();
      const planned = await run(['plan', '--json', ...args]);
      expect(planned).toMatchObject({ code: 0, stderr: said });
      expect(host.fingerprint()).toEqual(before);
      expect(verdictsOf(planned)).toEqual([adopted[0], adopted[1], ['gone', 'cleanUp'], adopted[2]]);
      expect(reportOf(planned)).toMatchObject({
        state: host.state,
        root: host.root,
        understood: { state: 'daemon', root: 'daemon' },
      });
      const own = await run(['plan', '--json', '--state', host.state, '--root', host.root, '--load-timeout', '2s']);
      expect(own.stderr).toBe('');
      expect(reportOf(own)).toMatchObject({
        namespaces: reportOf(planned).namespaces,
        understood: { state: 'plugin', root: 'plugin' },
      });
      expect((await run(['compare', '--policy', 'containerd-2.1', ...args])).stderr).toBe(said);
      expect(await run(['explain', 'gone', ...args])).toMatchObject({ code: 0, stderr: said });

      const socket = path.join(state, 'containerd.sock');
      const daemon = net.createServer().listen(socket);
      await once(daemon, 'listening');
      const refused = await run(['recover', ...args]);
      daemon.close();
      await once(daemon, 'close');
      expect(refused.stderr).toContain(`a daemon serves ${socket}`);
      expect(host.fingerprint()).toEqual(before);

      const recovered = await run(['recover', '--json', ...args]);
      expect(recovered).toMatchObject({ code: 0, stderr: said });
      expect(reportOf(recovered)).toMatchObject({ understood: { state: 'daemon', root: 'daemon' } });
      expect(host.bundles()).toEqual(ids);
      expect(host.workDirectories()).toEqual(ids);
      expect(fs.readdirSync(state)).toEqual([tasks]);
    }, daemons);
  });

  test('as a slip for one of the two cost no container, whatever the policy', async () => {
    await withHost(async (host) => {
      await layOut(host);
      const args = withDirectories(host, { state: path.dirname(host.state) });
      for (const policy of policies) {
        const recovered = await run(['recover', '--json', '--policy', policy, ...args]);
        expect(recovered.code).toBe(0);
        expect(verdictsOf(recovered)).toEqual(adopted);
        expect(host.bundles()).toEqual(ids);
        expect(host.workDirectories()).toEqual(ids);
      }
    }, daemons);
  });

  test('are saved in a plan as those of the plugin, which are checked again', async () => {
    await withHost(async (host) => {
      await layOut(host);
      const file = path.join(host.base, 'plan');
      const args = withDirectories(host, { state: path.dirname(host.state), root: path.dirname(host.root) });
      expect((await run(['plan', '--out', file, ...args])).code).toBe(0);
      const recovered = await run(['recover', '--json', '--plan', file]);
      expect(recovered).toMatchObject({ code: 0, stderr: '' });
      expect(verdictsOf(recovered)).toEqual(adopted);
      expect(reportOf(recovered)).toMatchObject({
        state: host.state,
        understood: { state: 'plugin', root: 'plugin' },
      });
      if (!isRoot) return;
      give(host.state);
      const before = host.fingerprint();
      const refused = await run(['recover', '--force', '--plan', file]);
      expect(refused).toMatchObject({
        code: 2,
        stdout: '',
        stderr: expect.stringMatching(/ belongs to \S+ \(uid 65534\)/),
      });
      expect(host.fingerprint()).toEqual(before);
    }, daemons);
  });
});

describe('directories that are refused before anything is done', { timeout }, () => {
  test("one level above the daemon's, in which a daemon is found all the same", async () => {
    await withHost(
      async (host) => {
        await layOut(host);
        const above = path.join(host.base, 'run');
        await expectRefused(host, withDirectories(host, { state: above }), {
          problem: new RegExp(
            `^shim-recovery: --state is one level off: ${tasks} in ${above}/daemon is a plugin of the`,
          ),
          hint: `--state ${host.state}`,
        });
      },
      { state: `run/daemon/${tasks}`, root: `lib/daemon/${tasks}` },
    );
  });

  test("a daemon's that lacks the plugin's directory", async () => {
    await withHost(async (host) => {
      await layOut(host);
      const other = path.join(host.base, 'other');
      fs.mkdirSync(path.join(other, 'io.containerd.grpc.v1.cri', 'containers'), { recursive: true });
      await expectRefused(host, withDirectories(host, { state: other }), {
        problem: /io\.containerd\.grpc\.v1\.cri in .*other is a plugin of the daemon, where a namespace was expected/,
        hint: `--state ${other}/${tasks}`,
      });
    }, daemons);
  });

  test("a namespace's", async () => {
    await withHost(async (host) => {
      await layOut(host);
      await expectRefused(host, withDirectories(host, { state: path.join(host.state, host.namespace) }), {
        problem: /\/sr-\w+ is one level too deep: .*\/sr-\w+\/cache is a bundle, where a namespace was expected/,
        hint: `--state ${host.state}`,
      });
    });
  });

  test.each(['root', 'their users'])('the homes of users, which belong to %s', async (owners) => {
    await withHost(async (host) => {
      await layOut(host);
      const home = path.join(host.base, 'home');
      for (const user of ['alice', 'bob', 'carol', 'dave']) {
        fs.mkdirSync(path.join(home, user, 'letters'), { recursive: true });
        fs.mkdirSync(path.join(home, user, 'desktop'));
        fs.writeFileSync(path.join(home, user, 'letters', 'first'), user);
        if (owners !== 'root' && isRoot) give(path.join(home, user));
      }
      const letters = () => execFileSync('find', [home, '-ls'], { encoding: 'utf8' });
      const before = letters();
      await expectRefused(host, withDirectories(host, { state: home }), {
        problem:
          /\/home holds no bundle: .*\/home\/alice\/letters does not look like one, nor like a namespace of bundles/,
        hint: "name the daemon's state directory, such as --state /run/containerd",
      });
      expect(letters()).toBe(before);
    });
  });

  const two = "name the two directories of the daemon's configuration, state and root";

  test('a root that is a symlink to the state directory, or into it', async () => {
    await withHost(async (host) => {
      await layOut(host);
      const link = path.join(host.base, 'link');
      fs.symlinkSync(host.state, link);
      const same = { problem: /--state \S+ and --root \S+\/link are the same directory/, hint: two };
      await expectRefused(host, withDirectories(host, { root: link }), same);
      fs.unlinkSync(link);
      fs.symlinkSync(path.join(host.state, host.namespace), link);
      const inside = { problem: /--root \S+\/link is inside --state \S+\/state;/, hint: two };
      await expectRefused(host, withDirectories(host, { root: link }), inside);
    });
  });

  test('a root that is a bind mount of the state directory, of a part of it, or of what holds it', async (context) => {
    if (!isRoot) context.skip(needsRoot);
    await withHost(async (host) => {
      await layOut(host);
      const bound = path.join(host.base, 'bound');
      const args = (root: string) => withDirectories(host, { root });
      const same = { problem: /are the same directory/, hint: two };
      await withBind(host.state, bound, () => expectRefused(host, args(bound), same));
      fs.rmdirSync(bound);
      await withBind(path.join(host.state, host.namespace), bound, () =>
        expectRefused(host, args(bound), { problem: /--root \S+\/bound is inside --state/, hint: two }),
      );
      fs.rmdirSync(bound);
      await withBind(host.base, bound, async () => {
        await expectRefused(host, args(path.join(bound, 'state')), same);
        await expectRefused(host, args(bound), { problem: /--state \S+ is inside --root \S+\/bound/, hint: two });
      });
    });
  });

  test("another user's tree, as root, too; its owner is told to run it", async (context) => {
    if (!isRoot) context.skip(needsRoot);
    await withHost(async (host) => {
      await layOut(host);
      give(host.base);
      const name = execFileSync('id', ['-nu', '65534'], { encoding: 'utf8' }).trim();
      await expectRefused(host, host.args, {
        problem: new RegExp(
          `${host.state} belongs to ${name} \\(uid 65534\\), and this process runs as root \\(uid 0\\)`,
        ),
        hint: `run it as that user: sudo -u ${name} shim-recovery …`,
      });
      const planned = await run(['plan', '--json', ...host.args], { uid: 65_534 });
      expect(planned.code).toBe(0);
      expect(bundlesOf(planned)).toHaveLength(ids.length);
    });
  });

  test("root's tree, as another user", async (context) => {
    if (!isRoot) context.skip(needsRoot);
    await withHost(async (host) => {
      await layOut(host);
      execFileSync('chmod', ['--recursive', 'a+rX', host.base]);
      const before = host.fingerprint();
      for (const command of [['plan'], ['recover', '--force']])
        expect(await run([...command, ...host.args], { uid: 65_534 })).toMatchObject({
          code: 2,
          stdout: '',
          stderr: expect.stringMatching(
            /belongs to root \(uid 0\), [^\n]*\nhint: run it as that user: sudo -u root shim/,
          ),
        });
      expect(host.fingerprint()).toEqual(before);
    });
  });

  test('one bundle of another user among those of this one', async (context) => {
    if (!isRoot) context.skip(needsRoot);
    await withHost(async (host) => {
      await layOut(host);
      give(host.bundlePath('cache'));
      await expectRefused(host, host.args, {
        problem: /sr-\w+\/cache belongs to \S+ \(uid 65534\)/,
        hint: `run it as that user: sudo -u ${execFileSync('id', ['-nu', '65534'], { encoding: 'utf8' }).trim()} shim-recovery …`,
      });
    });
  });

  test("a forgotten --root, with another daemon's database: the true one is named", async () => {
    await withHost(async (host) => {
      await layOut(host);
      // Programs as names only a record tells: another daemon's records would have all of these discarded.
      for (const id of ids) fs.unlinkSync(path.join(host.bundlePath(id), 'shim-binary-path'));
      const other = path.join(host.base, 'other', tasks);
      fs.mkdirSync(path.join(other, host.namespace, 'precious'), { recursive: true });
      for (const [root, containers] of [
        [other, []],
        [host.root, ids.map((id) => ({ namespace: host.namespace, id, runtimeName: host.binary }))],
      ] as const) {
        fs.mkdirSync(path.dirname(databaseOf(root)), { recursive: true });
        fs.writeFileSync(databaseOf(root), writeMetadata({ containers, sandboxes: [] }));
      }
      const args = ['--state', host.state, '--load-timeout', '2s'];
      await expectRefused(host, [...args, '--root', other], {
        problem: new RegExp(
          `no bundle keeps its work in --root ${other}: the work link of .*/sr-\\w+/cache names another`,
        ),
        hint: `--root ${host.root}`,
      });
      expect(fs.readdirSync(path.join(other, host.namespace))).toEqual(['precious']);
      // What the hint says is right.
      const recovered = await run(['recover', '--json', ...args, '--root', host.root]);
      expect(recovered).toMatchObject({ code: 0, stderr: '' });
      expect(verdictsOf(recovered)).toEqual(adopted);
      expect(host.bundles()).toEqual(ids);
    }, daemons);
  });

  test('a root that is missing while the bundles name another: that one is named', async () => {
    await withHost(async (host) => {
      await layOut(host);
      const refused = await run(['recover', ...withDirectories(host, { root: '/nonexistent/root' })]);
      expect(refused).toMatchObject({
        code: 1,
        stdout: '',
        stderr: `shim-recovery: the root directory cannot be used: cannot open /nonexistent/root: ENOENT; the work links of the bundles name --root ${host.root}\n`,
      });
    });
  });
});

describe('where there is nothing', { timeout }, () => {
  /** The tree of a daemon that never ran, without a database. */
  const args = (host: Host, state: string) => [
    '--state',
    path.join(host.base, state),
    '--root',
    path.join(host.base, 'none'),
  ];

  test.each(['missing', 'empty'])(
    'in a state directory that is %s, there is nothing to do, and that is said',
    async (kind) => {
      await withHost(async (host) => {
        if (kind === 'empty') fs.mkdirSync(path.join(host.base, kind));
        const where = path.join(host.base, kind);
        const why =
          kind === 'missing' ? `there is no state directory ${where}` : `the state directory ${where} is empty`;
        const said = `shim-recovery: ${why}: nothing to do\n`;
        const [out, record] = ['out', 'record'].map((name) => path.join(host.base, name));
        if (out === undefined || record === undefined) return;
        const planned = await run([
          'plan',
          ...args(host, kind),
          '--out',
          out,
          '--record',
          record,
          '--detailed-exitcode',
        ]);
        expect(planned).toMatchObject({
          code: 0,
          stderr: said,
          stdout: `Dry run as careful of ${where}\n\nplan: nothing to do, in 0 ms\n`,
        });
        const replayed = await run(['replay', record, '--detailed-exitcode']);
        expect(replayed).toMatchObject({ code: 0, stderr: '' });
        const recovered = await run(['recover', '--json', ...args(host, kind), '--watch']);
        expect(recovered).toMatchObject({ code: 0, stderr: said });
        expect(reportOf(recovered)).toMatchObject({ command: 'recover', state: where, namespaces: [] });
        expect(await run(['recover', '--plan', out])).toMatchObject({ code: 0, stderr: said });
        const compared = await run(['compare', '--policy', 'careful', ...args(host, kind), '--detailed-exitcode']);
        expect(compared).toMatchObject({ code: 0, stderr: said });
        expect(await run(['explain', 'web', ...args(host, kind)])).toMatchObject({
          code: 1,
          stderr: `shim-recovery: there is no bundle web in ${where}, nor any other\n`,
        });
        expect(fs.existsSync(where)).toBe(kind === 'empty');
      });
    },
  );

  test('of what a plan names, it is said that it is gone', async () => {
    await withHost(async (host) => {
      await layOut(host);
      const file = path.join(host.base, 'plan');
      await run(['plan', '--out', file, ...host.args]);
      for (const id of ids) await host.stopShim(id);
      fs.rmSync(path.join(host.state, host.namespace), { recursive: true });
      const recovered = await run(['recover', '--json', '--plan', file]);
      expect(bundlesOf(recovered).map(({ id, reason }) => [id, reason])).toEqual(ids.map((id) => [id, 'gone']));
      fs.rmdirSync(host.state);
      expect(await run(['recover', '--plan', file])).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/^shim-recovery: the state directory cannot be used: .*ENOENT\n$/),
      });
    });
  });
});

describe('the programs of shims', { timeout }, () => {
  const program = 'containerd-shim-odd-v1';

  /** A container whose bundle does not say where its program is; that is in a directory of the daemon's own. */
  const layOdd = async (host: Host): Promise<string> => {
    const bin = path.join(host.base, 'data', 'bin');
    fs.mkdirSync(bin, { recursive: true });
    fs.writeFileSync(path.join(bin, program), `#!/bin/sh\necho "$PATH" > ${host.base}/seen\n`, { mode: 0o755 });
    for (const id of ['web', 'gone']) {
      await host.addBundle(id, { shim: id === 'web' ? running : dead });
      fs.unlinkSync(path.join(host.bundlePath(id), 'shim-binary-path'));
    }
    host.setContainers({ web: 'io.containerd.odd.v1', gone: 'io.containerd.odd.v1' });
    return bin;
  };

  test("are not looked for along the operator's PATH, which is said with the one that is", async () => {
    await withHost(async (host) => {
      const bin = await layOdd(host);
      const env = { PATH: `${bin}:${process.env['PATH'] ?? ''}` };
      const planned = await run(['plan', '--json', '--policy', 'containerd-2.1', ...host.args], { env });
      const { programPath } = reportOf(planned);
      expect(programPath?.path).not.toContain(bin);
      for (const bundle of bundlesOf(planned))
        expect(bundle).toMatchObject({
          reason: 'shim-binary-not-found',
          explanation: `no program ${program} was found: it is not in PATH ${programPath?.path} (from ${programPath?.from})`,
        });
    });
  });

  test('are looked for, and run, along --path, which a plan settles', async () => {
    await withHost(async (host) => {
      const bin = await layOdd(host);
      const file = path.join(host.base, 'plan');
      const options = ['--policy', 'containerd-2.1', '--path', `${bin}:/usr/bin:/bin`];
      const planned = await run(['plan', '--json', '--out', file, ...options, ...host.args]);
      const programPath = { path: `${bin}:/usr/bin:/bin`, from: '--path' };
      expect(reportOf(planned)).toMatchObject({ programPath });
      expect(verdictsOf(planned)).toEqual([
        ['gone', 'cleanUp'],
        ['web', 'adopt'],
      ]);
      const recovered = await run(['recover', '--json', '--plan', file]);
      expect(reportOf(recovered)).toMatchObject({ programPath });
      expect(verdictsOf(recovered)).toEqual(verdictsOf(planned));
      expect(host.bundles()).toContain('web');
      expect(fs.readFileSync(path.join(host.base, 'seen'), 'utf8')).toBe(`${bin}:/usr/bin:/bin\n`);
    });
  });

  test('are looked for along that of a shim of the daemon, which has it from the daemon', async () => {
    await withHost(async (host) => {
      const bin = await layOdd(host);
      const address = path.join(path.dirname(host.state), 'containerd.sock');
      const shim = spawn('sh', ['-c', 'read nothing', 'shim', '-namespace', host.namespace, '-address', address], {
        argv0: program,
        stdio: ['pipe', 'ignore', 'ignore'],
        env: { PATH: `${bin}:/usr/bin:/bin` },
      });
      await once(shim, 'spawn');
      const ended = once(shim, 'exit');
      try {
        const args = ['--policy', 'containerd-2.1', ...host.args];
        const planned = await run(['plan', '--json', ...args]);
        expect(reportOf(planned)).toMatchObject({
          programPath: { path: `${bin}:/usr/bin:/bin`, from: `process ${shim.pid}, a shim of that daemon` },
        });
        expect(verdictsOf(planned)).toContainEqual(['web', 'adopt']);
        expect((await run(['explain', 'web', ...args])).stdout).toContain(path.join(bin, program));
        expect(
          (await run(['compare', '--policy', 'containerd-1.6', '--policy', 'containerd-2.1', ...host.args])).stdout,
        ).not.toMatch(/no program/);
      } finally {
        shim.kill('SIGKILL');
        await ended;
      }
    });
  });
});

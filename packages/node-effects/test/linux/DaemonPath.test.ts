/** Along which PATH a daemon looks, by what is known of it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defaultPath, findDaemonPath, type SoughtDaemon } from '../../src/daemon/DaemonPath.js';
import { isRoot } from '../temporary.js';

let base = '';
beforeEach(() => {
  base = fs.mkdtempSync(path.join(os.tmpdir(), 'sr-path-'));
  fs.mkdirSync(path.join(base, 'proc', 'net'), { recursive: true });
  addNamespaces('self');
});
afterEach(() => fs.rmSync(base, { recursive: true, force: true }));

const daemon: SoughtDaemon = {
  address: '/run/containerd/containerd.sock',
  publishBinary: '/usr/bin/containerd',
  directories: ['/run/containerd/io.containerd.runtime.v2.task', '/var/lib/containerd/io.containerd.runtime.v2.task'],
};

const find = (more: Partial<SoughtDaemon> = {}) =>
  findDaemonPath(
    { ...daemon, ...more },
    { proc: path.join(base, 'proc'), unitDirectories: [path.join(base, 'etc'), path.join(base, 'lib')] },
  )();

interface Process {
  readonly words: ReadonlyArray<string>;
  readonly exe?: string;
  readonly environment?: ReadonlyArray<string>;
  readonly sockets?: ReadonlyArray<number>;
  /** Real, effective, saved, and of the file system; by default our own. */
  readonly uids?: readonly [number, number, number, number];
  readonly root?: string;
  /** `null`: they may not be looked at. */
  readonly namespaces?: Partial<Namespaces> | null;
}

interface Namespaces {
  readonly user: string;
  readonly mnt: string;
}

const addNamespaces = (name: string, { user = '[1]', mnt = '[1]' }: Partial<Namespaces> = {}): void => {
  const directory = path.join(base, 'proc', name, 'ns');
  fs.mkdirSync(directory, { recursive: true });
  fs.symlinkSync(`user:${user}`, path.join(directory, 'user'));
  fs.symlinkSync(`mnt:${mnt}`, path.join(directory, 'mnt'));
};

const own = process.geteuid?.() ?? 0;

const addProcess = (
  pid: number,
  { words, exe, environment, sockets = [], uids = [own, own, own, own], root = '/', namespaces = {} }: Process,
): void => {
  const directory = path.join(base, 'proc', String(pid));
  fs.mkdirSync(path.join(directory, 'fd'), { recursive: true });
  fs.writeFileSync(path.join(directory, 'status'), `Name:\tx\nUid:\t${uids.join('\t')}\nGid:\t0\t0\t0\t0\n`);
  fs.symlinkSync(root, path.join(directory, 'root'));
  if (namespaces !== null) addNamespaces(String(pid), namespaces);
  fs.writeFileSync(path.join(directory, 'cmdline'), words.map((word) => `${word}\0`).join(''));
  if (environment !== undefined)
    fs.writeFileSync(path.join(directory, 'environ'), environment.map((one) => `${one}\0`).join(''));
  if (exe !== undefined) fs.symlinkSync(exe, path.join(directory, 'exe'));
  for (const [index, inode] of sockets.entries())
    fs.symlinkSync(`socket:[${inode}]`, path.join(directory, 'fd', `${index}`));
};

const addSockets = (...sockets: ReadonlyArray<readonly [flags: string, inode: number, name: string]>): void => {
  const lines = sockets.map(([flags, inode, name]) => `0000: 00000002 00000000 ${flags} 0001 01 ${inode} ${name}`);
  fs.writeFileSync(
    path.join(base, 'proc/net/unix'),
    ['Num RefCount …', '0000: 00000003 00000000 00000000 0001 03  7', ...lines, ''].join('\n'),
  );
};

const addUnit = (name: string, ...lines: ReadonlyArray<string>): void => {
  fs.mkdirSync(path.join(base, 'lib'), { recursive: true });
  fs.writeFileSync(path.join(base, 'lib', name), ['[Service]', ...lines, ''].join('\n'));
};

const shimOf = (address: string): ReadonlyArray<string> => [
  '/usr/bin/containerd-shim-runc-v2',
  '-namespace',
  'k8s.io',
  '-id',
  'web',
  '-address',
  address,
];

describe('the PATH of a daemon that runs', () => {
  it('is that of the process that serves its socket, before any that only runs its program', () => {
    addSockets(['00000000', 30, daemon.address], ['00010000', 31, daemon.address], ['00010000', 32, '/other.sock']);
    addProcess(5, { words: ['containerd'], exe: daemon.publishBinary, environment: ['PATH=/other'], sockets: [32] });
    addProcess(7, { words: shimOf(daemon.address), environment: ['PATH=/shim'] });
    addProcess(9, {
      words: ['k3s server'],
      exe: '/srv/k3s',
      environment: ['A=1', 'PATH=/k3s/bin:/bin'],
      sockets: [8, 31],
    });
    expect(find()).toEqual({ path: '/k3s/bin:/bin', from: `process 9, which serves ${daemon.address}` });
  });

  it('is that of a process that runs its program, also where the file is gone', () => {
    addProcess(5, { words: ['containerd'], exe: `${daemon.publishBinary} (deleted)`, environment: ['PATH=/a'] });
    expect(find()).toEqual({ path: '/a', from: 'process 5, which runs /usr/bin/containerd' });
  });

  it('is empty where it has none: then it finds nothing along it', () => {
    addProcess(5, { words: ['containerd'], exe: daemon.publishBinary, environment: ['HOME=/'] });
    expect(find().path).toBe('');
  });

  it('is not known where its environment may not be read', () => {
    addProcess(5, { words: ['containerd'], exe: daemon.publishBinary });
    expect(find()).toEqual({ path: defaultPath, from: "systemd's default" });
  });
});

describe('the PATH of a daemon that is gone', () => {
  it('is what a shim of it inherited, of no other daemon', () => {
    addSockets();
    addProcess(6, { words: shimOf('/run/docker/containerd/containerd.sock'), environment: ['PATH=/docker'] });
    addProcess(7, { words: ['ctr', '-address', daemon.address], environment: ['PATH=/operator'] });
    addProcess(8, { words: shimOf(daemon.address), environment: ['PATH=/k3s/bin'] });
    expect(find()).toEqual({ path: '/k3s/bin', from: 'process 8, a shim of that daemon' });
  });

  it('is what its unit sets, whether or not it starts that program', () => {
    addUnit('containerd.service', 'ExecStart=/usr/local/bin/containerd', 'Environment=PATH=/opt/bin');
    addUnit('docker.service', 'ExecStart=/usr/bin/dockerd', 'Environment=PATH=/docker');
    addUnit('k3s.service', 'ExecStart=/usr/local/bin/k3s server', 'Environment=PATH=/k3s');
    addUnit('rke2-server.service', 'ExecStart=/usr/local/bin/rke2 server', 'Environment=PATH=/rke2');
    const of = (...directories: ReadonlyArray<string>) => find({ directories });
    expect(find()).toEqual({ path: '/opt/bin', from: 'containerd.service' });
    expect(of('/run/docker/containerd/daemon/x', '/var/lib/docker/containerd/daemon/x').from).toBe('docker.service');
    expect(of('/run/k3s/containerd/x', '/var/lib/rancher/k3s/agent/containerd/x').from).toBe('k3s.service');
    expect(of('/run/k3s/containerd/x', '/var/lib/rancher/rke2/agent/containerd/x').from).toBe('rke2-server.service');
  });

  it('is what the unit sets that starts its program, where no other is installed', () => {
    addUnit('k3s.service', 'ExecStart=/usr/local/bin/k3s server', 'Environment=PATH=/k3s');
    expect(find({ publishBinary: '/usr/local/bin/k3s' }).from).toBe('k3s.service');
    expect(find()).toEqual({ path: defaultPath, from: "systemd's default" });
  });

  it("is systemd's default where the unit sets none", () => {
    addUnit('containerd.service', 'ExecStart=/usr/bin/containerd');
    expect(find()).toEqual({ path: defaultPath, from: "systemd's default, as containerd.service sets none" });
  });
});

describe('the PATH of a process that another user may have started', () => {
  const setuid = (): string => {
    const file = path.join(base, 'sudo');
    fs.writeFileSync(file, '');
    fs.chmodSync(file, 0o4755);
    return file;
  };
  const others: ReadonlyArray<readonly [string, () => Partial<Process>]> = [
    ['is of another user', () => ({ uids: [65534, 65534, 65534, 65534] })],
    ['was started by another user, with the rights of ours', () => ({ uids: [65534, own, own, own] })],
    ['keeps another user', () => ({ uids: [own, own, 65534, own] })],
    ['is a program with the rights of its file', () => ({ exe: setuid() })],
    ['has another root', () => ({ root: base })],
    ['is in another user namespace', () => ({ namespaces: { user: '[2]' } })],
    ['is in another mount namespace', () => ({ namespaces: { mnt: '[2]' } })],
    ['hides its namespaces', () => ({ namespaces: null })],
  ];

  it.each(others)('is not taken from a shim that %s', (_, more) => {
    addProcess(7, { words: shimOf(daemon.address), environment: ['PATH=/evil'], ...more() });
    expect(find()).toEqual({ path: defaultPath, from: "systemd's default" });
    addProcess(8, { words: shimOf(daemon.address), environment: ['PATH=/good'] });
    expect(find()).toEqual({ path: '/good', from: 'process 8, a shim of that daemon' });
  });

  it.each(others.filter(([name]) => !/rights of its file/.test(name)))(
    'is not taken from a process that serves the socket or runs the program, and %s',
    (_, more) => {
      addSockets(['00010000', 31, daemon.address], ['00010000', 33, daemon.address]);
      addProcess(5, { words: ['a'], exe: daemon.publishBinary, environment: ['PATH=/evil'], sockets: [31], ...more() });
      addProcess(6, { words: ['a'], exe: daemon.publishBinary, environment: ['PATH=/evil'], ...more() });
      expect(find()).toEqual({ path: defaultPath, from: "systemd's default" });
      addProcess(9, { words: ['b'], exe: '/srv/k3s', environment: ['PATH=/good'], sockets: [33] });
      expect(find()).toEqual({ path: '/good', from: `process 9, which serves ${daemon.address}` });
    },
  );
});

it('is found though the command line of another process is longer than this program reads', () => {
  addProcess(5, { words: ['x'.repeat(2 * 1024 * 1024)], exe: daemon.publishBinary, environment: ['PATH=/long'] });
  addProcess(8, { words: shimOf(daemon.address), environment: ['PATH=/k3s/bin'] });
  expect(find().path).toBe('/k3s/bin');
});

describe('on this machine', () => {
  /** What is found while a shim of a daemon runs as a user. */
  const findWhile = async (user: { readonly uid?: number; readonly gid?: number }) => {
    const address = path.join(base, 'containerd.sock');
    const shim = spawn('sh', ['-c', 'read nothing', 'shim', '-namespace', 'default', '-address', address], {
      argv0: 'containerd-shim-fake-v1',
      cwd: '/',
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { PATH: `${base}/bin:/usr/bin:/bin` },
      ...user,
    });
    await once(shim, 'spawn');
    const ended = once(shim, 'exit');
    try {
      return { pid: shim.pid, found: findDaemonPath({ ...daemon, address })() };
    } finally {
      shim.kill('SIGKILL');
      await ended;
    }
  };

  it('the PATH is found of a shim that runs', async () => {
    const { pid, found } = await findWhile({});
    expect(found).toEqual({ path: `${base}/bin:/usr/bin:/bin`, from: `process ${pid}, a shim of that daemon` });
  });

  it('the PATH is not that of a process of another user with the words of a shim', async (context) => {
    if (!isRoot) return context.skip('needs root, to start a process of another user');
    const { found } = await findWhile({ uid: 65534, gid: 65534 });
    expect(found.path).not.toContain(base);
  });
});

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import type { DirectoryKey, Listener, OwnView, ProcessInfo } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, onTestFinished, test } from 'vitest';
import { linuxFileSystem } from '../../src/linux/LinuxFileSystem.js';
import { linuxProcesses } from '../../src/linux/LinuxProcesses.js';
import { mountStoppable, needsFuse, takeAway } from '../deadFileSystem.js';
import { argsWithoutMainThread } from '../endedMainThread.js';
import { eventually, isRoot, right, temporaryDirectory, withOpen } from '../temporary.js';

const base = temporaryDirectory();
let next = 0;
const fresh = (): string => {
  const directory = path.join(base.path(), String(next++));
  fs.mkdirSync(directory);
  return directory;
};

const list = async (): Promise<ReadonlyArray<ProcessInfo>> => right(await linuxProcesses.list());
const processOf = async (pid: number | undefined): Promise<ProcessInfo | undefined> =>
  (await list()).find((process) => process.pid === pid);
const view = async (): Promise<OwnView> => right(await linuxProcesses.view());

/** Ends with the test. */
const started = async (child: ChildProcess): Promise<ChildProcess> => {
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  await once(child, 'spawn');
  return child;
};

/** Waits for what never comes, in a directory. */
const startIn = (directory: string): Promise<ChildProcess> =>
  started(spawn('sh', ['-c', 'read nothing'], { cwd: directory, stdio: ['pipe', 'ignore', 'ignore'] }));

/** Runs a program that prints a line when it is ready, and gives that line. */
const startTelling = async (command: string, args: ReadonlyArray<string>, directory?: string) => {
  const child = spawn(command, args, { cwd: directory, stdio: ['pipe', 'pipe', 'inherit'] });
  let told = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (told += text));
  await started(child);
  await eventually(`${command} to be ready`, () => told.endsWith('\n'));
  return { child, told: told.trim() };
};

const seenAs = (directory: DirectoryKey) => ({ _tag: 'Seen', value: directory });

const identify = (directory: string): Promise<DirectoryKey> =>
  withOpen(directory, async (open) => {
    const { device, inode } = right(await linuxFileSystem.identify(open)());
    return { device, inode };
  });

describe('the list of processes', () => {
  test('shows a process with its words and its start, and does not show it once it is dead', async () => {
    const child = await started(spawn('sleep', ['1000']));
    const process = await processOf(child.pid);
    expect(process?.commandLine.map(B.toText)).toEqual(['sleep', '1000']);
    expect(Math.abs((process?.startedMs ?? 0) - Date.now())).toBeLessThan(60_000);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await processOf(child.pid)).toBeUndefined();
  });

  test('shows the first words of a process whose command line is longer than this program reads', async () => {
    const words = Array.from({ length: 12 }, (_, index) => `${index}`.padEnd(100_000, 'x'));
    const child = await started(spawn('sh', ['-c', 'read nothing', ...words], { stdio: ['pipe', 'ignore', 'ignore'] }));
    const commandLine = (await processOf(child.pid))?.commandLine ?? [];
    expect(commandLine.length).toBeGreaterThan(10);
    expect(['sh', '-c', 'read nothing', ...words].slice(0, commandLine.length)).toEqual(commandLine);
  });

  test('does not show a zombie', async () => {
    // The shell starts a child that ends at once, and becomes a program that never asks how.
    const { told } = await startTelling('sh', ['-c', 'sh -c "exit 0" & echo $!; exec sleep 1000']);
    await expect.poll(() => processOf(Number(told)), { timeout: 5_000 }).toBeUndefined();
  });

  test('shows this process in its control groups, namespaces and root directory, younger than the machine', async () => {
    const ours = await processOf(process.pid);
    const { namespaces, rootDirectory } = await view();
    expect(ours?.cgroups.every((group) => group.startsWith('/'))).toBe(true);
    expect(ours?.cgroups.length).toBeGreaterThan(0);
    expect(ours).toMatchObject({ namespaces, rootDirectory, currentDirectory: seenAs(await identify('.')) });
    expect(right(await linuxProcesses.bootedMs())).toBeLessThanOrEqual(ours?.startedMs ?? 0);
    expect(right(await linuxProcesses.bootedMs()) + (ours?.startedTicks ?? 0) * 10).toBe(ours?.startedMs);
  });

  test("shows a process of the kernel's own without words and directories", async (context) => {
    const kernels = fs.existsSync('/proc/2/comm') && fs.readFileSync('/proc/2/comm', 'utf8') === 'kthreadd\n';
    if (!kernels) return context.skip('needs the first pid namespace, where the kernel has processes');
    const nowhere = { _tag: 'Seen', value: undefined };
    expect(await processOf(2)).toMatchObject({ commandLine: [], currentDirectory: nowhere, rootDirectory: nowhere });
  });

  test('says that the directories and namespaces of another user are hidden', async (context) => {
    if (!isRoot) return context.skip('needs root, to become somebody else');
    const child = await startIn(fresh());
    process.seteuid?.(1000);
    try {
      const hidden = { _tag: 'Hidden', code: 'EACCES' };
      expect(await processOf(child.pid)).toMatchObject({
        commandLine: ['sh', '-c', 'read nothing'],
        currentDirectory: hidden,
        rootDirectory: hidden,
        namespaces: hidden,
      });
      expect((await view()).limitedBy).toBeUndefined();
    } finally {
      process.seteuid?.(0);
    }
  });
});

test('a process whose main thread has ended lives as long as another of its threads', async () => {
  const directory = fresh();
  const { child } = await startTelling(process.execPath, argsWithoutMainThread, directory);
  const pid = child.pid ?? 0;
  await eventually('its main thread to end', () => /^State:\tZ/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8')));
  expect(fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toBe('');
  const ours = await processOf(process.pid);
  expect(await processOf(pid)).toMatchObject({
    commandLine: [process.execPath, ...argsWithoutMainThread],
    currentDirectory: seenAs(await identify(directory)),
    rootDirectory: ours?.rootDirectory,
    namespaces: ours?.namespaces,
    cgroups: ours?.cgroups,
  });
  const [listener] = await listenersAt('socket');
  expect(right(await linuxProcesses.holders(listener?.inode ?? '')())).toEqual([pid]);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(await processOf(pid)).toBeUndefined();
});

describe('the current directory of a process', () => {
  const expectSame = async (directory: string): Promise<void> => {
    const child = await startIn(directory);
    expect((await processOf(child.pid))?.currentDirectory).toEqual(seenAs(await identify(directory)));
    child.kill('SIGKILL');
    await once(child, 'exit');
  };

  test('is the directory that the file system identifies', () => expectSame(fresh()));

  test('is the same after the directory was removed', async () => {
    const directory = fresh();
    const child = await startIn(directory);
    const before = await identify(directory);
    fs.rmdirSync(directory);
    expect((await processOf(child.pid))?.currentDirectory).toEqual(seenAs(before));
  });

  test('is identified on tmpfs and overlay, too', async (context) => {
    if (!isRoot) return context.skip('needs root, for mounts');
    const directory = fresh();
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', directory]);
    onTestFinished(() => void execFileSync('umount', [directory]));
    await expectSame(directory);
    const [lower, upper, work, merged] = ['lower', 'upper', 'work', 'merged'].map((name) => path.join(directory, name));
    for (const made of [lower, upper, work, merged]) fs.mkdirSync(made ?? '');
    fs.mkdirSync(`${lower}/only-below`);
    fs.mkdirSync(`${upper}/only-above`);
    const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', options, merged ?? '']);
    onTestFinished(() => void execFileSync('umount', [merged ?? '']));
    for (const name of ['', 'only-below', 'only-above']) await expectSame(path.join(merged ?? '', name));
  });

  test('is told at once, though its file system does not answer', async (context) => {
    if (needsFuse !== undefined) return context.skip(needsFuse);
    const directory = fresh();
    const server = await mountStoppable(directory, 'bundle');
    try {
      const child = await startIn(path.join(directory, 'bundle'));
      const before = (await processOf(child.pid))?.currentDirectory;
      server.kill('SIGSTOP');
      const startedMs = performance.now();
      expect((await processOf(child.pid))?.currentDirectory).toEqual(before);
      expect(performance.now() - startedMs).toBeLessThan(5_000);
      expect(before).toMatchObject({ value: { inode: '2' } });
      child.kill('SIGKILL');
    } finally {
      takeAway(server, [directory]);
    }
  });

  test('is on a known device, though the FUSE file system of another user tells root no more', async (context) => {
    if (needsFuse !== undefined) return context.skip(needsFuse);
    const directory = fresh();
    fs.chmodSync(base.path(), 0o755);
    const server = await mountStoppable(directory, 'bundle', 1000);
    try {
      const toOwner = ['--reuid', '1000', '--regid', '1000', '--clear-groups'];
      const script = 'cd "$0" && echo ready && read nothing';
      const { child } = await startTelling('setpriv', [...toOwner, 'sh', '-c', script, path.join(directory, 'bundle')]);
      expect(() => fs.statSync(directory)).toThrow(/EACCES/);
      const mounts = fs.readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
      const device = mounts.find((line) => line.split(' ')[4] === directory)?.split(' ')[2];
      const process = await processOf(child.pid);
      // A device without hardware has the major number 0, and a small one is its minor number.
      expect(process?.currentDirectory).toEqual(seenAs({ device: device?.split(':')[1] ?? '', inode: '0' }));
      child.kill('SIGKILL');
    } finally {
      takeAway(server, [directory]);
    }
  });
});

const listeners = async (...alsoOf: ReadonlyArray<number>): Promise<ReadonlyArray<Listener>> =>
  right(await linuxProcesses.listeners(alsoOf)());

/** Some versions of Node fill an abstract name up with NULs, which the kernel prints as `@`. */
const textOf = ({ name }: Listener): string => (name._tag === 'Path' ? name.path : name.name.replace(/@+$/, ''));

const listenersAt = async (name: string, ...alsoOf: ReadonlyArray<number>): Promise<ReadonlyArray<Listener>> =>
  (await listeners(...alsoOf)).filter((listener) => textOf(listener) === name);

/** Listens until the test ends. */
const listenAt = async (name: string): Promise<net.Server> => {
  const server = net.createServer();
  onTestFinished(() => void server.close());
  server.listen(name);
  await once(server, 'listening');
  return server;
};

describe('listening sockets', () => {
  test('are found, with their process, after their name was removed', async () => {
    const socket = path.join(fresh(), 'a socket\nwith a line feed');
    const server = await listenAt(socket);
    fs.unlinkSync(socket);
    const [listener, ...others] = await listenersAt(socket);
    expect(others).toEqual([]);
    expect(listener?.name).toEqual({ _tag: 'Path', path: socket });
    expect(right(await linuxProcesses.holders(listener?.inode ?? '')())).toEqual([process.pid]);
    server.close();
    await once(server, 'close');
    expect(await listenersAt(socket)).toEqual([]);
    expect(right(await linuxProcesses.holders(listener?.inode ?? '')())).toEqual([]);
  });

  test('of a process whose open files may not be seen have no known process, which is a failure', async (context) => {
    if (!isRoot) return context.skip('needs root, to become another user');
    const name = `${base.path()}/of-root`;
    const script = `require('node:net').createServer().listen('\\0${name}', () => console.log('listens'))`;
    const { child } = await startTelling(process.execPath, ['-e', script]);
    const own = path.join(fresh(), 'own');
    await listenAt(own);
    const [[theirs], [ours]] = [await listenersAt(name), await listenersAt(own)];
    const holders = (inode: string | undefined) => linuxProcesses.holders(inode ?? '')();
    expect(right(await holders(theirs?.inode))).toEqual([child.pid]);
    process.seteuid?.(1000);
    try {
      const unseen = 'a process that this program may not see listens there';
      const found = await Promise.all([holders(theirs?.inode), holders(ours?.inode), holders('0')]);
      expect(found).toEqual([
        E.left({ _tag: 'ProcessesUnreadable', reason: unseen }),
        E.right([process.pid]),
        E.right([]),
      ]);
      process.seteuid?.(0);
      child.kill('SIGKILL');
      await once(child, 'exit');
      process.seteuid?.(1000);
      expect(await holders(theirs?.inode)).toEqual(E.right([]));
    } finally {
      process.seteuid?.(0);
    }
  });

  test('are found by an abstract name', async () => {
    const name = `${base.path()}/abstract`;
    await listenAt(`\0${name}`);
    expect((await listenersAt(name)).map((listener) => listener.name._tag)).toEqual(['Abstract']);
  });

  test('are not the connections that were accepted from them', async () => {
    const socket = path.join(fresh(), 'socket');
    const server = await listenAt(socket);
    const accepted = once(server, 'connection');
    const client = net.connect(socket);
    onTestFinished(() => void client.destroy());
    await Promise.all([accepted, once(client, 'connect')]);
    expect(await listenersAt(socket)).toHaveLength(1);
    server.close();
    await eventually('it to stop', () => !server.listening);
    expect(fs.readFileSync('/proc/net/unix', 'utf8')).toContain(socket);
    expect(await listenersAt(socket)).toEqual([]);
  });

  test('of another network namespace are found through a process in it', async (context) => {
    if (!isRoot) return context.skip('needs root, for namespaces');
    const name = `${base.path()}/elsewhere`;
    const script = `require('node:net').createServer().listen('\\0${name}', () => console.log('listens'))`;
    const { child } = await startTelling('unshare', ['--net', process.execPath, '-e', script]);
    const inside = child.pid ?? 0;
    expect(await listenersAt(name)).toEqual([]);
    expect(await listenersAt(name, process.pid, inside, inside)).toHaveLength(1);
    const ended = await started(spawn('true'));
    if (ended.exitCode === null) await once(ended, 'exit');
    expect(await listenersAt(name, ended.pid ?? 0)).toEqual([]);
  });
});

/** The built module: these processes cannot read the sources. */
const module = new URL('../../dist/linux/LinuxProcesses.js', import.meta.url).href;

const telling = `import(${JSON.stringify(module)}).then(async ({ linuxProcesses }) => {
  const [list, view] = [await linuxProcesses.list(), await linuxProcesses.view()];
  process.stdout.write(JSON.stringify({ pid: process.pid, list, view }));
})`;

interface Told {
  readonly pid: number;
  readonly list: E.Either<unknown, ReadonlyArray<ProcessInfo>>;
  readonly view: E.Either<{ readonly reason: string }, OwnView>;
}

/** What a process sees that is started by a shell in new namespaces. In the script, `"$@"` starts it. */
const seenIn = (namespaces: ReadonlyArray<string>, script: string): Told => {
  const args = [...namespaces, 'sh', '-ec', script, 'sh', process.execPath, '-e', telling];
  const told: Told = JSON.parse(execFileSync('unshare', args, { encoding: 'utf8' }));
  return told;
};

const pidsIn = ({ list }: Told): ReadonlyArray<number> => right(list).map(({ pid }) => pid);

const inOwnPidNamespace = ['--mount', '--pid', '--fork'];

describe('the view of this process', () => {
  test('is that of the first pid namespace or another one, as the kernel says', async () => {
    const { pid, isFirstPidNamespace, isFirstMountNamespace, namespaces } = await view();
    expect(pid).toBe(process.pid);
    expect(namespaces).toEqual({
      _tag: 'Seen',
      value: {
        pid: fs.readlinkSync('/proc/self/ns/pid'),
        mount: fs.readlinkSync('/proc/self/ns/mnt'),
        network: fs.readlinkSync('/proc/self/ns/net'),
      },
    });
    expect(isFirstPidNamespace).toBe(fs.readlinkSync('/proc/self/ns/pid') === 'pid:[4026531836]');
    expect(isFirstMountNamespace).toBe(/^mnt:\[40265318(32|40|41)\]$/.test(fs.readlinkSync('/proc/self/ns/mnt')));
  });

  test('is whole in a pid namespace of its own, which is not the first', (context) => {
    if (!isRoot) return context.skip('needs root, for namespaces');
    const told = seenIn([...inOwnPidNamespace, '--mount-proc'], '"$@"; true');
    expect(right(told.view)).toMatchObject({ pid: told.pid, isFirstPidNamespace: false });
    expect(right(told.view)).not.toHaveProperty('limitedBy');
    expect(pidsIn(told)).toEqual([1, told.pid]);
  });

  const anotherProc = 'the /proc that is mounted here belongs to another pid namespace';

  test('is limited where /proc belongs to an outer pid namespace', (context) => {
    if (!isRoot) return context.skip('needs root, for namespaces');
    const told = seenIn(['--pid', '--fork'], '"$@"; true');
    expect(right(told.view)).toMatchObject({ limitedBy: anotherProc, isFirstPidNamespace: false });
  });

  test('is limited where /proc belongs to an inner pid namespace', (context) => {
    if (!isRoot) return context.skip('needs root, for namespaces');
    const told = seenIn(['--mount'], 'unshare --pid --fork mount -t proc proc /proc; "$@"');
    expect(right(told.view)).toMatchObject({ limitedBy: anotherProc, isFirstPidNamespace: false });
  });

  test('cannot be told where /proc is not mounted', (context) => {
    if (!isRoot) return context.skip('needs root, for namespaces');
    const told = seenIn(['--mount'], 'mount -t tmpfs tmpfs /proc; "$@"');
    expect([E.isLeft(told.view) && told.view.left.reason, E.isLeft(told.list)]).toEqual(['/proc is not mounted', true]);
  });

  test('is limited where process 1 cannot be seen', (context) => {
    if (!isRoot) return context.skip('needs root, for namespaces');
    const told = seenIn([...inOwnPidNamespace, '--mount-proc'], 'mount -t tmpfs tmpfs /proc/1; "$@"; true');
    expect(right(told.view).limitedBy).toBe('process 1 cannot be seen (ENOENT)');
    expect(pidsIn(told)).toEqual([told.pid]);
  });

  test('is limited in a time namespace of its own, in which this process seems to be older', (context) => {
    if (!isRoot) return context.skip('needs root, for namespaces');
    if (!fs.existsSync('/proc/self/ns/time')) return context.skip('needs a kernel with time namespaces (5.6)');
    const told = seenIn(['--time', '--boottime', '100000'], '"$@"; true');
    expect(right(told.view).limitedBy).toMatch(/^this program is in a time namespace of its own, /);
    const outside = seenIn(['--mount'], '"$@"; true');
    const startOf = ({ pid, list }: Told): number => right(list).find((one) => one.pid === pid)?.startedTicks ?? 0;
    expect(startOf(told) - startOf(outside)).toBeGreaterThan(9_000_000);
  });

  test('is that of the first mount namespace only where the kernel numbers it so', (context) => {
    if (!isRoot) return context.skip('needs root, for namespaces');
    const told = seenIn(['--mount'], '"$@"; true');
    expect(right(told.view).isFirstMountNamespace).toBe(false);
  });

  test('does not explain a process that cannot be read, so that the list fails', (context) => {
    if (!isRoot) return context.skip('needs root, for namespaces');
    const hide = 'sleep 1000 & mount -t tmpfs -o mode=0 tmpfs /proc/$!';
    const weakly = 'setpriv --bounding-set=-dac_override,-dac_read_search "$@"';
    const told = seenIn([...inOwnPidNamespace, '--mount-proc'], `${hide}; ${weakly}; true`);
    expect(right(told.view)).not.toHaveProperty('limitedBy');
    expect(told.list).toMatchObject({ left: { reason: expect.stringMatching(/^cannot read \/proc\/\d+: EACCES$/) } });
  });

  test('shows that a process has a mount namespace of its own', async (context) => {
    if (!isRoot) return context.skip('needs root, for namespaces');
    const { child } = await startTelling('unshare', ['--mount', 'sh', '-c', 'echo ready; read nothing']);
    const [theirs, ours] = [(await processOf(child.pid))?.namespaces, (await view()).namespaces];
    if (theirs?._tag !== 'Seen' || ours._tag !== 'Seen') return expect.fail('hidden from root');
    expect(theirs.value.mount).not.toBe(ours.value.mount);
    expect({ ...theirs.value, mount: '' }).toEqual({ ...ours.value, mount: '' });
  });
});

describe('hidepid', () => {
  const untraced = 'setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace';
  const others = `${untraced} --regid 1000 --clear-groups`;
  const lacks = (hidepid: string): string =>
    `/proc is mounted with hidepid=${hidepid}, and this process lacks CAP_SYS_PTRACE`;
  // Kernels before 5.8 give the number back, later ones a word.
  const cases: ReadonlyArray<readonly [string, string, RegExp | undefined]> = [
    ['hidepid=2', 'setpriv --regid 1000 --clear-groups', undefined],
    ['hidepid=0', others, undefined],
    ['hidepid=1', others, new RegExp(`^${lacks('(1|noaccess)')} and is not in group 0$`)],
    ['hidepid=2', others, new RegExp(`^${lacks('(2|invisible)')} and is not in group 0$`)],
    ['hidepid=2', untraced, undefined],
    ['hidepid=2,gid=1234', untraced, new RegExp(`^${lacks('(2|invisible)')} and is not in group 1234$`)],
    ['hidepid=2,gid=1234', `${untraced} --groups 1234`, undefined],
    ['hidepid=4', untraced, new RegExp(`^${lacks('(4|ptraceable)')}$`)],
    ['hidepid=4', 'setpriv --clear-groups', undefined],
  ];

  for (const [options, user, limitedBy] of cases)
    test(`${limitedBy === undefined ? 'hides nothing' : 'limits the view'}: ${options}, ${user}`, (context) => {
      if (!isRoot) return context.skip('needs root, for namespaces');
      const told = seenIn(inOwnPidNamespace, `mount -t proc -o ${options} proc /proc; ${user} "$@"; true`);
      const limit = right(told.view).limitedBy;
      if (limitedBy === undefined) expect(limit).toBeUndefined();
      else expect(limit).toMatch(limitedBy);
      expect(pidsIn(told)).toEqual(limitedBy === undefined ? [1, told.pid] : [told.pid]);
    });

  test('limits the view of root in a user namespace, whose capabilities count for its own processes only', (context) => {
    if (!isRoot) return context.skip('needs root, for namespaces');
    const inUserNamespace = ['--user', '--map-root-user', ...inOwnPidNamespace];
    const told = seenIn(inUserNamespace, 'mount -t proc -o hidepid=2 proc /proc; "$@"; true');
    expect(right(told.view).limitedBy).toMatch(/ and this process is in a user namespace$/);
  });
});

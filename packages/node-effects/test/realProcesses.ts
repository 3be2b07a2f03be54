/** Processes like those of shims and containers; each is started for a test, and ended by it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ByteString as B } from '@shim-recovery/core';
import type { SocketName } from '@shim-recovery/core/interpreter';
import type { StartedListener, StartedProcess, StartedThreads } from '@shim-recovery/test-effects/laws/ProcessesLaws';
import type { EntryKey } from '@shim-recovery/test-effects/worlds/World';

/** One that was started here, and may have been ended already. */
export interface RealProcess extends StartedProcess {
  readonly pid: number;
}

/** Any hierarchy does: its processes say that they are in it. */
const hierarchy = ['/sys/fs/cgroup/pids', '/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find((directory) =>
  fs.existsSync(path.join(directory, 'cgroup.procs')),
);

const groupPrefix = 'shim-recovery-';

const makeGroup = (): string | undefined => {
  if (hierarchy === undefined) return undefined;
  try {
    return fs.mkdtempSync(path.join(hierarchy, groupPrefix));
  } catch {
    return undefined;
  }
};

/** Why containers cannot be imitated here; undefined where they can. */
export const withoutControlGroups = ((): string | undefined => {
  const group = makeGroup();
  if (group === undefined) return 'needs root, and control groups that can be made';
  fs.rmdirSync(group);
  return undefined;
})();

/** Reads what never comes, so that its command line stays as it is, and ends with this process at the latest. */
const startReader = async (words: ReadonlyArray<string>, directory?: string): Promise<ChildProcess> => {
  const child = spawn('sh', ['-c', 'read nothing', ...words], {
    stdio: ['pipe', 'ignore', 'ignore'],
    ...(directory === undefined ? {} : { cwd: directory }),
  });
  await once(child, 'spawn');
  return child;
};

const processOf = (child: ChildProcess, afterwards: () => void = () => undefined): RealProcess => {
  let ending: Promise<void> | undefined;
  const end = async (): Promise<void> => {
    const exited = once(child, 'exit');
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await exited;
    }
    afterwards();
  };
  return { pid: child.pid ?? 0, end: () => (ending ??= end()) };
};

export const startShimProcess = async (
  { namespace, id }: EntryKey,
  {
    directory,
    withoutId = false,
  }: { readonly directory?: { readonly path: string }; readonly withoutId?: boolean } = {},
): Promise<RealProcess> => {
  const words = ['shim', '-namespace', B.toText(namespace), ...(withoutId ? [] : ['-id', B.toText(id)])];
  return processOf(await startReader(words, directory?.path));
};

/** A program for Node that says a word once it is ready, and then goes on until it is ended. */
const startNode = async (program: string, words: ReadonlyArray<string>, directory: string): Promise<ChildProcess> => {
  const child = spawn(process.execPath, ['-e', program, ...words], {
    cwd: directory,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
};

const listening = `
require('node:net').createServer().listen(process.argv[1].replace(/^@/, '\\0'), () => process.stdout.write('ready'));
process.stdin.resume();`;

/** The names of listening sockets as the kernel prints them. */
const printedNames = (): ReadonlyArray<string> =>
  fs
    .readFileSync('/proc/net/unix', 'latin1')
    .split('\n')
    .map((line) => line.split(' ').at(-1) ?? '');

/** Listens below a directory, or under an abstract name, which Node fills up in some versions. */
export const startListener = async (kind: SocketName['_tag'], directory: string): Promise<StartedListener> => {
  const file = path.join(fs.mkdtempSync(path.join(directory, 'l-')), 'socket');
  const child = await startNode(listening, [kind === 'Path' ? file : `@${file}`], directory);
  const printed = printedNames().find((name) => name.startsWith(`@${file}`)) ?? '@';
  return {
    ...processOf(child),
    name:
      kind === 'Path'
        ? { _tag: 'Path', path: B.fromText(file) }
        : { _tag: 'Abstract', name: B.fromLatin1(printed.slice(1)) },
    removeName: async () => fs.rmSync(file, { force: true }),
  };
};

/** Ends its main thread when it is told a word: the others of Node go on. */
const twoThreads = `
const numbers = { x64: 60, arm64: 93, riscv64: 93, loong64: 93 };
const exit = require(process.argv[1]).load(null).func('long syscall(long, long)');
process.stdin.once('data', () => exit(numbers[process.arch], 0));
process.stdout.write('ready');`;

/** A process whose main thread can be ended, while others of it go on. */
export const startThreads = async (directory: string): Promise<StartedThreads> => {
  const koffi = fileURLToPath(import.meta.resolve('koffi'));
  const child = await startNode(twoThreads, [koffi], directory);
  const isEnded = (): boolean => /^State:\tZ/m.test(fs.readFileSync(`/proc/${child.pid}/status`, 'utf8'));
  return {
    ...processOf(child),
    endMainThread: async () => {
      child.stdin?.write('end\n');
      const deadline = Date.now() + 10_000;
      while (!isEnded()) {
        if (Date.now() > deadline) throw new Error('its main thread does not end');
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
};

export const startContainerProcess = async ({ id }: EntryKey): Promise<RealProcess> => {
  const group = makeGroup();
  if (group === undefined) throw new Error(withoutControlGroups);
  const own = path.join(group, B.toText(id));
  fs.mkdirSync(own);
  const child = await startReader(['container']);
  fs.writeFileSync(path.join(own, 'cgroup.procs'), String(child.pid));
  return processOf(child, () => [own, group].forEach((directory) => fs.rmdirSync(directory)));
};

/**
 * A host of a test, laid as a daemon leaves it: the plugin's two directories, bundles with their files, sockets and pipes,
 * the records of containers, and the program of their shims. All of it goes with the test, also when that fails.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { BundleReport, Report } from '@shim-recovery/core/documents';
import { expect, type TestContext } from 'vitest';
import type { ShimScript } from '../../src/demo/ScriptedShim.js';
import { fingerprintOf, goodBinary, reportOf, type Run, run, runInShell, running } from '../cli/host.js';
import { isRoot } from '../temporary.js';
import {
  type ScriptedProcess,
  type ShimOptions,
  type Started,
  type StartedProgram,
  startProgram,
  startShim,
} from './processes.js';

const plugins = { task: 'io.containerd.runtime.v2.task', sandbox: 'io.containerd.sandbox.controller.v1.shim' } as const;
type Tree = keyof typeof plugins;

interface BundleOptions {
  readonly namespace?: string;
  /** What `address` holds, without a line feed. By default that of the bundle's own socket; `null`: there is no such file. */
  readonly address?: string | Uint8Array | null;
  /** Other files. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  readonly config?: Readonly<Record<string, unknown>>;
  /** What `shim-binary-path` holds: by default the world's program. */
  readonly program?: string;
  readonly tree?: Tree;
  readonly hasLog?: boolean;
  readonly isRecorded?: boolean;
}

export interface Bundle {
  /** `NAMESPACE/ID`. */
  readonly name: string;
  readonly namespace: string;
  readonly id: string;
  readonly path: string;
  readonly work: string;
  readonly rootfs: string;
  /** Where its shim listens, unless it shares another one's. */
  readonly socket: string;
  readonly exists: () => boolean;
  readonly at: (file: string) => string;
  readonly write: (file: string, content: string | Uint8Array) => void;
}

/** What a run of the command printed and reported. */
export interface Outcome extends Run {
  readonly report: Report;
  readonly of: (bundle: Bundle) => BundleReport;
  /** By id: `adopt task-running`. */
  readonly verdicts: Readonly<Record<string, string>>;
  /** By id, of a recovery. */
  readonly outcomes: Readonly<Record<string, string | undefined>>;
}

/** What a test saw before, and what must be so afterwards. */
interface Witness {
  /** Every file and mount is as it was, and every process still runs. */
  readonly expectNothingChanged: () => void;
  readonly expectAllRunning: () => void;
}

export interface World {
  readonly base: string;
  /** The daemon's own two directories. */
  readonly daemon: { readonly state: string; readonly root: string };
  /** Those of the plugin that keeps the bundles of tasks. */
  readonly state: string;
  readonly root: string;
  /** The program of the shims: it writes its calls down, and answers that process 900 ended with status 137. */
  readonly program: string;
  /** A copy of it with another name. */
  readonly programNamed: (name: string) => string;
  readonly programCalls: () => ReadonlyArray<string>;
  readonly store: string;
  /** A namespace that no other world of this machine has: shims without ids belong to all bundles of theirs. */
  readonly namespace: string;
  /** Lays a bundle with its working directory, by default in that namespace. */
  readonly addBundle: (id: string, options?: BundleOptions) => Bundle;
  /** Starts the shim of a bundle, by default with runc's command line, in the bundle, with a task that runs. */
  readonly startShimOf: (bundle: Bundle, options?: Partial<ShimOptions>) => Promise<ScriptedProcess>;
  /** Starts a program that prints a line when it is ready. */
  readonly start: (command: string, words: ReadonlyArray<string>, cwd?: string) => Promise<StartedProgram>;
  /** Starts a process that does nothing, as that of a container: its root is a directory of its own, empty by default. */
  readonly startContainer: (root?: string) => Promise<Started>;
  /** To be done when the test ends, before what was there earlier is taken away. */
  readonly afterwards: (cleanUp: () => Promise<void> | void) => void;
  readonly cleanUp: () => Promise<void>;
  /** The options that say where, and how long a shim is waited for. */
  readonly args: ReadonlyArray<string>;
  /** Runs the command on this host; what it prints is for people. */
  readonly run: (command: string, ...args: ReadonlyArray<string>) => Promise<Run>;
  readonly plan: (policy: string, ...args: ReadonlyArray<string>) => Promise<Outcome>;
  readonly recover: (policy: string, ...args: ReadonlyArray<string>) => Promise<Outcome>;
  /** The same, by a line of shell in which `"$@"` is the command. */
  readonly inShell: (line: string, command: string, ...args: ReadonlyArray<string>) => Promise<Outcome>;
  readonly mount: (type: string, at: string, options?: string, source?: string) => void;
  readonly mounts: () => ReadonlyArray<string>;
  readonly witness: (...processes: ReadonlyArray<Started>) => Witness;
}

/** A task that runs as this process. */
export const runningAs = (pid: number): ShimScript => ({
  ...running,
  connect: { ok: { task: pid } },
  pids: { ok: { pids: [pid] } },
});

/** A shim that has no task, and ends when it is told to. */
export const withoutTask: ShimScript = {
  ...running,
  connect: { ok: { task: 0 } },
  pids: { error: 5 },
  state: { error: 5 },
};

/** The command line that containerd gives to runc's shim. */
export const runcWords = ({ namespace, id }: Bundle): ReadonlyArray<string> => [
  '/usr/bin/containerd-shim-runc-v2',
  '-namespace',
  namespace,
  '-id',
  id,
  '-address',
  '/run/containerd/containerd.sock',
];

/** The command line that gVisor's shim runs with: it names no bundle. */
export const runscWords = (namespace: string): ReadonlyArray<string> => [
  '/usr/local/bin/containerd-shim-runsc-v1',
  '-namespace',
  namespace,
  '-address',
  '/run/containerd/containerd.sock',
  '-publish-binary',
  '/usr/bin/containerd',
];

/** The program of a container: it leaves our root, and waits for what never comes. */
const inOwnRoot = 'chroot $ARGV[0] or die $!; chdir "/"; $| = 1; print "ready\\n"; <STDIN>';

const mountsBelow = (directory: string): ReadonlyArray<string> =>
  fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${directory}/`));

const outcomeOf = (ended: Run): Outcome => {
  const report = reportOf(ended);
  const all = report.namespaces.flatMap(({ name, bundles }) =>
    bundles.map((bundle) => ({ name: `${name}/${bundle.id}`, bundle })),
  );
  const found = new Map<string, BundleReport>(all.map(({ name, bundle }) => [name, bundle]));
  return {
    ...ended,
    report,
    of: ({ name }) => found.get(name) ?? expect.fail(`${name} is not in the report`),
    verdicts: Object.fromEntries(all.map(({ bundle: { id, verdict, reason } }) => [id, `${verdict} ${reason}`])),
    outcomes: Object.fromEntries(all.map(({ bundle: { id, outcome } }) => [id, outcome])),
  };
};

/** The body of a test on an empty host, all of which is taken away afterwards: unlike `finally`, also when time is up. */
export const inWorld =
  (body: (world: World, context: TestContext) => Promise<void> | void) =>
  async (context: TestContext): Promise<void> => {
    if (!isRoot) return context.skip('needs root, as a recovery does');
    if (!isFirstPidNamespace()) return context.skip('needs the first pid namespace, to see that something is dead');
    const world = makeWorld();
    context.onTestFinished(world.cleanUp, cleanUpMs);
    await body(world, context);
  };

const cleanUpMs = 30_000;

/** `PROC_PID_INIT_INO`: in any other one, what is not seen may live outside. */
const isFirstPidNamespace = (): boolean => fs.readlinkSync('/proc/self/ns/pid') === 'pid:[4026531836]';

const makeWorld = (): World => {
  const base = fs.mkdtempSync(path.join(os.tmpdir(), 'sr-'));
  const cleanUps: Array<() => Promise<void> | void> = [
    () => {
      for (const point of [...mountsBelow(base)].reverse()) execFileSync('umount', ['--lazy', point]);
      fs.rmSync(base, { recursive: true, force: true });
    },
  ];
  const kept = <A extends Started>(started: A): A => {
    cleanUps.push(started.end);
    return started;
  };
  const below = (...names: ReadonlyArray<string>): string => path.join(base, ...names);
  const directory = (tree: Tree, kind: 'state' | 'root'): string => below(kind, plugins[tree]);
  const [state, root] = [directory('task', 'state'), directory('task', 'root')];
  for (const made of [state, root, below('s'), below('bin')]) fs.mkdirSync(made, { recursive: true, mode: 0o711 });

  const calls = below('program.calls');
  const programNamed = (name: string): string => {
    const file = below('bin', name);
    fs.writeFileSync(file, `#!/bin/sh\necho "$@" >> ${calls}\n${goodBinary}\n`, { mode: 0o755 });
    return file;
  };
  const program = programNamed('containerd-shim-runc-v2');

  const store = below('store.json');
  const containers: Record<string, { containers: Record<string, { runtime: string }> }> = {};
  const record = (namespace: string, id: string): void => {
    (containers[namespace] ??= { containers: {} }).containers[id] = { runtime: 'io.containerd.runc.v2' };
    fs.writeFileSync(store, JSON.stringify({ schema: 'shim-recovery/store@1', namespaces: containers }));
  };
  fs.writeFileSync(store, JSON.stringify({ schema: 'shim-recovery/store@1', namespaces: {} }));

  const ownNamespace = `k8s.io-${base.slice(-6)}`;
  const addBundle = (
    id: string,
    {
      namespace = ownNamespace,
      address,
      files = {},
      config = {},
      program: own = program,
      tree = 'task',
      ...rest
    }: BundleOptions = {},
  ): Bundle => {
    const { hasLog = true, isRecorded = true } = rest;
    const bundle = path.join(directory(tree, 'state'), namespace, id);
    const work = path.join(directory(tree, 'root'), namespace, id);
    const socket = below('s', `${tree}-${namespace}-${id}`);
    for (const made of [path.join(bundle, 'rootfs'), work]) fs.mkdirSync(made, { recursive: true, mode: 0o711 });
    const at = (file: string): string => path.join(bundle, file);
    fs.symlinkSync(work, at('work'));
    const all = {
      'config.json': JSON.stringify(config),
      'shim-binary-path': own,
      ...(address === null ? {} : { address: address ?? `unix://${socket}` }),
      ...files,
    };
    for (const [file, content] of Object.entries(all)) fs.writeFileSync(at(file), content);
    if (hasLog) execFileSync('mkfifo', ['-m', '0700', at('log')]);
    if (isRecorded) record(namespace, id);
    return {
      name: `${namespace}/${id}`,
      namespace,
      id,
      path: bundle,
      work,
      rootfs: at('rootfs'),
      socket,
      at,
      exists: () => fs.existsSync(bundle),
      write: (file, content) => fs.writeFileSync(at(file), content),
    };
  };

  const args = ['--state', state, '--root', root, '--store', `json:${store}`, '--load-timeout', '2s'];
  const report = async (command: string, policy: string, more: ReadonlyArray<string>): Promise<Outcome> =>
    outcomeOf(await run([command, '--policy', policy, '--json', ...args, ...more]));
  const start: World['start'] = async (command, words, cwd = '/') => kept(await startProgram(command, words, cwd));
  const mounts = (): ReadonlyArray<string> => mountsBelow(base);
  const everything = (): ReadonlyArray<string> =>
    [below('state'), below('root')].flatMap((one) => fingerprintOf(Buffer.from(one)));

  return {
    base,
    daemon: { state: below('state'), root: below('root') },
    state,
    root,
    program,
    programNamed,
    store,
    args,
    programCalls: () => (fs.existsSync(calls) ? fs.readFileSync(calls, 'utf8').trim().split('\n') : []),
    namespace: ownNamespace,
    addBundle,
    startShimOf: async (bundle, options = {}) => {
      const { path: cwd, socket } = bundle;
      return kept(await startShim({ words: runcWords(bundle), cwd, socket, script: running, ...options }));
    },
    start,
    startContainer: (own = below('container')) => {
      fs.mkdirSync(own, { recursive: true });
      return start('perl', ['-e', inOwnRoot, own]);
    },
    afterwards: (cleanUp) => void cleanUps.push(cleanUp),
    cleanUp: async () => {
      for (const cleanUp of cleanUps.reverse()) await cleanUp();
    },
    run: (command, ...more) => run([command, ...more, ...args]),
    plan: (policy, ...more) => report('plan', policy, more),
    recover: (policy, ...more) => report('recover', policy, more),
    inShell: async (line, command, ...more) => outcomeOf(await runInShell(line, [command, '--json', ...args, ...more])),
    mount: (type, at, options = 'defaults', source = type) => {
      fs.mkdirSync(at, { recursive: true });
      execFileSync('mount', ['-t', type, '-o', options, source, at]);
    },
    mounts,
    witness: (...processes) => {
      const before = { files: everything(), mounts: mounts() };
      const expectAllRunning = (): void => {
        for (const { pid, isRunning } of processes) expect(isRunning(), `process ${pid} runs`).toBe(true);
      };
      return {
        expectAllRunning,
        expectNothingChanged: () => {
          expectAllRunning();
          expect({ files: everything(), mounts: mounts() }).toEqual(before);
        },
      };
    },
  };
};

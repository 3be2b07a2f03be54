/** `shim-recovery demo`: a throw-away host with scripted shims, planned and recovered. Needs no root and no containerd. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import { containerd17, defaultBounds, defaultTimeouts, Removal } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { linuxFileSystem } from '../../linux/LinuxFileSystem.js';
import { mkfifo } from '../../native/Native.js';
import { type ScriptedShim, type ShimScript, startScriptedShim } from '../../demo/ScriptedShim.js';
import { exitCode } from '../ExitCode.js';
import { listenForInterruption } from '../Interruption.js';
import type { HostOptions } from '../arguments/Options.js';
import { refuse, runPlan } from './planCommand.js';
import { runRecover } from './recoverCommand.js';
import type { Terminal } from '../views/Terminal.js';

const namespace = 'default';

/** Short, so that the shim that never answers does not keep anybody waiting. */
const loadTimeoutMs = 1_000;

const running: ShimScript = {
  mode: 'serve',
  connect: { ok: { task: 900 } },
  pids: { ok: { pids: [900, 901] } },
  del: { ok: { pid: 900, status: 0 } },
  shutdown: { ok: {}, exit: true },
};

/** A bundle of the demonstration: what it shows, and its shim, where it has one. */
interface DemoBundle {
  readonly id: string;
  readonly shows: string;
  readonly script?: ShimScript;
}

const bundles: ReadonlyArray<DemoBundle> = [
  { id: 'web', shows: 'a container that runs', script: running },
  {
    id: 'batch',
    shows: 'a shim whose task has no process any more: leaked',
    script: { ...running, pids: { ok: { pids: [] } } },
  },
  { id: 'cache', shows: 'a shim that is dead', script: { ...running, mode: 'refuse' } },
  { id: 'half-made', shows: 'a container that was never created' },
  { id: 'stuck', shows: 'a shim that accepts, and does not answer', script: { ...running, connect: 'hang' } },
];

const staleWorkDirectory = 'gone-last-year';

/** Answers like the binary of a real shim: a `DeleteResponse` of pid 900 and exit status 137. */
const shimBinary = `#!/bin/sh
printf '\\010\\204\\007\\020\\211\\001'
`;

interface Places {
  readonly base: string;
  readonly state: string;
  readonly root: string;
  readonly binary: string;
}

/** Runs the command; the exit code. */
export const runDemo = async (terminal: Terminal): Promise<number> => {
  // Before there is anything that a signal could leave behind.
  const interruption = listenForInterruption(() => undefined);
  const made = makeBase();
  if (E.isLeft(made)) return refuse(terminal, `the demo cannot run here: ${made.left}`);
  const base = made.right;
  // A second Ctrl-C ends the process at once, and then nothing but this still runs.
  const removeAtExit = (): void => void execFileSync('rm', ['-rf', '--', base]);
  process.once('exit', removeAtExit);
  try {
    const code = await perform(layHost(base), terminal, interruption.requested);
    return interruption.exitCode() ?? code;
  } catch (error) {
    return refuse(terminal, `the demo cannot run here: ${messageOf(error)}`);
  } finally {
    const isGone = await remove(base);
    interruption.stopListening();
    if (isGone) {
      process.off('exit', removeAtExit);
      await terminal.print(`\nNothing of it is left: ${base} is gone.\n`);
    }
  }
};

const makeBase = (): E.Either<string, string> =>
  E.tryCatch(() => fs.mkdtempSync(path.join(os.tmpdir(), 'shim-recovery-demo-')), messageOf);

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const perform = async (places: Places, terminal: Terminal, isInterrupted: () => boolean): Promise<number> => {
  const shims = await startShims(places);
  try {
    await terminal.print(introduction(places));
    const planned = await runPlan(optionsFor(places), terminal, {
      isProbing: true,
      recordPath: undefined,
      outPath: undefined,
    });
    if ((planned !== exitCode.done && planned !== exitCode.aliveDestroyed) || isInterrupted()) return planned;
    await terminal.print('\nNow doing it:\n\n');
    const recovered = await runRecover({ _tag: 'Host', host: optionsFor(places) }, terminal, {
      isWatching: false,
      isForced: false,
      recordPath: undefined,
    });
    // That a container is lost is what there is to show.
    return recovered === exitCode.aliveDestroyed ? exitCode.done : recovered;
  } finally {
    for (const shim of shims) await shim.stop();
  }
};

const startShims = async ({ base }: Places): Promise<ReadonlyArray<ScriptedShim>> => {
  const shims: Array<ScriptedShim> = [];
  for (const { id, script } of bundles) {
    if (script === undefined) continue;
    const shim = await startScriptedShim({ socketPath: path.join(base, `${id}.sock`), script })();
    if (E.isLeft(shim)) throw new Error(`cannot start a scripted shim: ${shim.left.code}`);
    shims.push(shim.right);
  }
  return shims;
};

const introduction = ({ base }: Places): string =>
  [
    `A throw-away host in ${base}, as a daemon that was killed would leave it:`,
    ...bundles.map(({ id, shows }) => `  ${id.padEnd(16)}${shows}`),
    `  ${staleWorkDirectory.padEnd(16)}a working directory that nobody owns`,
    '',
    `What a restart would do (waiting at most ${loadTimeoutMs} ms for a shim, where a daemon waits 5 s):`,
    '',
    '',
  ].join('\n');

const optionsFor = ({ base, state, root }: Places): HostOptions => ({
  state,
  root,
  store: { _tag: 'Json', path: path.join(base, 'store.json') },
  policy: containerd17,
  allowKilling: true,
  namespaces: [],
  waiting: defaultBounds.waiting,
  timeouts: { ...defaultTimeouts, loadMs: loadTimeoutMs },
  address: path.join(base, 'containerd.sock'),
  ttrpcAddress: path.join(base, 'containerd.sock.ttrpc'),
  publishBinary: path.join(base, 'containerd'),
  programPath: undefined,
  said: { store: true, address: true, ttrpcAddress: true },
  isDebug: false,
  isJson: false,
  isDetailedExitCode: false,
});

const layHost = (base: string): Places => {
  const places: Places = {
    base,
    state: path.join(base, 'state'),
    root: path.join(base, 'root'),
    binary: path.join(base, 'containerd-shim-demo-v1'),
  };
  fs.writeFileSync(places.binary, shimBinary, { mode: 0o755 });
  for (const bundle of bundles) layBundle(places, bundle);
  fs.mkdirSync(path.join(places.root, namespace, staleWorkDirectory));
  fs.writeFileSync(
    path.join(base, 'store.json'),
    JSON.stringify({
      schema: 'shim-recovery/store@1',
      namespaces: { [namespace]: { containers: { web: { runtime: 'io.containerd.demo.v1' } } } },
    }),
  );
  return places;
};

const layBundle = ({ state, root, binary, base }: Places, { id, script }: DemoBundle): void => {
  const bundle = path.join(state, namespace, id);
  const work = path.join(root, namespace, id);
  fs.mkdirSync(path.join(bundle, 'rootfs'), { recursive: true, mode: 0o711 });
  fs.mkdirSync(work, { recursive: true, mode: 0o711 });
  fs.symlinkSync(work, path.join(bundle, 'work'));
  fs.writeFileSync(path.join(bundle, 'config.json'), '{}');
  if (script === undefined) return;
  fs.writeFileSync(path.join(bundle, 'shim-binary-path'), binary);
  fs.writeFileSync(path.join(bundle, 'address'), `unix://${path.join(base, `${id}.sock`)}`);
  const fifo = mkfifo(Buffer.from(path.join(bundle, 'log')), 0o700);
  if (E.isLeft(fifo)) throw new Error(`cannot make a FIFO: ${fifo.left}`);
};

/** Whether it is gone. */
const remove = async (base: string): Promise<boolean> => {
  const parent = await linuxFileSystem.openPath(B.fromText(path.dirname(base)))();
  if (E.isLeft(parent)) return false;
  const at = { directory: parent.right, name: B.fromText(path.basename(base)) };
  const removed = await Removal.removeRecursively(linuxFileSystem)(at)();
  await linuxFileSystem.close(parent.right)();
  return E.isRight(removed);
};

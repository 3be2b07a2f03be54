/**
 * Processes like those of shims and containers, with exactly the command line, current directory and control group that a
 * test chooses. Each ends with the process that runs the tests at the latest.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import type { ScriptedCall, ShimScript } from '../../src/demo/ScriptedShim.js';
import { hasLivingThread, type Process, processOf } from '../e2e/processes.js';
import { eventually } from '../temporary.js';

/** A process of a test. `process` tells it from a later one with its number. */
export interface Started {
  readonly pid: number;
  readonly process: Process;
  readonly isRunning: () => boolean;
  readonly signal: (signal: NodeJS.Signals) => void;
  /** Ends it, and waits until it has ended. Ending it twice is harmless. */
  readonly end: () => Promise<void>;
}

export interface ScriptedProcess extends Started {
  /** The calls that it received so far, in order. */
  readonly calls: () => Promise<ReadonlyArray<ScriptedCall>>;
}

export interface StartedProgram extends Started {
  /** The line that it printed. */
  readonly told: string;
}

export interface ShimOptions {
  /** Its command line, word by word; the first is the program's name. */
  readonly words: ReadonlyArray<string>;
  /** Its current directory. */
  readonly cwd: string;
  /** Where it listens, and how it answers; without these it does not listen. */
  readonly socket?: string;
  readonly script?: ShimScript;
  /** A program that starts it, such as `unshare`, with its arguments. */
  readonly wrapper?: ReadonlyArray<string>;
}

/** The built module: a process that reads its program from a pipe cannot read the sources. */
const scriptedShim = new URL('../../dist/demo/ScriptedShim.js', import.meta.url).href;

/**
 * The program of a shim. It reads its text from standard input, so that its command line is `NAME -`, and writes the words
 * of the test over that: NAME is as long as it takes. The parent's end of the channel keeps it running.
 */
const program = `
const fs = require('node:fs');
const { words, socketPath, script } = JSON.parse(process.env.SHIM_OF_A_TEST);
const bytes = Buffer.from(words.map((word) => word + '\\0').join(''));
const fields = fs.readFileSync('/proc/self/stat', 'utf8').replace(/^.*\\) /s, '').split(' ');
const memory = fs.openSync('/proc/self/mem', 'r+');
fs.writeSync(memory, bytes, 0, bytes.length, Number(fields[45]));
fs.closeSync(memory);
process.on('disconnect', () => process.exit());
const ready = () => process.send({ pid: process.pid });
if (script === undefined) {
  process.on('message', () => process.send({ calls: [] }));
  ready();
} else import(${JSON.stringify(scriptedShim)}).then(async ({ startScriptedShim }) => {
  const started = await startScriptedShim({ socketPath, script })();
  if (started._tag === 'Left') throw new Error(JSON.stringify(started.left));
  process.on('message', () => process.send({ calls: started.right.calls() }));
  ready();
});
`;

/** Whether any thread of it runs, and it is not another process with its number. */
const isRunning = ({ pid, startTicks }: Process): boolean => {
  try {
    return hasLivingThread(pid) && processOf(pid).startTicks === startTicks;
  } catch {
    return false;
  }
};

const follow = (child: ChildProcess, pid: number): Started => {
  const known = processOf(pid);
  let ending: Promise<void> | undefined;
  const end = async (): Promise<void> => {
    const exited = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
    // A wrapper first: it would complain of the end of what it started.
    child.kill('SIGKILL');
    if (isRunning(known)) process.kill(pid, 'SIGKILL');
    await exited;
    await eventually(`process ${pid} to end`, () => !isRunning(known));
  };
  return {
    pid,
    process: known,
    isRunning: () => isRunning(known),
    signal: (signal) => void process.kill(pid, signal),
    end: () => (ending ??= end()),
  };
};

const answerTo = (child: ChildProcess, question: string | undefined): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const ended = (): void => reject(new Error('the process ended instead of answering'));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      resolve(message);
    });
    if (question !== undefined) child.send(question);
  });

/** Starts a shim, and waits until it listens. */
export const startShim = async ({
  words,
  cwd,
  socket,
  script,
  wrapper = [],
}: ShimOptions): Promise<ScriptedProcess> => {
  const bytes = Buffer.byteLength(words.join('\0')) + 1;
  const own = ['-'];
  const name = 'x'.repeat(bytes - Buffer.byteLength('\0-\0'));
  const env = { ...process.env, SHIM_OF_A_TEST: JSON.stringify({ words, socketPath: socket, script }) };
  const stdio: ['pipe', 'inherit', 'inherit', 'ipc'] = ['pipe', 'inherit', 'inherit', 'ipc'];
  // A wrapper gives the program its own path for a name, which a shell replaces.
  const renamed = ['bash', '-c', 'exec -a "$0" "$@"', name, process.execPath, ...own];
  const [first = process.execPath, ...rest] =
    wrapper.length === 0 ? [process.execPath, ...own] : [...wrapper, ...renamed];
  const child = spawn(first, rest, { cwd, env, stdio, ...(wrapper.length === 0 ? { argv0: name } : {}) });
  child.stdin?.end(program);
  const told = answerTo(child, undefined);
  const { pid: inside } = (await told) as { readonly pid: number };
  const pid = wrapper.length === 0 ? (child.pid ?? 0) : outerPidOf(child.pid ?? 0, inside);
  return {
    ...follow(child, pid),
    calls: async () => ((await answerTo(child, 'calls')) as { readonly calls: ReadonlyArray<ScriptedCall> }).calls,
  };
};

/** The number that a process has here which calls itself `inside`: itself, or one of its descendants. */
const outerPidOf = (pid: number, inside: number): number => {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  const numbers = /^NSpid:\t(.*)$/m.exec(status)?.[1]?.split('\t') ?? [];
  const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  if (children === '' || (numbers.length > 1 && numbers.at(-1) === String(inside))) return pid;
  return outerPidOf(Number(children.split(' ')[0]), inside);
};

/** Starts a program that prints one line when it is ready, and goes on until it is ended. */
export const startProgram = async (
  command: string,
  args: ReadonlyArray<string>,
  cwd: string,
): Promise<StartedProgram> => {
  const child = spawn(command, args, { cwd, stdio: ['pipe', 'pipe', 'inherit'] });
  let told = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (told += text));
  await once(child, 'spawn');
  await eventually(`${command} to be ready`, () => told.endsWith('\n') || child.exitCode !== null);
  return { ...follow(child, child.pid ?? 0), told: told.trim() };
};

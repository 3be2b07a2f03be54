/** Running a shim's binary with the action `delete`, and reading its answer (SPEC 11.2 to 11.4). */
import { type ChildProcess, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as B from '@shim-recovery/core/ByteString';
import { codeOf } from '@shim-recovery/core/FileSystem';
import {
  argumentsOf,
  type BinaryError,
  type DaemonAddresses,
  type DeleteInvocation,
  environmentOf,
  type ShimBinary,
} from '@shim-recovery/core/ShimBinary';
import type { TaskExitInfo } from '@shim-recovery/core/TaskExit';
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import { errnoIn } from './Errno.js';
import { descriptorPath } from './FileSystem.js';
import { decode, showMalformedMessage } from './protobuf/Message.js';
import { DeleteResponse } from './protobuf/TaskMessages.js';

/** The most that an answer may be; a real one has some twenty bytes. */
const maxAnswerBytes = 1024 * 1024;

/** What is kept of the complaints of a binary: their end. */
const maxComplaintBytes = 4 * 1024;

/** How long a killed binary may take to die: one that waits for a dead file system in the kernel never does. */
const maxDyingMs = 1_000;

/** The daemon that the binary is run for, and what is told of a binary that complains but succeeds. */
export interface ShimBinaryOptions {
  readonly daemon: DaemonAddresses;
  /** The daemon's own environment, which the binary inherits. */
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  readonly warn: (warning: string) => void;
}

/** How a run ended, with what it printed until then. */
interface Run {
  readonly ended:
    | { readonly _tag: 'NotStarted'; readonly code: string }
    | { readonly _tag: 'Ended'; readonly code: number | null; readonly signal: NodeJS.Signals | null }
    | { readonly _tag: 'TimedOut' };
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

const errnoOf = <A>(action: () => A): E.Either<string, A> => E.tryCatch(action, errnoIn);

/** Whether a process of this number exists, by whomever. */
const isProcess = (pid: number): boolean => {
  const asked = errnoOf(() => process.kill(pid, 0));
  return E.isRight(asked) || asked.left !== 'ESRCH';
};

/**
 * Kills the binary with all that it started, unless that went into a session of its own. Once the binary itself has
 * ended, a process of its number is somebody else's, and so is the group of that number.
 */
const killGroup = (child: ChildProcess): void => {
  const { pid } = child;
  if (pid === undefined) return;
  const hasEnded = child.exitCode !== null || child.signalCode !== null;
  if (hasEnded && isProcess(pid)) return;
  // The group may have ended by itself just now; then there is nobody to kill.
  errnoOf(() => process.kill(-pid, 'SIGKILL'));
};

const running = new Set<ChildProcess>();

/**
 * Kills every binary that is running, with its group. This process does so by itself when it exits: a binary left
 * behind would clean up a bundle that the next daemon has begun to clean up as well.
 */
export const killRunningBinaries: IO<void> = () => running.forEach(killGroup);

const remember = (child: ChildProcess): void => {
  if (running.size === 0) process.on('exit', killRunningBinaries);
  running.add(child);
};

const forget = (child: ChildProcess): void => {
  running.delete(child);
  if (running.size === 0) process.off('exit', killRunningBinaries);
};

/**
 * Follows a child to its end. Its output is read until its pipes close or the deadline comes, whichever is first: a
 * grandchild that holds them does not make us wait for ever (H16). Past the deadline the whole group is killed.
 */
const follow = (child: ChildProcess, timeoutMs: number): Promise<Run> =>
  new Promise((resolve) => {
    const stdout: Array<Buffer> = [];
    let stdoutBytes = 0;
    let stderr: Buffer = Buffer.alloc(0);
    let ended: Run['ended'] | undefined;
    let isLate = false;
    let isFinished = false;
    remember(child);
    child.stdout?.on('data', (chunk: Buffer) => {
      if (stdoutBytes <= maxAnswerBytes) stdout.push(chunk);
      stdoutBytes += chunk.length;
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr = Buffer.concat([stderr, chunk]).subarray(-maxComplaintBytes);
    });
    const finish = (how: Run['ended']): void => {
      if (isFinished) return;
      isFinished = true;
      clearTimeout(timer);
      forget(child);
      child.stdout?.destroy();
      child.stderr?.destroy();
      resolve({ ended: how, stdout: Buffer.concat(stdout), stderr });
    };
    const giveUp = (): void => {
      child.unref();
      finish({ _tag: 'TimedOut' });
    };
    const onDeadline = (): void => {
      if (isFinished) return;
      killGroup(child);
      if (ended !== undefined) return finish(ended);
      isLate = true;
      timer = setTimeout(giveUp, maxDyingMs);
    };
    // Timers come before everything else: when this process was busy, an end in time is only told after them.
    let timer = setTimeout(() => setImmediate(onDeadline), timeoutMs);
    child.once('error', (error) => {
      if (child.pid === undefined) finish({ _tag: 'NotStarted', code: errnoIn(error) });
    });
    child.once('exit', (code, signal) => {
      ended = isLate ? { _tag: 'TimedOut' } : { _tag: 'Ended', code, signal };
      if (isLate) finish(ended);
    });
    child.once('close', () => {
      if (ended !== undefined) finish(ended);
    });
  });

/**
 * The errno why nothing can be run in a directory. The kernel would let a program run in one that was removed; and
 * where it refuses, spawning blames the program. The reference needs the bundle to stand there (SPEC 11.2).
 */
const obstacleIn = (directory: string): string | undefined => {
  const links = errnoOf(() => {
    fs.accessSync(directory, fs.constants.X_OK);
    return fs.statSync(directory).nlink;
  });
  if (E.isLeft(links)) return links.left;
  return links.right === 0 ? 'ENOENT' : undefined;
};

const answerOf = (
  { program, timeoutMs }: DeleteInvocation,
  { ended, stdout, stderr }: Run,
): E.Either<BinaryError, TaskExitInfo> => {
  if (ended._tag === 'NotStarted') return E.left({ _tag: 'CannotStart', path: program, code: ended.code });
  if (ended._tag === 'TimedOut') return E.left({ _tag: 'TimedOut', path: program, afterMs: timeoutMs });
  if (ended.code !== 0) {
    const status = ended.signal === null ? `exit code ${ended.code}` : `signal ${ended.signal}`;
    return E.left({ _tag: 'Failed', path: program, status, stderr: linesOf(stderr).join('; ') });
  }
  if (stdout.length > maxAnswerBytes)
    return E.left({ _tag: 'Malformed', path: program, reason: `more than ${maxAnswerBytes} bytes` });
  const response = decode(DeleteResponse)(stdout);
  return E.isLeft(response)
    ? E.left({ _tag: 'Malformed', path: program, reason: showMalformedMessage(response.left) })
    : response;
};

/** What it complained, line by line, with nothing in it that a terminal would act upon. */
const linesOf = (stderr: Buffer): ReadonlyArray<string> =>
  B.split(B.fromBytes(stderr), '\n')
    .filter((line) => line.trim() !== '')
    .map(B.show);

/**
 * The shim binaries of this machine. A run that cannot start blames what is at fault: the program, or the bundle that
 * it should run in.
 */
export const makeShimBinary = ({ daemon, environment, warn }: ShimBinaryOptions): ShimBinary => ({
  delete: (invocation) => async () => {
    const { program, bundle, timeoutMs } = invocation;
    const cannotStart = (code: string, path = program): E.Either<BinaryError, never> =>
      E.left({ _tag: 'CannotStart', path, code });
    const workingDirectory = descriptorPath(bundle);
    if (E.isLeft(workingDirectory)) return cannotStart(codeOf(workingDirectory.left), bundle.path);
    const obstacle = obstacleIn(workingDirectory.right);
    if (obstacle !== undefined) return cannotStart(obstacle, bundle.path);
    const args = argumentsOf(daemon)(invocation);
    const added = environmentOf(daemon)(invocation);
    // Node passes arguments as UTF-8 only. The daemon itself gives no bundle another name.
    if (![program, ...args, ...added.map(([, value]) => value)].every((text) => B.isText(text) && !text.includes('\0')))
      return cannotStart('EILSEQ');
    const child = errnoOf(() =>
      spawn(B.toText(program), args.map(B.toText), {
        cwd: workingDirectory.right,
        detached: true,
        env: { ...environment, ...Object.fromEntries(added.map(([name, value]) => [name, B.toText(value)])) },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    if (E.isLeft(child)) return cannotStart(child.left);
    const run = await follow(child.right, timeoutMs);
    const answer = answerOf(invocation, run);
    if (E.isRight(answer)) for (const line of linesOf(run.stderr)) warn(`${B.show(program)} delete: ${line}`);
    return answer;
  },
});

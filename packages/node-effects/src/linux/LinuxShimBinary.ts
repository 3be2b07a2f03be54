/** Running a shim's binary with the action `delete`, and reading its answer (SPEC 11.2 to 11.4). */
import { ByteString as B } from '@shim-recovery/core';
import {
  argumentsOf,
  type BinaryError,
  codeOf,
  type DaemonAddresses,
  type DeleteInvocation,
  environmentOf,
  type ShimBinary,
  type TaskExitInfo,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import { descriptorOf } from './LinuxFileSystem.js';
import { close, fstat, lookAtChild, mayExecuteAt } from '../native/Native.js';
import { mostReadBytes, readSome, waitToRead } from '../native/Epoll.js';
import { decode, showMalformedMessage } from '../protobuf/Message.js';
import { DeleteResponse } from '../protobuf/TaskMessages.js';
import { type Ending, kill, start, type Started, whenEnded } from '../native/Spawn.js';

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
  readonly ended: Ending | { readonly _tag: 'TimedOut' };
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

const running = new Set<Started>();

/**
 * Kills every binary that is running, with its group. This process does so by itself when it exits: a binary left
 * behind would clean up a bundle that the next daemon has begun to clean up as well.
 */
export const killRunningBinaries: IO<void> = () => running.forEach(kill);

/**
 * The shim binaries of this machine. A run that cannot start blames what is at fault: the program, or the bundle that
 * it should run in.
 */
export const makeShimBinary = ({ daemon, environment, warn }: ShimBinaryOptions): ShimBinary => ({
  delete: (invocation) => async () => {
    const { program, bundle, timeoutMs } = invocation;
    const cannotStart = (code: string, path = program): E.Either<BinaryError, never> =>
      E.left({ _tag: 'CannotStart', path, code });
    const directory = descriptorOf(bundle);
    if (E.isLeft(directory)) return cannotStart(codeOf(directory.left), bundle.path);
    const obstacle = obstacleIn(directory.right);
    if (obstacle !== undefined) return cannotStart(obstacle, bundle.path);
    const args = argumentsOf(daemon)(invocation);
    const added = environmentOf(daemon)(invocation);
    // Arguments are passed as UTF-8 only. The daemon itself gives no bundle another name.
    if (![program, ...args, ...added.map(([, value]) => value)].every((text) => B.isText(text) && !text.includes('\0')))
      return cannotStart('EILSEQ');
    const own = Object.fromEntries(added.map(([name, value]) => [name, B.toText(value)]));
    const child = start({
      file: B.toText(program),
      arguments: [program, ...args].map(B.toText),
      environment: Object.entries({ ...environment, ...own }).flatMap(([name, value]) =>
        value === undefined ? [] : [`${name}=${value}`],
      ),
      workingDirectory: directory.right,
    });
    if (E.isLeft(child)) return cannotStart(child.left);
    const run = await follow(child.right, timeoutMs);
    const answer = answerOf(invocation, run);
    if (E.isRight(answer)) for (const line of linesOf(run.stderr)) warn(`${B.show(program)} delete: ${line}`);
    return answer;
  },
});

/**
 * The errno why nothing can be run in a directory. The kernel would let a program run in one that was removed; and
 * where it refuses, spawning blames the program. The reference needs the bundle to stand there (SPEC 11.2).
 */
const obstacleIn = (directory: number): string | undefined => {
  const status = fstat(directory);
  if (E.isLeft(status)) return status.left;
  if (status.right.links === 0) return 'ENOENT';
  const entered = mayExecuteAt(directory, '.');
  return E.isLeft(entered) ? entered.left : undefined;
};

/**
 * Follows a child to its end. Its output is read until its pipes close or the deadline comes, whichever is first: a
 * grandchild that holds them does not make us wait for ever (H16). Past the deadline the whole group is killed.
 */
const follow = (child: Started, timeoutMs: number): Promise<Run> =>
  new Promise((resolve) => {
    const stdout: Array<Buffer> = [];
    let stdoutBytes = 0;
    let stderr: Buffer = Buffer.alloc(0);
    let open = 2;
    let isFinished = false;
    let isLate = false;
    remember(child);
    const finish = (how: Run['ended']): void => {
      if (isFinished) return;
      isFinished = true;
      clearTimeout(timer);
      forget(child);
      // When this process was busy, nobody may have been told yet of what a child said that has ended in time.
      if (how._tag !== 'TimedOut') for (const pipe of pipes) pipe.readNow();
      for (const pipe of pipes) pipe.close();
      resolve({ ended: how, stdout: Buffer.concat(stdout), stderr });
    };
    const oneClosed = (): void => {
      open -= 1;
      if (open === 0 && !isFinished && !isLate)
        whenEnded(child.pid, (ending) => finish(isLate ? { _tag: 'TimedOut' } : ending));
    };
    const pipes = [
      reading(child.stdout, {
        data: (chunk) => {
          if (stdoutBytes <= maxAnswerBytes) stdout.push(chunk);
          stdoutBytes += chunk.length;
        },
        end: oneClosed,
      }),
      reading(child.stderr, {
        data: (chunk) => {
          stderr = Buffer.concat([stderr, chunk]).subarray(-maxComplaintBytes);
        },
        end: oneClosed,
      }),
    ];
    const onDeadline = (): void => {
      if (isFinished) return;
      // Before it is reaped: only until then its number is its own, and that of its group.
      const state = lookAtChild(child.pid);
      if (state !== 'Elsewhere') kill(child);
      const wasInTime = state !== 'Running';
      isLate = !wasInTime;
      timer = setTimeout(() => finish({ _tag: 'TimedOut' }), maxDyingMs);
      if (open > 0) whenEnded(child.pid, (ending) => finish(wasInTime ? ending : { _tag: 'TimedOut' }));
    };
    let timer = setTimeout(onDeadline, timeoutMs);
  });

const remember = (child: Started): void => {
  if (running.size === 0) process.on('exit', killRunningBinaries);
  running.add(child);
};

const forget = (child: Started): void => {
  running.delete(child);
  if (running.size === 0) process.off('exit', killRunningBinaries);
};

/** Reads a pipe to its end, and closes it. */
const reading = (
  descriptor: number,
  on: { readonly data: (chunk: Buffer) => void; readonly end: IO<void> },
): Reading => {
  let isClosed = false;
  const end = (): void => {
    if (isClosed) return;
    isClosed = true;
    if (E.isRight(waiting)) waiting.right.end();
    clearInterval(looking);
    close(descriptor);
    on.end();
  };
  /** Whether there may be more. */
  const take = (): boolean => {
    if (isClosed) return false;
    const came = readSome(descriptor);
    if (E.isRight(came)) on.data(Buffer.from(came.right));
    else if (came.left === 'ended') end();
    return E.isRight(came);
  };
  const waiting = waitToRead(descriptor, { keepsAlive: true, ready: take });
  // It runs already, and what it says counts.
  const looking = E.isLeft(waiting) ? setInterval(take, lookEachMs) : undefined;
  return {
    readNow: () => {
      for (let bytes = 0; bytes <= maxAnswerBytes && take(); bytes += mostReadBytes);
    },
    close: end,
  };
};

interface Reading {
  /** Reads what is there by now, as far as it may matter. */
  readonly readNow: IO<void>;
  readonly close: IO<void>;
}

/** How often a pipe is looked at, in milliseconds, where nobody can be told of it. */
const lookEachMs = 5;

const answerOf = (
  { program, timeoutMs }: DeleteInvocation,
  { ended, stdout, stderr }: Run,
): E.Either<BinaryError, TaskExitInfo> => {
  if (ended._tag === 'TimedOut') return E.left({ _tag: 'TimedOut', path: program, afterMs: timeoutMs });
  const status = statusOf(ended);
  if (status !== undefined)
    return E.left({ _tag: 'Failed', path: program, status, stderr: linesOf(stderr).join('; ') });
  if (stdout.length > maxAnswerBytes)
    return E.left({ _tag: 'Malformed', path: program, reason: `more than ${maxAnswerBytes} bytes` });
  const response = decode(DeleteResponse)(stdout);
  return E.isLeft(response)
    ? E.left({ _tag: 'Malformed', path: program, reason: showMalformedMessage(response.left) })
    : response;
};

/** Why a run is none that succeeded; undefined where it is one. */
const statusOf = (ending: Ending): string | undefined => {
  switch (ending._tag) {
    case 'Exited':
      return ending.code === 0 ? undefined : `exit code ${ending.code}`;
    case 'Killed':
      return `signal ${ending.signal}`;
    case 'Unknown':
      return 'an end that somebody else in this process waited for';
  }
};

/** What it complained, line by line, with nothing in it that a terminal would act upon. */
const linesOf = (stderr: Buffer): ReadonlyArray<string> =>
  B.split(B.fromBytes(stderr), '\n')
    .filter((line) => line.trim() !== '')
    .map(B.show);

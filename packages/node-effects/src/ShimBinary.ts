/** Running a shim's binary with the action `delete`, and reading its answer (SPEC 11.2 to 11.4). */
import { type ChildProcess, spawn } from 'node:child_process';
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
import { descriptorPath } from './FileSystem.js';
import { decode, showMalformedMessage } from './protobuf/Message.js';
import { DeleteResponse } from './protobuf/TaskMessages.js';

/** The most that an answer may be; a real one has some twenty bytes. */
const maxAnswerBytes = 1024 * 1024;

/** What is kept of the complaints of a binary: their end. */
const maxComplaintBytes = 4 * 1024;

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

const killGroup = (child: ChildProcess): void => {
  if (child.pid === undefined) return;
  const { pid } = child;
  // The group may have ended by itself just now; then there is nobody to tell.
  E.tryCatch(
    () => process.kill(-pid, 'SIGKILL'),
    () => undefined,
  );
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
    child.stdout?.on('data', (chunk: Buffer) => {
      if (stdoutBytes <= maxAnswerBytes) stdout.push(chunk);
      stdoutBytes += chunk.length;
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr = Buffer.concat([stderr, chunk]).subarray(-maxComplaintBytes);
    });
    const finish = (how: Run['ended']): void => {
      clearTimeout(deadline);
      child.stdout?.destroy();
      child.stderr?.destroy();
      resolve({ ended: how, stdout: Buffer.concat(stdout), stderr });
    };
    const deadline = setTimeout(() => {
      isLate = true;
      killGroup(child);
      if (ended !== undefined) finish(ended);
    }, timeoutMs);
    child.once('error', (error) => {
      if (child.pid === undefined)
        finish({
          _tag: 'NotStarted',
          code: 'code' in error && typeof error.code === 'string' ? error.code : 'UNKNOWN',
        });
    });
    child.once('exit', (code, signal) => {
      ended = isLate ? { _tag: 'TimedOut' } : { _tag: 'Ended', code, signal };
      if (isLate) finish(ended);
    });
    child.once('close', () => {
      if (ended !== undefined) finish(ended);
    });
  });

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

/** The shim binaries of this machine. */
export const makeShimBinary = ({ daemon, environment, warn }: ShimBinaryOptions): ShimBinary => ({
  delete: (invocation) => async () => {
    const { program, timeoutMs } = invocation;
    const cannotStart = (code: string): E.Either<BinaryError, never> =>
      E.left({ _tag: 'CannotStart', path: program, code });
    const workingDirectory = descriptorPath(invocation.bundle);
    if (E.isLeft(workingDirectory)) return cannotStart(codeOf(workingDirectory.left));
    const args = argumentsOf(daemon)(invocation);
    const added = environmentOf(daemon)(invocation);
    // Node passes arguments as UTF-8 only. The daemon itself gives no bundle another name.
    if (![program, ...args, ...added.map(([, value]) => value)].every((text) => B.isText(text) && !text.includes('\0')))
      return cannotStart('EILSEQ');
    const child = E.tryCatch(
      () =>
        spawn(B.toText(program), args.map(B.toText), {
          cwd: workingDirectory.right,
          detached: true,
          env: { ...environment, ...Object.fromEntries(added.map(([name, value]) => [name, B.toText(value)])) },
          stdio: ['ignore', 'pipe', 'pipe'],
        }),
      (error) => (error instanceof Error && 'code' in error ? String(error.code) : 'UNKNOWN'),
    );
    if (E.isLeft(child)) return cannotStart(child.left);
    const run = await follow(child.right, timeoutMs);
    const answer = answerOf(invocation, run);
    if (E.isRight(answer)) for (const line of linesOf(run.stderr)) warn(`${B.show(program)} delete: ${line}`);
    return answer;
  },
});

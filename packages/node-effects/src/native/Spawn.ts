/**
 * Starting a program and waiting for its end, by `posix_spawn(3)`: what Node has for it copies the page tables of this
 * whole process each time, which costs several times as much as the shell that is started, and more the larger we are.
 *
 * The program leads a session of its own, and a process group: `kill` reaches all that it started and that stayed there.
 */
import * as os from 'node:os';
import * as E from 'fp-ts/lib/Either.js';
import * as Native from './Native.js';

/** A program that was started. Its number stays its own until it is reaped. */
export interface Started {
  readonly pid: number;
  /** Descriptors to read from what it prints; whoever starts it closes them. */
  readonly stdout: number;
  readonly stderr: number;
}

/**
 * How a program ended: by itself, by a signal, or nobody here knows how, as somebody else in this process reaped it, who
 * waits for every child.
 */
export type Ending =
  | { readonly _tag: 'Exited'; readonly code: number }
  | { readonly _tag: 'Killed'; readonly signal: string }
  | { readonly _tag: 'Unknown' };

/**
 * Starts it with nothing to read. Left: the errno of what failed, most often that of running the file. As `execve(2)` does,
 * and unlike a shell, it takes no file without an interpreter for a script.
 */
export const start = (program: Native.Program): E.Either<string, Started> => {
  const stdout = Native.pipe();
  if (E.isLeft(stdout)) return stdout;
  const stderr = Native.pipe();
  if (E.isLeft(stderr)) {
    closeAll(Object.values(stdout.right));
    return stderr;
  }
  const pid = Native.spawn(program, { stdout: stdout.right.writeEnd, stderr: stderr.right.writeEnd });
  closeAll([stdout.right.writeEnd, stderr.right.writeEnd]);
  if (E.isRight(pid)) return E.right({ pid: pid.right, stdout: stdout.right.readEnd, stderr: stderr.right.readEnd });
  closeAll([stdout.right.readEnd, stderr.right.readEnd]);
  return pid;
};

const closeAll = (descriptors: ReadonlyArray<number>): void => descriptors.forEach(Native.close);

/** How it ended, once and for all; undefined while it runs. */
export const reap = (pid: number): Ending | undefined => {
  const child = Native.reapChild(pid);
  switch (child._tag) {
    case 'Running':
      return undefined;
    case 'Elsewhere':
      return { _tag: 'Unknown' };
    case 'Ended': {
      const signal = child.status & 0x7f;
      return signal === 0
        ? { _tag: 'Exited', code: (child.status >> 8) & 0xff }
        : { _tag: 'Killed', signal: signalNames.get(signal) ?? `signal ${signal}` };
    }
  }
};

const signalNames = new Map(Object.entries(os.constants.signals).map(([name, number]) => [number, name]));

/**
 * Tells once how it ended. Looked for, as nothing wakes us up that works in every thread: so call it when it is about to
 * end, as one is whose output has ended. It does not keep this process alive.
 */
export const whenEnded = (pid: number, tell: (ending: Ending) => void): void => {
  const look = (looked: number): void => {
    const ending = reap(pid);
    if (ending !== undefined) tell(ending);
    else if (looked < turnsAtOnce) setImmediate(look, looked + 1);
    else setTimeout(look, delaysMs[looked - turnsAtOnce] ?? longestDelayMs, looked + 1).unref();
  };
  look(0);
};

/** How soon it is looked after one that is about to end: at first at once, for a few turns of the loop. */
const turnsAtOnce = 8;

const delaysMs: ReadonlyArray<number> = [1, 2, 5, 10];

const longestDelayMs = 20;

/** Kills it with all that is still in its group. Only before it is reaped: afterwards the number is somebody else's. */
export const kill = ({ pid }: Pick<Started, 'pid'>): void => {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The group has ended by itself just now; then there is nobody to kill.
  }
};

/**
 * A process's directory below `/proc`, held open while it is read. Its number may be given to another process meanwhile:
 * then reads fail (`ESRCH`), and never tell of that other one.
 */
import * as fs from 'node:fs';
import type { ProcessesError } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { AT_FDCWD, close, O_PATH, openAt, read, readSomeEntries } from '../native/Native.js';

const { O_DIRECTORY, O_RDONLY } = fs.constants;

/** Opens `/proc/NAME`, uses it by its descriptor, and closes it. Left: the errno. Tests have another `proc`. */
export const withProcess = <A>(
  name: number | 'self',
  use: (directory: number) => E.Either<string, A>,
  proc = '/proc',
): E.Either<string, A> => {
  const directory = openAt(AT_FDCWD, `${proc}/${name}`, O_PATH | O_DIRECTORY);
  if (E.isLeft(directory)) return directory;
  const used = use(directory.right);
  close(directory.right);
  return used;
};

/** The kernel's answer where a process ended before it was looked at, or while it was. */
export const hasEnded = (code: string): boolean => code === 'ENOENT' || code === 'ESRCH';

export const unreadable = (reason: string): ProcessesError => ({ _tag: 'ProcessesUnreadable', reason });

/** The most that is read of a table of the whole machine. */
export const maxTableBytes = 64 * 1024 * 1024;

/** The content of a file, each byte as one character. Left: the errno; `EFBIG` where the file is longer than `maxBytes`. */
export const readFileAt = (directory: number, name: string, maxBytes = maxFileBytes): E.Either<string, string> => {
  const beginning = readBeginningAt(directory, name, maxBytes);
  if (E.isLeft(beginning)) return beginning;
  return beginning.right.isWhole ? E.right(beginning.right.content) : E.left('EFBIG');
};

/** The most that is read of a file about one process. Any process chooses the length of its own command line. */
const maxFileBytes = 1024 * 1024;

/** Reads a file until its end, or until there is more than so much of it. The kernel makes it up, and tells no size. */
const readBeginningAt = (directory: number, name: string, maxBytes: number): E.Either<string, Beginning> => {
  const file = openAt(directory, name, O_RDONLY);
  if (E.isLeft(file)) return file;
  let content = '';
  for (;;) {
    const length = read(file.right, buffer);
    if (E.isRight(length) && length.right > 0) {
      content += buffer.toString('latin1', 0, length.right);
      if (content.length <= maxBytes) continue;
    }
    close(file.right);
    if (E.isLeft(length)) return length;
    return E.right({ content: content.slice(0, maxBytes), isWhole: content.length <= maxBytes });
  }
};

/** How a file begins, and whether that is all of it. */
interface Beginning {
  readonly content: string;
  readonly isWhole: boolean;
}

/** What is read before it is copied: nothing is awaited in between. */
const buffer = Buffer.allocUnsafe(64 * 1024);

/** The words of a command line, each with a NUL at its end. Of one that is too long, those that fit. */
export const readCommandLineAt = (directory: number, name: string): E.Either<string, string> => {
  const beginning = readBeginningAt(directory, name, maxFileBytes);
  if (E.isLeft(beginning)) return beginning;
  const { content, isWhole } = beginning.right;
  return E.right(isWhole ? content : content.slice(0, content.lastIndexOf('\0') + 1));
};

/** The names of a directory's entries. */
export const namesAt = (directory: number, name: string): E.Either<string, ReadonlyArray<string>> => {
  const opened = openAt(directory, name, O_RDONLY | O_DIRECTORY);
  if (E.isLeft(opened)) return opened;
  const names: Array<string> = [];
  for (;;) {
    const some = readSomeEntries(opened.right);
    if (E.isRight(some) && some.right.length > 0) {
      for (const entry of some.right) names.push(entry.name);
      continue;
    }
    close(opened.right);
    return E.isLeft(some) ? some : E.right(names);
  }
};

/** The number of every process that `/proc` shows. Tests have another `proc`. */
export const allProcesses = (proc = '/proc'): E.Either<ProcessesError, ReadonlyArray<number>> => {
  const names = namesAt(AT_FDCWD, proc);
  return E.isLeft(names)
    ? E.left(unreadable(`cannot list ${proc}: ${names.left}`))
    : E.right(names.right.filter((name) => /^\d+$/.test(name)).map(Number));
};

/**
 * What a thread still does. `ending`: it runs none of its program any more, and gives back what it had, its directories and
 * namespaces among that. `dead`: that is over.
 */
export type Standing = 'running' | 'ending' | 'dead';

/** What `stat` tells of a thread. */
export interface ThreadStatus {
  readonly standing: Standing;
  readonly isKernelThread: boolean;
  /** Clock ticks since the kernel was started. */
  readonly startedTicks: number;
}

/** How to look at a process: its first thread's status, and the path from its directory to the files of one that lives. */
export interface LivingProcess {
  readonly leader: ThreadStatus;
  /** Empty, or `task/TID/`. */
  readonly through: string;
}

/**
 * Finds a thread that lives; `undefined` where every thread is dead. Most often the first one lives. One that has ended tells
 * nothing any more of the process's directories, namespaces, command line, control groups and files.
 */
export const findLiving = (directory: number): E.Either<string, LivingProcess | undefined> => {
  const leader = readStatus(directory, '');
  if (E.isLeft(leader)) return hasEnded(leader.left) ? E.right(undefined) : leader;
  if (leader.right.standing === 'running') return E.right({ leader: leader.right, through: '' });
  const threads = namesAt(directory, 'task');
  if (E.isLeft(threads)) return hasEnded(threads.left) ? E.right(undefined) : threads;
  let through = leader.right.standing === 'ending' ? '' : undefined;
  for (const thread of threads.right) {
    const path = `task/${thread}/`;
    const status = readStatus(directory, path);
    if (E.isLeft(status)) {
      if (hasEnded(status.left)) continue;
      return status;
    }
    if (status.right.standing === 'running') return E.right({ leader: leader.right, through: path });
    if (status.right.standing === 'ending') through ??= path;
  }
  return E.right(through === undefined ? undefined : { leader: leader.right, through });
};

const readStatus = (directory: number, through: string): E.Either<string, ThreadStatus> => {
  const stat = readFileAt(directory, `${through}stat`);
  if (E.isLeft(stat)) return stat;
  const status = parseStatus(stat.right);
  return status === undefined ? E.left('EBADMSG') : E.right(status);
};

/** Parses `stat`. The program's name may hold anything, and ends with the last `)`. */
const parseStatus = (stat: string): ThreadStatus | undefined => {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[field.state];
  const flags = Number(fields[field.flags]);
  const startedTicks = Number(fields[field.startedTicks]);
  if (state === undefined || !Number.isInteger(flags) || !Number.isInteger(startedTicks)) return undefined;
  return { standing: standingOf(state, flags), isKernelThread: (flags & PF_KTHREAD) !== 0, startedTicks };
};

/** In `stat`, counted from the state, which follows the program's name. */
const field = { state: 0, flags: 6, startedTicks: 19 } as const;

const standingOf = (state: string, flags: number): Standing => {
  if (/^[ZX]/i.test(state)) return 'dead';
  return (flags & PF_EXITING) === 0 ? 'running' : 'ending';
};

const PF_EXITING = 0x4;

const PF_KTHREAD = 0x20_0000;

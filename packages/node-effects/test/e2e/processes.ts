/** The processes and control groups of this machine, as tests find and end them. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { ifTrue, isAlive, until } from './containerd.js';

/** One process for good: the kernel may give its pid to another one, but that one starts later. */
export interface Process {
  readonly pid: number;
  /** When it started, in clock ticks since the machine did. */
  readonly startTicks: number;
}

/** The process that has this pid now. Throws if there is none. */
export const processOf = (pid: number): Process => {
  // The program's name comes second, in parentheses, and may hold spaces and parentheses itself.
  const fields = fs
    .readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return { pid, startTicks: Number(fields[19]) };
};

/** Whether this process still runs, and not only another one with its pid. */
export const isRunning = ({ pid, startTicks }: Process): boolean => {
  try {
    return isAlive(pid) && processOf(pid).startTicks === startTicks;
  } catch {
    return false;
  }
};

export interface CommandLine {
  readonly pid: number;
  readonly args: ReadonlyArray<string>;
}

/** Of every process that is alive. */
export const commandLines = (): ReadonlyArray<CommandLine> =>
  pids().map((pid) => ({ pid, args: contents(`/proc/${pid}/cmdline`).split('\0') }));

/** The processes in the control groups below this one, in any hierarchy. */
export const pidsIn = (cgroup: string): ReadonlyArray<number> =>
  pids().filter((pid) => contents(`/proc/${pid}/cgroup`).includes(`:/${cgroup}/`));

const pids = (): ReadonlyArray<number> =>
  fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter(hasLivingThread);

/** The main thread may have ended before the others. */
export const hasLivingThread = (pid: number): boolean => {
  try {
    return fs.readdirSync(`/proc/${pid}/task`).map(Number).some(isAlive);
  } catch {
    return false;
  }
};

/** The file's text, or nothing if it cannot be read: the process may have ended by now. */
export const contents = (file: string): string => {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

/** Sends SIGKILL, and does not wait. */
export const endNow = (pid: number): void => {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
};

/** Removes a control group with all below it from every hierarchy, once the kernel is done with their processes. */
export const removeCgroup = async (cgroup: string): Promise<void> => {
  for (const hierarchy of cgroupHierarchies()) await removeCgroupTree(path.join(hierarchy, cgroup));
};

const removeCgroupTree = async (directory: string): Promise<void> => {
  if (!fs.existsSync(directory)) return;
  for (const entry of fs.readdirSync(directory, { withFileTypes: true }))
    if (entry.isDirectory()) await removeCgroupTree(path.join(directory, entry.name));
  await until(`${directory} to be removed`, () => ifTrue(removeIfEmpty(directory)));
};

const cgroupHierarchies = (): ReadonlyArray<string> =>
  fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => / - cgroup2? /.test(line))
    .flatMap((line) => line.split(' ')[4] ?? []);

/** Whether the directory is gone afterwards. */
export const removeIfEmpty = (directory: string): boolean => {
  try {
    fs.rmdirSync(directory);
    return true;
  } catch {
    return !fs.existsSync(directory);
  }
};

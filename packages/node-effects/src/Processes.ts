/** The processes of this machine, as `/proc` shows them. */
import * as fs from 'node:fs';
import * as B from '@shim-recovery/core/ByteString';
import type { Processes, ProcessesError, ProcessInfo } from '@shim-recovery/core/Processes';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import { systemClock } from './Clock.js';
import { errnoIn } from './Errno.js';

/** The kernel counts what it tells of processes in hundredths of a second, on every machine that Linux runs on. */
const ticksPerSecond = 100;

const unreadable = (reason: string): ProcessesError => ({ _tag: 'ProcessesUnreadable', reason });

const read = (path: string): E.Either<ProcessesError, Buffer> =>
  E.tryCatch(
    () => fs.readFileSync(path),
    (error) => unreadable(`cannot read ${path}: ${errnoIn(error)}`),
  );

/** The line `btime` of `/proc/stat`. */
const readBootedMs = (): E.Either<ProcessesError, number> =>
  pipe(
    read('/proc/stat'),
    E.chain((stat) => {
      const seconds = /^btime (\d+)$/m.exec(stat.toString('latin1'))?.[1];
      return seconds === undefined ? E.left(unreadable('/proc/stat has no btime')) : E.right(Number(seconds) * 1_000);
    }),
  );

/**
 * Field 22 of `/proc/PID/stat`; the second one, the program's name, may hold anything, and ends with the last `)`.
 * Undefined for a zombie, which is dead, and only waits for its parent to notice.
 */
const startedTicks = (stat: Buffer): number | undefined => {
  const text = stat.toString('latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state = ''] = fields;
  const ticks = fields[19];
  return ticks === undefined || !/^\d+$/.test(ticks) || /^[ZX]/.test(state) ? undefined : Number(ticks);
};

const wordsOf = (commandLine: Buffer): ReadonlyArray<B.ByteString> =>
  B.split(B.fromBytes(commandLine), '\0').filter((word) => word !== '');

/** `12:memory:/default/web` */
const pathsOf = (cgroups: Buffer): ReadonlyArray<B.ByteString> =>
  B.split(B.fromBytes(cgroups), '\n').flatMap((line) => {
    const [, , ...path] = B.split(line, ':');
    return path.length === 0 ? [] : [B.fromText(path.join(':'))];
  });

const hasEnded = (code: string): boolean => code === 'ENOENT' || code === 'ESRCH';

/** A file of a process; undefined when the process ended meanwhile, which nothing else that keeps it from being read is. */
const readOf = (pid: number, name: string): E.Either<ProcessesError, Buffer | undefined> => {
  const path = `/proc/${pid}/${name}`;
  const content = E.tryCatch(() => fs.readFileSync(path), errnoIn);
  if (E.isRight(content)) return content;
  return hasEnded(content.left) ? E.right(undefined) : E.left(unreadable(`cannot read ${path}: ${content.left}`));
};

/** Undefined when it ended meanwhile, or is dead already. */
const look = (pid: number, bootedMs: number): E.Either<ProcessesError, ProcessInfo | undefined> =>
  pipe(
    E.Do,
    E.bind('stat', () => readOf(pid, 'stat')),
    E.bind('commandLine', () => readOf(pid, 'cmdline')),
    E.bind('cgroup', () => readOf(pid, 'cgroup')),
    E.map(({ stat, commandLine, cgroup }) => {
      const ticks = stat === undefined ? undefined : startedTicks(stat);
      if (ticks === undefined || commandLine === undefined || cgroup === undefined) return undefined;
      return {
        pid,
        startedMs: bootedMs + (ticks * 1_000) / ticksPerSecond,
        commandLine: wordsOf(commandLine),
        cgroups: pathsOf(cgroup),
      };
    }),
  );

const lookAtAll = async (
  pids: ReadonlyArray<number>,
  bootedMs: number,
): Promise<E.Either<ProcessesError, ReadonlyArray<ProcessInfo>>> => {
  const found: Array<ProcessInfo> = [];
  for (const pid of pids) {
    const others = systemClock.breathe();
    if (others !== undefined) await others;
    const process = look(pid, bootedMs);
    if (E.isLeft(process)) return process;
    if (process.right !== undefined) found.push(process.right);
  }
  return E.right(found);
};

export const linuxProcesses: Processes = {
  bootedMs: async () => readBootedMs(),
  list: async () => {
    const bootedMs = readBootedMs();
    if (E.isLeft(bootedMs)) return bootedMs;
    const names = E.tryCatch(
      () => fs.readdirSync('/proc'),
      (error) => unreadable(`cannot list /proc: ${errnoIn(error)}`),
    );
    if (E.isLeft(names)) return names;
    return lookAtAll(names.right.filter((name) => /^\d+$/.test(name)).map(Number), bootedMs.right);
  },
};

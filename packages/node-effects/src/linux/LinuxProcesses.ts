/** The processes and listening sockets of this machine, as `/proc` shows them. */
import {
  type Listener,
  type Processes,
  type ProcessesError,
  type ProcessInfo,
  seen,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { systemClock } from './LinuxClock.js';
import { AT_FDCWD, readLinkAt } from '../native/Native.js';
import { readLimit, readOwnView } from './LinuxOwnView.js';
import {
  allProcesses,
  findLiving,
  hasEnded,
  type LivingProcess,
  maxTableBytes,
  namesAt,
  readCommandLineAt,
  readFileAt,
  unreadable,
  withProcess,
} from './ProcessDirectory.js';
import {
  directoryAt,
  groupsOf,
  isLikeShim,
  namespacesAt,
  otherDirectoriesOf,
  pathsAt,
  socketInode,
  wordsOf,
} from './ProcessFacts.js';
import { listenersIn } from './UnixSocketTable.js';

/** The kernel counts what it tells of processes in hundredths of a second, on every machine that Linux runs on. */
const ticksPerSecond = 100;

/**
 * All other processes are looked at before one that was ending is looked at again. By then it has ended, or another of its
 * threads is found; or the kernel has it wait, and it is listed with what is left of it.
 */
const list: Processes['list'] = async () => {
  const bootedMs = readBootedMs();
  if (E.isLeft(bootedMs)) return bootedMs;
  const pids = allProcesses();
  if (E.isLeft(pids)) return pids;
  const first = await lookAtAll(pids.right, bootedMs.right);
  if (E.isLeft(first)) return first;
  const [whole, ending] = [first.right.filter(({ isWhole }) => isWhole), first.right.filter(({ isWhole }) => !isWhole)];
  const second = await lookAtAll(
    ending.map(({ process }) => process.pid),
    bootedMs.right,
  );
  return E.isLeft(second) ? second : E.right([...whole, ...second.right].map(({ process }) => process));
};

/** The line `btime` of `/proc/stat`. */
const readBootedMs = (): E.Either<ProcessesError, number> => {
  const stat = readFileAt(AT_FDCWD, '/proc/stat', maxTableBytes);
  if (E.isLeft(stat)) return E.left(unreadable(`cannot read /proc/stat: ${stat.left}`));
  const seconds = /^btime (\d+)$/m.exec(stat.right)?.[1];
  return seconds === undefined ? E.left(unreadable('/proc/stat has no btime')) : E.right(Number(seconds) * 1_000);
};

const lookAtAll = async (
  pids: ReadonlyArray<number>,
  bootedMs: number,
): Promise<E.Either<ProcessesError, ReadonlyArray<Sighting>>> => {
  const found: Array<Sighting> = [];
  let isLimited: boolean | undefined;
  for (const pid of pids) {
    const others = systemClock.yieldIfDue();
    if (others !== undefined) await others;
    const sighting = look(pid, bootedMs);
    if (E.isRight(sighting)) {
      if (sighting.right !== undefined) found.push(sighting.right);
      continue;
    }
    const failed = E.left(unreadable(`cannot read /proc/${pid}: ${sighting.left}`));
    if (!isRefusal(sighting.left)) return failed;
    if (isLimited === undefined) {
      const limit = readLimit();
      if (E.isLeft(limit)) return limit;
      isLimited = limit.right !== undefined;
    }
    // One that may not be seen is left out only where `view` says that there may be such.
    if (!isLimited) return failed;
  }
  return E.right(found);
};

/** `isWhole`: it had everything that a process has. One that is seen while it ends has lost some of it. */
interface Sighting {
  readonly process: ProcessInfo;
  readonly isWhole: boolean;
}

/** `undefined` where it is dead, or ends before it is looked at. */
const look = (pid: number, bootedMs: number): E.Either<string, Sighting | undefined> =>
  unlessEnded(
    undefined,
    withProcess(pid, (directory) => {
      const living = findLiving(directory);
      return E.isLeft(living) || living.right === undefined
        ? E.map(() => undefined)(living)
        : lookAtLiving({ pid, bootedMs, directory })(living.right);
    }),
  );

/** `ended` where a process ended before it was looked at, or meanwhile. */
const unlessEnded = <A>(ended: A, outcome: E.Either<string, A>): E.Either<string, A> =>
  E.isLeft(outcome) && hasEnded(outcome.left) ? E.right(ended) : outcome;

const lookAtLiving =
  ({ pid, bootedMs, directory }: { readonly pid: number; readonly bootedMs: number; readonly directory: number }) =>
  ({ leader, through }: LivingProcess): E.Either<string, Sighting> => {
    const commandLine = unlessEnded('', readCommandLineAt(directory, `${through}cmdline`));
    if (E.isLeft(commandLine)) return commandLine;
    const cgroup = unlessEnded('', readFileAt(directory, `${through}cgroup`));
    if (E.isLeft(cgroup)) return cgroup;
    // The kernel says that its own processes stand in a directory, which is of no use to them.
    const directoryOf = (name: string) =>
      leader.isKernelThread ? seen(undefined) : directoryAt(directory, `${through}${name}`);
    const words = wordsOf(commandLine.right);
    const currentDirectory = directoryOf('cwd');
    const otherDirectories = isLikeShim(words) ? otherDirectoriesOf(directory, currentDirectory) : [];
    const process: ProcessInfo = {
      pid,
      startedMs: bootedMs + (leader.startedTicks * 1_000) / ticksPerSecond,
      startedTicks: leader.startedTicks,
      commandLine: words,
      cgroups: groupsOf(cgroup.right),
      currentDirectory,
      rootDirectory: directoryOf('root'),
      namespaces: namespacesAt(directory, through),
      ...(otherDirectories.length === 0 ? {} : { otherDirectories }),
      ...(leader.isKernelThread ? {} : { paths: pathsAt(directory, through) }),
    };
    return E.right({ process, isWhole: leader.isKernelThread || isWhole(process) });
  };

const isWhole = ({ commandLine, currentDirectory, rootDirectory, namespaces }: ProcessInfo): boolean =>
  commandLine.length > 0 &&
  [currentDirectory, rootDirectory].every((look) => look._tag === 'Hidden' || look.value !== undefined) &&
  (namespaces._tag === 'Seen' || !hasEnded(namespaces.code));

const isRefusal = (code: string): boolean => code === 'EACCES' || code === 'EPERM';

/**
 * Many ask at once, each about a socket of its own, and one walk over the open files of all processes answers them all. A walk
 * that has begun may have passed a process already: who asks meanwhile waits for the next one.
 */
const makeHolders = (): Processes['holders'] => {
  let next: { readonly inodes: Set<string>; readonly found: Promise<E.Either<ProcessesError, Holders>> } | undefined;
  let walking: Promise<unknown> = Promise.resolve();
  return (inode) => async () => {
    if (next === undefined) {
      const inodes = new Set<string>();
      const found = walking.then(() => {
        next = undefined;
        return findHolders(inodes);
      });
      next = { inodes, found };
      walking = found;
    }
    next.inodes.add(inode);
    const holders = await next.found;
    if (E.isLeft(holders)) return holders;
    const { found, hidden } = holders.right;
    return hidden.has(inode)
      ? E.left(unreadable('a process that this program may not see listens there'))
      : E.right(found.get(inode) ?? []);
  };
};

/** What one walk over the open files of all processes found, by the inodes of sockets. */
interface Holders {
  readonly found: ReadonlyMap<string, ReadonlyArray<number>>;
  /** The sockets that only a process can have whose open files may not be seen. */
  readonly hidden: ReadonlySet<string>;
}

const findHolders = async (inodes: ReadonlySet<string>): Promise<E.Either<ProcessesError, Holders>> => {
  const pids = allProcesses();
  if (E.isLeft(pids)) return pids;
  const found = new Map<string, Array<number>>();
  let isWhole = true;
  for (const pid of pids.right) {
    const others = systemClock.yieldIfDue();
    if (others !== undefined) await others;
    const held = unlessEnded(
      nothingHeld,
      withProcess(pid, (directory) => heldSockets(directory, inodes)),
    );
    if (E.isLeft(held)) isWhole = false;
    else for (const inode of held.right) found.set(inode, [...(found.get(inode) ?? []), pid]);
  }
  const unheld = [...inodes].filter((inode) => !found.has(inode));
  if (isWhole || unheld.length === 0) return E.right({ found, hidden: nothingHeld });
  // A socket that is closed by now has no process. Any other one has: sockets of shims are in any network namespace.
  const listening = await listeners(pids.right)();
  const isClosed = (inode: string): boolean =>
    E.isRight(listening) && !listening.right.some((listener) => listener.inode === inode);
  return E.right({ found, hidden: new Set(unheld.filter((inode) => !isClosed(inode))) });
};

const nothingHeld: ReadonlySet<string> = new Set();

/** Left: the errno where its open files may not be seen. A first thread that has ended has none; the others may. */
const heldSockets = (directory: number, inodes: ReadonlySet<string>): E.Either<string, ReadonlySet<string>> => {
  const own = namesAt(directory, 'fd');
  if (E.isLeft(own)) return own;
  if (own.right.length > 0) return socketsAmong(directory, 'fd', own.right, inodes);
  const living = findLiving(directory);
  if (E.isLeft(living)) return living;
  if (living.right === undefined || living.right.through === '') return E.right(nothingHeld);
  const files = `${living.right.through}fd`;
  const names = namesAt(directory, files);
  return E.isLeft(names) ? names : socketsAmong(directory, files, names.right, inodes);
};

/** Which of these sockets are open under these names. The kernel may list the names, and refuse to tell what they are. */
const socketsAmong = (
  directory: number,
  files: string,
  names: ReadonlyArray<string>,
  inodes: ReadonlySet<string>,
): E.Either<string, ReadonlySet<string>> => {
  const held = new Set<string>();
  for (const name of names) {
    const link = unlessEnded('', readLinkAt(directory, `${files}/${name}`));
    if (E.isLeft(link)) {
      // The text of a link to a file may be too long. A socket's is not.
      if (link.left === 'ENAMETOOLONG') continue;
      return link;
    }
    const inode = socketInode(link.right);
    if (inode !== undefined && inodes.has(inode)) held.add(inode);
  }
  return E.right(held);
};

/** A socket table is of one network namespace. Where that cannot be told, it is read, and what is known already is left out. */
const listeners: Processes['listeners'] = (alsoOf) => async () => {
  const own = readListeners(AT_FDCWD, '/proc/self/');
  if (E.isLeft(own)) return E.left(unreadable(`cannot read /proc/self/net/unix: ${own.left}`));
  const found = new Map(own.right.map((listener) => [keyOf(listener), listener]));
  const ownNamespace = readLinkAt(AT_FDCWD, '/proc/self/ns/net');
  const wereRead = new Set(E.isRight(ownNamespace) ? [ownNamespace.right] : []);
  for (const pid of alsoOf) {
    const others = systemClock.yieldIfDue();
    if (others !== undefined) await others;
    const theirs = readListenersOf(pid, wereRead);
    if (E.isLeft(theirs)) return E.left(unreadable(`cannot read /proc/${pid}/net/unix: ${theirs.left}`));
    for (const listener of theirs.right) found.set(keyOf(listener), listener);
  }
  return E.right([...found.values()]);
};

const readListeners = (directory: number, through: string): E.Either<string, ReadonlyArray<Listener>> => {
  const table = readFileAt(directory, `${through}net/unix`, maxTableBytes);
  if (E.isLeft(table)) return table;
  const found = listenersIn(table.right);
  return found === undefined ? E.left('it has a form that this program does not know') : E.right(found);
};

const keyOf = ({ inode, name }: Listener): string => `${inode} ${name._tag} ${'path' in name ? name.path : name.name}`;

/** None where the namespace was read before, and where the process has ended. Notes the namespace. */
const readListenersOf = (pid: number, wereRead: Set<string>): E.Either<string, ReadonlyArray<Listener>> =>
  unlessEnded(
    [],
    withProcess(pid, (directory) => {
      const living = findLiving(directory);
      if (E.isLeft(living)) return living;
      if (living.right === undefined) return E.right([]);
      const { through } = living.right;
      const namespace = readLinkAt(directory, `${through}ns/net`);
      if (E.isRight(namespace) && wereRead.has(namespace.right)) return E.right([]);
      const found = readListeners(directory, through);
      if (E.isRight(found) && E.isRight(namespace)) wereRead.add(namespace.right);
      // The namespace ended with its last process.
      return E.isLeft(found) && found.left === 'ENXIO' ? E.right([]) : found;
    }),
  );

export const linuxProcesses: Processes = {
  list,
  bootedMs: async () => readBootedMs(),
  listeners,
  holders: makeHolders(),
  view: async () => readOwnView(),
};

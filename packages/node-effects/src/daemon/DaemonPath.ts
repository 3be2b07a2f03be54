/**
 * Along which PATH a daemon looks for the programs of shims. That of the operator is another one: on k3s, say, the daemon's
 * names a directory of its own, and a program that is not found there would look lost.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { isSameDirectory } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import { errnoIn } from '../native/Errno.js';
import { AT_FDCWD, identityAt, readLinkAt, statAt } from '../native/Native.js';
import {
  allProcesses,
  maxTableBytes,
  namesAt,
  readCommandLineAt,
  readFileAt,
  withProcess,
} from '../linux/ProcessDirectory.js';
import { socketInode } from '../linux/ProcessFacts.js';
import { readServiceUnit, type ServiceUnit, unitDirectories } from './ServiceUnit.js';

/** A value of PATH, and where it is from, for the middle of a sentence. */
export interface ProgramPath {
  readonly path: string;
  readonly from: string;
}

/** What is known of the daemon: where it listens, its program, and its two directories. */
export interface SoughtDaemon {
  readonly address: string;
  readonly publishBinary: string;
  readonly directories: ReadonlyArray<string>;
}

/** Where to look; other places in tests. */
export interface PathSources {
  readonly proc: string;
  readonly unitDirectories: ReadonlyArray<string>;
}

const hostSources: PathSources = { proc: '/proc', unitDirectories };

/** What systemd gives a service that says nothing else. */
export const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The PATH of the daemon that runs; else of a shim that it started, which inherited it; else what the daemon's unit sets;
 * else systemd's default. Only a process that could not be another user's is asked for its PATH.
 */
export const findDaemonPath =
  (daemon: SoughtDaemon, sources: PathSources = hostSources): IO<ProgramPath> =>
  () =>
    pathOfProcess(sources, daemon) ?? pathOfUnit(sources, daemon);

const pathOfProcess = ({ proc }: PathSources, daemon: SoughtDaemon): ProgramPath | undefined => {
  const sockets = listeningInodes(proc, daemon.address);
  const found = new Map<Kind, ProgramPath>();
  const pids = allProcesses(proc);
  for (const pid of E.isLeft(pids) ? [] : pids.right) {
    const candidate = withProcess(
      pid,
      (directory) => {
        const kind = kindOf(directory, daemon, sockets);
        const path = kind === undefined || !isTrusted(proc, directory) ? undefined : pathOf(directory);
        return E.right(kind === undefined || path === undefined ? undefined : { kind, path });
      },
      proc,
    );
    if (E.isLeft(candidate) || candidate.right === undefined) continue;
    const { kind, path } = candidate.right;
    if (!found.has(kind)) found.set(kind, { path, from: `process ${pid}, ${shows[kind](daemon)}` });
    // Where the daemon is gone, a shim is the best that there is.
    if (kind === 'server' || (kind === 'shim' && sockets.size === 0)) break;
  }
  return kinds.flatMap((kind) => found.get(kind) ?? [])[0];
};

/** The sockets that listen at a path, by their inodes. In a root of its own, any user can bind a socket to the same path. */
const listeningInodes = (proc: string, address: string): ReadonlySet<string> => {
  const found = new Set<string>();
  for (const line of decode(orEmpty(readFileAt(AT_FDCWD, `${proc}/net/unix`, maxTableBytes))).split('\n')) {
    const [, flags = '', inode, name] = /^\S+: \S+ \S+ (\S+) \S+ \S+ +(\d+) (.*)$/.exec(line) ?? [];
    if (inode !== undefined && name === address && (Number.parseInt(flags, 16) & listens) !== 0) found.add(inode);
  }
  return found;
};

/** Of text whose bytes are characters. */
const decode = (text: string): string => Buffer.from(text, 'latin1').toString('utf8');

/** Empty where it may not be read, or is gone, or is too long. */
const orEmpty = (text: E.Either<string, string>): string => (E.isLeft(text) ? '' : text.right);

/** Bit 16 of the flags says that it listens. */
const listens = 0x10000;

type Kind = (typeof kinds)[number];

const kindOf = (directory: number, daemon: SoughtDaemon, sockets: ReadonlySet<string>): Kind | undefined => {
  const [program = '', ...args] = orEmpty(readCommandLineAt(directory, 'cmdline')).split('\0').map(decode);
  if (program === '') return undefined;
  if (isShim(program)) return isShimOf(daemon, args) ? 'shim' : undefined;
  if (sockets.size > 0 && hasSocket(directory, sockets)) return 'server';
  return runs(directory, daemon.publishBinary) ? 'program' : undefined;
};

const isShim = (program: string): boolean => path.basename(program).startsWith('containerd-shim');

/** Shims are told where their daemon listens. */
const isShimOf = ({ address }: SoughtDaemon, args: ReadonlyArray<string>): boolean =>
  args.some((arg, index) => /^--?address$/.test(arg) && args[index + 1] === address) ||
  args.some((arg) => arg.replace(/^--?address=/, '') === address && arg !== address);

const hasSocket = (directory: number, inodes: ReadonlySet<string>): boolean => {
  const names = namesAt(directory, 'fd');
  return (
    E.isRight(names) &&
    names.right.some((name) => {
      const inode = socketInode(orEmpty(readLinkAt(directory, `fd/${name}`)));
      return inode !== undefined && inodes.has(inode);
    })
  );
};

const runs = (directory: number, program: string): boolean => {
  const executable = decode(orEmpty(readLinkAt(directory, 'exe'))).replace(/ \(deleted\)$/, '');
  return executable !== '' && (executable === program || executable === realPath(program));
};

const realPath = (file: string): string | undefined => {
  const found = E.tryCatch(() => fs.realpathSync(file), errnoIn);
  return E.isRight(found) ? found.right : undefined;
};

/**
 * Whether a process is of our own user, in our root and namespaces. Any user can start a process with the words of a shim and a
 * PATH of their choice, also in a container, or start one with more rights, such as `sudo`: its programs must not run as ours.
 */
const isTrusted = (proc: string, directory: number): boolean =>
  isOfOwnUser(directory) &&
  !isSetId(directory) &&
  hasOwnRoot(directory) &&
  ['ns/user', 'ns/mnt'].every((name) => isSameLink(readLinkAt(directory, name), `${proc}/self/${name}`));

const isOfOwnUser = (directory: number): boolean => {
  const [, ...uids] = /^Uid:\t(\d+)\t(\d+)\t(\d+)\t(\d+)$/m.exec(orEmpty(readFileAt(directory, 'status'))) ?? [];
  return uids.length > 0 && uids.every((uid) => uid === String(process.geteuid?.()));
};

/** Whether the file of its program gives it the user or the group of that file. Its environment is then of another user. */
const isSetId = (directory: number): boolean => {
  const status = statAt(directory, 'exe');
  return E.isLeft(status) ? status.left !== 'ENOENT' : (status.right.mode & setIdBits) !== 0;
};

const setIdBits = 0o6000;

const hasOwnRoot = (directory: number): boolean => {
  const [theirs, ours] = [identityAt(directory, 'root'), identityAt(AT_FDCWD, '/')];
  return E.isRight(theirs) && E.isRight(ours) && isSameDirectory(theirs.right, ours.right);
};

const isSameLink = (theirs: E.Either<string, string>, own: string): boolean => {
  const ours = readLinkAt(AT_FDCWD, own);
  return E.isRight(theirs) && E.isRight(ours) && theirs.right === ours.right;
};

/** Of a process that may be looked at; one without a PATH finds nothing along it. */
const pathOf = (directory: number): string | undefined => {
  const environment = orEmpty(readFileAt(directory, 'environ'));
  if (environment === '') return undefined;
  const variable = environment.split('\0').find((one) => one.startsWith('PATH='));
  return decode(variable?.slice('PATH='.length) ?? '');
};

/** How a process is known to belong to the daemon; an earlier one counts for more. */
const kinds = ['server', 'shim', 'program'] as const;

const pathOfUnit = ({ unitDirectories: directories }: PathSources, daemon: SoughtDaemon): ProgramPath => {
  const unit = unitOf(readServiceUnit(directories), daemon);
  if (unit === undefined) return { path: defaultPath, from: "systemd's default" };
  const own = unit.environment.get('PATH');
  return own === undefined
    ? { path: defaultPath, from: `systemd's default, as ${unit.name} sets none` }
    : { path: own, from: unit.name };
};

/** A unit that starts this very program, or else the one to which these directories belong. */
const unitOf = (
  readUnit: (name: string) => ServiceUnit | undefined,
  { directories, publishBinary }: SoughtDaemon,
): ServiceUnit | undefined => {
  const [names = []] = services.flatMap(([pattern, found]) =>
    directories.some((directory) => pattern.test(`${directory}/`)) ? [found] : [],
  );
  const [own] = names.flatMap((name) => readUnit(name) ?? []);
  if (own !== undefined) return own;
  return services
    .flatMap(([, all]) => all)
    .flatMap((name) => readUnit(name) ?? [])
    .find(({ program }) => program === publishBinary);
};

/** The services that have a daemon in them, by what their directories are called; containerd's own is the last. */
const services: ReadonlyArray<readonly [RegExp, ReadonlyArray<string>]> = [
  [/\/docker\//, ['docker.service']],
  [/\/rke2\//, ['rke2-server.service', 'rke2-agent.service']],
  [/\/k3s\//, ['k3s.service', 'k3s-agent.service', 'rke2-server.service', 'rke2-agent.service']],
  [/(?:)/, ['containerd.service']],
];

const shows: Readonly<Record<Kind, (daemon: SoughtDaemon) => string>> = {
  server: ({ address }) => `which serves ${address}`,
  shim: () => 'a shim of that daemon',
  program: ({ publishBinary }) => `which runs ${publishBinary}`,
};

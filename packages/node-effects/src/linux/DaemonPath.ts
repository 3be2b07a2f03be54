/**
 * Along which PATH a daemon looks for the programs of shims. That of the operator is another one: on k3s, say, the daemon's
 * names a directory of its own, and a program that is not found there would look lost.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import { errnoIn } from '../Errno.js';
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
 * else systemd's default.
 */
export const findDaemonPath =
  (daemon: SoughtDaemon, sources: PathSources = hostSources): IO<ProgramPath> =>
  () =>
    pathOfProcess(sources, daemon) ?? pathOfUnit(sources, daemon);

const pathOfProcess = ({ proc }: PathSources, daemon: SoughtDaemon): ProgramPath | undefined => {
  const socket = listeningInode(proc, daemon.address);
  let shim: number | undefined;
  let likely: number | undefined;
  for (const pid of namesIn(proc)
    .filter((name) => /^\d+$/.test(name))
    .map(Number)) {
    const [program, ...args] = textOf(path.join(proc, `${pid}/cmdline`)).split('\0');
    if (program === undefined || program === '') continue;
    if (isShim(program)) {
      if (shim === undefined && isShimOf(daemon, args)) shim = pid;
      // Where the daemon is gone, this is the best that there is.
      if (shim !== undefined && socket === undefined) break;
    } else if (socket !== undefined && hasSocket(proc, pid, socket)) {
      return pathOf(proc, pid, `process ${pid}, which serves ${daemon.address}`);
    } else if (likely === undefined && runs(proc, pid, daemon.publishBinary)) likely = pid;
  }
  return (
    (shim === undefined ? undefined : pathOf(proc, shim, `process ${shim}, a shim of that daemon`)) ??
    (likely === undefined ? undefined : pathOf(proc, likely, `process ${likely}, which runs ${daemon.publishBinary}`))
  );
};

const isShim = (program: string): boolean => path.basename(program).startsWith('containerd-shim');

/** Shims are told where their daemon listens. */
const isShimOf = ({ address }: SoughtDaemon, args: ReadonlyArray<string>): boolean =>
  args.some((arg, index) => /^--?address$/.test(arg) && args[index + 1] === address) ||
  args.some((arg) => arg.replace(/^--?address=/, '') === address && arg !== address);

/** Of a process that may be looked at; one without a PATH finds nothing along it. */
const pathOf = (proc: string, pid: number, from: string): ProgramPath | undefined => {
  const environment = read(path.join(proc, `${pid}/environ`));
  if (environment === undefined || environment === '') return undefined;
  const variable = environment.split('\0').find((one) => one.startsWith('PATH='));
  return { path: variable?.slice('PATH='.length) ?? '', from };
};

const runs = (proc: string, pid: number, program: string): boolean => {
  const executable = linkAt(path.join(proc, `${pid}/exe`))?.replace(/ \(deleted\)$/, '');
  return executable !== undefined && (executable === program || executable === realPath(program));
};

const hasSocket = (proc: string, pid: number, inode: string): boolean => {
  const descriptors = path.join(proc, `${pid}/fd`);
  return namesIn(descriptors).some((name) => linkAt(path.join(descriptors, name)) === `socket:[${inode}]`);
};

/** Bit 16 of the flags says that it listens. */
const listens = 0x10000;

/** The socket that listens at a path, by its inode; undefined where none does. */
const listeningInode = (proc: string, address: string): string | undefined => {
  for (const line of textOf(path.join(proc, 'net/unix')).split('\n')) {
    const [, flags = '', inode, name] = /^\S+: \S+ \S+ (\S+) \S+ \S+ +(\d+) (.*)$/.exec(line) ?? [];
    if (name === address && (Number.parseInt(flags, 16) & listens) !== 0) return inode;
  }
  return undefined;
};

/** The services that have a daemon in them, by what their directories are called; containerd's own is the last. */
const services: ReadonlyArray<readonly [RegExp, ReadonlyArray<string>]> = [
  [/\/docker\//, ['docker.service']],
  [/\/rke2\//, ['rke2-server.service', 'rke2-agent.service']],
  [/\/k3s\//, ['k3s.service', 'k3s-agent.service', 'rke2-server.service', 'rke2-agent.service']],
  [/(?:)/, ['containerd.service']],
];

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

const attempt = <A>(act: IO<A>): A | undefined => {
  const outcome = E.tryCatch(act, errnoIn);
  return E.isRight(outcome) ? outcome.right : undefined;
};

/** Undefined where it may not be read, or is gone. */
const read = (file: string): string | undefined => attempt(() => fs.readFileSync(file, 'utf8'));

const textOf = (file: string): string => read(file) ?? '';

const namesIn = (directory: string): ReadonlyArray<string> => attempt(() => fs.readdirSync(directory)) ?? [];

const linkAt = (file: string): string | undefined => attempt(() => fs.readlinkSync(file));

const realPath = (file: string): string | undefined => attempt(() => fs.realpathSync(file));

/** The interpreter for Linux, put together: all that the program of `@shim-recovery/core` needs to run on a real host. */
import * as os from 'node:os';
import * as path from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import {
  type Capabilities,
  type ContainerStore,
  type DaemonAddresses,
  defaultBounds,
  type EventSink,
  type Observer,
  type ProgramSearch,
  type SandboxStore,
  type Settings,
  settingsFor,
  silent,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import { systemClock } from './linux/LinuxClock.js';
import { linuxFileSystem } from './linux/LinuxFileSystem.js';
import type { ProgramPath } from './daemon/DaemonPath.js';
import { type LogSink, makeLogPipes } from './linux/LinuxLogPipes.js';
import { linuxMounts } from './linux/LinuxMounts.js';
import { mostDescriptors } from './native/Native.js';
import { linuxProcesses } from './linux/LinuxProcesses.js';
import { linuxProgramFiles } from './linux/LinuxExecutableLookup.js';
import { makeShimBinary } from './linux/LinuxShimBinary.js';
import { makeShimConnector } from './shims/LinuxShimConnector.js';

/** The daemon that shim binaries are told about, with paths as a person writes them. */
export interface LinuxDaemon {
  /** Its gRPC socket, a path. */
  readonly address: string;
  /** Its ttrpc socket; by default the gRPC socket's path with `.ttrpc` behind it, as the reference has it. */
  readonly ttrpcAddress?: string;
  /** The program that shims run to publish events. */
  readonly publishBinary: string;
  /** Whether it logs at debug level: then shim binaries do, too. By default it does not. */
  readonly debug?: boolean;
}

/** What a host has to say for itself; everything else is the same everywhere. */
export interface LinuxOptions {
  readonly store: ContainerStore & SandboxStore;
  /** What shim binaries are told about the daemon. */
  readonly daemon: LinuxDaemon;
  /** Where events of tasks that end go. By default nowhere. */
  readonly eventSink?: EventSink;
  /** Where what shims write to their logs goes. By default nowhere; it is read all the same. */
  readonly logSink?: LogSink;
  /** What shim binaries inherit. By default this process's own environment. */
  readonly environment?: Readonly<NodeJS.ProcessEnv>;
  /** Told of a shim binary that complains but succeeds. */
  readonly warn?: (warning: string) => void;
  readonly observer?: Observer;
  /** Whether somebody asked for the run to end. By default nobody does. */
  readonly interrupted?: IO<boolean>;
}

/** The capabilities of this machine. */
export const linuxCapabilities = (options: LinuxOptions): Capabilities => ({
  fileSystem: linuxFileSystem,
  mounts: linuxMounts,
  processes: linuxProcesses,
  programFiles: linuxProgramFiles,
  shimConnector: makeShimConnector(),
  shimBinary: makeShimBinary({
    daemon: addressesOf(options.daemon),
    environment: options.environment ?? process.env,
    warn: options.warn ?? (() => undefined),
  }),
  containerStore: options.store,
  sandboxStore: options.store,
  eventSink: options.eventSink ?? { publish: () => async () => E.right(undefined) },
  logPipes: makeLogPipes(options.logSink ?? (() => undefined)),
  clock: systemClock,
  observer: options.observer ?? silent,
  interrupted: options.interrupted ?? (() => false),
});

const addressesOf = ({
  address,
  ttrpcAddress = `${address}.ttrpc`,
  publishBinary,
  debug = false,
}: LinuxDaemon): DaemonAddresses => ({
  address: B.fromText(address),
  ttrpcAddress: B.fromText(ttrpcAddress),
  publishBinary: B.fromText(publishBinary),
  debug,
});

/**
 * Where a daemon started by the system would look for shims: its working directory is `/`, its own directory that of
 * `publishBinary`. Its `PATH` is ours where this process is the daemon, which is the default.
 */
export const daemonProgramSearch = (
  publishBinary: string,
  { path: programPath, from }: ProgramPath = ownPath(),
): ProgramSearch => ({
  workingDirectory: B.fromText('/'),
  path: B.fromText(programPath),
  pathFrom: from,
  executableDirectory: B.fromText(path.dirname(publishBinary)),
});

/** The PATH of a daemon that this process is itself. */
const ownPath = (): ProgramPath => ({ path: process.env['PATH'] ?? '', from: 'the environment of this process' });

/**
 * Settings for two directories, with the reference's policy and time-outs, and bounds that suit this machine. No more than
 * `waiting` bundles wait at once, by default 16,384, nor more than there are descriptors for.
 */
export const linuxSettings = (directories: {
  readonly state: string;
  readonly root: string;
  readonly programSearch: ProgramSearch;
  readonly waiting?: number;
}): Settings => ({
  ...settingsFor({
    state: B.fromText(path.resolve(directories.state)),
    root: B.fromText(path.resolve(directories.root)),
    programSearch: directories.programSearch,
  }),
  bounds: {
    ...defaultBounds,
    waiting: Math.min(directories.waiting ?? defaultBounds.waiting, mostWaiting()),
    // While one starts, and while its files are removed, another runs.
    binaries: 2 * os.availableParallelism(),
  },
});

/**
 * How many bundles can wait at once here: each has a connection and its log open, and a quarter of the descriptors that this
 * process may have is left for everything else. One that finds none left is held, though nothing is wrong with it. Shims that
 * answered, and are to be reaped or stayed attached to, keep theirs beyond that.
 */
const mostWaiting = (): number => {
  const descriptors = mostDescriptors();
  return descriptors === 0 ? Infinity : Math.max(1, Math.floor((descriptors * 3) / 8));
};

/**
 * The capability to see the processes of this machine: the second sign by which a shim or a container counts as dead.
 * Whoever cannot see the host's processes (in a pid namespace of its own) cannot give it.
 */
import * as E from 'fp-ts/lib/Either.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import * as t from 'io-ts';
import * as B from './ByteString.js';
import type { Clock } from './Clock.js';
import { bornMsOf, type FileStatus } from './FileSystem.js';

/** The table of processes, or when the machine was started, cannot be read. */
export const ProcessesError = t.readonly(
  t.type({ _tag: t.literal('ProcessesUnreadable'), reason: t.string }),
  'ProcessesError',
);
export type ProcessesError = t.TypeOf<typeof ProcessesError>;

/** One process. Empty lists where it ended while it was looked at, or is one of the kernel's own. */
export interface ProcessInfo {
  readonly pid: number;
  /** Milliseconds since the epoch. */
  readonly startedMs: number;
  readonly commandLine: ReadonlyArray<B.ByteString>;
  /** The paths of its control groups, one for each hierarchy. */
  readonly cgroups: ReadonlyArray<B.ByteString>;
}

export interface Processes {
  /** Every process there is. */
  readonly list: TaskEither<ProcessesError, ReadonlyArray<ProcessInfo>>;
  /** When the kernel was started, in milliseconds since the epoch, by the clock as it goes now. */
  readonly bootedMs: TaskEither<ProcessesError, number>;
}

/** The processes that belong to a bundle, by what they are: its shim, and what runs in its container. */
export const BundleProcesses = t.readonly(
  t.type({ shims: t.readonlyArray(t.number), workload: t.readonlyArray(t.number) }),
  'BundleProcesses',
);
export type BundleProcesses = t.TypeOf<typeof BundleProcesses>;

/** What a bundle's `init.pid` says, and when it was written, in milliseconds since the epoch. */
export interface InitPid {
  readonly pid: number;
  readonly writtenMs: number;
}

/** The values of an option, wherever it stands. */
const valuesOf = (commandLine: ReadonlyArray<B.ByteString>, option: string): ReadonlyArray<B.ByteString> =>
  commandLine.flatMap((word, index) => {
    const value = commandLine[index + 1];
    return word === option && value !== undefined ? [value] : [];
  });

const shimKey = (namespace: B.ByteString, id: B.ByteString): string => `${namespace}/${id}`;

/** Of which bundles a process is the shim, as its command line says. */
const shimKeysOf = ({ commandLine }: ProcessInfo): ReadonlyArray<string> =>
  valuesOf(commandLine, '-namespace').flatMap((namespace) =>
    valuesOf(commandLine, '-id').map((id) => shimKey(namespace, id)),
  );

const scope = '.scope';

/** Of which ids a part of a control group's path may tell: `web`, or systemd's `cri-containerd-web.scope`. */
const idsOf = (part: B.ByteString): ReadonlyArray<B.ByteString> => {
  if (!part.endsWith(scope)) return [part];
  const ids = [part];
  const name = B.slice(part, 0, part.length - scope.length);
  for (let dash = name.indexOf('-'); dash >= 0; dash = name.indexOf('-', dash + 1)) ids.push(B.slice(name, dash + 1));
  return ids;
};

/** A process that began later than its pid was written down, by more than clocks go wrong, has only got the number. */
const clockSlackMs = 60_000;

const isInit = ({ startedMs }: ProcessInfo, init: InitPid): boolean => startedMs <= init.writtenMs + clockSlackMs;

/** Clocks are set: only what is older by more than this is older than the machine's start. */
const bootSlackMs = 60_000;

/** Whether a bundle was there before the machine was started, when no setting of a clock can explain it. */
export const isOlderThanBoot = (identity: FileStatus | null, bootedMs: number): boolean => {
  const bornMs = identity === null ? undefined : bornMsOf(identity);
  return bornMs !== undefined && bornMs < bootedMs - bootSlackMs;
};

/**
 * Whether a bundle's processes may be where we cannot see them: in the pid namespace that there was before ours, which is
 * younger than the bundle. One that began with the machine sees all.
 */
export const mayBeHidden =
  ({ bootedMs }: Pick<Processes, 'bootedMs'>) =>
  (
    identity: FileStatus | null,
    { firstStartedMs }: Pick<ProcessTable, 'firstStartedMs'>,
  ): TaskEither<ProcessesError, boolean> =>
  async () => {
    const bornMs = identity === null ? undefined : bornMsOf(identity);
    if (firstStartedMs === undefined || bornMs === undefined || bornMs >= firstStartedMs) return E.right(false);
    const booted = await bootedMs();
    if (E.isLeft(booted)) return booted;
    const isYoung = firstStartedMs > booted.right + bootSlackMs;
    return E.right(isYoung && !isOlderThanBoot(identity, booted.right));
  };

/** Every process there is, so that those of a bundle are found without looking at all of them. */
export interface ProcessTable {
  /** Those that belong to a bundle. Where it is in doubt, a process counts as belonging. */
  readonly belongingTo: (bundle: {
    readonly namespace: B.ByteString;
    readonly id: B.ByteString;
    readonly init: InitPid | undefined;
  }) => BundleProcesses;
  /** When the first process of this pid namespace began, in milliseconds since the epoch; undefined where none is the first. */
  readonly firstStartedMs: number | undefined;
}

const addTo = <K>(index: Map<K, Set<ProcessInfo>>, key: K, process: ProcessInfo): void => {
  const found = index.get(key);
  if (found === undefined) index.set(key, new Set([process]));
  else found.add(process);
};

export const processTable = (processes: ReadonlyArray<ProcessInfo>): ProcessTable => {
  const byShim = new Map<string, Set<ProcessInfo>>();
  const byGroup = new Map<B.ByteString, Set<ProcessInfo>>();
  const byPid = new Map(processes.map((process) => [process.pid, process]));
  for (const process of processes) {
    for (const key of shimKeysOf(process)) addTo(byShim, key, process);
    for (const cgroup of process.cgroups)
      for (const part of B.split(cgroup, '/')) for (const id of idsOf(part)) addTo(byGroup, id, process);
  }
  return {
    firstStartedMs: byPid.get(1)?.startedMs,
    belongingTo: ({ namespace, id, init }) => {
      const shims = byShim.get(shimKey(namespace, id)) ?? new Set();
      const first = init === undefined ? undefined : byPid.get(init.pid);
      const isFirst = first !== undefined && init !== undefined && isInit(first, init);
      const workload = new Set([...(isFirst ? [first] : []), ...(byGroup.get(id) ?? [])]);
      const pidsOf = (some: Iterable<ProcessInfo>): ReadonlyArray<number> =>
        Array.from(some, ({ pid }) => pid).sort((one, other) => one - other);
      return { shims: pidsOf(shims), workload: pidsOf([...workload].filter((process) => !shims.has(process))) };
    },
  };
};

/** The table as it was read at a certain moment or later, read again only for whoever needs a newer one. */
export type ProcessesSince = (elapsedMs: number) => TaskEither<ProcessesError, ProcessTable>;

export const makeProcessesSince = (processes: Processes, clock: Pick<Clock, 'elapsedMs'>): ProcessesSince => {
  let latest: { readonly atMs: number; readonly table: Promise<E.Either<ProcessesError, ProcessTable>> } | undefined;
  const read = async (): Promise<E.Either<ProcessesError, ProcessTable>> => {
    const all = await processes.list();
    return E.isLeft(all) ? all : E.right(processTable(all.right));
  };
  return (sinceMs) => () => {
    if (latest === undefined || latest.atMs < sinceMs) latest = { atMs: clock.elapsedMs(), table: read() };
    return latest.table;
  };
};

/** A sentence for people. */
export const showProcessesError = ({ reason }: ProcessesError): string => `processes cannot be seen: ${reason}`;

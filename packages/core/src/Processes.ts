/**
 * The capability to see the processes of this machine: the second sign by which a shim or a container counts as dead.
 * Whoever cannot see the host's processes (in a pid namespace of its own) cannot give it.
 */
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import * as t from 'io-ts';
import * as B from './ByteString.js';

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

const hasOption = (commandLine: ReadonlyArray<B.ByteString>, option: string, value: B.ByteString): boolean =>
  commandLine.some((word, index) => word === option && commandLine[index + 1] === value);

const isShimOf =
  (namespace: B.ByteString, id: B.ByteString) =>
  ({ commandLine }: ProcessInfo): boolean =>
    hasOption(commandLine, '-namespace', namespace) && hasOption(commandLine, '-id', id);

/** `/default/web`, or systemd's `…/cri-containerd-web.scope`. */
const isGroupOf =
  (id: B.ByteString) =>
  (cgroup: B.ByteString): boolean =>
    B.split(cgroup, '/').some((part) => part === id || part.endsWith(`-${id}.scope`));

/** A process that began later than its pid was written down, by more than clocks go wrong, has only got the number. */
const clockSlackMs = 60_000;

const isInit = ({ pid, startedMs }: ProcessInfo, init: InitPid | undefined): boolean =>
  init !== undefined && pid === init.pid && startedMs <= init.writtenMs + clockSlackMs;

/** Those of all processes that belong to a bundle. Where it is in doubt, a process counts as belonging. */
export const belongingTo =
  ({
    namespace,
    id,
    init,
  }: {
    readonly namespace: B.ByteString;
    readonly id: B.ByteString;
    readonly init: InitPid | undefined;
  }) =>
  (processes: ReadonlyArray<ProcessInfo>): BundleProcesses => {
    const shims = processes.filter(isShimOf(namespace, id));
    const workload = processes.filter(
      (process) => !shims.includes(process) && (isInit(process, init) || process.cgroups.some(isGroupOf(id))),
    );
    const pidsOf = (some: ReadonlyArray<ProcessInfo>): ReadonlyArray<number> => some.map(({ pid }) => pid);
    return { shims: pidsOf(shims), workload: pidsOf(workload) };
  };

/** A sentence for people. */
export const showProcessesError = ({ reason }: ProcessesError): string => `processes cannot be seen: ${reason}`;

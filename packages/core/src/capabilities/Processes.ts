/**
 * The capability to see the processes and listening sockets of this machine: the evidence by which a shim or a container
 * counts as alive or dead.
 *
 * An interpreter that may not look at something says so. `Hidden` is not "absent": what we may not see may live.
 */
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import * as t from 'io-ts';
import type { SocketName } from './ShimSocket.js';
import type * as B from '../base/ByteString.js';

/** The table of processes, the sockets, or the time of the machine's start cannot be read. */
export const ProcessesError = t.readonly(
  t.type({ _tag: t.literal('ProcessesUnreadable'), reason: t.string }),
  'ProcessesError',
);

export interface ProcessesError extends t.TypeOf<typeof ProcessesError> {}

/** The result of one look at a process. `Hidden`: the kernel refused, with this errno. */
export type Look<A> = { readonly _tag: 'Seen'; readonly value: A } | { readonly _tag: 'Hidden'; readonly code: string };

export const seen = <A>(value: A): Look<A> => ({ _tag: 'Seen', value });

export const hidden = (code: string): Look<never> => ({ _tag: 'Hidden', code });

/** The value of a look, or `undefined` where the kernel refused it. */
export const valueOf = <A>(look: Look<A>): A | undefined => (look._tag === 'Seen' ? look.value : undefined);

/** Which directory: device and inode, in decimal, as `FileStatus` has them. */
export interface DirectoryKey {
  readonly device: string;
  readonly inode: string;
}

export const isSameDirectory = (first: DirectoryKey, second: DirectoryKey): boolean =>
  first.device === second.device && first.inode === second.inode;

/** The namespaces that a process is in, each by the name that the kernel gives it (`mnt:[4026531841]`). */
export interface ProcessNamespaces {
  readonly pid: string;
  readonly mount: string;
  readonly network: string;
}

/**
 * One process: a thread group of which at least one thread lives. A group whose main thread has ended is alive as long as
 * another thread runs. Lists are empty for a process of the kernel's own, and for one that ended while it was looked at.
 */
export interface ProcessInfo {
  readonly pid: number;
  /** Milliseconds since the epoch, by the clock as it goes now: a clock that is set moves it. */
  readonly startedMs: number;
  /** Clock ticks since the kernel was started: no setting of a clock changes it. */
  readonly startedTicks: number;
  /** Every word, also an empty one: a flag's value may be empty. */
  readonly commandLine: ReadonlyArray<B.ByteString>;
  /** The paths of its control groups, one for each hierarchy. */
  readonly cgroups: ReadonlyArray<B.ByteString>;
  /** `undefined` where it has none: a process of the kernel's own. Of its first thread. */
  readonly currentDirectory: Look<DirectoryKey | undefined>;
  readonly rootDirectory: Look<DirectoryKey | undefined>;
  readonly namespaces: Look<ProcessNamespaces>;
  /**
   * The current directories of its other threads, where they are others. A shim written in Go may leave its first thread in
   * another directory for ever, after it mounted something there.
   */
  readonly otherDirectories?: ReadonlyArray<DirectoryKey>;
  /**
   * Where its current directory, its root and its program stand, as the kernel names them to this program, also where they
   * were removed meanwhile. A process of another mount namespace may have paths that lead elsewhere here.
   */
  readonly paths?: ReadonlyArray<B.ByteString>;
}

/** A unix socket that a process listens on, whether or not its name is still in the file system. */
export interface Listener {
  readonly name: SocketName;
  /** The socket's own inode, by which `holders` finds its processes. */
  readonly inode: string;
}

/** How much this process can see. */
export interface OwnView {
  readonly pid: number;
  /**
   * Why there may be processes that `list` does not show, or shows otherwise than others do, for the middle of a sentence;
   * `undefined` where it shows all of its pid namespace as they are.
   */
  readonly limitedBy: string | undefined;
  /** Whether ours is the machine's first pid namespace, so that no process is outside it. */
  readonly isFirstPidNamespace: boolean;
  /** Whether ours is known to be the machine's first mount namespace, in which its daemons are unless they are told otherwise. */
  readonly isFirstMountNamespace: boolean;
  readonly namespaces: Look<ProcessNamespaces>;
  readonly rootDirectory: Look<DirectoryKey | undefined>;
}

export interface Processes {
  /** Every process that can be seen. One walk over the machine's table. */
  readonly list: TaskEither<ProcessesError, ReadonlyArray<ProcessInfo>>;
  /** When the kernel was started, in milliseconds since the epoch, by the clock as it goes now. */
  readonly bootedMs: TaskEither<ProcessesError, number>;
  /** Every listening unix socket of our network namespace, and of the ones that these processes are in. */
  readonly listeners: (alsoOf: ReadonlyArray<number>) => TaskEither<ProcessesError, ReadonlyArray<Listener>>;
  /**
   * The processes that have a socket open, as far as they can be seen. Looks at every open file of every process. Left: a
   * process whose open files may not be seen has it.
   */
  readonly holders: (inode: string) => TaskEither<ProcessesError, ReadonlyArray<number>>;
  readonly view: TaskEither<ProcessesError, OwnView>;
}

/** A sentence for people. */
export const showProcessesError = ({ reason }: ProcessesError): string => `processes cannot be seen: ${reason}`;

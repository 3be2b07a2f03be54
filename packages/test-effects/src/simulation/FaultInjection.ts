/**
 * The capabilities with something between them and the program: every call has a number, and can be made to fail, or to
 * be the last thing that the program ever does.
 */
import { ByteString as B } from '@shim-recovery/core';
import {
  answered,
  type BinaryError,
  type Capabilities,
  type Directory,
  type EventError,
  type EventSink,
  type FileError,
  type FileSystem,
  type Location,
  type LogPipe,
  type LogPipes,
  type Lookup,
  type MountError,
  type Mounts,
  pathOf,
  type Processes,
  type ProcessesError,
  type RecordKey,
  type ShimBinary,
  type ShimConnector,
  type ShimError,
  type ShimSession,
  systemError,
  type TaskCall,
  unknown,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import * as t from 'io-ts';

/** The errors of system calls that can be made to happen. */
export const errnos = [
  'EIO',
  'EACCES',
  'EPERM',
  'EBUSY',
  'ENOSPC',
  'EMFILE',
  'ENOENT',
  'ENOTDIR',
  'ENOTEMPTY',
  'EEXIST',
  'EROFS',
  'ESTALE',
] as const;

/** An errno's name, or what else can go wrong: each capability takes those that it can really give. */
export const Fault = t.keyof(
  {
    EIO: null,
    EACCES: null,
    EPERM: null,
    EBUSY: null,
    ENOSPC: null,
    EMFILE: null,
    ENOENT: null,
    ENOTDIR: null,
    ENOTEMPTY: null,
    EEXIST: null,
    EROFS: null,
    ESTALE: null,
    /** Nobody listens. */
    refused: null,
    /** No answer in time, from a shim or a program. */
    timeout: null,
    /** The connection ends in the middle of the call. */
    closed: null,
    /** A store, a shim or an event bus answers that it cannot. */
    unavailable: null,
    /** A program is killed, or ends with a code. */
    killed: null,
    /** What comes back makes no sense. */
    malformed: null,
  },
  'Fault',
);

export type Fault = t.TypeOf<typeof Fault>;

/** What is no errno. */
export const otherFaults = [
  'refused',
  'timeout',
  'closed',
  'unavailable',
  'killed',
  'malformed',
] as const satisfies ReadonlyArray<Fault>;

/** All of them, the errnos first. */
export const allFaults: ReadonlyArray<Fault> = [...errnos, ...otherFaults];

/** One call of a capability. `number` counts the calls of a run from 0, in the order in which they were made. */
export interface Effect {
  readonly number: number;
  readonly capability: keyof Capabilities;
  readonly operation: string;
  readonly subject: string;
  /** Of a call to a shim that is about a task: which, as `namespace/id`. */
  readonly task?: string;
  /** Whether it can change anything that outlives the program. */
  readonly isMutation: boolean;
  /** Whether somebody else does it, so that it can fail after it was done: the answer is lost. */
  readonly isRemote?: boolean;
}

/** What a call can really give. */
export const faultsOf = ({ capability, operation }: Effect): ReadonlyArray<Fault> => {
  switch (capability) {
    case 'fileSystem':
    case 'programFiles':
    case 'logPipes':
      return errnos;
    case 'mounts':
      return operation === 'read' ? [...errnos, 'malformed'] : errnos;
    case 'shimConnector':
      return operation === 'dial'
        ? [...errnos, 'refused', 'timeout']
        : ['timeout', 'closed', 'unavailable', 'malformed'];
    case 'shimBinary':
      return [...errnos, 'timeout', 'killed', 'malformed'];
    case 'containerStore':
    case 'sandboxStore':
      return ['unavailable', 'timeout', 'killed'];
    case 'processes':
      return ['unavailable', 'EMFILE'];
    case 'eventSink':
      return ['unavailable', 'timeout', 'closed', 'killed'];
    case 'clock':
    case 'observer':
    case 'interrupted':
      return [];
  }
};

/** What becomes of a call. A fault after it was done looks to the program like one instead of it. */
export type Intervention =
  | { readonly _tag: 'Proceed' }
  | { readonly _tag: 'Fail'; readonly fault: Fault; readonly when: 'instead' | 'after' }
  | { readonly _tag: 'Crash'; readonly when: 'before' | 'after' };

export const proceed: Intervention = { _tag: 'Proceed' };

export interface Interception {
  readonly capabilities: Capabilities;
  /** Every call so far, in order. */
  readonly effects: () => ReadonlyArray<Effect>;
  /** Which faults were really injected: a call takes only faults that it can give. */
  readonly injected: () => ReadonlyArray<readonly [Effect, Fault]>;
  /** Completes when the program has crashed. From then on no call of it comes back. */
  readonly crashed: Promise<void>;
}

/** Puts `intervene` between the program and its capabilities. */
export const intercept = (capabilities: Capabilities, intervene: (effect: Effect) => Intervention): Interception => {
  const { calls, ...seen } = makeCalls(intervene);
  return {
    ...seen,
    capabilities: {
      ...capabilities,
      fileSystem: interceptedFiles(calls, capabilities.fileSystem),
      mounts: interceptedMounts(calls, capabilities.mounts),
      processes: interceptedProcesses(calls, capabilities.processes),
      programFiles: {
        look: (path) =>
          calls.either(
            { capability: 'programFiles', operation: 'look', subject: B.show(path), isMutation: false },
            fileFault('stat', path),
            capabilities.programFiles.look(path),
          ),
      },
      shimConnector: interceptedShims(calls, capabilities.shimConnector),
      shimBinary: interceptedPrograms(calls, capabilities.shimBinary),
      containerStore: {
        container: (key) => storeCall(calls, 'containerStore', key, capabilities.containerStore.container(key)),
      },
      sandboxStore: {
        sandbox: (key) => storeCall(calls, 'sandboxStore', key, capabilities.sandboxStore.sandbox(key)),
      },
      eventSink: interceptedEvents(calls, capabilities.eventSink),
      logPipes: interceptedLogs(calls, capabilities.logPipes),
    },
  };
};

type About = Omit<Effect, 'number'>;

/** Every call goes through these. */
interface Calls {
  /** What a dead program would still do of itself, it does not do. */
  readonly unlessDead: <A>(run: Task<A>) => Task<A>;
  /** A call whose answer `failed` can replace, where it gives one for the fault. */
  readonly around: <A>(about: About, failed: (fault: Fault) => A | undefined, run: Task<A>) => Task<A>;
  /** The same for a call that answers with an error or a value. */
  readonly either: <L, A>(
    about: About,
    errorOf: (fault: Fault) => L | undefined,
    run: TaskEither<L, A>,
  ) => TaskEither<L, A>;
}

const makeCalls = (
  intervene: (effect: Effect) => Intervention,
): Omit<Interception, 'capabilities'> & { readonly calls: Calls } => {
  const effects: Array<Effect> = [];
  const injected: Array<readonly [Effect, Fault]> = [];
  let isDead = false;
  let tellCrash = (): void => undefined;
  const crashed = new Promise<void>((resolve) => {
    tellCrash = resolve;
  });
  const crash = <A>(): Promise<A> => {
    isDead = true;
    tellCrash();
    return never();
  };

  const unlessDead =
    <A>(run: Task<A>): Task<A> =>
    async () => {
      if (isDead) return never();
      const outcome = await run();
      return isDead ? never() : outcome;
    };

  const around =
    <A>(about: About, failed: (fault: Fault) => A | undefined, run: Task<A>): Task<A> =>
    async () => {
      if (isDead) return never();
      const effect: Effect = { ...about, number: effects.length };
      effects.push(effect);
      const intervention = intervene(effect);
      if (intervention._tag === 'Crash' && intervention.when === 'before') return crash();
      const fault = intervention._tag === 'Fail' ? intervention : undefined;
      const answer = fault === undefined ? undefined : failed(fault.fault);
      if (fault !== undefined && answer !== undefined) injected.push([effect, fault.fault]);
      if (answer !== undefined && (fault?.when === 'instead' || about.isRemote !== true)) return answer;
      const outcome = await run();
      if (isDead) return never();
      if (intervention._tag === 'Crash') return crash();
      return answer ?? outcome;
    };

  const either = <L, A>(
    about: About,
    errorOf: (fault: Fault) => L | undefined,
    run: TaskEither<L, A>,
  ): TaskEither<L, A> =>
    around<E.Either<L, A>>(
      about,
      (fault) => {
        const error = errorOf(fault);
        return error === undefined ? undefined : E.left(error);
      },
      run,
    );

  return { effects: () => effects, injected: () => injected, crashed, calls: { unlessDead, around, either } };
};

const interceptedFiles = ({ either, unlessDead }: Calls, fileSystem: FileSystem): FileSystem => {
  const onFile =
    <A>(operation: string, isMutation: boolean, run: (at: Location) => TaskEither<FileError, A>) =>
    (at: Location): TaskEither<FileError, A> => {
      const path = pathOf(at);
      const about = { capability: 'fileSystem', operation, subject: B.show(path), isMutation } as const;
      return either(about, fileFault(operation, path), run(at));
    };

  const onDirectory =
    (operation: string) =>
    <A>(run: (directory: Directory) => TaskEither<FileError, A>) =>
    (directory: Directory): TaskEither<FileError, A> =>
      either(
        { capability: 'fileSystem', operation, subject: B.show(directory.path), isMutation: false },
        fileFault(operation, directory.path),
        run(directory),
      );

  return {
    openPath: (path) =>
      either(
        {
          capability: 'fileSystem',
          operation: 'open',
          subject: B.show(path),
          isMutation: false,
        },
        fileFault('open', path),
        fileSystem.openPath(path),
      ),
    openDirectory: onFile('open', false, fileSystem.openDirectory),
    close: (directory) => unlessDead(fileSystem.close(directory)),
    list: onDirectory('list')(fileSystem.list),
    identify: onDirectory('stat')(fileSystem.identify),
    owner: onDirectory('stat')(fileSystem.owner),
    readSmallFile: (at, maxBytes) =>
      onFile('read', false, (location) => fileSystem.readSmallFile(location, maxBytes))(at),
    readLink: onFile('read link', false, fileSystem.readLink),
    status: onFile('stat', false, fileSystem.status),
    resolvedStatus: onFile('stat', false, fileSystem.resolvedStatus),
    createFile: (at, content) => onFile('create', true, (location) => fileSystem.createFile(location, content))(at),
    writable: (directory) =>
      either(
        { capability: 'fileSystem', operation: 'writable', subject: B.show(directory.path), isMutation: false },
        fileFault('create', directory.path),
        fileSystem.writable(directory),
      ),
    rename: (from, to) => onFile('rename', true, (location) => fileSystem.rename(location, to))(from),
    renameNoReplace: (from, to) => onFile('rename', true, (location) => fileSystem.renameNoReplace(location, to))(from),
    unlink: onFile('unlink', true, fileSystem.unlink),
    removeDirectory: onFile('rmdir', true, fileSystem.removeDirectory),
  };
};

const interceptedMounts = ({ either }: Calls, mounts: Mounts): Mounts => ({
  ...mounts,
  read: either(
    { capability: 'mounts', operation: 'read', subject: 'mountinfo', isMutation: false },
    tableFault,
    async () => mounts.read(),
  ),
  resolve: (path) =>
    either(
      { capability: 'mounts', operation: 'resolve', subject: B.show(path), isMutation: false },
      fileFault('resolve', path),
      async () => mounts.resolve(path)(),
    ),
  unmount: (path) =>
    either(
      { capability: 'mounts', operation: 'unmount', subject: B.show(path), isMutation: true },
      mountFault(path),
      async () => mounts.unmount(path)(),
    ),
});

const interceptedProcesses = ({ either }: Calls, processes: Processes): Processes => {
  const aboutProcesses = <A>(
    operation: string,
    subject: string,
    run: TaskEither<ProcessesError, A>,
  ): TaskEither<ProcessesError, A> =>
    either({ capability: 'processes', operation, subject, isMutation: false }, processesFault, run);

  return {
    list: aboutProcesses('list', '', async () => processes.list()),
    bootedMs: aboutProcesses('boot time', '', async () => processes.bootedMs()),
    listeners: (alsoOf) => aboutProcesses('listeners', '', async () => processes.listeners(alsoOf)()),
    holders: (inode) => aboutProcesses('holders', inode, async () => processes.holders(inode)()),
    view: aboutProcesses('view', '', async () => processes.view()),
  };
};

const storeCall = <A>(
  { around }: Calls,
  capability: 'containerStore' | 'sandboxStore',
  key: RecordKey,
  run: Task<Lookup<A>>,
): Task<Lookup<A>> =>
  around<Lookup<A>>(
    { capability, operation: 'look up', subject: `${B.show(key.namespace)}/${B.show(key.id)}`, isMutation: false },
    (fault) =>
      fault === 'unavailable' || fault === 'timeout' || fault === 'killed'
        ? unknown({ _tag: 'StoreUnavailable', reason: fault })
        : undefined,
    run,
  );

const interceptedShims = (calls: Calls, shimConnector: ShimConnector): ShimConnector => ({
  dial: (dialling) => {
    const { socket } = dialling.target;
    const name = B.show(socket._tag === 'Path' ? socket.path : socket.name);
    return calls.either(
      { capability: 'shimConnector', operation: 'dial', subject: name, isMutation: false },
      dialFault(dialling.timeoutMs),
      async () =>
        E.map((session: ShimSession) => interceptedSession(calls, session, name, dialling.namespace))(
          await shimConnector.dial(dialling)(),
        ),
    );
  },
});

const interceptedSession = (
  { either, unlessDead }: Calls,
  session: ShimSession,
  name: string,
  namespace: B.ByteString,
): ShimSession => {
  const call =
    <A>(operation: string, isMutation: boolean, run: (call: TaskCall) => TaskEither<ShimError, A>) =>
    (request: TaskCall): TaskEither<ShimError, A> =>
      either(
        {
          capability: 'shimConnector',
          operation,
          subject: name,
          task: `${namespace}/${request.id}`,
          isMutation,
          isRemote: true,
        },
        (fault) => shimFault(request.timeoutMs)(fault),
        async () => run(request)(),
      );
  return {
    connect: call('Connect', false, (request) => session.connect(request)),
    pids: call('Pids', false, (request) => session.pids(request)),
    state: call('State', false, (request) => session.state(request)),
    delete: call('Delete', true, (request) => session.delete(request)),
    shutdown: call('Shutdown', true, (request) => session.shutdown(request)),
    close: unlessDead(() => session.close()),
    disconnected: unlessDead(() => session.disconnected()),
  };
};

const interceptedPrograms = ({ either }: Calls, shimBinary: ShimBinary): ShimBinary => ({
  delete: (invocation) =>
    either(
      {
        capability: 'shimBinary',
        operation: 'delete',
        subject: B.show(invocation.bundle.path),
        isMutation: true,
        isRemote: true,
      },
      binaryFault(invocation.program, invocation.timeoutMs),
      async () => shimBinary.delete(invocation)(),
    ),
});

const interceptedEvents = ({ either }: Calls, eventSink: EventSink): EventSink => ({
  publish: (event) =>
    either(
      {
        capability: 'eventSink',
        operation: event._tag,
        subject: B.show(event.id),
        isMutation: true,
        isRemote: true,
      },
      eventFault,
      async () => eventSink.publish(event)(),
    ),
});

const interceptedLogs = ({ either, unlessDead }: Calls, logPipes: LogPipes): LogPipes => ({
  open: (log) =>
    either(
      {
        capability: 'logPipes',
        operation: 'open',
        subject: B.show(log.bundle.path),
        isMutation: true,
      },
      fileFault('open', log.bundle.path),
      async () => E.map(({ close }: LogPipe): LogPipe => ({ close: unlessDead(close) }))(await logPipes.open(log)()),
    ),
});

const never = <A>(): Promise<A> => new Promise(() => undefined);

const fileFault =
  (operation: string, path: B.ByteString) =>
  (fault: Fault): FileError | undefined =>
    isErrno(fault) ? systemError(operation, path, fault) : undefined;

const isErrno = (fault: Fault): boolean => errnos.some((errno) => errno === fault);

const processesFault = (fault: Fault): ProcessesError | undefined =>
  fault === 'unavailable' || fault === 'EMFILE' ? { _tag: 'ProcessesUnreadable', reason: fault } : undefined;

const shimFault =
  (timeoutMs: number) =>
  (fault: Fault): ShimError | undefined => {
    switch (fault) {
      case 'timeout':
        return { _tag: 'TimedOut', afterMs: timeoutMs };
      case 'closed':
        return { _tag: 'Closed' };
      case 'unavailable':
        return answered(14, 'injected');
      case 'malformed':
        return { _tag: 'ProtocolError', message: 'injected' };
      default:
        return undefined;
    }
  };

const tableFault = (fault: Fault): MountError | undefined =>
  isErrno(fault) || fault === 'malformed' ? { _tag: 'TableUnreadable', reason: fault } : undefined;

const mountFault =
  (path: B.ByteString) =>
  (fault: Fault): MountError | undefined =>
    isErrno(fault) ? { _tag: 'UnmountRefused', path, code: fault } : undefined;

const dialFault =
  (timeoutMs: number) =>
  (fault: Fault): ShimError | undefined => {
    if (fault === 'refused') return { _tag: 'DialFailed', code: 'ECONNREFUSED', message: 'injected' };
    if (fault === 'timeout') return { _tag: 'TimedOut', afterMs: timeoutMs };
    return isErrno(fault) ? { _tag: 'DialFailed', code: fault, message: 'injected' } : undefined;
  };

const binaryFault =
  (path: B.ByteString, timeoutMs: number) =>
  (fault: Fault): BinaryError | undefined => {
    if (fault === 'timeout') return { _tag: 'TimedOut', path, afterMs: timeoutMs };
    if (fault === 'killed') return { _tag: 'Failed', path, status: 'signal SIGKILL', stderr: '' };
    if (fault === 'malformed') return { _tag: 'Malformed', path, reason: 'injected' };
    return isErrno(fault) ? { _tag: 'CannotStart', path, code: fault } : undefined;
  };

const eventFault = (fault: Fault): EventError | undefined =>
  isErrno(fault) || fault === 'refused' || fault === 'malformed'
    ? undefined
    : { _tag: 'EventNotPublished', reason: fault };

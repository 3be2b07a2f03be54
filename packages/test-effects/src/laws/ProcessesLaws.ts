/**
 * What every `Processes` must do: see each process for as long as it lives, tell whose it is, and see who listens, whether
 * or not the name of the socket is still there.
 */
import { ByteString as B } from '@shim-recovery/core';
import {
  type Clock,
  type DirectoryKey,
  type Listener,
  type OwnView,
  type Processes,
  type ProcessesError,
  type ProcessInfo,
  type ProcessTable,
  processTable,
  type SocketName,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { EntryKey } from '../worlds/World.js';
import { type Disposable, expectSame, type Law, law } from './Law.js';

/** A process that was started; `end` completes once it is dead, even if its parent has not collected it. */
export interface StartedProcess {
  readonly pid: number;
  readonly end: () => Promise<void>;
}

/** A process that listens on a unix socket. */
export interface StartedListener extends StartedProcess {
  readonly name: SocketName;
  /** Takes the socket's name out of the file system, where it is in one. The process goes on listening. */
  readonly removeName: () => Promise<void>;
}

/** A process with a second thread. */
export interface StartedThreads extends StartedProcess {
  /** Completes once the main thread has ended. The other one goes on. */
  readonly endMainThread: () => Promise<void>;
}

/** A directory that was made for a law. */
export interface MadeDirectory extends DirectoryKey {
  readonly path: string;
  /** Moves it to another name; it stays the same directory. */
  readonly move: () => Promise<void>;
}

/** Where processes can be started, and seen. */
export interface ProcessesArea extends Disposable {
  readonly processes: Processes;
  /** The time by which processes begin. */
  readonly clock: Clock;
  /** Starts what a daemon starts for a bundle, `shim -namespace NS -id ID`, in a directory, or without its id. */
  readonly startShim: (
    key: EntryKey,
    how?: { readonly directory?: MadeDirectory; readonly withoutId?: boolean },
  ) => Promise<StartedProcess>;
  /** Starts what runs in a container: in a control group that is named after it. */
  readonly startInContainer: (key: EntryKey) => Promise<StartedProcess>;
  readonly startListener: (kind: SocketName['_tag']) => Promise<StartedListener>;
  /** Starts a process of two threads that works in a directory. */
  readonly startThreads: (directory: MadeDirectory) => Promise<StartedThreads>;
  readonly makeDirectory: () => Promise<MadeDirectory>;
}

/** What clocks, and counting in whole seconds, may make of a moment. */
const slackMs = 2_000;

const msPerTick = 10;

/** The laws of seeing processes. */
export const processesLaws = (open: () => Promise<ProcessesArea>): ReadonlyArray<Law> => [
  ...belongingLaws(open),
  ...timeLaws(open),
  ...directoryLaws(open),
  ...listenerLaws(open),
  ...viewLaws(open),
];

const belongingLaws = (open: () => Promise<ProcessesArea>): ReadonlyArray<Law> => {
  const one = law(open);
  return [
    one('a shim belongs to its own bundle, from its start to its end', async (area) => {
      const { web, sidecar, elsewhere } = makeKeys();
      const all = [web, sidecar, elsewhere];
      const before = await counts(area, all);
      const shim = await area.startShim(web);
      const during = await counts(area, all);
      await shim.end();
      return [
        ...expectSame('before', before, ['0 and 0', '0 and 0', '0 and 0']),
        ...expectSame('while it runs', during, ['1 and 0', '0 and 0', '0 and 0']),
        ...expectSame('afterwards', await counts(area, all), ['0 and 0', '0 and 0', '0 and 0']),
      ];
    }),

    one('a shim whose command line has no id is one of its namespace', async (area) => {
      const { unnamed } = makeKeys();
      const { namespace, id } = unnamed;
      const shim = await area.startShim(unnamed, { withoutId: true });
      const table = await tableOf(area);
      await shim.end();
      const afterwards = await tableOf(area);
      return [
        ...expectSame('while it runs', pidsOf(table.namelessShims(namespace).map(({ process }) => process)), [
          shim.pid,
        ]),
        ...expectSame('by its id', pidsOf(table.shimsNaming(namespace, id)), []),
        ...expectSame('afterwards', afterwards.namelessShims(namespace).length, 0),
      ];
    }),

    one('what runs in a container belongs to its bundle, from its start to its end', async (area) => {
      const { web, sidecar } = makeKeys();
      const both = [web, sidecar];
      const first = await area.startInContainer(web);
      const second = await area.startInContainer(sidecar);
      const during = await counts(area, both);
      await first.end();
      const after = await counts(area, both);
      await second.end();
      return [
        ...expectSame('while both run', during, ['0 and 1', '0 and 1']),
        ...expectSame('when one has ended', after, ['0 and 0', '0 and 1']),
      ];
    }),

    one('a process keeps its number and its start when others end', async (area) => {
      const { web, sidecar } = makeKeys();
      const first = await area.startShim(web);
      const second = await area.startShim(sidecar);
      const find = async (): Promise<unknown> => {
        const process = (await tableOf(area)).byPid(second.pid);
        return [process?.pid, process?.startedTicks, process?.startedMs];
      };
      const before = await find();
      await first.end();
      const after = await find();
      await second.end();
      return [...expectSame('the other one', after, before), ...(before === undefined ? ['it is not listed'] : [])];
    }),

    one('no two processes have the same number', async (area) => {
      const { web, sidecar } = makeKeys();
      const started = [await area.startShim(web), await area.startInContainer(sidecar)];
      const pids = pidsOf(await list(area));
      for (const { end } of started) await end();
      return expectSame('the numbers', new Set(pids).size, pids.length);
    }),
  ];
};

/** Names that nothing else has on this machine, as laws may be tried beside each other; each begins like the next. */
const makeKeys = () => {
  const id = `law-${Math.random().toString(36).slice(2)}`;
  const key = (namespace: string, name: string): EntryKey => ({
    namespace: B.fromText(namespace),
    id: B.fromText(name),
  });
  return {
    web: key('default', id),
    sidecar: key('default', `${id}2`),
    elsewhere: key('k8s.io', id),
    unnamed: key(`ns-${id}`, id),
  };
};

/** How many shims a table has of each bundle, and how many processes of its container. */
const counts = async (area: ProcessesArea, keys: ReadonlyArray<EntryKey>): Promise<ReadonlyArray<string>> => {
  const table = await tableOf(area);
  return keys.map(({ namespace, id }) => {
    const shims = table.shimsNaming(namespace, id);
    const others = new Set(['default', 'k8s.io'].filter((name) => name !== namespace));
    return `${shims.length} and ${table.inGroupOf(id, others, false).certain.length}`;
  });
};

const tableOf = async (area: ProcessesArea): Promise<ProcessTable> => processTable(await list(area));

const list = async ({ processes }: ProcessesArea): Promise<ReadonlyArray<ProcessInfo>> =>
  orThrow('processes cannot be listed', await processes.list());

const orThrow = <A>(what: string, outcome: E.Either<ProcessesError, A>): A => {
  if (E.isLeft(outcome)) throw new Error(`${what}: ${outcome.left.reason}`);
  return outcome.right;
};

const pidsOf = (processes: ReadonlyArray<ProcessInfo>): ReadonlyArray<number> => processes.map(({ pid }) => pid);

const timeLaws = (open: () => Promise<ProcessesArea>): ReadonlyArray<Law> => {
  const one = law(open);
  return [
    one('nothing is older than the machine, or younger than now', async (area) => {
      const shim = await area.startShim(makeKeys().web);
      const bootedMs = orThrow('when it was started cannot be told', await area.processes.bootedMs());
      const all = await list(area);
      const nowMs = area.clock.nowMs();
      await shim.end();
      return all
        .filter(({ startedMs }) => startedMs < bootedMs - slackMs || startedMs > nowMs + slackMs)
        .map(({ pid, startedMs }) => `${pid} began at ${startedMs}, not from ${bootedMs} to ${nowMs}`);
    }),

    one('the ticks of a start count from when the machine was started', async (area) => {
      const shim = await area.startShim(makeKeys().web);
      const bootedMs = orThrow('when it was started cannot be told', await area.processes.bootedMs());
      const all = await list(area);
      await shim.end();
      return all
        .filter(({ startedMs, startedTicks }) => Math.abs(bootedMs + startedTicks * msPerTick - startedMs) > slackMs)
        .map(({ pid, startedMs, startedTicks }) => `${pid} began at ${startedMs}, and at tick ${startedTicks}`);
    }),

    one('when the machine was started is the same each time', async (area) => {
      const [first, second] = [await area.processes.bootedMs(), await area.processes.bootedMs()];
      return expectSame('the second time', second, first);
    }),
  ];
};

const directoryLaws = (open: () => Promise<ProcessesArea>): ReadonlyArray<Law> => {
  const one = law(open);
  return [
    one('a process works in its directory, wherever that is moved, and in no other', async (area) => {
      const [own, other] = [await area.makeDirectory(), await area.makeDirectory()];
      const shim = await area.startShim(makeKeys().web, { directory: own });
      const before = await tableOf(area);
      await own.move();
      const after = await tableOf(area);
      await shim.end();
      const atEnd = await tableOf(area);
      return [
        ...expectSame('in its own', pidsOf(before.workingIn(own)), [shim.pid]),
        ...expectSame('when that was moved', pidsOf(after.workingIn(own)), [shim.pid]),
        ...expectSame('in the other', pidsOf(before.workingIn(other)), []),
        ...expectSame('when it has ended', pidsOf(atEnd.workingIn(own)), []),
      ];
    }),

    one('a process whose main thread has ended is there as before, until its last thread ends', async (area) => {
      const directory = await area.makeDirectory();
      const threads = await area.startThreads(directory);
      const find = async (): Promise<unknown> => {
        const process = (await tableOf(area)).byPid(threads.pid);
        return process === undefined
          ? 'it is not there'
          : [
              process.startedTicks,
              process.cgroups,
              process.currentDirectory,
              process.rootDirectory,
              process.commandLine,
            ];
      };
      const before = await find();
      await threads.endMainThread();
      const after = await find();
      const working = pidsOf((await tableOf(area)).workingIn(directory));
      await threads.end();
      return [
        ...expectSame('its other thread', after, before),
        ...expectSame('its directory', working, [threads.pid]),
        ...expectSame('at its end', await find(), 'it is not there'),
      ];
    }),
  ];
};

const listenerLaws = (open: () => Promise<ProcessesArea>): ReadonlyArray<Law> => {
  const one = law(open);
  return [
    ...(['Path', 'Abstract'] as const).map((kind) =>
      one(
        `a ${kind === 'Path' ? 'socket in the file system' : 'socket with an abstract name'} has a listener until its process ends`,
        async (area) => {
          const before = await listenersOf(area);
          const listener = await area.startListener(kind);
          const during = (await listenersOf(area)).filter(isAt(listener.name));
          await listener.end();
          const after = (await listenersOf(area)).filter(isAt(listener.name));
          return [
            ...expectSame('before', before.filter(isAt(listener.name)).length, 0),
            ...expectSame('while it runs', during.length, 1),
            ...expectSame('afterwards', after.length, 0),
          ];
        },
      ),
    ),

    one('a listener is seen by the name that it was bound to, though that name is gone', async (area) => {
      const listener = await area.startListener('Path');
      const before = (await listenersOf(area)).filter(isAt(listener.name));
      await listener.removeName();
      const after = (await listenersOf(area)).filter(isAt(listener.name));
      await listener.end();
      return [...expectSame('while it had its name', before.length, 1), ...expectSame('without it', after, before)];
    }),

    one('the process that holds a socket is found by the inode of the socket', async (area) => {
      const [first, second] = [await area.startListener('Path'), await area.startListener('Path')];
      const [found] = (await listenersOf(area)).filter(isAt(first.name));
      const holders = orThrow('holders cannot be found', await area.processes.holders(found?.inode ?? '')());
      const ofNone = orThrow('holders cannot be found', await area.processes.holders('0')());
      await first.end();
      await second.end();
      const afterwards = orThrow('holders cannot be found', await area.processes.holders(found?.inode ?? '')());
      return [
        ...expectSame('the one', holders, [first.pid]),
        ...expectSame('of no socket', ofNone, []),
        ...expectSame('afterwards', afterwards, []),
      ];
    }),

    one('the listeners of a process that has ended meanwhile are none, and no failure', async (area) => {
      const shim = await area.startShim(makeKeys().web);
      await shim.end();
      const listener = await area.startListener('Path');
      const found = (await listenersOf(area, [shim.pid, listener.pid])).filter(isAt(listener.name));
      await listener.end();
      return expectSame('each once', found.length, 1);
    }),
  ];
};

const listenersOf = async (
  { processes }: ProcessesArea,
  alsoOf: ReadonlyArray<number> = [],
): Promise<ReadonlyArray<Listener>> => orThrow('listeners cannot be listed', await processes.listeners(alsoOf)());

const isAt =
  (name: SocketName) =>
  (listener: Listener): boolean =>
    JSON.stringify(listener.name) === JSON.stringify(name);

const viewLaws = (open: () => Promise<ProcessesArea>): ReadonlyArray<Law> => {
  const one = law(open);
  return [
    one('its own process is listed with the namespaces and the root that its view tells', async (area) => {
      const view = await viewOf(area);
      const own = (await tableOf(area)).byPid(view.pid);
      return own === undefined
        ? [`${view.pid} is not listed`]
        : [
            ...expectSame('namespaces', own.namespaces, view.namespaces),
            ...expectSame('root', own.rootDirectory, view.rootDirectory),
          ];
    }),

    one('what it started itself shares its namespaces and its root', async (area) => {
      const view = await viewOf(area);
      const shim = await area.startShim(makeKeys().web);
      const process = (await tableOf(area)).byPid(shim.pid);
      await shim.end();
      return [
        ...expectSame('namespaces', process?.namespaces, view.namespaces),
        ...expectSame('root', process?.rootDirectory, view.rootDirectory),
      ];
    }),

    one('the first process is listed where nothing limits what is seen', async (area) => {
      const view = await viewOf(area);
      const first = (await tableOf(area)).byPid(1);
      return view.limitedBy === undefined && first === undefined ? ['process 1 is not listed'] : [];
    }),
  ];
};

const viewOf = async ({ processes }: ProcessesArea): Promise<OwnView> =>
  orThrow('its own view cannot be told', await processes.view());

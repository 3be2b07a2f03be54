/**
 * The processes of an imaginary machine, and the sockets that they listen on: those of the host itself, the shims, and what
 * runs in containers. What this program may see of them can be limited.
 */
import { ByteString as B } from '@shim-recovery/core';
import {
  type DirectoryKey,
  hidden,
  type Look,
  type OwnView,
  type Processes,
  type ProcessInfo,
  type ProcessNamespaces,
  seen,
  type SocketName,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import type * as Entry from './Entry.js';
import type { MemoryFileSystem } from './MemoryFileSystem.js';
import { type ScriptedShimConnector, socketKey } from './MemoryShimConnector.js';
import type { Tree } from './Tree.js';

/** A process to start. What is absent is as for a process of the host's own. */
export interface NewProcess {
  /** Absent: the next free number. */
  readonly pid?: number;
  readonly commandLine?: ReadonlyArray<B.ByteString>;
  readonly cgroups?: ReadonlyArray<B.ByteString>;
  /** By which directory it works. It stays that one, wherever it is moved. `undefined` for one of the kernel's own. */
  readonly currentDirectory?: Entry.Entry | undefined;
  readonly rootDirectory?: DirectoryKey | undefined;
  readonly namespaces?: Partial<ProcessNamespaces>;
  /** When it began, in milliseconds since the epoch, by the clock as it goes now. */
  readonly startedMs?: number;
  /** It listens there, for as long as its shim does, and lives as long. */
  readonly listensAt?: SocketName;
  /** How many threads it has, the main one among them. Absent: 1. */
  readonly threads?: number;
  /** For as long as it says so, where `end` does not end it first. */
  readonly isRunning?: IO<boolean>;
}

/** A process that was started. */
export interface MemoryProcess {
  readonly pid: number;
  readonly isRunning: IO<boolean>;
  readonly end: IO<void>;
  /** Its main thread ends. The process lives on as long as another of its threads. */
  readonly endMainThread: IO<void>;
}

/** Which of a process's attributes may not be looked at. */
export type Attribute = 'currentDirectory' | 'rootDirectory' | 'namespaces';

/** How much this program sees. What is absent is as on a host of one's own. */
export interface MemoryView extends Partial<Omit<OwnView, 'pid'>> {
  /** Whether it sees a process of the host at all; itself it always sees. */
  readonly sees?: (process: ProcessInfo) => boolean;
  /** What it may not look at, of processes other than itself. */
  readonly hides?: ReadonlyArray<Attribute>;
}

export interface MemoryProcesses extends Processes {
  readonly start: (process: NewProcess) => MemoryProcess;
  readonly limit: (view: MemoryView) => void;
}

/** The namespaces that the machine itself began with. */
export const hostNamespaces: ProcessNamespaces = { pid: 'pid:[1]', mount: 'mnt:[1]', network: 'net:[1]' };

/** The number of this program's own process. */
export const ownPid = 999;

const firstFreePid = 10_000;

const msPerTick = 10;

/** What it is made of. */
export interface MachineParts {
  readonly tree: Tree;
  readonly fileSystem: Pick<MemoryFileSystem, 'keyOf'>;
  readonly shims: Pick<ScriptedShimConnector, 'isListening' | 'listeners'>;
  /** When the machine was started. */
  readonly bootedMs: number;
}

interface Started {
  readonly info: ProcessInfo;
  readonly socket: SocketName | undefined;
  readonly isRunning: IO<boolean>;
  /** What of it keeps a directory in use. */
  readonly release: IO<void>;
}

export const makeProcesses = ({ tree, fileSystem, shims, bootedMs }: MachineParts): MemoryProcesses => {
  const root = tree.root();
  const rootKey = fileSystem.keyOf(root);
  const host = { namespaces: seen(hostNamespaces), rootDirectory: seen(rootKey) };
  const ofHost = (pid: number, cgroup: string, ...commandLine: ReadonlyArray<string>): ProcessInfo => ({
    ...host,
    pid,
    startedMs: bootedMs,
    startedTicks: 0,
    commandLine: commandLine.map(B.fromText),
    cgroups: [B.fromText(cgroup)],
    currentDirectory: seen(rootKey),
  });
  const own = ofHost(ownPid, '/user.slice', 'node', 'shim-recovery');
  const alwaysThere: ReadonlyArray<ProcessInfo> = [
    ofHost(1, '/init.scope', '/sbin/init'),
    { ...ofHost(2, '/'), currentDirectory: seen(undefined), rootDirectory: seen(undefined) },
  ];
  let started: ReadonlyArray<Started> = alwaysThere.map((info) => ({
    info,
    socket: undefined,
    isRunning: () => true,
    release: () => undefined,
  }));
  let view: MemoryView = {};
  let nextPid = firstFreePid;

  /** Those that live; what the others kept in use is free. */
  const living = (): ReadonlyArray<Started> => {
    const alive: Array<Started> = [];
    for (const one of started)
      if (one.isRunning()) alive.push(one);
      else one.release();
    started = alive;
    return alive;
  };

  const visible = (): ReadonlyArray<Started> => {
    const { sees = () => true } = view;
    return living().filter(({ info }) => sees(info));
  };

  const concealed = (process: ProcessInfo): ProcessInfo => {
    const { hides = [] } = view;
    if (hides.length === 0) return process;
    const look = <A>(attribute: Attribute, value: Look<A>): Look<A> =>
      hides.includes(attribute) ? hidden('EACCES') : value;
    return {
      ...process,
      currentDirectory: look('currentDirectory', process.currentDirectory),
      rootDirectory: look('rootDirectory', process.rootDirectory),
      namespaces: look('namespaces', process.namespaces),
    };
  };

  /** The processes that listen, by their sockets: there is one for each socket that a shim of the machine has. */
  const holders = (): ReadonlyMap<string, ProcessInfo> =>
    new Map(living().flatMap(({ info, socket }) => (socket === undefined ? [] : [[socketKey(socket), info]])));

  const networkOf = ({ namespaces }: Pick<ProcessInfo, 'namespaces'>): string =>
    namespaces._tag === 'Seen' ? namespaces.value.network : hostNamespaces.network;

  return {
    start: (process) => {
      const pid = process.pid ?? nextPid++;
      const { startedMs = bootedMs, listensAt } = process;
      const directory = 'currentDirectory' in process ? process.currentDirectory : root;
      if (directory !== undefined) tree.hold(directory);
      let threads = process.threads ?? 1;
      const isRunning = (): boolean =>
        threads > 0 && (listensAt === undefined || shims.isListening(listensAt)) && (process.isRunning?.() ?? true);
      const info: ProcessInfo = {
        pid,
        startedMs,
        startedTicks: Math.round((startedMs - bootedMs) / msPerTick),
        commandLine: process.commandLine ?? [],
        cgroups: process.cgroups ?? [B.fromText('/')],
        currentDirectory: seen(directory === undefined ? undefined : fileSystem.keyOf(directory)),
        rootDirectory: seen('rootDirectory' in process ? process.rootDirectory : rootKey),
        namespaces: seen({ ...hostNamespaces, ...process.namespaces }),
      };
      const release = (): void => {
        if (directory !== undefined) tree.release(directory);
      };
      started = [...started, { info, socket: listensAt, isRunning, release }];
      return {
        pid,
        isRunning,
        end: () => {
          threads = 0;
        },
        endMainThread: () => {
          threads -= 1;
        },
      };
    },
    limit: (limits) => {
      view = limits;
    },
    list: async () =>
      E.right([
        { ...own, namespaces: view.namespaces ?? own.namespaces },
        ...visible().map(({ info }) => concealed(info)),
      ]),
    bootedMs: async () => E.right(bootedMs),
    listeners: (alsoOf) => async () => {
      const others = visible().flatMap(({ info }) => (alsoOf.includes(info.pid) ? [networkOf(info)] : []));
      const networks = new Set([networkOf({ namespaces: view.namespaces ?? host.namespaces }), ...others]);
      const holding = holders();
      return E.right(
        shims.listeners().filter(({ name }) => networks.has(networkOf(holding.get(socketKey(name)) ?? host))),
      );
    },
    holders: (inode) => async () => {
      const listener = shims.listeners().find((one) => one.inode === inode);
      return E.right(
        visible().flatMap(({ info, socket }) =>
          listener !== undefined && socket !== undefined && socketKey(socket) === socketKey(listener.name)
            ? [info.pid]
            : [],
        ),
      );
    },
    view: async () =>
      E.right({
        pid: ownPid,
        limitedBy: view.limitedBy,
        isFirstPidNamespace: view.isFirstPidNamespace ?? true,
        isFirstMountNamespace: view.isFirstMountNamespace ?? true,
        namespaces: view.namespaces ?? host.namespaces,
        rootDirectory: view.rootDirectory ?? host.rootDirectory,
      }),
  };
};

/** Scripted shims behind the sockets of an imaginary machine (SPEC 9, 10). */
import { ByteString as B } from '@shim-recovery/core';
import {
  answered,
  type Listener as ListeningSocket,
  type ShimConnector,
  type ShimError,
  type ShimSession,
  type SocketName,
  type TaskCall,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import type { VirtualClock } from './MemoryClock.js';
import * as Entry from './Entry.js';
import { callName, type ShimCall } from '../worlds/Outcome.js';
import type { Tree } from './Tree.js';
import { type EntryKey, sameKey } from '../worlds/World.js';
import { type LateReply, type PlainReply, type Reply, replyAt, type ShimScript, stateAt } from '../worlds/Shim.js';

export interface ScriptedShimConnector extends ShimConnector {
  /**
   * Starts a shim behind a socket. A socket in the file system must stand there, too: the kernel finds it by its path.
   * Any bundle may have it: a call says whose task it is about.
   */
  readonly listen: (socket: SocketName, script: ShimScript, about?: ShimTasks) => void;
  /** Every call that a shim received, in order. */
  readonly calls: () => ReadonlyArray<ShimCall>;
  /** How many connections are open. */
  readonly openConnections: () => number;
  /** The daemon's side of every connection ends, as when its process does; the shims go on. */
  readonly hangUp: () => void;
  /** The sockets behind which a shim still listens. */
  readonly listening: () => ReadonlyArray<SocketName>;
  readonly isListening: (socket: SocketName) => boolean;
  /** The same sockets, as the kernel's table has them, whether or not their names still lead to them. */
  readonly listeners: () => ReadonlyArray<ListeningSocket>;
  /** The shim of this socket dies: all its connections end, and nobody listens any more. */
  readonly kill: (socket: SocketName) => void;
}

/** Of which tasks a shim has none, though it answers: for those it says so, against its script. */
export interface ShimTasks {
  readonly without?: ReadonlyArray<EntryKey>;
}

const maxSocketPathBytes = 107;

/** A key that is the same for two names of one socket. */
export const socketKey = (socket: SocketName): string => (socket._tag === 'Path' ? socket.path : `@${socket.name}`);

export const makeShimConnector = (tree: Tree, clock: VirtualClock): ScriptedShimConnector => {
  const calls: Array<ShimCall> = [];
  const listeners = new Map<string, Listener>();
  let lastInode = 1_000_000;

  /** What `connect(2)` would find. */
  const find = (socket: SocketName): E.Either<string, Listener> => {
    if (socket._tag === 'Path') {
      if (socket.path.length > maxSocketPathBytes) return E.left('EINVAL');
      const entry = tree.walk(socket.path);
      if (E.isLeft(entry)) return entry;
      if (Entry.kindOf(entry.right) !== 'socket') return E.left('ECONNREFUSED');
    }
    const listener = listeners.get(socketKey(socket));
    return listener === undefined || listener.script.mode === 'refuse' ? E.left('ECONNREFUSED') : E.right(listener);
  };

  const connect = (listener: Listener, service: string, namespace: B.ByteString): ShimSession => {
    const { socket, script, connections, turns, without } = listener;
    let isOpen = true;
    let tell = (): void => undefined;
    const disconnected = new Promise<void>((resolve) => {
      tell = resolve;
    });
    const connection: Connection = {
      end: () => {
        isOpen = false;
        connections.delete(connection);
        tell();
      },
    };
    connections.add(connection);

    /** Completes after so long, or when the connection ends, or when the caller has had enough; says which. */
    const wait = async (afterMs: number, timeoutMs: number): Promise<ShimError | undefined> => {
      if (afterMs === 0) return undefined;
      const timer = clock.timer(Math.min(afterMs, timeoutMs));
      const ending = await Promise.race([
        timer.elapsed.then((): ShimError | undefined =>
          afterMs < timeoutMs ? undefined : { _tag: 'TimedOut', afterMs: timeoutMs },
        ),
        disconnected.then((): ShimError => ({ _tag: 'Closed' })),
      ]);
      timer.cancel();
      return ending;
    };

    const call =
      <A>(method: string, replyTo: (turn: number) => LateReply<A>) =>
      ({ id, timeoutMs }: TaskCall): TE.TaskEither<ShimError, A> =>
      async () => {
        if (!isOpen) return E.left({ _tag: 'Closed' });
        calls.push({ namespace, id, call: callName(service, method) });
        const turn = turns.get(method) ?? 0;
        turns.set(method, turn + 1);
        const isUnknown = taskMethods.includes(method) && without.some((one) => sameKey(one, { namespace, id }));
        const late: LateReply<A> = isUnknown ? noSuchTask : replyTo(turn);
        const ending = await wait(late.reply === 'hang' ? Infinity : late.afterMs, timeoutMs);
        if (ending !== undefined) {
          // It goes on with what it began, though nobody waits for it any more.
          if (endsShim(late.reply) && ending._tag === 'TimedOut') killAfter(socket, listener, late.afterMs - timeoutMs);
          return E.left(ending);
        }
        if (late.reply === 'die') kill(socket);
        if (late.reply === 'close') connection.end();
        if (typeof late.reply === 'string') return E.left({ _tag: 'Closed' });
        if ('error' in late.reply) return E.left(answered(late.reply.error, `${method} is not to be`));
        if (late.reply.exit === true) kill(socket);
        return E.right(late.reply.ok);
      };

    const answerTo =
      <A, C>(method: string, reply: Reply<A>, answer: (ok: A) => C) =>
      (task: TaskCall): TE.TaskEither<ShimError, C> =>
        TE.map(answer)(call(method, (turn) => replyAt(reply, turn))(task));

    return {
      connect: answerTo('Connect', script.connect, ({ task }) => ({ shimPid: 1, taskPid: task, version: '' })),
      pids: answerTo('Pids', script.pids, ({ pids }) => pids),
      state: (task) =>
        pipe(
          call('State', (turn) => stateAt(script, turn))(task),
          TE.map(({ status, exitStatus = 0 }) => ({
            status,
            exit: { pid: 900, exitStatus, exitedAt: { seconds: '1700000000', nanos: 0 } },
          })),
        ),
      delete: answerTo('Delete', script.del, ({ pid, status = 0 }) => ({
        pid,
        exitStatus: status,
        exitedAt: { seconds: String(Math.floor(clock.nowMs() / 1000)), nanos: 0 },
      })),
      shutdown: answerTo('Shutdown', script.shutdown, () => undefined),
      close: async () => connection.end(),
      disconnected: () => disconnected,
    };
  };

  const kill = (socket: SocketName): void => {
    const listener = listeners.get(socketKey(socket));
    listeners.delete(socketKey(socket));
    listener?.connections.forEach((connection) => connection.end());
  };

  const killAfter = (socket: SocketName, listener: Listener, ms: number): void => {
    void clock.timer(ms).elapsed.then(() => {
      if (listeners.get(socketKey(socket)) === listener) kill(socket);
    });
  };

  return {
    dial:
      ({ target, namespace }) =>
      async () => {
        const listener = find(target.socket);
        if (E.isLeft(listener))
          return dialFailed(listener.left, `cannot connect to ${B.show(B.fromText(socketKey(target.socket)))}`);
        return E.right(connect(listener.right, target.service, namespace));
      },
    listen: (socket, script, { without = [] } = {}) => {
      const inode = String(++lastInode);
      const listener: Listener = { socket, inode, without, script, connections: new Set(), turns: new Map() };
      listeners.set(socketKey(socket), listener);
      if (script.diesAfterMs !== undefined) killAfter(socket, listener, script.diesAfterMs);
    },
    calls: () => [...calls],
    hangUp: () => {
      for (const { connections } of listeners.values()) connections.forEach((connection) => connection.end());
    },
    listening: () =>
      [...listeners.values()].filter(({ script }) => script.mode === 'serve').map(({ socket }) => socket),
    isListening: (socket) => listeners.get(socketKey(socket))?.script.mode === 'serve',
    listeners: () =>
      [...listeners.values()].flatMap(({ socket, inode, script }) =>
        script.mode === 'serve' ? [{ name: socket, inode }] : [],
      ),
    openConnections: () => [...listeners.values()].reduce((sum, { connections }) => sum + connections.size, 0),
    kill,
  };
};

/** A shim that listens, with its open connections, and how often each call came. */
interface Listener {
  readonly socket: SocketName;
  readonly inode: string;
  readonly without: ReadonlyArray<EntryKey>;
  readonly script: ShimScript;
  readonly connections: Set<Connection>;
  readonly turns: Map<string, number>;
}

interface Connection {
  readonly end: () => void;
}

const taskMethods = ['Pids', 'State', 'Delete'];

/** What a shim says of a task that it does not have, where anything is asked of the task itself. */
const noSuchTask: LateReply<never> = { afterMs: 0, reply: { error: 5 } };

const endsShim = (reply: PlainReply<unknown>): boolean =>
  reply === 'die' || (typeof reply === 'object' && 'ok' in reply && reply.exit === true);

const dialFailed = (code: string, message: string): E.Either<ShimError, never> =>
  E.left({ _tag: 'DialFailed', code, message });

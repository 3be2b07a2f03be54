/** Scripted shims behind the sockets of an imaginary machine (SPEC 9, 10). */
import * as B from '@shim-recovery/core/ByteString';
import type { SocketName } from '@shim-recovery/core/Bootstrap';
import { answered, type ShimConnector, type ShimError, type ShimSession } from '@shim-recovery/core/ShimConnector';
import * as E from 'fp-ts/lib/Either.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import type { VirtualClock } from './Clock.js';
import * as Entry from './Entry.js';
import { callName, type ShimCall } from './Outcome.js';
import type { Tree } from './Tree.js';
import type { CaseKey, ShimScript } from './World.js';

/** One scripted shim. A socket in the file system must stand there, too: the kernel finds it by its path. */
export interface ScriptedShim extends CaseKey {
  readonly socket: SocketName;
  readonly script: ShimScript;
}

export interface ScriptedShimConnector extends ShimConnector {
  readonly listen: (shim: ScriptedShim) => void;
  /** Every call that a shim received, in order. */
  readonly calls: () => ReadonlyArray<ShimCall>;
  /** How many connections are open. */
  readonly openConnections: () => number;
  /** The daemon's side of every connection ends, as when its process does; the shims go on. */
  readonly hangUp: () => void;
  /** The sockets behind which a shim still listens. */
  readonly listening: () => ReadonlyArray<SocketName>;
  /** The shim of this socket dies: all its connections end, and nobody listens any more. */
  readonly kill: (socket: SocketName) => void;
}

const maxSocketPathBytes = 107;

/** What the script says about one call. */
type Script<A> = { readonly ok: A } | { readonly error: number } | 'hang' | 'close';

/** A shim that listens, with its open connections. */
interface Listener {
  readonly shim: ScriptedShim;
  readonly connections: Set<Connection>;
}

interface Connection {
  readonly end: () => void;
}

const dialFailed = (code: string, message: string): E.Either<ShimError, never> =>
  E.left({ _tag: 'DialFailed', code, message });

export const makeShimConnector = (tree: Tree, clock: VirtualClock): ScriptedShimConnector => {
  const calls: Array<ShimCall> = [];
  const listeners = new Map<string, Listener>();

  const keyOf = (socket: SocketName): string => (socket._tag === 'Path' ? socket.path : `@${socket.name}`);

  /** What `connect(2)` would find. */
  const find = (socket: SocketName): E.Either<string, Listener> => {
    if (socket._tag === 'Path') {
      if (socket.path.length > maxSocketPathBytes) return E.left('EINVAL');
      const entry = tree.walk(socket.path);
      if (E.isLeft(entry)) return entry;
      if (Entry.kindOf(entry.right) !== 'socket') return E.left('ECONNREFUSED');
    }
    const listener = listeners.get(keyOf(socket));
    return listener === undefined || listener.shim.script.mode === 'refuse'
      ? E.left('ECONNREFUSED')
      : E.right(listener);
  };

  const connect = (listener: Listener, service: string): ShimSession => {
    const { shim, connections } = listener;
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

    const hang = async (timeoutMs: number): Promise<E.Either<ShimError, never>> => {
      const timer = clock.timer(timeoutMs);
      const ending = await Promise.race([
        timer.elapsed.then((): ShimError => ({ _tag: 'TimedOut', afterMs: timeoutMs })),
        disconnected.then((): ShimError => ({ _tag: 'Closed' })),
      ]);
      timer.cancel();
      return E.left(ending);
    };

    const call =
      <A>(method: string, script: Script<A>, timeoutMs: number): TaskEither<ShimError, A> =>
      async () => {
        if (!isOpen) return E.left({ _tag: 'Closed' });
        calls.push({ namespace: shim.namespace, id: shim.id, call: callName(service, method) });
        if (script === 'hang') return hang(timeoutMs);
        if (script === 'close') {
          connection.end();
          return E.left({ _tag: 'Closed' });
        }
        return 'error' in script ? E.left(answered(script.error, `${method} is not to be`)) : E.right(script.ok);
      };

    const { script } = shim;
    return {
      connect:
        ({ timeoutMs }) =>
        async () =>
          E.map(({ task }: { readonly task: number }) => ({ shimPid: 1, taskPid: task, version: '' }))(
            await call('Connect', script.connect, timeoutMs)(),
          ),
      pids:
        ({ timeoutMs }) =>
        async () =>
          E.map(({ pids }: { readonly pids: ReadonlyArray<number> }) => pids)(
            await call('Pids', script.pids, timeoutMs)(),
          ),
      delete:
        ({ timeoutMs }) =>
        async () =>
          E.map(({ pid, status = 0 }: { readonly pid: number; readonly status?: number }) => ({
            pid,
            exitStatus: status,
            exitedAt: { seconds: String(Math.floor(clock.nowMs() / 1000)), nanos: 0 },
          }))(await call('Delete', script.del, timeoutMs)()),
      shutdown:
        ({ timeoutMs }) =>
        async () => {
          const answer = await call('Shutdown', script.shutdown, timeoutMs)();
          if (E.isLeft(answer)) return answer;
          const ends =
            typeof script.shutdown === 'object' && 'exit' in script.shutdown && script.shutdown.exit === true;
          if (ends) kill(shim.socket);
          return E.right(undefined);
        },
      close: async () => connection.end(),
      disconnected: () => disconnected,
    };
  };

  const kill = (socket: SocketName): void => {
    const listener = listeners.get(keyOf(socket));
    listeners.delete(keyOf(socket));
    listener?.connections.forEach((connection) => connection.end());
  };

  return {
    dial:
      ({ target }) =>
      async () => {
        const listener = find(target.socket);
        if (E.isLeft(listener))
          return dialFailed(listener.left, `cannot connect to ${B.show(B.fromText(keyOf(target.socket)))}`);
        return E.right(connect(listener.right, target.service));
      },
    listen: (shim) => {
      listeners.set(keyOf(shim.socket), { shim, connections: new Set() });
    },
    calls: () => [...calls],
    hangUp: () => {
      for (const { connections } of listeners.values()) connections.forEach((connection) => connection.end());
    },
    listening: () =>
      [...listeners.values()].filter(({ shim }) => shim.script.mode === 'serve').map(({ shim }) => shim.socket),
    openConnections: () => [...listeners.values()].reduce((sum, { connections }) => sum + connections.size, 0),
    kill,
  };
};

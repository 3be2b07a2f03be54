/** A shim that answers from a script: for tests, for demonstrations and for replaying recorded worlds. */
import { rename, unlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { ByteString as B } from '@shim-recovery/core';
import type { TaskStatus } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import type { IO } from 'fp-ts/lib/IO.js';
import * as O from 'fp-ts/lib/Option.js';
import type { Task } from 'fp-ts/lib/Task.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { decode, encode } from '../protobuf/Message.js';
import { ConnectResponse, DeleteResponse, PidsResponse, StateResponse, TaskRequest } from '../protobuf/TaskMessages.js';
import type { Request } from '../protobuf/TtrpcMessages.js';
import { type Behaviour, type ListenError, serve } from './TtrpcServer.js';
import { maxSocketNameBytes } from '../shims/UnixSocket.js';

/**
 * What a shim does with a call: a good answer, an error with a gRPC status code, no answer at all, the end of the
 * connection, or its own death. With `exit`, it dies right after answering.
 */
export type PlainReply<A> =
  | { readonly ok: A; readonly exit?: boolean }
  | { readonly error: number; readonly message?: string; readonly exit?: boolean }
  | 'hang'
  | 'close'
  | 'die';

/** A reply that takes so many milliseconds. */
export interface LateReply<A> {
  readonly afterMs: number;
  readonly reply: PlainReply<A>;
}

/** A reply; or one for each call in turn, of which the last goes on for ever. */
export type Reply<A> = PlainReply<A> | LateReply<A> | { readonly turns: ReadonlyArray<PlainReply<A> | LateReply<A>> };

/**
 * How a shim behaves. `refuse` is the socket file of a shim that is gone: nobody listens on it. `diesAfterMs`: it dies
 * by itself, so long after it was started.
 */
export interface ShimScript {
  readonly mode: 'refuse' | 'serve';
  readonly connect: Reply<{ readonly task: number }>;
  readonly pids: Reply<{ readonly pids: ReadonlyArray<number> }>;
  /** Absent: running, or of a task that it does not know, as it answers Pids. */
  readonly state?: Reply<{ readonly status: TaskStatus; readonly exitStatus?: number }>;
  readonly del: Reply<{ readonly pid: number; readonly status?: number }>;
  readonly shutdown: Reply<Readonly<Record<string, never>>>;
  readonly diesAfterMs?: number;
  /** What it answers otherwise where it is asked about one of these tasks, by the task's id: a pod's shim has several. */
  readonly tasks?: Readonly<Record<string, Partial<Pick<ShimScript, 'connect' | 'pids' | 'state' | 'del'>>>>;
}

/** A call that a shim received: about which task, and `task.v2.Task/Connect`. */
export interface ScriptedCall {
  readonly task: B.ByteString;
  readonly call: string;
}

export interface ScriptedShim {
  /** The calls received so far, in order. */
  readonly calls: IO<ReadonlyArray<ScriptedCall>>;
  /** Ends it and removes its socket. Stopping twice is harmless. */
  readonly stop: Task<void>;
  /** Ends all its connections; it goes on, and can be dialled again. */
  readonly hangUp: IO<void>;
}

/** When a scripted task ended: fixed, so that two runs print the same. */
const exitedAt = { seconds: '1700000000', nanos: 0 };

/** Starts a shim at this socket path. It answers as either version of the task service. */
export const startScriptedShim = ({
  socketPath,
  script,
}: {
  readonly socketPath: string;
  readonly script: ShimScript;
}): TE.TaskEither<ListenError, ScriptedShim> => {
  if (script.mode === 'refuse') return leaveDeadSocket(socketPath);
  const calls: Array<ScriptedCall> = [];
  const ofTasks = new Map(
    Object.entries(script.tasks ?? {}).map(([id, ofTask]) => [
      B.fromText(id),
      new Map(methodsOf({ ...script, ...ofTask })),
    ]),
  );
  const handlers = new Map(
    methodsOf(script).flatMap(([method, behave]) =>
      ['v2', 'v3'].map(
        (version) =>
          [
            `containerd.task.${version}.Task/${method}`,
            ({ payload }: Request): Behaviour => {
              const request = decode(TaskRequest)(payload);
              const task = E.isRight(request) ? request.right.id : B.empty;
              calls.push({ task, call: `task.${version}.Task/${method}` });
              return (ofTasks.get(task)?.get(method) ?? behave)();
            },
          ] as const,
      ),
    ),
  );
  return pipe(
    serve({ socketPath, handlers }),
    TE.map(({ stop, hangUp }) => {
      const timer = script.diesAfterMs === undefined ? undefined : setTimeout(() => void stop(), script.diesAfterMs);
      return {
        calls: () => [...calls],
        hangUp,
        stop: () => {
          clearTimeout(timer);
          return stop();
        },
      };
    }),
  );
};

/** Node removes the socket that it listened on by its name: under another name, the file stays when the listener goes. */
const leaveDeadSocket = (socketPath: string): TE.TaskEither<ListenError, ScriptedShim> => {
  const listeningPath = `${socketPath}~`;
  if (Buffer.byteLength(listeningPath) > maxSocketNameBytes) return TE.left({ _tag: 'ListenFailed', code: 'EINVAL' });
  return TE.tryCatch(async () => {
    const server = createServer();
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(listeningPath, resolve));
    await rename(listeningPath, socketPath);
    await new Promise((resolve) => server.close(resolve));
    return { calls: () => [], stop: () => unlink(socketPath).catch(() => undefined), hangUp: () => undefined };
  }, listenError);
};

const listenError = (error: unknown): ListenError => ({
  _tag: 'ListenFailed',
  code: error instanceof Error && 'code' in error ? String(error.code) : String(error),
});

const methodsOf = (script: ShimScript): ReadonlyArray<readonly [string, () => Behaviour]> => [
  [
    'Connect',
    behavioursOf(script.connect, ({ task }) =>
      encode(ConnectResponse)({ shimPid: process.pid, taskPid: task, version: 'scripted' }),
    ),
  ],
  [
    'Pids',
    behavioursOf(script.pids, (ok) =>
      encode(PidsResponse)({ processes: ok.pids.map((pid) => ({ pid, info: O.none })) }),
    ),
  ],
  [
    'State',
    behavioursOf(stateOf(script), ({ status, exitStatus = 0 }) =>
      encode(StateResponse)({ status, exit: { pid: 0, exitStatus, exitedAt } }),
    ),
  ],
  [
    'Delete',
    behavioursOf(script.del, ({ pid, status = 0 }) => encode(DeleteResponse)({ pid, exitStatus: status, exitedAt })),
  ],
  ['Shutdown', behavioursOf(script.shutdown, () => new Uint8Array())],
];

/** Answers one kind of call, turn by turn. */
const behavioursOf = <A>(reply: Reply<A>, payloadOf: (ok: A) => Uint8Array): (() => Behaviour) => {
  let turn = 0;
  return () => {
    const now = replyAt(reply, turn++);
    return typeof now === 'object' && 'afterMs' in now
      ? { ...behaviourOf(now.reply, payloadOf), afterMs: now.afterMs }
      : behaviourOf(now, payloadOf);
  };
};

/** What the `turn`th call of a kind gets, from 0. */
const replyAt = <A>(reply: Reply<A>, turn: number): PlainReply<A> | LateReply<A> =>
  typeof reply === 'object' && 'turns' in reply
    ? (reply.turns[Math.min(turn, reply.turns.length - 1)] ?? 'hang')
    : reply;

const behaviourOf = <A>(reply: PlainReply<A>, payloadOf: (ok: A) => Uint8Array): Behaviour => {
  if (reply === 'hang') return { _tag: 'Hang' };
  if (reply === 'close') return { _tag: 'Close' };
  if (reply === 'die') return { _tag: 'Die' };
  const exits = reply.exit ?? false;
  return 'ok' in reply
    ? { _tag: 'Answer', payload: payloadOf(reply.ok), exits }
    : { _tag: 'Fail', code: reply.error, message: reply.message ?? 'scripted', exits };
};

/** What State gets where the script does not say: what goes with what Pids gets. */
const stateOf = ({ pids, state }: ShimScript): NonNullable<ShimScript['state']> => {
  const like = (one: PidsReply | LateReply<{ readonly pids: ReadonlyArray<number> }>) =>
    typeof one === 'object' && 'afterMs' in one ? { ...one, reply: stateLike(one.reply) } : stateLike(one);
  if (state !== undefined) return state;
  return typeof pids === 'object' && 'turns' in pids ? { turns: pids.turns.map(like) } : like(pids);
};

type PidsReply = PlainReply<{ readonly pids: ReadonlyArray<number> }>;

const stateLike = (pids: PidsReply): StateReply => {
  if (typeof pids === 'string' || !('ok' in pids)) return pids;
  return pids.ok.pids.length > 0 ? { ok: { status: 'running' } } : { error: 5 };
};

type StateReply = PlainReply<{ readonly status: TaskStatus; readonly exitStatus?: number }>;

/** A shim that answers from a script: for tests, for demonstrations and for replaying recorded worlds. */
import { rename, unlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { IO } from 'fp-ts/lib/IO.js';
import * as O from 'fp-ts/lib/Option.js';
import type { Task } from 'fp-ts/lib/Task.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import * as t from 'io-ts';
import { encode } from './protobuf/Message.js';
import { ConnectResponse, DeleteResponse, PidsResponse } from './protobuf/TaskMessages.js';
import { type Behaviour, type ListenError, serve } from './ttrpc/Server.js';
import { maxSocketNameBytes } from './UnixSocket.js';

/** A good answer, an error with a gRPC status code, no answer at all, or the end of the connection. */
const reply = <A>(ok: t.Type<A>) =>
  t.union([
    t.intersection([t.type({ ok }), t.partial({ exit: t.boolean })]),
    t.intersection([t.type({ error: t.number }), t.partial({ exit: t.boolean })]),
    t.literal('hang'),
    t.literal('close'),
  ]);

/**
 * How a shim behaves. `refuse` is the socket file of a shim that is gone: nobody listens on it. With `exit`, the shim
 * closes its listener and its connections right after answering.
 */
export const ShimScript = t.readonly(
  t.type({
    mode: t.keyof({ refuse: null, serve: null }),
    connect: reply(t.type({ task: t.number })),
    pids: reply(t.type({ pids: t.readonlyArray(t.number) })),
    del: reply(t.intersection([t.type({ pid: t.number }), t.partial({ status: t.number })])),
    shutdown: reply(t.type({})),
  }),
  'ShimScript',
);
export type ShimScript = t.TypeOf<typeof ShimScript>;

export interface ScriptedShim {
  /** The calls received so far, in order, as `task.v2.Task/Connect`. */
  readonly calls: IO<ReadonlyArray<string>>;
  /** Ends it and removes its socket. Stopping twice is harmless. */
  readonly stop: Task<void>;
}

/** When a scripted task ended: fixed, so that two runs print the same. */
const exitedAt = { seconds: '1700000000', nanos: 0 };

type Reply<A> =
  | { readonly ok: A; readonly exit?: boolean | undefined }
  | { readonly error: number; readonly exit?: boolean | undefined }
  | 'hang'
  | 'close';

const behaviourOf =
  <A>(payloadOf: (ok: A) => Uint8Array) =>
  (scripted: Reply<A>): Behaviour => {
    if (scripted === 'hang') return { _tag: 'Hang' };
    if (scripted === 'close') return { _tag: 'Close' };
    const exits = scripted.exit ?? false;
    return 'ok' in scripted
      ? { _tag: 'Answer', payload: payloadOf(scripted.ok), exits }
      : { _tag: 'Fail', code: scripted.error, message: 'scripted', exits };
  };

const behavioursOf = (script: ShimScript): ReadonlyArray<readonly [string, Behaviour]> => [
  [
    'Connect',
    behaviourOf((ok: { readonly task: number }) =>
      encode(ConnectResponse)({ shimPid: process.pid, taskPid: ok.task, version: 'scripted' }),
    )(script.connect),
  ],
  [
    'Pids',
    behaviourOf((ok: { readonly pids: ReadonlyArray<number> }) =>
      encode(PidsResponse)({ processes: ok.pids.map((pid) => ({ pid, info: O.none })) }),
    )(script.pids),
  ],
  [
    'Delete',
    behaviourOf((ok: { readonly pid: number; readonly status?: number | undefined }) =>
      encode(DeleteResponse)({ pid: ok.pid, exitStatus: ok.status ?? 0, exitedAt }),
    )(script.del),
  ],
  ['Shutdown', behaviourOf(() => new Uint8Array())(script.shutdown)],
];

const listenError = (error: unknown): ListenError => ({
  _tag: 'ListenFailed',
  code: error instanceof Error && 'code' in error ? String(error.code) : String(error),
});

/** Node removes the socket that it listened on by its name: under another name, the file stays when the listener goes. */
const leaveDeadSocket = (socketPath: string): TE.TaskEither<ListenError, ScriptedShim> => {
  const listeningPath = `${socketPath}~`;
  if (Buffer.byteLength(listeningPath) > maxSocketNameBytes) return TE.left({ _tag: 'ListenFailed', code: 'EINVAL' });
  return TE.tryCatch(async () => {
    const server = createServer();
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(listeningPath, resolve));
    await rename(listeningPath, socketPath);
    await new Promise((resolve) => server.close(resolve));
    return { calls: () => [], stop: () => unlink(socketPath).catch(() => undefined) };
  }, listenError);
};

/** Starts a shim at this socket path. It answers as either version of the task service. */
export const startScriptedShim = ({
  socketPath,
  script,
}: {
  readonly socketPath: string;
  readonly script: ShimScript;
}): TE.TaskEither<ListenError, ScriptedShim> => {
  if (script.mode === 'refuse') return leaveDeadSocket(socketPath);
  const handlers = new Map(
    ['v2', 'v3'].flatMap((version) =>
      behavioursOf(script).map(([method, behaviour]) => [`containerd.task.${version}.Task/${method}`, () => behaviour]),
    ),
  );
  return serve({ socketPath, handlers });
};

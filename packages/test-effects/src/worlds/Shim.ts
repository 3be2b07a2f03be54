/** How an imaginary shim behaves: what it answers, how late, and when it dies. */
import { TaskStatus } from '@shim-recovery/core/interpreter';
import * as t from 'io-ts';

/**
 * What a shim does with a call: it answers (`ok`; with `exit`, it closes its listener and every connection right after),
 * answers a gRPC status code (`error`), says nothing (`hang`), ends the connection (`close`), or dies in the middle of
 * it, with all its connections (`die`).
 */
export type PlainReply<A> =
  | { readonly ok: A; readonly exit?: boolean }
  | { readonly error: number }
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

const replyOf = <A, O>(ok: t.Type<A, O>) => {
  const plain = t.union([
    t.exact(t.intersection([t.type({ ok }), t.partial({ exit: t.boolean })])),
    t.exact(t.type({ error: t.number })),
    t.keyof({ hang: null, close: null, die: null }),
  ]);
  const late = t.exact(t.type({ afterMs: t.number, reply: plain }));
  return t.union([plain, late, t.exact(t.type({ turns: t.readonlyArray(t.union([plain, late])) }))]);
};

/**
 * A scripted shim. `refuse`: its socket is there, but nobody listens. `serve`: it answers each call as written here.
 * `diesAfterMs`: it dies by itself, so long after the world began.
 */
export const ShimScript = t.exact(
  t.intersection([
    t.type({
      mode: t.keyof({ refuse: null, serve: null }),
      connect: replyOf(t.exact(t.type({ task: t.number }))),
      pids: replyOf(t.exact(t.type({ pids: t.readonlyArray(t.number) }))),
      del: replyOf(t.exact(t.intersection([t.type({ pid: t.number }), t.partial({ status: t.number })]))),
      shutdown: replyOf(t.exact(t.type({}))),
    }),
    t.partial({
      /** Absent: running, or of a task that it does not know, as it answers Pids. */
      state: replyOf(t.exact(t.intersection([t.type({ status: TaskStatus }), t.partial({ exitStatus: t.number })]))),
      diesAfterMs: t.number,
    }),
  ]),
  'ShimScript',
);

export type ShimScript = t.TypeOf<typeof ShimScript>;

/** A shim whose task has one process. */
export const running: ShimScript = {
  mode: 'serve',
  connect: { ok: { task: 900 } },
  pids: { ok: { pids: [900] } },
  del: { ok: { pid: 900, status: 137 } },
  shutdown: { ok: {}, exit: true },
};

/** A shim without a task: the daemon died before it created one, or after it deleted it. */
export const leaked: ShimScript = { ...running, connect: { ok: { task: 0 } }, pids: { ok: { pids: [] } } };

/** A shim whose task ended, and whose exit nobody collected. */
export const exited: ShimScript = {
  ...running,
  pids: { ok: { pids: [] } },
  state: { ok: { status: 'stopped', exitStatus: 3 } },
  del: { ok: { pid: 900, status: 3 } },
};

/** A shim that is gone, and left its socket behind. */
export const dead: ShimScript = { ...running, mode: 'refuse' };

/** What a shim does with its `turn`th call of a kind, from 0. Without any turns it says nothing. */
export const replyAt = <A>(reply: Reply<A>, turn: number): LateReply<A> => {
  const one = hasTurns(reply) ? (reply.turns[Math.min(turn, reply.turns.length - 1)] ?? 'hang') : reply;
  return isLate(one) ? one : { afterMs: 0, reply: one };
};

const hasTurns = <A>(reply: Reply<A>): reply is Extract<Reply<A>, { readonly turns: unknown }> =>
  typeof reply === 'object' && 'turns' in reply;

const isLate = <A>(reply: PlainReply<A> | LateReply<A>): reply is LateReply<A> =>
  typeof reply === 'object' && 'afterMs' in reply;

type StateReply = PlainReply<{ readonly status: TaskStatus; readonly exitStatus?: number }>;

/** What a shim does with its `turn`th State; what goes with its answer to Pids, where the script does not say. */
export const stateAt = (
  { pids, state }: ShimScript,
  turn: number,
): LateReply<{ readonly status: TaskStatus; readonly exitStatus?: number }> => {
  if (state !== undefined) return replyAt(state, turn);
  const like = replyAt(pids, turn);
  return { ...like, reply: stateLike(like.reply) };
};

const stateLike = (pids: PlainReply<{ readonly pids: ReadonlyArray<number> }>): StateReply => {
  if (typeof pids === 'string' || !('ok' in pids)) return pids;
  return pids.ok.pids.length > 0 ? { ok: { status: 'running' } } : { error: 5 };
};

/** Whether it does the same at every call, at once, for ever, and never ends but when it is told to. */
export const isSteady = ({ connect, pids, state = 'hang', del, shutdown, diesAfterMs }: ShimScript): boolean =>
  diesAfterMs === undefined && [connect, pids, state, del, shutdown].every(isPlain);

const isPlain = (reply: Reply<unknown>): boolean => reply !== 'die' && !hasTurns(reply) && !isLate(reply);

/** Whether it may end without having been told to. */
export const canDie = ({ connect, pids, state = 'hang', del, shutdown, diesAfterMs }: ShimScript): boolean =>
  diesAfterMs !== undefined ||
  [connect, pids, state, del, shutdown].some((reply) => JSON.stringify(reply).includes('"die"'));

/** The processes that it tells of whenever it is asked; 0 where it does not always tell the same, or does not live. */
export const listedProcesses = (script: ShimScript): number => {
  const { mode, pids } = script;
  if (mode === 'refuse' || canDie(script) || hasTurns(pids)) return 0;
  const { reply } = replyAt(pids, 0);
  return typeof reply === 'object' && 'ok' in reply ? reply.ok.pids.length : 0;
};

/** Whether it ends at some moment of its own, so that what becomes of its bundle is a question of time. */
export const endsInTime = ({ connect, pids, state = 'hang', del, shutdown, diesAfterMs }: ShimScript): boolean =>
  diesAfterMs !== undefined ||
  [connect, pids, state, del, shutdown].some((reply) => JSON.stringify(reply).includes('afterMs'));

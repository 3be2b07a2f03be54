/** Parts of random worlds: what is mostly as usual, and shims. */
import * as fc from 'fast-check';
import { dead, exited, isSteady, leaked, type PlainReply, type Reply, running, ShimScript } from '../worlds/Shim.js';
import type { Start } from '../worlds/World.js';

/** The usual, but for one time in so many. Shrinks to the usual. */
export const mostly = <A>(usual: A, unusual: fc.Arbitrary<A>, onceIn: number): fc.Arbitrary<A> =>
  fc.oneof(
    { withCrossShrink: true },
    { weight: onceIn - 1, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: unusual },
  );

/** A part that is there one time in so many. Shrinks to nothing. */
export const sometimes = <A extends object>(part: fc.Arbitrary<A>, onceIn: number): fc.Arbitrary<Partial<A>> =>
  mostly<Partial<A>>({}, part, onceIn);

/** A shim: one whose task runs, one without a task, one that is gone; with anything odd about it. */
export const shimScript = (): fc.Arbitrary<ShimScript> =>
  fc
    .tuple(
      fc.constantFrom(running, running, leaked, dead, exited),
      sometimes(fc.record({ connect: reply(fc.constantFrom({ task: 900 }, { task: 0 })) }), 3),
      sometimes(fc.record({ pids: reply(fc.constantFrom({ pids: [900] }, { pids: [900, 901] }, { pids: [] })) }), 3),
      sometimes(fc.record({ del: reply(fc.constant({ pid: 900, status: 137 })) }), 3),
      sometimes(fc.record({ shutdown: reply<Record<string, never>>(fc.constant({})) }), 3),
      sometimes(fc.record({ diesAfterMs: fc.constantFrom(1_000, 10_000) }), 5),
    )
    .map(([usual, connect, pids, del, shutdown, dies]) => ({
      ...usual,
      ...connect,
      ...pids,
      ...del,
      ...shutdown,
      ...dies,
    }));

/** Replies as they come, and others that come late, in time or not (the reference waits five seconds), or that change from call to call. */
const reply = <A>(ok: fc.Arbitrary<A>): fc.Arbitrary<Reply<A>> =>
  fc.oneof(
    { withCrossShrink: true },
    { weight: 6, arbitrary: oddReply(ok) },
    { weight: 1, arbitrary: fc.record({ afterMs: fc.constantFrom(20, 4_000, 6_000), reply: oddReply(ok) }) },
    { weight: 1, arbitrary: fc.record({ turns: fc.array(oddReply(ok), { minLength: 2, maxLength: 3 }) }) },
  );

const oddReply = <A>(ok: fc.Arbitrary<A>): fc.Arbitrary<PlainReply<A>> =>
  fc.oneof(
    ok.map((value) => ({ ok: value })),
    fc.constantFrom(5, 2, 12, 13, 14).map((error) => ({ error })),
    fc.constantFrom('close' as const, 'hang' as const, 'die' as const),
  );

/** Only a shim that does not answer well, or is gone, can have left a process that it does not tell of. */
export const plausible = ({ processes, ...entry }: Omit<Start, 'ns' | 'id'>): Omit<Start, 'ns' | 'id'> => {
  const { shim } = entry;
  const isSilent = ShimScript.is(shim) && isSteady(shim) && !listsNone(shim);
  return isSilent && processes !== undefined ? { ...entry, processes } : entry;
};

const listsNone = ({ pids }: ShimScript): boolean => JSON.stringify(pids) === JSON.stringify(leaked.pids);

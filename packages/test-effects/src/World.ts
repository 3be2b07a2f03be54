/**
 * Recorded recoveries: starting worlds, and what real builds of containerd left behind when they were started on them
 * (`corpus/README.md` says what each word means; SPEC 22). Data only: how a world is laid is in `WorldTree`, how its
 * end is told in the words of the recordings in `Outcome`.
 */
import { readFileSync } from 'node:fs';
import * as B from '@shim-recovery/core/ByteString';
import * as E from 'fp-ts/lib/Either.js';
import type * as IOE from 'fp-ts/lib/IOEither.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as t from 'io-ts';
import { failure } from 'io-ts/lib/PathReporter.js';

/** What a scripted shim does with a call: answers, answers a gRPC status code, says nothing, or hangs up. */
const answerOf = <A, O>(ok: t.Type<A, O>) =>
  t.union([t.exact(t.type({ ok })), t.exact(t.type({ error: t.number })), t.keyof({ hang: null, close: null })]);

const nothing = t.exact(t.type({}));

export const ShutdownAnswer = t.union([
  t.exact(t.intersection([t.type({ ok: nothing }), t.partial({ exit: t.boolean })])),
  t.exact(t.type({ error: t.number })),
  t.keyof({ hang: null, close: null }),
]);

/**
 * A scripted shim. `refuse`: its socket is there, but nobody listens. `serve`: it answers each call as written here;
 * with `exit`, it closes its listener and every connection right after it answered Shutdown.
 */
export const ShimScript = t.exact(
  t.type({
    mode: t.keyof({ refuse: null, serve: null }),
    connect: answerOf(t.exact(t.type({ task: t.number }))),
    pids: answerOf(t.exact(t.type({ pids: t.readonlyArray(t.number) }))),
    del: answerOf(t.exact(t.intersection([t.type({ pid: t.number }), t.partial({ status: t.number })]))),
    shutdown: ShutdownAnswer,
  }),
  'ShimScript',
);
export type ShimScript = t.TypeOf<typeof ShimScript>;

/** A bundle that is a directory with something in it. The texts may hold placeholders. */
export const BundleStart = t.exact(
  t.type({
    files: t.readonly(t.record(t.string, t.string)),
    work: t.keyof({ link: null, none: null, dangling: null, elsewhere: null, dir: null }),
    rootfs: t.keyof({ empty: null, none: null, nonempty: null, symlink: null, tmpfs: null, 'tmpfs-nested': null }),
    log: t.keyof({ fifo: null, none: null, file: null, dir: null }),
  }),
  'BundleStart',
);
export type BundleStart = t.TypeOf<typeof BundleStart>;

/** One entry of a starting world: everything that has to do with one id in one namespace. */
export const RecordedStart = t.exact(
  t.intersection([
    t.type({ set: t.keyof({ hand: null, random: null }), ns: t.string, id: t.string }),
    t.partial({
      bundle: t.union([t.keyof({ empty: null, file: null, symlink: null }), BundleStart]),
      container: t.string,
      sandbox: t.literal(true),
      shim: ShimScript,
      workdir: t.union([t.literal(true), t.literal('deep')]),
      workfile: t.literal(true),
      worklink: t.literal(true),
      hiddenTwin: t.literal(true),
      hiddenWorkTwin: t.literal(true),
    }),
  ]),
  'RecordedStart',
);
export type RecordedStart = t.TypeOf<typeof RecordedStart>;

/** What became of a tree: not one entry changed, it went, it was not there before either, or what stands there now. */
export const Fate = t.union(
  [t.keyof({ kept: null, gone: null, none: null }), t.exact(t.type({ now: t.readonlyArray(t.string) }))],
  'Fate',
);
export type Fate = t.TypeOf<typeof Fate>;

/** What was left behind of one entry. */
export const RecordedOutcome = t.exact(
  t.intersection([
    t.type({
      state: Fate,
      work: Fate,
      registered: t.boolean,
      rpc: t.readonlyArray(t.string),
      /** Whether the shim's binary ran; `either` where it was a race. An observation never says `either`. */
      delete: t.union([t.boolean, t.literal('either')]),
    }),
    t.partial({ outside: Fate, hidden: t.readonlyArray(t.string), mounts: t.number }),
  ]),
  'RecordedOutcome',
);
export type RecordedOutcome = t.TypeOf<typeof RecordedOutcome>;

/** A start, and every outcome that was seen of it, by daemon. */
export const RecordedCase = t.exact(
  t.type({
    given: RecordedStart,
    // oxlint-disable-next-line unicorn/no-thenable -- the recordings' own word; it is no function, so nothing awaits it
    then: t.exact(
      t.type({
        'containerd-1.6': t.readonlyArray(RecordedOutcome),
        'containerd-1.7': t.readonlyArray(RecordedOutcome),
        'containerd-2.1': t.readonlyArray(RecordedOutcome),
      }),
    ),
  }),
  'RecordedCase',
);
export type RecordedCase = t.TypeOf<typeof RecordedCase>;

/** A start of one's own, of which nothing was recorded. */
export const unrecorded = (given: RecordedStart): RecordedCase => ({
  given,
  // oxlint-disable-next-line unicorn/no-thenable -- the recordings' own word; nobody awaits a case
  then: { 'containerd-1.6': [], 'containerd-1.7': [], 'containerd-2.1': [] },
});

/** The daemons that were recorded. */
export type Daemon = keyof RecordedCase['then'];

/** All cases of a set: they shared one state and one root directory, one store, and one run. */
export interface RecordedWorld {
  readonly set: RecordedStart['set'];
  readonly cases: ReadonlyArray<RecordedCase>;
}

/** The cases by set, each set in the order of the recordings. */
export const worldsOf = (cases: ReadonlyArray<RecordedCase>): ReadonlyArray<RecordedWorld> => {
  const bySet = new Map<RecordedStart['set'], Array<RecordedCase>>();
  for (const recorded of cases) {
    const { set } = recorded.given;
    bySet.set(set, [...(bySet.get(set) ?? []), recorded]);
  }
  return [...bySet].map(([set, members]) => ({ set, cases: members }));
};

/** Whose entry a case is about, as the core names it. */
export interface CaseKey {
  readonly namespace: B.ByteString;
  readonly id: B.ByteString;
}

export const keyOf = ({ ns, id }: RecordedStart): CaseKey => ({ namespace: B.fromText(ns), id: B.fromText(id) });

export const sameKey = (first: CaseKey, second: CaseKey): boolean =>
  first.namespace === second.namespace && first.id === second.id;

/** What the shims' programs do when they are run with `delete`. All but `not-executable` have mode 0755. */
export const shimPrograms = [
  { name: 'shim-ok', behaviour: 'ok' },
  { name: 'containerd-shim-fake-v1', behaviour: 'ok' },
  { name: 'shim-warn', behaviour: 'warn' },
  { name: 'shim-fail', behaviour: 'fail' },
  { name: 'shim-garbage', behaviour: 'garbage' },
  { name: 'shim-hang', behaviour: 'hang' },
  { name: 'not-executable', behaviour: 'not-executable' },
] as const;
export type ShimProgram = (typeof shimPrograms)[number];

/** Why the recordings cannot be used. */
export interface RecordingsError {
  readonly _tag: 'RecordingsUnreadable' | 'RecordingsMalformed';
  readonly reason: string;
}

export const decodeRecordings = (document: unknown): E.Either<RecordingsError, ReadonlyArray<RecordedCase>> =>
  pipe(
    t.readonlyArray(RecordedCase).decode(document),
    E.mapLeft((errors) => ({ _tag: 'RecordingsMalformed', reason: failure(errors).slice(0, 5).join('\n') })),
  );

/** The recordings that come with this package. */
export const recordingsFile = new URL('../corpus/recoveries.json', import.meta.url);

/** Reads them. */
export const loadRecordings: IOE.IOEither<RecordingsError, ReadonlyArray<RecordedCase>> = () =>
  pipe(
    E.tryCatch(
      (): unknown => JSON.parse(readFileSync(recordingsFile, 'utf8')),
      (problem): RecordingsError => ({ _tag: 'RecordingsUnreadable', reason: String(problem) }),
    ),
    E.chain(decodeRecordings),
  );

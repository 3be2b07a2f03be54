/**
 * Recorded recoveries: starting worlds, and what real builds of containerd left behind when they were started on them
 * (`corpus/README.md` says what each word means; SPEC 22). Data only: how a world is laid is in `WorldTree`, how its
 * end is told in the words of the recordings in `Outcome`.
 */
import { readFileSync } from 'node:fs';
import * as E from 'fp-ts/lib/Either.js';
import type * as IOE from 'fp-ts/lib/IOEither.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as t from 'io-ts';
import { failure } from 'io-ts/lib/PathReporter.js';
import { isSteady, ShimScript } from './Shim.js';
import { keyText, Start, type World } from './World.js';

/** One entry of a recorded world, and which world that is. */
export const RecordedStart = t.intersection(
  [Start, t.exact(t.type({ set: t.keyof({ hand: null, random: null }) }))],
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

/** The daemons that were recorded. */
export type Daemon = keyof RecordedCase['then'];

export const allDaemons: ReadonlyArray<Daemon> = ['containerd-1.6', 'containerd-1.7', 'containerd-2.1'];

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

/** A recorded world, ready to be laid. */
export const toWorld = ({ cases }: Pick<RecordedWorld, 'cases'>): World => ({
  entries: cases.map(({ given }) => toStart(given)),
});

/** An entry in the words of worlds. */
const toStart = (recorded: RecordedStart): Start => {
  const { set: _, ...start } = recorded;
  return start;
};

/** The way back: each entry in the words of the recordings, or which of its words they do not have. */
export const toRecordedStarts =
  (set: RecordedStart['set']) =>
  ({ entries }: World): E.Either<RecordingsError, ReadonlyArray<RecordedStart>> => {
    const unknown = entries.flatMap((start) => newWords(start).map((word) => `${keyText(start)}: ${word}`));
    return unknown.length > 0
      ? E.left({ _tag: 'RecordingsMalformed', reason: `no recording has ${unknown.join(', ')}` })
      : E.right(entries.map((start) => ({ set, ...start })));
  };

/** What an entry has that no recorded one can have. */
const newWords = (start: Start): ReadonlyArray<string> => {
  const { bundle, shim } = start;
  return [
    ...(typeof bundle === 'object' && /-(?:busy|stacked)$/.test(bundle.rootfs) ? [`rootfs ${bundle.rootfs}`] : []),
    ...(shim !== undefined && 'of' in shim ? ['a shared shim'] : []),
    ...(ShimScript.is(shim) && !isSteady(shim) ? ['a shim that changes'] : []),
    ...wordsOfEvidence.filter((word) => start[word] !== undefined),
  ];
};

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
export const recordingsFile = new URL('../../corpus/recoveries.json', import.meta.url);

/** Reads them. */
export const loadRecordings: IOE.IOEither<RecordingsError, ReadonlyArray<RecordedCase>> = () =>
  pipe(
    E.tryCatch(
      (): unknown => JSON.parse(readFileSync(recordingsFile, 'utf8')),
      (problem): RecordingsError => ({ _tag: 'RecordingsUnreadable', reason: String(problem) }),
    ),
    E.chain(decodeRecordings),
  );

/** The words for what shows of a shim and a container from outside, which no recording has. */
const wordsOfEvidence = [
  'processes',
  'extras',
  'tree',
  'userOwned',
  'shimArgs',
  'shimCwd',
  'shimNamespace',
  'socket',
  'cgroup',
  'containerRoot',
  'mainThreadEnded',
  'runtimeState',
  'runtimeRoot',
] as const satisfies ReadonlyArray<keyof Start>;

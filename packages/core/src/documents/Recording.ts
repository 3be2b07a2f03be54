/**
 * The facts that a run learns of a host, written down line by line while it goes on: one JSON document a line, in ASCII
 * (`shim-recovery/recording@1`, docs/formats.md). A run that dies leaves all lines but its last whole, so that the facts
 * it had learnt can still be replayed.
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import type { IO } from 'fp-ts/lib/IO.js';
import * as O from 'fp-ts/lib/Option.js';
import * as t from 'io-ts';
import * as B from '../base/ByteString.js';
import { asciiJson, parseJson, Schema, showErrors, showValue, Time } from '../base/JsonDocument.js';
import { choicesOf, type Policy, PolicyChoices } from '../policy/Policy.js';
import { Understanding } from '../report/Report.js';
import type { Settings } from '../policy/Settings.js';
import { type HostFacts, BundleFacts, NamespaceFacts, type WorkListing } from '../plan/HostFacts.js';
import type { Observer, ObserverEvent } from '../observe/Observer.js';

const schema = 'shim-recovery/recording@1';

/** The first line: what is recorded. Policies are named as text, so that a name that is not known here can be told. */
const Head = t.intersection(
  [
    t.readonly(
      t.type({
        _tag: t.literal('Head'),
        schema: t.literal(schema),
        command: t.keyof({ plan: null, recover: null }),
        /** Whose decisions the run took. */
        policy: t.string,
        /** Whose questions were asked, that one's among them: the recording can be replayed under each. */
        policies: t.readonlyArray(t.string),
        state: B.ByteString,
        root: B.ByteString,
        startedAt: Time,
        /** The namespaces that were asked for; empty means all. */
        namespaces: t.readonlyArray(B.ByteString),
      }),
    ),
    /** The run's choices within its policy. The first recordings lack them: then the policy's own values count. */
    t.readonly(t.partial({ choices: PolicyChoices })),
    Understanding,
  ],
  'Head',
);

export interface Head extends t.TypeOf<typeof Head> {}

const BundleLine = t.readonly(t.type({ _tag: t.literal('Bundle'), ...BundleFacts.type.props }), 'Bundle');

const { bundles: _, ...namespaceFields } = NamespaceFacts.type.props;

const NamespaceLine = t.readonly(t.type({ _tag: t.literal('Namespace'), ...namespaceFields }), 'Namespace');

type NamespaceLine = t.TypeOf<typeof NamespaceLine>;

/** The last line. The counts tell whether a line got lost on the way. */
const End = t.readonly(
  t.type({
    _tag: t.literal('End'),
    interrupted: t.boolean,
    durationMs: t.number,
    bundles: t.number,
    namespaces: t.number,
  }),
  'End',
);

type End = t.TypeOf<typeof End>;

const RecordingLine = t.union([Head, BundleLine, NamespaceLine, End], 'line of a recording');

type RecordingLine = t.TypeOf<typeof RecordingLine>;

/** A recording that was read. It is not complete where the run, or the file, ended early. */
export interface Recording {
  readonly head: Head;
  readonly bundles: ReadonlyArray<BundleFacts>;
  readonly namespaces: ReadonlyArray<Omit<NamespaceFacts, 'bundles'>>;
  readonly end: O.Option<Pick<End, 'interrupted' | 'durationMs'>>;
  readonly isComplete: boolean;
}

/**
 * - `NotRecording`: the first line is not that of a recording.
 * - `OtherVersion`: it is one, in a schema that this version does not read.
 * - `LineMalformed`: `line` counts from 1.
 * - `LinesMissing`: fewer or more lines than its end tells.
 */
export type RecordingError =
  | { readonly _tag: 'NotRecording'; readonly reason: string }
  | { readonly _tag: 'OtherVersion'; readonly schema: string }
  | { readonly _tag: 'LineMalformed'; readonly line: number; readonly reason: string }
  | {
      readonly _tag: 'LinesMissing';
      readonly kind: 'bundles' | 'namespaces';
      readonly told: number;
      readonly found: number;
    };

/** A sentence for people. */
export const showRecordingError = (error: RecordingError): string => {
  switch (error._tag) {
    case 'NotRecording':
      return `it is no recording: ${error.reason}; plan --record FILE makes one`;
    case 'OtherVersion':
      return `it is written as ${error.schema}, and this version reads ${schema} only; replay it with the version that recorded it, or a newer one`;
    case 'LineMalformed':
      return `line ${error.line} is damaged: ${error.reason}; nothing of it is replayed, as what is missing is not known: record it anew`;
    case 'LinesMissing':
      return `its end tells of ${error.told} ${error.kind}, but there are ${error.found}: lines were lost or added; copy it anew`;
  }
};

/** The head of a recording: the command, its settings and its directories. */
export const headOf = (
  command: Head['command'],
  { policy, state, root, namespaces }: Settings,
  others: ReadonlyArray<Policy>,
  startedMs: number,
  understanding: Understanding = {},
): Head => ({
  _tag: 'Head',
  schema,
  command,
  policy: policy.name,
  choices: choicesOf(policy),
  policies: [...new Set([policy, ...others].map(({ name }) => name))],
  state,
  root,
  startedAt: new Date(startedMs).toISOString(),
  namespaces,
  ...understanding,
});

/** Follows a run and writes down what it learns. */
export interface Recorder {
  readonly observer: Observer;
  /** Writes the last line; what is told afterwards is not recorded. */
  readonly end: (run: Pick<End, 'interrupted' | 'durationMs'>) => IO<void>;
}

/** Writes the first line at once, and each other as soon as what it tells is known. */
export const startRecording =
  (write: (line: string) => IO<void>) =>
  (head: Head): IO<Recorder> =>
  () => {
    const written = { Head: 0, Bundle: 0, Namespace: 0, End: 0 };
    const put = (line: RecordingLine): void => {
      if (written.End > 0) return;
      written[line._tag]++;
      write(encodeLine(line))();
    };
    put(head);
    return {
      observer: { notify: (event) => () => pipe(lineOf(event), O.map(put), () => undefined) },
      end:
        ({ interrupted, durationMs }) =>
        () =>
          put({
            _tag: 'End',
            interrupted,
            durationMs,
            bundles: written.Bundle,
            namespaces: written.Namespace,
          }),
    };
  };

/** One line with its end, in ASCII. Wherever it is cut off, the rest cannot be parsed as JSON. */
const encodeLine = (line: RecordingLine): string => `${asciiJson(RecordingLine.encode(line))}\n`;

const lineOf = (event: ObserverEvent): O.Option<RecordingLine> => {
  switch (event._tag) {
    case 'BundleDecided':
      return O.some({ _tag: 'Bundle', ...event.facts });
    case 'NamespaceInspected':
      return O.some({ _tag: 'Namespace', ...event.namespace });
    default:
      return O.none;
  }
};

/**
 * Reads a recording. A last line that was cut off while it was written is left out, and so are all lines that were never
 * written; anything else that is not as it was written is refused, lest it change what is decided.
 */
export const parseRecording = (text: string): E.Either<RecordingError, Recording> => {
  const [first = '', ...rest] = text.split('\n');
  const head = parseHead(first);
  if (E.isLeft(head)) return head;
  const last = rest.at(-1);
  const isCutOff = last !== undefined && last !== '' && O.isNone(parseJson(last));
  const lines = parseLines(last === '' || isCutOff ? rest.slice(0, -1) : rest);
  if (E.isLeft(lines)) return lines;
  const end = lines.right.find((line) => line._tag === 'End');
  const recording: Recording = {
    head: head.right,
    bundles: lines.right.flatMap((line) => {
      if (line._tag !== 'Bundle') return [];
      const { evidence, answers } = line;
      return [{ evidence, answers }];
    }),
    namespaces: lines.right.flatMap((line) => {
      if (line._tag !== 'Namespace') return [];
      const { name, error, workDirectories } = line;
      return [{ name, error, workDirectories }];
    }),
    end: O.fromNullable(end),
    isComplete: end !== undefined && !isCutOff,
  };
  return end === undefined
    ? E.right(recording)
    : pipe(
        checkCounts(recording, end),
        E.map(() => recording),
      );
};

/** The first line, which says whether the rest can be read. */
const parseHead = (text: string): E.Either<RecordingError, Head> => {
  const json = parseJson(text);
  const refused = (reason: string): E.Either<RecordingError, never> => E.left({ _tag: 'NotRecording', reason });
  if (text === '') return refused('it is empty');
  if (O.isNone(json)) return refused('its first line is no JSON');
  if (!Schema.is(json.value)) return refused('its first line names no schema');
  const named = json.value.schema;
  if (/^shim-recovery\/recording@\d+$/.test(named) && named !== schema)
    return E.left({ _tag: 'OtherVersion', schema: named });
  if (named !== schema) return refused(`its schema is ${showValue(named)}`);
  return pipe(
    Head.decode(json.value),
    E.mapLeft((errors) => ({ _tag: 'LineMalformed', line: 1, reason: showErrors(errors) })),
  );
};

/** The lines after the first. `texts` are whole; the first of them is line 2. */
const parseLines = (texts: ReadonlyArray<string>): E.Either<RecordingError, ReadonlyArray<LaterLine>> => {
  const lines: Array<LaterLine> = [];
  const seen = new Set<string>();
  for (const [index, text] of texts.entries()) {
    const number = index + 2;
    if (lines.at(-1)?._tag === 'End') return malformed(number, 'it stands after the end');
    const json = parseJson(text);
    if (O.isNone(json)) return malformed(number, text === '' ? 'it is empty' : 'it is no JSON');
    const line = LaterLine.decode(json.value);
    if (E.isLeft(line)) return malformed(number, showErrors(line.left));
    const subject = subjectOf(line.right);
    if (seen.has(subject)) return malformed(number, `${subject} was recorded before`);
    seen.add(subject);
    lines.push(line.right);
  }
  return E.right(lines);
};

type LaterLine = Exclude<RecordingLine, Head>;

const LaterLine: t.Type<LaterLine, unknown> = t.union([BundleLine, NamespaceLine, End], 'line of a recording');

const malformed = (line: number, reason: string): E.Either<RecordingError, never> =>
  E.left({ _tag: 'LineMalformed', line, reason });

/** The subject of a line: two lines on the same subject would contradict each other. */
const subjectOf = (line: LaterLine): string => {
  switch (line._tag) {
    case 'Bundle':
      return `the bundle ${B.show(line.evidence.namespace)}/${B.show(line.evidence.id)}`;
    case 'Namespace':
      return `the namespace ${B.show(line.name)}`;
    case 'End':
      return 'the end';
  }
};

/** Whether there are as many lines as the end tells. */
const checkCounts = ({ bundles, namespaces }: Recording, end: End): E.Either<RecordingError, void> => {
  for (const [kind, found] of [
    ['bundles', bundles.length],
    ['namespaces', namespaces.length],
  ] as const)
    if (found !== end[kind]) return E.left({ _tag: 'LinesMissing', kind, told: end[kind], found });
  return E.right(undefined);
};

/** The facts in a recording. One that ends early counts as the recording of a run that was interrupted. */
export const factsOf = ({ head, bundles, namespaces, end }: Recording): HostFacts => {
  const settled = new Map<B.ByteString, Array<BundleFacts>>(namespaces.map(({ name }) => [name, []]));
  for (const bundle of bundles) {
    const { namespace } = bundle.evidence;
    const found = settled.get(namespace);
    if (found === undefined) settled.set(namespace, [bundle]);
    else found.push(bundle);
  }
  const told = new Map(namespaces.map((namespace) => [namespace.name, namespace]));
  const facts = [...settled].map(
    ([name, found]): NamespaceFacts => ({
      ...(told.get(name) ?? { name, error: null, workDirectories: unrecorded }),
      bundles: byName(({ evidence }: BundleFacts) => evidence.id)(found),
    }),
  );
  return {
    state: head.state,
    root: head.root,
    interrupted: O.isNone(end) || end.value.interrupted,
    namespaces: byName(({ name }: NamespaceFacts) => name)(facts),
  };
};

const unrecorded: WorkListing = {
  _tag: 'NotListed',
  error: 'the recording ends before its working directories; what becomes of them is not known',
};

/** Sorts them in the order in which a run looks at them; they may have been settled in another. */
const byName =
  <A>(nameOf: (item: A) => B.ByteString) =>
  (items: ReadonlyArray<A>): ReadonlyArray<A> =>
    [...items].sort((first, second) => B.Ord.compare(nameOf(first), nameOf(second)));

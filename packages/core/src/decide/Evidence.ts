/** All that is known about one bundle: its part of the snapshot, and the answers to the questions asked so far. */
import type * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import * as B from '../base/ByteString.js';
import { FileError, FileKind, FileStatus } from '../capabilities/FileSystem.js';
import { RuntimeError } from '../policy/ShimProgram.js';
import { livingShim, pidsOf, Signs } from './Signs.js';
import { ConnectAnswer, ShimError, TaskState } from '../capabilities/ShimConnector.js';
import { ContainerRecord, Lookup, SandboxRecord } from '../capabilities/Stores.js';

const eitherOf = <L, R>(left: t.Type<L, unknown>, right: t.Type<R, unknown>): t.Type<E.Either<L, R>, unknown> =>
  t.union([
    t.readonly(t.type({ _tag: t.literal('Left'), left })),
    t.readonly(t.type({ _tag: t.literal('Right'), right })),
  ]);

/** The result of reading a small file or a symlink of the bundle. */
export const Reading = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('Read'), content: B.ByteString })),
    t.readonly(t.type({ _tag: t.literal('Absent') })),
    t.readonly(t.type({ _tag: t.literal('Failed'), error: FileError })),
  ],
  'Reading',
);

export type Reading = t.TypeOf<typeof Reading>;

/**
 * The file at `log`, after following symlinks: none (a FIFO will be made there), one that can be held open, or one that
 * cannot, with the error that opening it gives (SPEC 8.3).
 */
export const LogState = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('Absent') })),
    t.readonly(t.type({ _tag: t.literal('Usable'), kind: FileKind })),
    t.readonly(t.type({ _tag: t.literal('Unusable'), error: FileError })),
  ],
  'LogState',
);

export type LogState = t.TypeOf<typeof LogState>;

/** The contents of the bundle's directory. A bundle without a single entry is `Empty`; hidden entries count (SPEC 4, step 5). */
export const BundleContents = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('Unreadable'), error: FileError })),
    t.readonly(t.type({ _tag: t.literal('Empty') })),
    t.readonly(
      t.intersection([
        t.type({
          _tag: t.literal('Listed'),
          shimBinaryPath: Reading,
          address: Reading,
          bootstrap: Reading,
          log: LogState,
          work: Reading,
        }),
        /** The first version did not look for these. */
        t.partial({
          /** The id of the sandbox whose shim it shares. */
          sandbox: Reading,
          /** Names of some entries that no bundle has, at most three: none in a bundle as a daemon leaves it. */
          foreign: t.readonlyArray(B.ByteString),
          /** Which of the entries that tell of its container it has (`Layout.ofContainer`): the others need not be read. */
          present: t.readonlyArray(B.ByteString),
        }),
      ]),
    ),
  ],
  'BundleContents',
);

export type BundleContents = t.TypeOf<typeof BundleContents>;

/** How the attempt to reach the shim went. */
export const ConnectionAnswer = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('Connected'), answer: ConnectAnswer })),
    t.readonly(t.type({ _tag: t.literal('LogFailed'), error: FileError })),
    t.readonly(t.type({ _tag: t.literal('DialFailed'), error: ShimError })),
    t.readonly(t.type({ _tag: t.literal('ConnectFailed'), error: ShimError })),
    t.readonly(t.type({ _tag: t.literal('NotProbed') })),
  ],
  'ConnectionAnswer',
);

export type ConnectionAnswer = t.TypeOf<typeof ConnectionAnswer>;

/** A reason why a step will fail. `says` is a sentence's middle. */
export const Obstacle = t.readonly(t.type({ step: t.string, says: t.string }), 'Obstacle');

export interface Obstacle extends t.TypeOf<typeof Obstacle> {}

/** The answers, each absent until its question was asked. */
export const Answers = t.readonly(
  t.partial({
    container: Lookup(ContainerRecord),
    program: eitherOf(RuntimeError, B.ByteString),
    connection: ConnectionAnswer,
    sandbox: Lookup(SandboxRecord),
    pids: eitherOf(ShimError, t.readonlyArray(t.number)),
    state: eitherOf(ShimError, TaskState),
    /** The answer of each source to whether its shim and its container live. */
    signs: Signs,
    /** Failures of its steps that were foreseen; no decision asks for them. */
    obstacles: t.readonlyArray(Obstacle),
    /** The other bundles of the namespace that share its shim; one of another tree with its tree and namespace. */
    sharers: t.readonlyArray(B.ByteString),
  }),
  'Answers',
);

export interface Answers extends t.TypeOf<typeof Answers> {}

export const BundleEvidence = t.readonly(
  t.type({
    namespace: B.ByteString,
    id: B.ByteString,
    kind: FileKind,
    /**
     * Which directory it was that was looked into: whatever else stands under its name later is not touched. Null where
     * the identity is not known, and then no step touches what is there; or where nothing was looked into.
     */
    identity: t.union([FileStatus, t.null]),
    /** Null where it was not looked into: it is not a directory, or it is hidden. */
    contents: t.union([BundleContents, t.null]),
    answers: Answers,
  }),
  'BundleEvidence',
);

export interface BundleEvidence extends t.TypeOf<typeof BundleEvidence> {}

/**
 * The evidence with what an answer adds to it. Field by field, and by `assign`: for each object that is spread and then gets one
 * more property, V8 makes a hidden class of its own.
 */
export const withAnswers =
  (more: Answers) =>
  ({ namespace, id, kind, identity, contents, answers }: BundleEvidence): BundleEvidence => ({
    namespace,
    id,
    kind,
    identity,
    contents,
    answers: Object.assign<Answers, Answers, Answers>({}, answers, more),
  });

/** All processes that belong to the bundle, or may, as far as they were looked for. */
export const belongingPids = ({ signs = [] }: Answers): ReadonlyArray<number> =>
  pidsOf(signs.filter(({ state }) => state === 'alive' || state === 'unknown'));

/** Those that are its shim. */
export const shimPidsOf = ({ signs = [] }: Answers): ReadonlyArray<number> => pidsOf(livingShim(signs));

/** Whether what this process may see was too little to tell whether it lives. */
export const isViewLimited = ({ signs = [] }: Answers): boolean =>
  signs.some(({ source, state }) => source === 'own-view' && state === 'unknown');

/** The text of the bundle's `work` symlink, where it could be read. */
export const workOf = (evidence: BundleEvidence): B.ByteString | undefined =>
  evidence.contents?._tag === 'Listed' && evidence.contents.work._tag === 'Read'
    ? evidence.contents.work.content
    : undefined;

/**
 * The id under which the bundle was made, by the path that `work` leads to, which ends in the namespace and that id. It is
 * another one than the bundle's where that was renamed since; `undefined` where the link says none.
 */
export const formerIdOf = (evidence: BundleEvidence): B.ByteString | undefined => {
  const [namespace, id] = B.split(workOf(evidence) ?? B.empty, '/').slice(-2);
  return namespace === evidence.namespace && id !== '' ? id : undefined;
};

/** The shim's program, where it was found. */
export const programOf = (evidence: BundleEvidence): B.ByteString | undefined =>
  evidence.answers.program?._tag === 'Right' ? evidence.answers.program.right : undefined;

/**
 * A whole starting state, as data: what stands in the directories, what is mounted, what the stores know, and how the
 * shims behave. The same words as the recordings', and some more; how a world is laid is in `WorldTree`.
 *
 * ```ts
 * const crashed = world(
 *   { ns: 'default', id: 'db', bundle: ordinary, shim: running },
 *   { ns: 'default', id: 'web', bundle: { ...ordinary, rootfs: 'tmpfs' }, shim: dead, container: '$BIN/shim-ok' },
 * );
 * ```
 */
import * as B from '@shim-recovery/core/ByteString';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as t from 'io-ts';
import { failure } from 'io-ts/lib/PathReporter.js';
import { Making } from './Making.js';
import { isSteady, listedProcesses, running, ShimScript } from './Shim.js';

/**
 * A bundle that is a directory with something in it. The texts may hold placeholders: `$SOCK` for the entry's socket,
 * `$BIN` for the directory of shim programs, `$BASE` for the world's directory.
 */
export const BundleStart = t.exact(
  t.type({
    files: t.readonly(t.record(t.string, t.string)),
    work: t.keyof({ link: null, none: null, dangling: null, elsewhere: null, dir: null }),
    rootfs: t.keyof({
      empty: null,
      none: null,
      nonempty: null,
      symlink: null,
      'symlink-tmpfs': null,
      tmpfs: null,
      'tmpfs-nested': null,
      'tmpfs-stacked': null,
      'tmpfs-busy': null,
    }),
    log: t.keyof({ fifo: null, none: null, file: null, dir: null }),
  }),
  'BundleStart',
);
export type BundleStart = t.TypeOf<typeof BundleStart>;

/** A shim that another entry of the same namespace has: one process, one socket, several bundles. */
export const SharedShim = t.exact(t.type({ of: t.string }), 'SharedShim');
export type SharedShim = t.TypeOf<typeof SharedShim>;

/** One entry of a starting world: everything that has to do with one id in one namespace. */
export const Start = t.exact(
  t.intersection([
    t.type({ ns: t.string, id: t.string }),
    t.partial({
      bundle: t.union([t.keyof({ empty: null, file: null, symlink: null }), BundleStart]),
      /** The store has a container of this id, with this name of a runtime. */
      container: t.string,
      /** The store has a sandbox of this id. */
      sandbox: t.literal(true),
      shim: t.union([ShimScript, SharedShim]),
      /** How many processes of the task really run. When absent: as many as the shim lists. */
      processes: t.number,
      workdir: t.union([t.literal(true), t.literal('deep')]),
      workfile: t.literal(true),
      worklink: t.literal(true),
      hiddenTwin: t.literal(true),
      hiddenWorkTwin: t.literal(true),
      /** Anything else, in this order; paths begin with `$BASE/`. */
      extras: t.readonlyArray(Making),
    }),
  ]),
  'Start',
);
export type Start = t.TypeOf<typeof Start>;

/** The entries share one state and one root directory, one store, and one run. */
export const World = t.exact(
  t.intersection([
    t.type({ entries: t.readonlyArray(Start) }),
    t.partial({
      /** The machine was started anew after all this was made: nothing of it runs, and nothing is mounted. */
      rebooted: t.literal(true),
    }),
  ]),
  'World',
);
export type World = t.TypeOf<typeof World>;

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

/** An ordinary bundle, as containerd leaves it. */
export const ordinary: BundleStart = {
  files: { address: 'unix://$SOCK', 'shim-binary-path': '$BIN/shim-ok' },
  work: 'link',
  rootfs: 'empty',
  log: 'fifo',
};

export const world = (...entries: ReadonlyArray<Start>): World => ({ entries });

/** Why a world cannot be laid. */
export interface WorldError {
  readonly _tag: 'WorldMalformed';
  readonly reason: string;
}

const malformed = (reason: string): WorldError => ({ _tag: 'WorldMalformed', reason });

/** Whose entry it is, as the core names it. */
export interface EntryKey {
  readonly namespace: B.ByteString;
  readonly id: B.ByteString;
}

export const keyOf = ({ ns, id }: Pick<Start, 'ns' | 'id'>): EntryKey => ({
  namespace: B.fromText(ns),
  id: B.fromText(id),
});

export const sameKey = (first: EntryKey, second: EntryKey): boolean =>
  first.namespace === second.namespace && first.id === second.id;

/** `namespace/id`, for messages and maps. */
export const keyText = ({ ns, id }: Pick<Start, 'ns' | 'id'>): string => `${ns}/${id}`;

/** The entry whose shim this one has: itself, mostly. Undefined when it has none. */
export const shimOwner =
  ({ entries }: World) =>
  (start: Start): Start | undefined => {
    const { shim } = start;
    if (shim === undefined || !('of' in shim)) return shim === undefined ? undefined : start;
    return entries.find(({ ns, id, shim: other }) => ns === start.ns && id === shim.of && ShimScript.is(other));
  };

/** How the shim of an entry behaves; undefined when it has none. Of one that ran before a reboot, the socket is left. */
export const scriptOf =
  (all: World) =>
  (start: Start): ShimScript | undefined => {
    const shim = shimOwner(all)(start)?.shim;
    if (!ShimScript.is(shim)) return undefined;
    return all.rebooted === true ? { ...shim, mode: 'refuse' } : shim;
  };

/** Whether the shim of an entry, where it has one, behaves the same whenever it is asked, and however often. */
export const hasSteadyShim =
  (all: World) =>
  (start: Start): boolean => {
    const script = scriptOf(all)(start);
    return script === undefined || isSteady(script);
  };

/** How many processes of the entry's task really run. */
export const processesOf =
  (all: World) =>
  (start: Start): number => {
    if (all.rebooted === true) return 0;
    const script = scriptOf(all)(start);
    return start.processes ?? (script === undefined ? 0 : listedProcesses(script));
  };

const problemsOf = (all: World): ReadonlyArray<string> => {
  const keys = all.entries.map(keyText);
  return [
    ...keys.filter((key, index) => keys.indexOf(key) !== index).map((key) => `${key} is there twice`),
    ...all.entries
      .filter((start) => start.shim !== undefined && shimOwner(all)(start) === undefined)
      .map((start) => `${keyText(start)} has the shim of an entry that has none of its own`),
    ...all.entries.flatMap(({ extras = [] }) =>
      extras.filter(({ path }) => !path.startsWith('$BASE/')).map(({ path }) => `${path} does not begin with $BASE/`),
    ),
  ];
};

/** Reads a world, and refuses one that cannot be laid. */
export const decodeWorld = (document: unknown): E.Either<WorldError, World> =>
  pipe(
    World.decode(document),
    E.mapLeft((errors) => malformed(failure(errors).slice(0, 5).join('\n'))),
    E.chain((decoded) => {
      const [problem] = problemsOf(decoded);
      return problem === undefined ? E.right(decoded) : E.left(malformed(problem));
    }),
  );

const isSame = (first: unknown, second: unknown): boolean => JSON.stringify(first) === JSON.stringify(second);

/** What differs from the usual, as `name=value`. */
const differences = (usual: object, actual: object): ReadonlyArray<string> => {
  const usualValues = new Map<string, unknown>(Object.entries(usual));
  return Object.entries(actual).flatMap(([name, value]) =>
    isSame(usualValues.get(name), value) ? [] : [`${name}=${JSON.stringify(value)}`],
  );
};

const inBraces = (parts: ReadonlyArray<string>): string => (parts.length === 0 ? '' : ` {${parts.join(', ')}}`);

const showBundle = (bundle: Start['bundle']): ReadonlyArray<string> => {
  if (bundle === undefined) return [];
  return [typeof bundle === 'string' ? `bundle: ${bundle}` : `bundle${inBraces(differences(ordinary, bundle))}`];
};

const showShim = (shim: Start['shim']): ReadonlyArray<string> => {
  if (shim === undefined) return [];
  return ['of' in shim ? `shim of ${shim.of}` : `running shim${inBraces(differences(running, shim))}`];
};

const showStart = ({ ns, id, bundle, shim, ...others }: Start): string =>
  `${ns}/${id}: ${[...showBundle(bundle), ...showShim(shim), ...differences({}, others)].join(', ')}`;

/** One line an entry: what it has, and what is unusual about it. */
export const showWorld = ({ entries, rebooted }: World): string =>
  [...entries.map(showStart), ...(rebooted === true ? ['the machine was started anew since'] : [])].join('\n');

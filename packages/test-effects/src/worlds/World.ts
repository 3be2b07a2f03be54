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
import { ByteString as B } from '@shim-recovery/core';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as t from 'io-ts';
import { failure } from 'io-ts/lib/PathReporter.js';
import { Making } from './Fixture.js';
import { isSteady, listedProcesses, running, ShimScript } from './Shim.js';

/**
 * A bundle that is a directory with something in it. The texts may hold placeholders: `$SOCK` for the entry's socket,
 * `$BIN` for the directory of shim programs, `$BASE` for the world's directory; `$INIT` for the number of the first process
 * of the entry's container, `$OTHER` for that of a process that has nothing to do with any of them, `$GROUP` for the
 * container's `linux.cgroupsPath`.
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
export const SharedShim = t.exact(
  t.intersection([
    t.type({ of: t.string }),
    /** The shim has no task of this id, even if its script has one of its own: the container was never created, or deleted. */
    t.partial({ noTask: t.literal(true) }),
  ]),
  'SharedShim',
);

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
      /** Its bundle is in the sandbox controller's tree, beside the one that is recovered. */
      tree: t.literal('sandbox-controller'),
      /** A user's own directory, which looks like a bundle at most by chance. */
      userOwned: t.literal(true),
      /**
       * What the command line of its shim says, beside the namespace. Absent: `-namespace NS -id ID`. `no-id`: nothing.
       * `equals`: `--namespace=NS --id=ID`. `bundle`: `-bundle PATH`.
       */
      shimArgs: t.keyof({ 'no-id': null, equals: null, bundle: null }),
      /** The current directory of its shim: the entry's bundle. Absent: `/`. */
      shimCwd: t.literal('bundle'),
      /** The namespace in which its shim is by itself. */
      shimNamespace: t.keyof({ pid: null, mount: null, network: null }),
      /** `lost`: its shim listens, and the name of its socket is gone. `abstract`: the socket's name is in no file system. */
      socket: t.keyof({ lost: null, abstract: null }),
      /**
       * The control group of its container. Absent: `/NS/ID`. `kubepods`, `docker`: further down. `scope`: one of systemd's.
       * `colons`: systemd's form, taken for a path. `named`: a name of its own, without the id. `none`: none of its own.
       */
      cgroup: t.keyof({ kubepods: null, docker: null, scope: null, colons: null, named: null, none: null }),
      /** The root of its container's processes. Absent: what is mounted on `rootfs`, else a file system of their own. */
      containerRoot: t.keyof({ rootfs: null, host: null }),
      /** The main thread of its container's first process has ended, and another thread goes on. */
      mainThreadEnded: t.literal(true),
      /**
       * What its OCI runtime recorded: the first process, with the moment of its start; with the moment of another one's;
       * with none; NUL bytes only. `crun`: the first, as crun records it.
       */
      runtimeState: t.keyof({ right: null, 'other-start': null, 'no-start': null, lost: null, crun: null }),
      /** Where the runtime records that: below `$BASE/run/runc`, as `options.json` says. Absent: where runc does. */
      runtimeRoot: t.literal('own'),
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
      /** The clock was set, by years, after all this was made and started. */
      clock: t.keyof({ 'set-forward': null, 'set-back': null }),
      /**
       * What keeps the program from seeing everything: `/proc` hides all other processes; or what is theirs alone, as their
       * directories; the program is in a pid or mount namespace of its own.
       */
      view: t.keyof({ hidepid: null, 'no-ptrace': null, 'own-pid-namespace': null, 'own-mount-namespace': null }),
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
  { name: 'shim-idle', behaviour: 'idle' },
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

/** `namespace/id`, for messages and maps; with the tree, where it is not the one that is recovered. */
export const keyText = ({ ns, id, tree }: Pick<Start, 'ns' | 'id' | 'tree'>): string =>
  tree === undefined ? `${ns}/${id}` : `${tree}: ${ns}/${id}`;

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

/** Whether its shim may have a task of this id: the one of a sandbox in the controller's tree has none. */
export const hasTask = ({ shim, tree }: Start): boolean =>
  tree === undefined && !(shim !== undefined && 'of' in shim && shim.noTask === true);

/** How many processes of the entry's task really run. */
export const processesOf =
  (all: World) =>
  (start: Start): number => {
    if (all.rebooted === true) return 0;
    const script = scriptOf(all)(start);
    return start.processes ?? (script === undefined || !hasTask(start) ? 0 : listedProcesses(script));
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

const malformed = (reason: string): WorldError => ({ _tag: 'WorldMalformed', reason });

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

/** One line an entry: what it has, and what is unusual about it. */
export const showWorld = ({ entries, rebooted, clock, view }: World): string =>
  [
    ...entries.map(showStart),
    ...(rebooted === true ? ['the machine was started anew since'] : []),
    ...(clock === undefined ? [] : [`the clock was ${clock.replace('-', ' ')} since`]),
    ...(view === undefined ? [] : [`what the program sees is limited: ${view}`]),
  ].join('\n');

const showStart = ({ ns, id, bundle, shim, ...others }: Start): string =>
  `${ns}/${id}: ${[...showBundle(bundle), ...showShim(shim), ...differences({}, others)].join(', ')}`;

const showBundle = (bundle: Start['bundle']): ReadonlyArray<string> => {
  if (bundle === undefined) return [];
  return [typeof bundle === 'string' ? `bundle: ${bundle}` : `bundle${inBraces(differences(ordinary, bundle))}`];
};

const inBraces = (parts: ReadonlyArray<string>): string => (parts.length === 0 ? '' : ` {${parts.join(', ')}}`);

/** What differs from the usual, as `name=value`. */
const differences = (usual: object, actual: object): ReadonlyArray<string> => {
  const usualValues = new Map<string, unknown>(Object.entries(usual));
  return Object.entries(actual).flatMap(([name, value]) =>
    isSame(usualValues.get(name), value) ? [] : [`${name}=${JSON.stringify(value)}`],
  );
};

const isSame = (first: unknown, second: unknown): boolean => JSON.stringify(first) === JSON.stringify(second);

const showShim = (shim: Start['shim']): ReadonlyArray<string> => {
  if (shim === undefined) return [];
  return [
    'of' in shim
      ? `shim of ${shim.of}${shim.noTask === true ? ', which has no such task' : ''}`
      : `running shim${inBraces(differences(running, shim))}`,
  ];
};

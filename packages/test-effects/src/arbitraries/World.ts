/** Random starting worlds: what no test machine has, in all combinations. Mostly ordinary, so that oddities meet. */
import * as fc from 'fast-check';
import { type BundleStart, ordinary, type Start, type World } from '../worlds/World.js';
import { container, inPod, pod, type Unit, userDirectory } from './Life.js';
import { mostly, plausible, shimScript, sometimes } from './Part.js';

const programs = [
  '$BIN/shim-warn',
  '$BIN/shim-fail',
  '$BIN/shim-garbage',
  '$BIN/shim-hang',
  '$BIN/not-executable',
  '$BIN/not-there',
  'io.containerd.fake.v1',
  'io.containerd.nosuch.v1',
  './shim-ok',
  '$BIN/shim-ok\n',
  '/',
  '',
] as const;

const addresses = [
  '{"version":2,"address":"unix://$SOCK","protocol":"ttrpc"}',
  '{"version":3,"address":"unix://$SOCK","protocol":"ttrpc"}',
  '{"version":2,"address":"unix://$SOCK","protocol":"smtp"}',
  'unix://$SOCK\n',
  'unix://',
  '$SOCK',
  '{}',
  '',
] as const;

const bootstrap = '{"version":3,"address":"unix://$SOCK","protocol":"ttrpc"}';

const oddBootstraps = [
  '{"version":2,"address":"unix://$SOCK","protocol":"ttrpc"}',
  '{"version":2,"address":"$SOCK","protocol":"grpc"}',
  '{"version":3,"address":"$SOCK","protocol":"grpc"}',
  '{"version":4,"address":"unix://$SOCK","protocol":"ttrpc"}',
  '{"version":3,"address":"unix://$SOCK","protocol":"smtp"}',
  '{"version":3,"address":"unix://$S',
  '',
] as const;

/** A bundle with something in it. Shrinks to an ordinary one. */
export const bundleStart = (): fc.Arbitrary<BundleStart> =>
  fc.record({
    files: files(),
    work: mostly<BundleStart['work']>(ordinary.work, fc.constantFrom('none', 'dangling', 'elsewhere', 'dir'), 4),
    rootfs: mostly<BundleStart['rootfs']>(
      ordinary.rootfs,
      fc.constantFrom(
        'none',
        'nonempty',
        'symlink',
        'symlink-tmpfs',
        'tmpfs',
        'tmpfs',
        'tmpfs-nested',
        'tmpfs-stacked',
        'tmpfs-busy',
      ),
      2,
    ),
    log: mostly<BundleStart['log']>(ordinary.log, fc.constantFrom('none', 'file', 'dir'), 8),
  });

const files = (): fc.Arbitrary<BundleStart['files']> =>
  fc
    .record({
      where: whereabouts(),
      'shim-binary-path': mostly<string | undefined>(
        '$BIN/shim-ok',
        fc.option(fc.constantFrom(...programs), { nil: undefined, freq: 3 }),
        3,
      ),
      'config.json': fc.option(fc.constant('{}'), { nil: undefined }),
      'sub/dir/file': mostly<string | undefined>(undefined, fc.constant('x'), 10),
    })
    .map(({ where, ...present }) =>
      Object.fromEntries(
        Object.entries({ ...where, ...present }).flatMap(([name, text]) => (text === undefined ? [] : [[name, text]])),
      ),
    );

/** What says where the shim is: `address`, as 1.x writes it, beside it what 2.x makes of it, or only what 2.x writes. */
const whereabouts = (): fc.Arbitrary<{ readonly address?: string; readonly 'bootstrap.json'?: string }> => {
  const address = fc.record({ address: mostly<string>('unix://$SOCK', fc.constantFrom(...addresses), 5) });
  const bootstrapJson = fc.record({
    'bootstrap.json': mostly<string>(bootstrap, fc.constantFrom(...oddBootstraps), 2),
  });
  return fc.oneof(
    { withCrossShrink: true },
    { weight: 24, arbitrary: address },
    { weight: 4, arbitrary: fc.tuple(address, bootstrapJson).map(([old, young]) => ({ ...old, ...young })) },
    { weight: 4, arbitrary: bootstrapJson },
    { weight: 1, arbitrary: fc.constant({}) },
  );
};

/** One entry of a world, under the given name. Shrinks to an ordinary bundle without a shim. */
export const start = (ns: string, id: string): fc.Arbitrary<Start> =>
  fc
    .oneof({ weight: 9, arbitrary: entry() }, { weight: 1, arbitrary: staleWork() })
    .map((rest) => ({ ns, id, ...rest }));

/** Everything about one bundle but its name. */
const entry = (): fc.Arbitrary<Omit<Start, 'ns' | 'id'>> =>
  fc
    .tuple(
      fc.oneof(
        { weight: 11, arbitrary: bundleStart() },
        { weight: 1, arbitrary: fc.constantFrom('empty' as const, 'file' as const, 'symlink' as const) },
      ),
      fc.option(shimScript(), { freq: 6 }),
      sometimes(fc.constant({ processes: 1 }), 2),
      sometimes(
        fc.record({
          container: fc.constantFrom('$BIN/shim-ok', 'io.containerd.fake.v1', 'io.containerd.nosuch.v9', ''),
        }),
        2,
      ),
      sometimes(fc.constant({ sandbox: true as const }), 3),
      sometimes(fc.constant({ hiddenTwin: true as const }), 12),
      sometimes(fc.constant({ hiddenWorkTwin: true as const }), 12),
    )
    .map(([bundle, shim, processes, container, sandbox, twin, workTwin]) =>
      plausible({
        bundle,
        ...(shim === null ? {} : { shim }),
        ...processes,
        ...container,
        ...sandbox,
        ...twin,
        ...workTwin,
      }),
    );

/** A working directory that nobody owns. */
const staleWork = (): fc.Arbitrary<Omit<Start, 'ns' | 'id'>> =>
  fc.constantFrom<Omit<Start, 'ns' | 'id'>>(
    { workdir: true },
    { workdir: 'deep' },
    { workfile: true },
    { worklink: true },
  );

/**
 * A world in the words of the recordings, of one to `maxEntries` entries in two namespaces, one in fifteen of a machine that
 * was started anew. Nothing shows what lives but shims, their command lines, and control groups. Shrinks to fewer, plainer ones.
 */
export const plainWorld = ({ maxEntries }: { readonly maxEntries: number }): fc.Arbitrary<World> =>
  fc
    .tuple(
      fc.array(
        fc.record({
          ns: mostly('ns1', fc.constant('ns2'), 3),
          isHidden: mostly(false, fc.constant(true), 20),
          isSharing: mostly(false, fc.constant(true), 4),
          rest: start('', ''),
        }),
        { minLength: 1, maxLength: maxEntries },
      ),
      sometimes(fc.constant({ rebooted: true as const }), 15),
    )
    .map(([drawn, reboot]) => {
      const entries = drawn.map(
        ({ ns, isHidden, rest }, index): Start => ({ ...rest, ns, id: `${isHidden ? '.' : ''}b${index}` }),
      );
      return {
        ...reboot,
        entries: entries.map((one, index) =>
          drawn[index]?.isSharing === true ? share(one, entries.slice(0, index)) : one,
        ),
      };
    });

/** An entry that has the shim of an earlier one. Only the earlier one may be a sandbox, as in a pod. */
const share = (sharing: Start, earlier: ReadonlyArray<Start>): Start => {
  const owner = earlier.find(({ ns, shim }) => ns === sharing.ns && shim !== undefined && !('of' in shim));
  const { processes: _, sandbox: __, bundle, ...rest } = sharing;
  if (owner === undefined || sharing.shim === undefined || typeof bundle !== 'object') return sharing;
  return { ...rest, bundle: saysWhose(bundle, owner.id), shim: { of: owner.id } };
};

/** What says whose shim it is, where the address does not lead there: no host leaves a pod's container without both. */
const saysWhose = (bundle: BundleStart, owner: string): BundleStart =>
  bundle.files['address'] === ordinary.files['address']
    ? bundle
    : { ...bundle, files: { ...bundle.files, sandbox: owner } };

/**
 * A world of containers, pods and directories of users, with all that shows what lives: some of it lost, or of something else;
 * a clock that was set, a view that is limited. Shrinks to fewer, plainer ones.
 */
export const livingWorld = ({ maxEntries }: { readonly maxEntries: number }): fc.Arbitrary<World> =>
  fc
    .tuple(
      fc.array(
        fc.record({
          ns: mostly('ns1', fc.constant('ns2'), 3),
          isHidden: mostly(false, fc.constant(true), 20),
          isNamesake: mostly(false, fc.constant(true), 6),
          unit: unit(),
        }),
        { minLength: 1, maxLength: maxEntries },
      ),
      sometimes(fc.constant({ rebooted: true as const }), 12),
      sometimes(
        fc.record({ clock: fc.constantFrom('set-forward' as const, 'set-forward' as const, 'set-back' as const) }),
        6,
      ),
      sometimes(
        fc.record({
          view: fc.constantFrom(
            'hidepid' as const,
            'no-ptrace' as const,
            'own-pid-namespace' as const,
            'own-mount-namespace' as const,
          ),
        }),
        12,
      ),
    )
    .map(([drawn, reboot, clock, view]) => ({ ...reboot, ...clock, ...view, entries: named(drawn, maxEntries) }));

const unit = (): fc.Arbitrary<Unit> =>
  fc.oneof(
    { withCrossShrink: true },
    { weight: 10, arbitrary: container() },
    { weight: 6, arbitrary: pod() },
    { weight: 1, arbitrary: userDirectory() },
    { weight: 3, arbitrary: plainUnit() },
  );

const plainUnit = (): fc.Arbitrary<Unit> =>
  fc
    .oneof({ weight: 9, arbitrary: entry() }, { weight: 1, arbitrary: staleWork() })
    .map((one) => ({ isPod: false, entries: [one] }));

/** Names the entries by their place; a pod's containers name its sandbox. */
const named = (drawn: ReadonlyArray<Drawn>, maxEntries: number): ReadonlyArray<Start> => {
  const entries: Array<Start> = [];
  for (const { ns, isHidden, isNamesake, unit: one } of drawn) {
    const before = entries.at(-1);
    const isFree = before !== undefined && !entries.some((other) => other.ns === ns && other.id === before.id);
    const taken = isNamesake && isFree ? before.id : undefined;
    const first = taken ?? `${isHidden ? '.' : ''}b${entries.length}`;
    const places = one.entries.map((part, index): Start => {
      const id = index === 0 ? first : `b${entries.length + index}`;
      const entry = { ...(one.isPod ? inPod(first)(part) : part), ns, id };
      return entries.some((other) => other.id === id) ? inside(entry) : entry;
    });
    entries.push(...places);
  }
  return entries.slice(0, maxEntries);
};

interface Drawn {
  readonly ns: string;
  readonly isHidden: boolean;
  /** Whether it has the id of the entry before it, which is in the other namespace. */
  readonly isNamesake: boolean;
  readonly unit: Unit;
}

/** What stands outside the directories is named after the id alone: a namesake has nothing there. */
const inside = (one: Start): Start => {
  const { bundle } = one;
  if (typeof bundle !== 'object') return one;
  const work = bundle.work === 'elsewhere' ? 'link' : bundle.work;
  const rootfs = bundle.rootfs === 'symlink-tmpfs' ? 'tmpfs' : bundle.rootfs;
  return { ...one, bundle: { ...bundle, work, rootfs } };
};

/** Any world: one in three in the words of the recordings. Shrinks to fewer, plainer entries. */
export const world = (most: { readonly maxEntries: number }): fc.Arbitrary<World> =>
  fc.oneof(
    { withCrossShrink: true },
    { weight: 1, arbitrary: plainWorld(most) },
    { weight: 2, arbitrary: livingWorld(most) },
  );

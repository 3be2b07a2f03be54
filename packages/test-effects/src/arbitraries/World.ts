/** Random starting worlds: what no test machine has, in all combinations. Mostly ordinary, so that oddities meet. */
import * as fc from 'fast-check';
import { dead, exited, isSteady, leaked, type PlainReply, type Reply, running, ShimScript } from '../Shim.js';
import { type BundleStart, ordinary, type Start, type World } from '../World.js';

/** The usual, but for one time in so many. Shrinks to the usual. */
const mostly = <A>(usual: A, unusual: fc.Arbitrary<A>, onceIn: number): fc.Arbitrary<A> =>
  fc.oneof(
    { withCrossShrink: true },
    { weight: onceIn - 1, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: unusual },
  );

/** A part that is there one time in so many. Shrinks to nothing. */
const sometimes = <A extends object>(part: fc.Arbitrary<A>, onceIn: number): fc.Arbitrary<Partial<A>> =>
  mostly<Partial<A>>({}, part, onceIn);

const oddReply = <A>(ok: fc.Arbitrary<A>): fc.Arbitrary<PlainReply<A>> =>
  fc.oneof(
    ok.map((value) => ({ ok: value })),
    fc.constantFrom(5, 2, 12, 13, 14).map((error) => ({ error })),
    fc.constantFrom('close' as const, 'hang' as const, 'die' as const),
  );

/** Also replies that come late, in time or not (the reference waits five seconds), and that change from call to call. */
const reply = <A>(ok: fc.Arbitrary<A>): fc.Arbitrary<Reply<A>> =>
  fc.oneof(
    { withCrossShrink: true },
    { weight: 6, arbitrary: oddReply(ok) },
    { weight: 1, arbitrary: fc.record({ afterMs: fc.constantFrom(20, 4_000, 6_000), reply: oddReply(ok) }) },
    { weight: 1, arbitrary: fc.record({ turns: fc.array(oddReply(ok), { minLength: 2, maxLength: 3 }) }) },
  );

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

const listsNone = ({ pids }: ShimScript): boolean => JSON.stringify(pids) === JSON.stringify(leaked.pids);

/** Only a shim that does not answer well, or is gone, can have left a process that it does not tell of. */
const plausible = ({ processes, ...entry }: Omit<Start, 'ns' | 'id'>): Omit<Start, 'ns' | 'id'> => {
  const { shim } = entry;
  const isSilent = ShimScript.is(shim) && isSteady(shim) && !listsNone(shim);
  return isSilent && processes !== undefined ? { ...entry, processes } : entry;
};

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

/** One entry of a world, under the given name. Shrinks to an ordinary bundle without a shim. */
export const start = (ns: string, id: string): fc.Arbitrary<Start> =>
  fc
    .oneof({ weight: 9, arbitrary: entry() }, { weight: 1, arbitrary: staleWork() })
    .map((rest) => ({ ns, id, ...rest }));

/** The same entry with the shim of an earlier one. Only that one may be a sandbox, as in a pod. */
const share = (sharing: Start, earlier: ReadonlyArray<Start>): Start => {
  const owner = earlier.find(({ ns, shim }) => ns === sharing.ns && shim !== undefined && !('of' in shim));
  const { processes: _, sandbox: __, ...rest } = sharing;
  return owner === undefined || sharing.shim === undefined ? sharing : { ...rest, shim: { of: owner.id } };
};

/**
 * A whole starting world of one to `maxEntries` entries in two namespaces, one in fifteen of a machine that was started
 * anew. Shrinks to fewer, plainer ones.
 */
export const world = ({ maxEntries }: { readonly maxEntries: number }): fc.Arbitrary<World> =>
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

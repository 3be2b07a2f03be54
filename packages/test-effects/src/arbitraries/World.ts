/** Random starting worlds, in the words of the recordings: what no test machine has, in all combinations. */
import * as fc from 'fast-check';
import { type BundleStart, type RecordedStart, type RecordedWorld, type ShimScript, unrecorded } from '../World.js';

/** A call that is answered, refused with a code, never answered, or ended. Shrinks to the answer. */
const reply = <A>(ok: fc.Arbitrary<A>) =>
  fc.oneof(
    { weight: 6, arbitrary: ok.map((value) => ({ ok: value })) },
    { weight: 3, arbitrary: fc.constantFrom(5, 2, 12, 13, 14).map((error) => ({ error })) },
    { weight: 1, arbitrary: fc.constantFrom('close' as const, 'hang' as const) },
  );

/** A shim that listens, or one that is gone and left its socket. Shrinks to one whose task runs. */
export const shimScript = (): fc.Arbitrary<ShimScript> =>
  fc.record({
    mode: fc.constantFrom('serve' as const, 'serve' as const, 'serve' as const, 'refuse' as const),
    connect: reply(fc.constantFrom({ task: 900 }, { task: 0 })),
    pids: reply(fc.constantFrom({ pids: [900] }, { pids: [900, 901] }, { pids: [] })),
    del: reply(fc.constant({ pid: 900, status: 137 })),
    shutdown: fc.oneof(
      fc.constant({ ok: {}, exit: true }),
      fc.constant({ ok: {} }),
      fc.constant({ error: 13 }),
      fc.constantFrom('close' as const, 'hang' as const),
    ),
  });

const programs = [
  '$BIN/shim-ok',
  '$BIN/shim-ok',
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
  'unix://$SOCK',
  'unix://$SOCK',
  '{"version":2,"address":"unix://$SOCK","protocol":"ttrpc"}',
  '{"version":3,"address":"unix://$SOCK","protocol":"ttrpc"}',
  '{"version":2,"address":"unix://$SOCK","protocol":"smtp"}',
  'unix://$SOCK\n',
  'unix://',
  '$SOCK',
  '{}',
  '',
] as const;

const files = (): fc.Arbitrary<BundleStart['files']> =>
  fc
    .record({
      'shim-binary-path': fc.option(fc.constantFrom(...programs), { nil: undefined, freq: 6 }),
      address: fc.option(fc.constantFrom(...addresses), { nil: undefined, freq: 8 }),
      'config.json': fc.option(fc.constant('{}'), { nil: undefined }),
      'sub/dir/file': fc.option(fc.constant('x'), { nil: undefined, freq: 1 }),
    })
    .map((present) =>
      Object.fromEntries(Object.entries(present).flatMap(([name, text]) => (text === undefined ? [] : [[name, text]]))),
    );

/** A bundle with something in it. Shrinks to an ordinary one. */
export const bundleStart = (): fc.Arbitrary<BundleStart> =>
  fc.record({
    files: files(),
    work: fc.constantFrom('link', 'link', 'link', 'none', 'dangling', 'elsewhere', 'dir'),
    rootfs: fc.constantFrom('empty', 'empty', 'none', 'nonempty', 'symlink', 'tmpfs', 'tmpfs-nested'),
    log: fc.constantFrom('fifo', 'fifo', 'none', 'file', 'dir'),
  });

/** One entry of a world, under the given name. */
export const recordedStart = (ns: string, id: string): fc.Arbitrary<RecordedStart> =>
  fc
    .record(
      {
        bundle: fc.oneof(
          { weight: 12, arbitrary: bundleStart() },
          { weight: 1, arbitrary: fc.constantFrom('empty' as const, 'file' as const, 'symlink' as const) },
        ),
        container: fc.constantFrom('$BIN/shim-ok', 'io.containerd.fake.v1', 'io.containerd.nosuch.v9', ''),
        sandbox: fc.constant(true as const),
        shim: shimScript(),
        hiddenTwin: fc.constant(true as const),
        hiddenWorkTwin: fc.constant(true as const),
      },
      { requiredKeys: ['bundle'] },
    )
    .map((start) => ({ set: 'random' as const, ns, id, ...start }));

/** A working directory that nobody owns, under the given name. */
const staleWork = (ns: string, id: string): fc.Arbitrary<RecordedStart> =>
  fc
    .constantFrom<Omit<RecordedStart, 'set' | 'ns' | 'id'>>(
      { workdir: true },
      { workdir: 'deep' },
      { workfile: true },
      { worklink: true },
    )
    .map((start) => ({ set: 'random', ns, id, ...start }));

/** A whole starting world of one to `maxEntries` entries in two namespaces. Shrinks to fewer, plainer ones. */
export const world = ({ maxEntries }: { readonly maxEntries: number }): fc.Arbitrary<RecordedWorld> =>
  fc
    .array(
      fc.tuple(
        fc.constantFrom('ns1', 'ns2'),
        fc.oneof({ weight: 9, arbitrary: fc.constant('bundle') }, { weight: 1, arbitrary: fc.constant('work') }),
      ),
      { minLength: 1, maxLength: maxEntries },
    )
    .chain((entries) =>
      fc.tuple(
        ...entries.map(([ns, kind], index) => {
          const id = `b${index}`;
          return kind === 'bundle' ? recordedStart(ns, id) : staleWork(ns, id);
        }),
      ),
    )
    .map((starts) => ({
      set: 'random',
      cases: starts.map(unrecorded),
    }));

/**
 * Random containers, pods and directories of users, with all that shows from outside whether they live: most of it ordinary,
 * some of it lost, damaged, or about something else. Each living thing leaves at least one real trace, as on real hosts.
 */
import * as fc from 'fast-check';
import { dead, exited, leaked, running, ShimScript } from '../worlds/Shim.js';
import { type BundleStart, ordinary, type Start } from '../worlds/World.js';
import { mostly, plausible, shimScript, sometimes } from './Part.js';

/** An entry without its name. */
export type Unnamed = Omit<Start, 'ns' | 'id'>;

/** What stands together: one entry, or a sandbox and then its containers. The ids of entries are given by their place. */
export interface Unit {
  readonly entries: ReadonlyArray<Unnamed>;
  /** Whether the others have the shim of the first. */
  readonly isPod: boolean;
}

type Files = Readonly<Record<string, string>>;

/** One container with a shim of its own. Shrinks to an ordinary one that runs. */
export const container = (): fc.Arbitrary<Unit> =>
  fc
    .record({ shim: shimAndProcesses(), traces: shimTraces(), own: bundled(undefined), socket: socket() })
    .chain(({ shim, traces, own, socket: { address, ...form } }) =>
      fc.tuple(whereabouts(address), mostly(false, fc.constant(true), 15)).map(([where, isEmpty]): Unit => {
        const bundle = isEmpty ? ('empty' as const) : bundleOf({ ...own.files, ...where }, own.rootfs);
        return { isPod: false, entries: [traced({ bundle, ...own.rest, ...shim, ...traces, ...form })] };
      }),
    );

/** A shim and how many processes run beyond it: alive, with or without a task, odd, or gone with or without an orphan. */
const shimAndProcesses = (): fc.Arbitrary<Unnamed> =>
  fc
    .oneof(
      { withCrossShrink: true },
      { weight: 4, arbitrary: fc.constant<Unnamed>({ shim: running }) },
      { weight: 3, arbitrary: fc.constant<Unnamed>({ shim: dead }) },
      { weight: 3, arbitrary: fc.constantFrom<Unnamed>({ shim: dead, processes: 1 }, { shim: dead, processes: 2 }) },
      { weight: 1, arbitrary: fc.constant<Unnamed>({ shim: leaked }) },
      { weight: 1, arbitrary: fc.constant<Unnamed>({ shim: exited }) },
      { weight: 1, arbitrary: fc.constantFrom<Unnamed>({}, { processes: 1 }) },
      { weight: 2, arbitrary: shimScript().map((shim): Unnamed => ({ shim })) },
      {
        weight: 2,
        arbitrary: fc.constantFrom<Unnamed>(
          { shim: { ...running, connect: 'hang' }, processes: 1 },
          { shim: { ...running, pids: 'hang', state: 'hang' }, processes: 1 },
          { shim: { ...running, connect: { error: 2 } }, processes: 1 },
        ),
      },
    )
    .map((entry) => (entry.shim === undefined ? entry : plausible(entry)));

/** How the process of a shim shows whose it is. A daemon starts each in its bundle. */
const shimTraces = (): fc.Arbitrary<Unnamed> =>
  fc
    .tuple(
      fc.oneof(
        { withCrossShrink: true },
        { weight: 6, arbitrary: fc.constant({}) },
        { weight: 4, arbitrary: fc.constant({ shimArgs: 'no-id' as const }) },
        {
          weight: 2,
          arbitrary: fc.constantFrom('equals' as const, 'bundle' as const).map((shimArgs) => ({ shimArgs })),
        },
      ),
      mostly<Unnamed>({ shimCwd: 'bundle' }, fc.constant({}), 4),
      sometimes(
        fc.record({ shimNamespace: fc.constantFrom('network' as const, 'mount' as const, 'pid' as const) }),
        25,
      ),
    )
    .map(([args, cwd, namespace]) => ({ ...args, ...cwd, ...namespace }));

/** What every bundle of a container has, beside what says where its shim listens. */
const bundled = (sandbox: string | undefined): fc.Arbitrary<Bundled> =>
  fc
    .record({
      config: configOf(sandbox),
      pid: initPid(),
      path: program(),
      foreign: foreignFile(),
      rootfs: rootfs(),
      traces: containerTraces(),
      recorded: record(),
    })
    .map(({ config, pid, path, foreign, rootfs: kind, traces, recorded }) => ({
      files: { ...path, ...config, ...pid, ...foreign },
      rootfs: kind,
      rest: { ...traces, ...recorded },
    }));

interface Bundled {
  readonly files: Files;
  readonly rootfs: BundleStart['rootfs'];
  readonly rest: Unnamed;
}

/** What `config.json` says of the control group, and of the pod. */
const configOf = (sandbox: string | undefined): fc.Arbitrary<Files> => {
  const annotations = sandbox === undefined ? {} : { annotations: { 'io.kubernetes.cri.sandbox-id': sandbox } };
  const whole = JSON.stringify({ linux: { cgroupsPath: '$GROUP' }, ...annotations });
  return fc.oneof(
    { withCrossShrink: true },
    { weight: 8, arbitrary: fc.constant({ 'config.json': whole }) },
    { weight: 2, arbitrary: fc.constant({ 'config.json': JSON.stringify(annotations) }) },
    { weight: 1, arbitrary: fc.constantFrom(nul(256), '{"linux":', '').map((text) => ({ 'config.json': text })) },
    { weight: 2, arbitrary: fc.constant({}) },
  );
};

const nul = (length: number): string => '\0'.repeat(length);

/** The number that a bundle has of its container's first process: right, another process's, or lost. */
const initPid = (): fc.Arbitrary<Files> =>
  fc.oneof(
    { withCrossShrink: true },
    { weight: 4, arbitrary: fc.constant({}) },
    { weight: 6, arbitrary: fc.constant({ 'init.pid': '$INIT' }) },
    { weight: 2, arbitrary: fc.constant({ 'init.pid': '$OTHER' }) },
    { weight: 1, arbitrary: fc.constantFrom(nul(4), '', '-1', '12 34').map((text) => ({ 'init.pid': text })) },
  );

const program = (): fc.Arbitrary<Files> =>
  mostly<Files>(
    { 'shim-binary-path': '$BIN/shim-ok' },
    fc.constantFrom<Files>(
      {},
      { 'shim-binary-path': '$BIN/shim-fail' },
      { 'shim-binary-path': '$BIN/not-there' },
      { 'shim-binary-path': 'io.containerd.fake.v1' },
      { 'shim-binary-path': nul(16) },
      { 'shim-binary-path': '' },
    ),
    6,
  );

/** An entry that no bundle has. */
const foreignFile = (): fc.Arbitrary<Files> => mostly<Files>({}, fc.constant({ 'notes.txt': 'x' }), 12);

const rootfs = (): fc.Arbitrary<BundleStart['rootfs']> =>
  mostly<BundleStart['rootfs']>(
    'empty',
    fc.constantFrom('tmpfs', 'tmpfs', 'tmpfs', 'tmpfs-nested', 'nonempty', 'none', 'symlink'),
    2,
  );

/** How the processes of a container show whose they are. */
const containerTraces = (): fc.Arbitrary<Unnamed> =>
  fc
    .tuple(
      sometimes(
        fc.record({
          cgroup: fc.constantFrom(
            'kubepods' as const,
            'docker' as const,
            'scope' as const,
            'colons' as const,
            'named' as const,
            'none' as const,
          ),
        }),
        2,
      ),
      sometimes(fc.record({ containerRoot: fc.constantFrom('rootfs' as const, 'host' as const) }), 10),
      sometimes(fc.constant({ mainThreadEnded: true as const }), 10),
      sometimes(
        fc.record({
          runtimeState: fc.constantFrom(
            'right' as const,
            'right' as const,
            'crun' as const,
            'no-start' as const,
            'lost' as const,
          ),
        }),
        3,
      ),
      sometimes(fc.constant({ runtimeRoot: 'own' as const }), 6),
    )
    .map(([cgroup, root, thread, state, runtimeRoot]) => ({
      ...cgroup,
      ...root,
      ...thread,
      ...state,
      ...('runtimeState' in state ? runtimeRoot : {}),
    }));

const record = (): fc.Arbitrary<Unnamed> =>
  fc.constantFrom<Unnamed>(
    { container: '$BIN/shim-ok' },
    { container: '$BIN/shim-ok' },
    { container: 'io.containerd.nosuch.v9' },
    {},
  );

/** The form of a shim's socket, and the address that leads there. */
const socket = (): fc.Arbitrary<{ readonly socket?: 'lost' | 'abstract'; readonly address: string }> =>
  fc.oneof(
    { withCrossShrink: true },
    { weight: 6, arbitrary: fc.constant({ address: 'unix://$SOCK' }) },
    { weight: 3, arbitrary: fc.constant({ socket: 'lost' as const, address: 'unix://$SOCK' }) },
    { weight: 1, arbitrary: fc.constant({ socket: 'abstract' as const, address: 'unix://@$SOCK' }) },
  );

/** The files that say where the shim listens: right, damaged, or missing. */
const whereabouts = (address: string): fc.Arbitrary<Files> =>
  fc.oneof(
    { withCrossShrink: true },
    { weight: 8, arbitrary: fc.constant({ address }) },
    { weight: 4, arbitrary: fc.constant({ 'bootstrap.json': bootstrapOf(address) }) },
    { weight: 2, arbitrary: fc.constantFrom(...foreignAddresses).map((text) => ({ address: text })) },
    { weight: 2, arbitrary: fc.constantFrom(...foreignBootstraps).map((text) => ({ 'bootstrap.json': text })) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(...foreignBootstraps).map((text) => ({ address, 'bootstrap.json': text })),
    },
    { weight: 2, arbitrary: fc.constant({}) },
  );

const bootstrapOf = (address: string): string => `{"version":3,"address":"${address}","protocol":"ttrpc"}`;

const bundleOf = (files: Files, kind: BundleStart['rootfs']): BundleStart => ({ ...ordinary, files, rootfs: kind });

/** Gives back what shows a container, or a shim, where chance took away all of it. */
const traced = (entry: Unnamed): Unnamed => {
  const { cgroup: _, ...grouped } = entry;
  const shown = hasContainerTrace(entry, true) ? entry : grouped;
  return isNamed(shown) ? shown : { ...shown, ...(typeof shown.bundle === 'object' ? {} : { shimCwd: 'bundle' }) };
};

/** Whether anything shows that the processes of an entry's container are its own, if they run. */
const hasContainerTrace = (entry: Unnamed, isClockSet: boolean): boolean => {
  const { bundle, cgroup, containerRoot, runtimeState, runtimeRoot } = entry;
  const files: Files = typeof bundle === 'object' ? bundle.files : {};
  const isMounted = typeof bundle === 'object' && bundle.rootfs.startsWith('tmpfs') && containerRoot === undefined;
  // A process whose root is the machine's own counts as one that got the number later, where the clock says so.
  const isNumbered = files['init.pid'] === '$INIT' && !(isClockSet && containerRoot === 'host');
  return (
    (cgroup !== 'named' && cgroup !== 'none') ||
    (cgroup === 'named' && reads(files['config.json'], '$GROUP')) ||
    isNumbered ||
    isMounted ||
    (containerRoot === 'rootfs' && typeof bundle === 'object' && ['empty', 'nonempty'].includes(bundle.rootfs)) ||
    ((runtimeState === 'right' || runtimeState === 'crun') && (runtimeRoot === undefined || typeof bundle === 'object'))
  );
};

const reads = (text: string | undefined, part: string): boolean => text?.includes(part) === true;

const isNamed = ({ shimArgs, shimCwd }: Unnamed): boolean => shimArgs !== 'no-id' || shimCwd === 'bundle';

/**
 * A pod: a sandbox with a shim, in the tree of tasks or in the one beside it, and its containers. Its socket may be lost, its
 * shim gone, with containers that go on.
 */
export const pod = (): fc.Arbitrary<Unit> =>
  fc
    .record({
      sandbox: bundled(undefined),
      shim: mostly<ShimScript>(
        running,
        fc.constantFrom(dead, dead, leaked, { ...running, connect: 'hang' as const }),
        2,
      ),
      traces: shimTraces(),
      socket: socket(),
      tree: mostly<Unnamed>({}, fc.constant({ tree: 'sandbox-controller' as const }), 3),
      isRecorded: mostly(true, fc.constant(false), 4),
    })
    .chain(({ sandbox, shim, traces, socket: { address, ...form }, tree, isRecorded }) =>
      fc
        .tuple(whereabouts(address), fc.array(member(address), { minLength: 1, maxLength: 2 }), fc.boolean())
        .map(([where, members, areOrphans]): Unit => {
          const first = traced({
            bundle: bundleOf({ ...sandbox.files, ...where }, sandbox.rootfs),
            ...sandbox.rest,
            ...traces,
            ...form,
            ...tree,
            shim,
            ...(isRecorded ? { sandbox: true } : {}),
          });
          const isGone = shim.mode === 'refuse';
          const orphaned = members.map((one) => (isGone && areOrphans ? { ...one, processes: 1 } : one));
          return { isPod: true, entries: [first, ...orphaned] };
        }),
    );

/** A container of a pod: its shim is the sandbox's, and may have no task of it. */
const member = (address: string): fc.Arbitrary<Unnamed> =>
  fc
    .record({
      own: bundled('$POD'),
      how: podTraces(address),
      task: fc.oneof(
        { withCrossShrink: true },
        { weight: 4, arbitrary: fc.constant<Unnamed>({ shim: { of: '$POD' } }) },
        { weight: 1, arbitrary: fc.constant<Unnamed>({ shim: { of: '$POD', noTask: true } }) },
      ),
    })
    .map(({ own, how, task }) =>
      traced({ bundle: bundleOf({ ...own.files, ...how }, own.rootfs), ...own.rest, ...task }),
    );

/** What shows to which pod a container belongs; one of them at least. The pod's id is put in later. */
const podTraces = (address: string): fc.Arbitrary<Files> =>
  fc.oneof(
    { withCrossShrink: true },
    { weight: 4, arbitrary: fc.constant<Files>({ address, sandbox: '$POD' }) },
    { weight: 3, arbitrary: fc.constant<Files>({ address }) },
    { weight: 2, arbitrary: fc.constant<Files>({ sandbox: '$POD' }) },
    { weight: 1, arbitrary: fc.constant<Files>({ sandbox: '$POD', address: nul(32) }) },
    { weight: 1, arbitrary: fc.constant<Files>({ 'bootstrap.json': bootstrapOf(address) }) },
    { weight: 1, arbitrary: fc.constant<Files>({ 'config.json': annotatedConfig }) },
  );

const annotatedConfig = JSON.stringify({
  linux: { cgroupsPath: '$GROUP' },
  annotations: { 'io.kubernetes.cri.sandbox-id': '$POD' },
});

/** A directory of a user's own, with something in it that no bundle has. */
export const userDirectory = (): fc.Arbitrary<Unit> =>
  fc
    .record({
      own: fc.constantFrom<Files>(
        { 'thesis.txt': 'x' },
        { 'photos/2024/one.jpg': 'x', 'config.json': '{}' },
        { 'mail/inbox': 'x', log: 'x' },
        { '.ssh/id': 'x', state: 'x' },
      ),
      recorded: record(),
    })
    .map(({ own, recorded }) => ({
      isPod: false,
      entries: [
        {
          bundle: { files: own, work: 'none' as const, rootfs: 'none' as const, log: 'none' as const },
          userOwned: true as const,
          ...recorded,
        },
      ],
    }));

/** The entry with the pod's id where it is named. */
export const inPod =
  (id: string) =>
  (entry: Unnamed): Unnamed => {
    const { bundle, shim } = entry;
    const named: Unnamed = {
      ...entry,
      ...(shim !== undefined && !ShimScript.is(shim) ? { shim: { ...shim, of: withPod(shim.of, id) } } : {}),
    };
    return typeof bundle === 'object'
      ? {
          ...named,
          bundle: {
            ...bundle,
            files: Object.fromEntries(Object.entries(bundle.files).map(([name, text]) => [name, withPod(text, id)])),
          },
        }
      : named;
  };

const withPod = (text: string, id: string): string => text.replaceAll('$POD', id);

/** Where a shim listens that no policy can dial, or a text that says nothing any more. */
const foreignAddresses = [
  'vsock://3:1024',
  'hvsock://$BASE/s/hv.sock:1024',
  'npipe:////./pipe/containerd-shim',
  'tcp://10.0.0.5:7777',
  'nowhere in particular',
  nul(64),
  '',
] as const;

const foreignBootstraps = [
  '{"version":3,"address":"vsock://3:1024","protocol":"ttrpc"}',
  '{"version":3,"address":"vsock://3:1024","protocol":"grpc"}',
  '{"version":3,"address":"hvsock://$BASE/s/hv.sock:1024","protocol":"ttrpc"}',
  nul(128),
] as const;

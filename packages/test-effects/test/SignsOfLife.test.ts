/** What each source says of a bundle, on the machine in memory: alive, dead, unknown or nothing, and each of them alone. */
import { ByteString as B, Recovery } from '@shim-recovery/core';
import { hidden } from '@shim-recovery/core/interpreter';
import type { SignSource, SignState } from '../../core/src/decide/Signs.js';
import { careful } from '../../core/src/policy/Policy.js';
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import { describe, expect, it } from 'vitest';
import { type Effect, type Fault, intercept, proceed } from '../src/simulation/FaultInjection.js';
import { layWorld } from '../src/simulation/LaidWorld.js';
import type { MemoryView } from '../src/memory/MemoryProcesses.js';
import { dead, running } from '../src/worlds/Shim.js';
import { ordinary, type Start, type World, world } from '../src/worlds/World.js';

type Entry = Omit<Start, 'ns' | 'id'>;

const web = (entry: Entry): Start => ({ ns: 'main', id: 'web', bundle: ordinary, ...entry });
/** A bundle whose shim is gone, and of which a process may run. */
const orphan = (entry: Entry = {}): Start => web({ shim: dead, processes: 1, cgroup: 'none', ...entry });
const withFiles = (files: Readonly<Record<string, string>>): Pick<Start, 'bundle'> => ({
  bundle: { ...ordinary, files: { ...ordinary.files, ...files } },
});
const withoutAddress = (files: Readonly<Record<string, string>> = {}): Pick<Start, 'bundle'> => ({
  bundle: { ...ordinary, files: { 'shim-binary-path': '$BIN/shim-ok', ...files } },
});

interface Said {
  readonly state: SignState;
  readonly says: string;
  readonly pids: ReadonlyArray<number>;
}

/** Whether a call fails, and how. */
type Failing = (effect: Effect) => Fault | undefined;

/** What the sources say of main/web. */
const signsOf = async (
  all: World,
  failing: Failing = () => undefined,
  view?: MemoryView,
): Promise<ReadonlyMap<SignSource, Said>> => {
  const { machine, settings } = layWorld(all);
  if (view !== undefined) machine.processes.limit(view);
  const { capabilities } = intercept(machine.capabilities, (effect) => {
    const fault = failing(effect);
    return fault === undefined ? proceed : { _tag: 'Fail', fault, when: 'instead' };
  });
  const key = { namespace: B.fromText('main'), id: B.fromText('web') };
  const found = await Recovery.inspectBundle({ ...settings, policy: careful }, capabilities, key)();
  if (E.isLeft(found) || O.isNone(found.right)) throw new Error('main/web is not found');
  const { signs = [] } = found.right.value.answers;
  return new Map(signs.map(({ source, state, says, pids = [] }) => [source, { state, says, pids }]));
};

interface Case {
  readonly what: string;
  readonly entries: ReadonlyArray<Start>;
  readonly about?: Omit<World, 'entries'>;
  readonly failing?: Failing;
  /** How much is seen, where no world has it. */
  readonly view?: MemoryView;
  readonly is: SignState;
  /** What it says, where that matters. */
  readonly says?: string | RegExp;
  /** The processes that it names, where it matters. */
  readonly pids?: number;
}

const test = (source: SignSource, cases: ReadonlyArray<Case>): void => {
  describe(source, () => {
    it.each(cases.map((one) => [one.is, one.what, one] as const))(
      'is %s: %s',
      async (_, __, { entries, about, failing, view, is, says, pids }) => {
        const said = (await signsOf({ ...world(...entries), ...about }, failing, view)).get(source);
        expect(said).toMatchObject({ state: is });
        if (says !== undefined) expect(said?.says).toMatch(says);
        if (pids !== undefined) expect(said?.pids).toHaveLength(pids);
        expect(said?.says).not.toMatch(/undefined|\0/);
      },
    );

    it('is tried with every state that the source has', () => {
      const states = new Set(cases.map(({ is }) => is));
      const looked: ReadonlyArray<SignState> = source === 'own-view' ? ['none'] : ['alive', 'dead'];
      expect([...states]).toEqual(expect.arrayContaining([...looked, 'unknown']));
    });
  });
};

const fails =
  (capability: Effect['capability'], operation: string, fault: Fault, subject = ''): Failing =>
  (effect) =>
    effect.capability === capability && effect.operation === operation && effect.subject.endsWith(subject)
      ? fault
      : undefined;

test('own-view', [
  { what: 'everything is seen', entries: [web({ shim: running })], is: 'none' },
  { what: '/proc hides processes', entries: [web({})], about: { view: 'hidepid' }, is: 'unknown' },
  {
    what: 'the program is in a pid namespace of its own, and no shim is seen',
    entries: [web({})],
    about: { view: 'own-pid-namespace' },
    is: 'unknown',
  },
  {
    what: 'the program is in a mount namespace of its own, and no shim is seen',
    entries: [web({})],
    about: { view: 'own-mount-namespace' },
    is: 'unknown',
  },
  {
    what: 'a shim of the tree is in another mount namespace',
    entries: [web({}), { ns: 'main', id: 'db', bundle: ordinary, shim: running, shimNamespace: 'mount' }],
    is: 'unknown',
  },
  {
    what: 'a shim of the tree is in another pid namespace',
    entries: [web({}), { ns: 'main', id: 'db', bundle: ordinary, shim: running, shimNamespace: 'pid' }],
    is: 'unknown',
  },
  {
    what: 'a shim of another tree is in another mount namespace',
    entries: [
      web({}),
      { ns: 'other', id: 'db', shim: running, shimNamespace: 'mount' },
      { ns: 'main', id: 'db', bundle: ordinary, shim: running },
    ],
    is: 'none',
  },
  {
    what: 'process 1 hides its namespaces, and the program is in the first mount namespace',
    entries: [web({})],
    view: { hides: ['namespaces'] },
    is: 'none',
  },
  {
    what: 'process 1 hides its namespaces, and no shim shows whether the program is in the mount namespace of its daemon',
    entries: [web({})],
    view: { hides: ['namespaces'], isFirstMountNamespace: false },
    is: 'unknown',
    says: 'in which mount namespace process 1 is cannot be seen',
  },
  {
    what: 'process 1 is not seen, and a shim of the tree is in the mount namespace of the program',
    entries: [web({ shim: running })],
    view: { sees: ({ pid }) => pid !== 1, isFirstMountNamespace: false },
    is: 'none',
  },
  {
    what: 'a shim of the tree hides its namespaces',
    entries: [web({}), { ns: 'main', id: 'db', bundle: ordinary, shim: running }],
    view: { hides: ['namespaces'] },
    is: 'unknown',
    says: /^in which namespaces shims of this tree are \(process \d+\) cannot be seen$/,
  },
  {
    what: 'the program cannot see its own namespaces',
    entries: [web({ shim: running })],
    view: { namespaces: hidden('EACCES') },
    is: 'unknown',
    says: 'in which namespaces this program is cannot be seen',
  },
  {
    what: 'processes cannot be listed',
    entries: [web({})],
    failing: fails('processes', 'list', 'unavailable'),
    is: 'unknown',
  },
  {
    what: 'its own view cannot be told',
    entries: [web({})],
    failing: fails('processes', 'view', 'unavailable'),
    is: 'unknown',
  },
]);

test('listener', [
  {
    what: 'its shim listens, and the name is gone',
    entries: [web({ shim: running, socket: 'lost' })],
    is: 'alive',
    pids: 1,
  },
  {
    what: 'its shim listens in another network namespace, and the name is gone',
    entries: [web({ shim: running, socket: 'lost', shimNamespace: 'network' })],
    is: 'alive',
    pids: 1,
  },
  {
    what: 'its shim listens at an abstract name, and answers with an error',
    entries: [
      web({
        ...withFiles({ address: 'unix://@$SOCK' }),
        shim: { ...running, connect: { error: 2 } },
        socket: 'abstract',
      }),
    ],
    is: 'alive',
  },
  {
    what: 'who listens is seen, though the process is hidden',
    entries: [web({ shim: running, socket: 'lost' })],
    about: { view: 'hidepid' },
    is: 'alive',
    pids: 0,
  },
  { what: 'no process listens there', entries: [web({ shim: dead })], is: 'dead' },
  { what: 'no file says where it listens', entries: [web({ ...withoutAddress(), shim: running })], is: 'none' },
  {
    what: 'the table of sockets cannot be read',
    entries: [web({ shim: running, socket: 'lost' })],
    failing: fails('processes', 'listeners', 'unavailable'),
    is: 'unknown',
  },
]);

const nameless: Entry = { ...withoutAddress(), shim: running, socket: 'lost', shimArgs: 'no-id' };

test('shim-process', [
  { what: 'its command line names the id', entries: [web({ shim: running })], is: 'alive', pids: 1 },
  { what: 'in one word', entries: [web({ shim: running, shimArgs: 'equals' })], is: 'alive', pids: 1 },
  {
    what: 'its command line names the bundle',
    entries: [web({ shim: running, shimArgs: 'bundle' })],
    is: 'alive',
    pids: 1,
  },
  {
    what: 'it has no id, and works in the bundle',
    entries: [web({ ...nameless, shimCwd: 'bundle' })],
    is: 'alive',
    pids: 1,
  },
  { what: 'there is none', entries: [web({ shim: dead })], is: 'dead' },
  {
    what: 'the one of that id is of another namespace',
    entries: [web({}), { ns: 'other', id: 'web', bundle: ordinary, shim: running }],
    is: 'dead',
  },
  {
    what: 'the one without an id works in another bundle',
    entries: [web({}), { ns: 'main', id: 'db', bundle: ordinary, shim: running, shimArgs: 'no-id', shimCwd: 'bundle' }],
    is: 'dead',
  },
  {
    what: 'the one without an id is of another program',
    entries: [
      web({}),
      {
        ns: 'main',
        id: 'db',
        ...withFiles({ 'shim-binary-path': '$BIN/shim-warn' }),
        shim: running,
        shimArgs: 'no-id',
      },
    ],
    is: 'dead',
  },
  { what: 'one without an id works in no bundle', entries: [web(nameless)], is: 'unknown', pids: 1 },
  {
    what: 'one without an id works where this program may not look',
    entries: [web({}), { ns: 'main', id: 'db', bundle: ordinary, shim: running, shimArgs: 'no-id', shimCwd: 'bundle' }],
    about: { view: 'no-ptrace' },
    is: 'unknown',
  },
]);

const ofPod = (how: Readonly<Record<string, string>>): Start => web({ ...withoutAddress(how), shim: { of: 'pod' } });
const pod = (entry: Entry = {}): Start => ({ ns: 'main', id: 'pod', bundle: ordinary, shim: running, ...entry });
const annotated = { 'config.json': '{"annotations":{"io.kubernetes.cri.sandbox-id":"pod"}}' };

test('pod', [
  {
    what: 'its sandbox file names a bundle whose shim is there',
    entries: [pod(), ofPod({ sandbox: 'pod' })],
    is: 'alive',
    pids: 1,
  },
  { what: 'an annotation does', entries: [pod(), ofPod(annotated)], is: 'alive', pids: 1 },
  {
    what: 'a container of the pod that it is the sandbox of has a shim',
    entries: [
      web({ ...withoutAddress(), shim: dead }),
      { ns: 'main', id: 'db', ...withFiles({ sandbox: 'web' }), shim: running },
    ],
    is: 'alive',
  },
  {
    what: 'the bundle with the same socket has a shim',
    entries: [pod({ socket: 'lost' }), web({ shim: { of: 'pod' } })],
    is: 'alive',
  },
  {
    what: 'the sandbox is in the other tree',
    entries: [pod({ tree: 'sandbox-controller' }), ofPod({ sandbox: 'pod' })],
    is: 'alive',
  },
  {
    what: 'the shim of the pod has no id, and works in the bundle of the sandbox, in the other tree',
    entries: [
      pod({ tree: 'sandbox-controller', shimArgs: 'no-id', shimCwd: 'bundle', socket: 'lost' }),
      ofPod({ sandbox: 'pod' }),
    ],
    is: 'alive',
  },
  {
    what: 'the shim of the pod is seen by its socket alone',
    entries: [pod({ tree: 'sandbox-controller', shimArgs: 'no-id' }), ofPod({ sandbox: 'pod' })],
    is: 'alive',
    pids: 0,
  },
  { what: 'it is alone', entries: [web({}), pod()], is: 'none' },
  { what: 'the shim of its pod is gone', entries: [pod({ shim: dead }), ofPod({ sandbox: 'pod' })], is: 'dead' },
  {
    what: 'the sandbox of that id is of another namespace',
    entries: [{ ...pod(), ns: 'other' }, web(withoutAddress({ sandbox: 'pod' }))],
    is: 'none',
  },
  {
    what: 'the socket of its pod may not be dialled',
    entries: [pod({ shimArgs: 'no-id' }), ofPod({ sandbox: 'pod' })],
    failing: fails('shimConnector', 'dial', 'EACCES'),
    is: 'unknown',
  },
  {
    what: 'the other tree cannot be looked at',
    entries: [pod({ tree: 'sandbox-controller' }), ofPod({ sandbox: 'pod' })],
    failing: fails('fileSystem', 'list', 'EIO', 'io.containerd.sandbox.controller.v1.shim'),
    is: 'unknown',
  },
]);

const initPid = (text: string): Pick<Start, 'bundle'> => withFiles({ 'init.pid': text });

test('init-pid', [
  { what: 'its process runs', entries: [orphan(initPid('$INIT'))], is: 'alive', pids: 1 },
  {
    what: 'its main thread has ended, and another runs',
    entries: [orphan({ ...initPid('$INIT'), mainThreadEnded: true })],
    is: 'alive',
    pids: 1,
  },
  {
    what: 'the clock was set forward, and its runtime recorded the start in ticks',
    entries: [orphan({ ...initPid('$INIT'), runtimeState: 'right' })],
    about: { clock: 'set-forward' },
    is: 'alive',
  },
  { what: 'there is none', entries: [orphan()], is: 'none' },
  { what: 'its process has ended', entries: [web({ ...initPid('$INIT'), shim: dead })], is: 'dead' },
  {
    what: 'a later process of the host has the number',
    entries: [web({ ...initPid('$OTHER'), shim: dead })],
    is: 'dead',
  },
  {
    what: 'its runtime recorded another start',
    entries: [orphan({ ...initPid('$INIT'), runtimeState: 'other-start' })],
    is: 'dead',
  },
  { what: 'it holds NUL bytes', entries: [orphan(initPid('\0\0\0\0'))], is: 'unknown' },
  { what: 'it holds no number', entries: [orphan(initPid('-1'))], is: 'unknown' },
  {
    what: 'the clock was set forward after its process began',
    entries: [orphan(initPid('$INIT'))],
    about: { clock: 'set-forward' },
    is: 'unknown',
    pids: 1,
  },
  {
    what: 'it cannot be read',
    entries: [orphan(initPid('$INIT'))],
    failing: fails('fileSystem', 'read', 'EIO', 'init.pid'),
    is: 'unknown',
  },
]);

const grouped = { 'config.json': '{"linux":{"cgroupsPath":"$GROUP"}}' };

test('control-group', [
  { what: 'a process is in the group of its name', entries: [web({ shim: dead, processes: 2 })], is: 'alive', pids: 2 },
  ...(['kubepods', 'docker', 'scope', 'colons'] as const).map(
    (cgroup): Case => ({ what: `the group has the form ${cgroup}`, entries: [orphan({ cgroup })], is: 'alive' }),
  ),
  ...(['named', 'scope', 'colons'] as const).map(
    (cgroup): Case => ({
      what: `config.json names the group, of the form ${cgroup}`,
      entries: [orphan({ cgroup, ...withFiles(grouped) })],
      is: 'alive',
    }),
  ),
  { what: 'no process is in any', entries: [web({ shim: dead })], is: 'dead' },
  {
    what: 'a process runs in a group that only config.json would name',
    entries: [orphan({ cgroup: 'named' })],
    is: 'dead',
  },
  {
    what: 'the process is one of the same id in another namespace',
    entries: [web({}), { ns: 'other', id: 'web', bundle: ordinary, shim: dead, processes: 1 }],
    is: 'dead',
  },
  {
    what: 'config.json holds NUL bytes',
    entries: [orphan({ cgroup: 'named', ...withFiles({ 'config.json': '\0'.repeat(32) }) })],
    is: 'unknown',
  },
  {
    what: 'config.json is not found any more after it was listed',
    entries: [orphan({ cgroup: 'named', ...withFiles(grouped) })],
    failing: fails('fileSystem', 'read', 'ENOENT', 'config.json'),
    is: 'unknown',
  },
  {
    what: 'a group has the id among other words',
    entries: [web({}), { ns: 'main', id: 'web.log', bundle: ordinary, shim: dead, processes: 1 }],
    is: 'unknown',
  },
]);

test('runtime-state', [
  { what: 'the process that it names runs', entries: [orphan({ runtimeState: 'right' })], is: 'alive', pids: 1 },
  { what: 'as crun records it', entries: [orphan({ runtimeState: 'crun' })], is: 'alive', pids: 1 },
  {
    what: 'below the root that options.json names',
    entries: [orphan({ runtimeState: 'right', runtimeRoot: 'own' })],
    is: 'alive',
  },
  {
    what: 'the clock was set forward since',
    entries: [orphan({ runtimeState: 'right' })],
    about: { clock: 'set-forward' },
    is: 'alive',
  },
  {
    what: 'the bundle is empty',
    entries: [orphan({ bundle: 'empty', runtimeState: 'right' })],
    is: 'alive',
  },
  { what: 'there is none', entries: [orphan()], is: 'none' },
  { what: 'its process has ended', entries: [web({ shim: dead, runtimeState: 'right' })], is: 'dead' },
  { what: 'another process has the number by now', entries: [orphan({ runtimeState: 'other-start' })], is: 'dead' },
  { what: 'it does not say when the process began', entries: [orphan({ runtimeState: 'no-start' })], is: 'unknown' },
  { what: 'it holds NUL bytes', entries: [orphan({ runtimeState: 'lost' })], is: 'unknown' },
  {
    what: 'options.json, which says where it is, holds NUL bytes',
    entries: [orphan({ runtimeState: 'right', ...withFiles({ 'options.json': '\0'.repeat(16) }) })],
    is: 'unknown',
  },
]);

const mounted: Pick<Start, 'bundle'> = { bundle: { ...ordinary, rootfs: 'tmpfs' } };

test('root-file-system', [
  { what: 'a process has what is mounted on its rootfs for root', entries: [orphan(mounted)], is: 'alive', pids: 1 },
  { what: 'or its rootfs itself', entries: [orphan({ containerRoot: 'rootfs' })], is: 'alive' },
  { what: 'no process has it', entries: [web({ ...mounted, shim: dead })], is: 'dead' },
  { what: 'it has none', entries: [orphan({ bundle: { ...ordinary, rootfs: 'none' } })], is: 'none' },
  {
    what: 'the roots of processes may not be looked at, and something is mounted',
    entries: [orphan(mounted)],
    about: { view: 'no-ptrace' },
    is: 'unknown',
  },
  {
    what: 'its rootfs cannot be looked at',
    entries: [orphan(mounted)],
    failing: fails('fileSystem', 'stat', 'EIO', 'rootfs'),
    is: 'unknown',
  },
  {
    what: 'nor may they, and nothing is mounted',
    entries: [orphan({})],
    about: { view: 'no-ptrace' },
    is: 'unknown',
  },
]);

describe('each source alone', () => {
  /** Worlds in which one source alone sees that something lives, and what the verdict is for it. */
  const alone: ReadonlyArray<readonly [SignSource, World, string]> = [
    ['own-view', { ...world(web({ shim: dead })), view: 'own-pid-namespace' }, 'processes-unknown'],
    [
      'listener',
      world(
        web({
          shim: running,
          socket: 'lost',
          shimArgs: 'no-id',
          ...withFiles({ 'shim-binary-path': '$BIN/../bin/shim-warn' }),
          processes: 0,
        }),
      ),
      'shim-unreachable',
    ],
    ['shim-process', world(web({ ...nameless, shimCwd: 'bundle', processes: 0 })), 'shim-unreachable'],
    [
      'pod',
      world(pod({ tree: 'sandbox-controller' }), { ...ofPod({ sandbox: 'pod' }), processes: 0 }),
      'shim-unreachable',
    ],
    ['init-pid', world(orphan(initPid('$INIT'))), 'orphan-workload'],
    ['control-group', world(orphan({ cgroup: 'scope' })), 'orphan-workload'],
    ['runtime-state', world(orphan({ runtimeState: 'right' })), 'orphan-workload'],
    ['root-file-system', world(orphan(mounted)), 'orphan-workload'],
  ];

  const verdictOn = async (all: World): Promise<unknown> => {
    const { machine, settings } = layWorld(all);
    const planned = await Recovery.plan({ ...settings, policy: careful }, machine.capabilities)();
    if (E.isLeft(planned)) throw new Error(planned.left._tag);
    const bundles = planned.right.report.namespaces.flatMap((namespace) => namespace.bundles);
    return bundles.find(({ id }) => id === 'web')?.reason;
  };

  it.each(alone)(
    '%s holds a bundle of which no other says anything else than that it is dead',
    async (source, all, reason) => {
      const others = [...(await signsOf(all))].filter(([name]) => name !== source);
      // Only the process that may be a shim is seen beside the listener: a shim does not listen without a process.
      expect(others.filter(([, { state }]) => state === 'alive' || state === 'unknown').map(([name]) => name)).toEqual(
        source === 'listener' ? ['shim-process'] : [],
      );
      expect(await verdictOn(all)).toBe(reason);
    },
  );

  it('a shim that answers is taken back, whatever else is seen or not', async () => {
    expect(await verdictOn(world(web({ shim: running })))).toBe('task-running');
    expect(await verdictOn({ ...world(web({ shim: running })), view: 'hidepid', clock: 'set-forward' })).toBe(
      'task-running',
    );
  });

  it('a bundle of which no source says anything else than that it is dead is cleaned up', async () => {
    expect(await verdictOn(world(web({ shim: dead })))).toBe('dial-failed');
  });
});

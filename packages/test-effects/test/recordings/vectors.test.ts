import { ByteString as B, Recovery } from '@shim-recovery/core';
import { settingsFor } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import type * as Entry from '../../src/memory/Entry.js';
import {
  listTree,
  type Machine,
  makeDirectories,
  makeEntry,
  makeMachine,
  makeMount,
} from '../../src/memory/Machine.js';
import type { ShimScript } from '../../src/worlds/Shim.js';

// SPEC 22: bundle `a` in `ns1`, with an empty rootfs, a work link, a program and an address; no record in the stores.
const text = B.fromText;
const key = { namespace: text('ns1'), id: text('a') };
const socket = { _tag: 'Path', path: text('/s/a') } as const;
const address = 'unix:///s/a';

const file = (content: string, mode = 0o644): Entry.NewEntry => ({ kind: 'file', mode, content: text(content) });
const link = (target: string): Entry.NewEntry => ({ kind: 'symlink', mode: 0o777, content: text(target) });
const empty: Entry.NewEntry = { kind: 'directory', mode: 0o711 };

const live: ShimScript = {
  mode: 'serve',
  connect: { ok: { task: 1 } },
  pids: { ok: { pids: [1] } },
  del: { ok: { pid: 1, status: 0 } },
  shutdown: { ok: {}, exit: true },
};
const leaked: ShimScript = { ...live, pids: { ok: { pids: [] } } };

/** What a vector changes about the usual bundle. */
interface Vector {
  readonly program?: 'ok' | 'fail' | 'garbage';
  readonly shimBinaryPath?: string;
  readonly address?: string | undefined;
  readonly script?: ShimScript;
  /** More entries, by their path; `undefined` takes one of the usual ones away. */
  readonly entries?: Readonly<Record<string, Entry.NewEntry | undefined>>;
  readonly lay?: (machine: Machine) => void;
}

const lay = (vector: Vector): Machine => {
  const machine = makeMachine();
  const entries = {
    '/S/ns1/a/rootfs': empty,
    '/S/ns1/a/work': link('/R/ns1/a'),
    '/S/ns1/a/shim-binary-path': file(vector.shimBinaryPath ?? '/bin/shim'),
    '/S/ns1/a/address': 'address' in vector ? undefined : file(address),
    '/R/ns1/a/f': file('x'),
    '/bin/shim': file(vector.program ?? 'ok', 0o755),
    ...('address' in vector && vector.address !== undefined ? { '/S/ns1/a/address': file(vector.address) } : {}),
    ...(vector.script === undefined ? {} : { '/s/a': { kind: 'socket', mode: 0o600 } as const }),
    ...vector.entries,
  };
  for (const [path, entry] of Object.entries(entries))
    if (entry !== undefined) makeEntry(machine.tree, text(path), entry);
  if (vector.script !== undefined) machine.shims.listen(socket, vector.script);
  vector.lay?.(machine);
  return machine;
};

const settings = settingsFor({
  state: text('/S'),
  root: text('/R'),
  programSearch: { workingDirectory: text('/'), path: text('/bin'), executableDirectory: text('/usr/bin') },
});

const names = ({ tree }: Machine, top: string): ReadonlyArray<string> =>
  listTree(tree, text(top)).map(({ path }) => path.slice(top.length + 1));

const recover = async (vector: Vector) => {
  const machine = lay(vector);
  const run = await Recovery.recover(settings, machine.capabilities)();
  if (E.isLeft(run)) throw new Error('nothing could be recovered');
  const seen = () => ({
    runs: machine.shimBinary.runs().length,
    state: names(machine, '/S/ns1'),
    root: names(machine, '/R/ns1'),
    registered: run.right.registry.instances().map(({ evidence: { id } }) => id),
    calls: machine.shims.calls().map(({ call }) => call.replace(/^.*\//, '')),
  });
  return { machine, recovered: run.right, seen };
};

const usual = ['a', 'a/address', 'a/log', 'a/rootfs', 'a/shim-binary-path', 'a/work'];
const without = (...gone: ReadonlyArray<string>): ReadonlyArray<string> => usual.filter((name) => !gone.includes(name));
const nothing = { state: [], root: [], registered: [] };
const untouched = { state: usual, root: ['a', 'a/f'], registered: ['a'] };
const reaped = ['Connect', 'Pids', 'Delete', 'Shutdown'];
const unavailable = { _tag: 'StoreUnavailable', reason: 'locked' } as const;
const inRootfs = { '/S/ns1/a/rootfs': undefined, '/S/ns1/a/rootfs/f': file('x') };

describe('the conformance vectors of containerd 1.7 (SPEC 22)', () => {
  it.each<readonly [string, Vector, object]>([
    ['V1', {}, { runs: 1, ...nothing }],
    ['V2', { program: 'fail' }, { runs: 1, state: usual, root: [], registered: [] }],
    ['V3', { program: 'garbage' }, { runs: 1, state: usual, root: [], registered: [] }],
    ['V4', { address: undefined }, { runs: 1, ...nothing }],
    [
      'V4b',
      { address: undefined, program: 'fail' },
      { runs: 1, state: without('a/address', 'a/log'), root: [], registered: [] },
    ],
    ['V5', { shimBinaryPath: '/bin/shim\n' }, { runs: 0, ...nothing }],
    [
      'V6',
      { entries: { '/S/ns1/.a': empty } },
      { runs: 1, state: ['.a', ...without('a/rootfs')], root: [], registered: [] },
    ],
    ['V7', { entries: inRootfs }, { runs: 1, state: [...usual, 'a/rootfs/f'].sort(), root: [], registered: [] }],
    ['V8', { script: live }, { runs: 0, ...untouched, calls: ['Connect', 'Pids'] }],
    ['V9', { script: leaked }, { runs: 1, ...nothing, calls: reaped }],
    ['V10', { script: leaked, lay: ({ stores }) => stores.putSandbox(key) }, { runs: 0, ...untouched }],
    [
      'V10, store error',
      { script: leaked, lay: ({ stores }) => stores.failSandbox(key, unavailable) },
      { runs: 0, ...untouched },
    ],
    [
      'V11',
      { script: { ...live, pids: { error: 13 }, del: { error: 9 } } },
      { runs: 0, state: usual, root: [], registered: [], calls: ['Connect', 'Pids', 'Delete'] },
    ],
    ['V12', { script: { ...live, pids: { error: 5 }, del: { error: 5 } } }, { runs: 1, ...nothing, calls: reaped }],
    // V13, V14: the reference runs the binary twice at the same time, which changes nothing but its count (H6).
    ['V13', { script: { ...live, connect: { error: 13 } } }, { runs: 1, ...nothing, calls: ['Connect'] }],
    ['V14', { script: { ...live, connect: 'hang' } }, { runs: 1, ...nothing, calls: ['Connect'] }],
    [
      'V20',
      {
        lay: ({ tree }) => {
          makeMount(tree, text('/S/ns1/a/extra'));
          makeEntry(tree, text('/S/ns1/a/extra/inside'), file('x'));
        },
      },
      { runs: 1, state: ['.a', '.a/extra'], root: [], registered: [] },
    ],
    [
      'V21',
      {
        entries: { '/S/ns1/a/shim-binary-path': empty },
        lay: ({ stores }) => stores.failContainer(key, unavailable),
      },
      { runs: 0, ...nothing },
    ],
    ['V22', { shimBinaryPath: '', lay: ({ stores }) => stores.putContainer(key, B.empty) }, { runs: 0, ...nothing }],
    [
      'V23',
      { shimBinaryPath: '/not/there', entries: inRootfs },
      { runs: 0, state: [...without('a/log'), 'a/rootfs/f'].sort(), root: [], registered: [] },
    ],
    ['V24', { address: '{"version":3,"address":"unix:///s/a","protocol":"ttrpc"}' }, { runs: 1, ...nothing }],
  ])('%s', async (_, vector, expected) => {
    const { seen, recovered } = await recover(vector);
    expect(seen()).toMatchObject(expected);
    await recovered.stop();
  });

  it('V11, later: the shim that refused ends, and is cleaned up without events', async () => {
    const { machine, recovered, seen } = await recover({
      script: { ...live, pids: { error: 13 }, del: { error: 9 } },
    });
    machine.shims.kill(socket);
    await machine.clock.sleep(0)(); // virtual: over when nothing else can run
    await recovered.settled();
    expect(seen()).toMatchObject({ runs: 1, state: [], root: [] });
    expect(machine.eventSink.published()).toEqual([]);
    await recovered.stop();
  });

  it.each([
    ['V18', 'ok' as const, { pid: 900, exitStatus: 137, exitedAt: { seconds: '1700000000', nanos: 0 } }, []],
    ['V19', 'fail' as const, { pid: 0, exitStatus: 255 }, usual],
  ])('%s: a registered shim that ends is cleaned up, and its events tell how', async (_, program, exit, state) => {
    const { machine, recovered, seen } = await recover({ script: live, program });
    expect(seen()).toMatchObject(untouched);
    machine.shims.kill(socket);
    await machine.clock.sleep(0)(); // virtual: over when nothing else can run
    await recovered.settled();
    expect(seen()).toMatchObject({ runs: 1, state, registered: [] });
    expect(machine.eventSink.published()).toMatchObject([
      { _tag: 'TaskExit', ...key, exit },
      { _tag: 'TaskDelete', ...key, exit },
    ]);
    expect(machine.logPipes.openNow()).toEqual([]);
    await recovered.stop();
  });

  it('V15 to V17: an invalid namespace and a missing root are left alone; unowned entries below the root go', async () => {
    const machine = makeMachine();
    const { tree } = machine;
    makeEntry(tree, text('/S/bad..ns/a/x'), file('x'));
    makeEntry(tree, text('/R/bad..ns/a/x'), file('x'));
    makeDirectories(tree, text('/S/zz'));
    makeDirectories(tree, text('/S/ns1'));
    makeEntry(tree, text('/R/ns1/.hid/x'), file('x'));
    makeEntry(tree, text('/R/ns1/file'), file('x'));
    makeEntry(tree, text('/R/ns1/etc'), link('/etc'));
    makeEntry(tree, text('/etc/hosts'), file('x'));
    const run = await Recovery.recover(settings, machine.capabilities)();
    expect(names(machine, '/S')).toEqual(['bad..ns', 'bad..ns/a', 'bad..ns/a/x', 'ns1', 'zz']);
    expect(names(machine, '/R')).toEqual(['bad..ns', 'bad..ns/a', 'bad..ns/a/x', 'ns1']);
    expect(names(machine, '/etc')).toEqual(['hosts']);
    const errors = E.isRight(run) ? run.right.report.namespaces.map(({ name, error }) => [name, error === null]) : [];
    expect(errors).toEqual([
      ['bad..ns', false],
      ['ns1', true],
      ['zz', false],
    ]);
  });

  it('V25: what is no directory, or hidden, is passed over; any other name is a bundle', async () => {
    const machine = makeMachine();
    const { tree } = machine;
    makeEntry(tree, text('/target/x'), file('x'));
    makeEntry(tree, text('/S/ns1/link'), link('/target'));
    makeEntry(tree, text('/S/ns1/file'), file('x'));
    makeEntry(tree, text('/S/ns1/.hidden'), empty);
    for (const path of ['/S/ns1/empty', '/S/ns1/sp ace\n']) makeDirectories(tree, text(path));
    makeEntry(tree, text('/S/ns1/dots/.x'), file('x'));
    makeEntry(tree, text('/S/nslnk'), link('ns1'));
    for (const name of ['link', 'file', 'empty', 'dots']) makeEntry(tree, text(`/R/ns1/${name}/f`), file('x'));
    const run = await Recovery.recover(settings, machine.capabilities)();
    expect(E.isRight(run)).toBe(true);
    expect(names(machine, '/S')).toEqual(['ns1', 'ns1/.hidden', 'ns1/file', 'ns1/link', 'nslnk']);
    expect(names(machine, '/R')).toEqual(['ns1']);
    expect(names(machine, '/target')).toEqual(['x']);
  });

  const laySilent = (count: number): Machine => {
    const machine = makeMachine();
    const { tree, shims } = machine;
    makeEntry(tree, text('/bin/shim'), file('ok', 0o755));
    makeDirectories(tree, text('/R/ns1'));
    for (let index = 0; index < count; index++) {
      const path = text(`/s/${index}`);
      makeEntry(tree, text(`/S/ns1/${index}/shim-binary-path`), file('/bin/shim'));
      makeEntry(tree, text(`/S/ns1/${index}/address`), file(`unix:///s/${index}`));
      makeEntry(tree, path, { kind: 'socket', mode: 0o600 });
      const script: ShimScript = { ...live, connect: 'hang' };
      shims.listen({ _tag: 'Path', path }, script);
    }
    return machine;
  };

  it('a thousand shims that never answer cost one time-out', async () => {
    const machine = laySilent(1_000);
    await Recovery.recover(settings, machine.capabilities)();
    expect(names(machine, '/S/ns1')).toEqual([]);
    // Each portion is waited for a moment before the next is begun.
    expect(machine.clock.elapsedMs()).toBeLessThan(settings.timeouts.loadMs + 200);
  });

  it('no more logs are open than shims are waited for', async () => {
    const machine = laySilent(20);
    const { capabilities, logPipes } = machine;
    let most = 0;
    const open: typeof capabilities.logPipes.open = (log) => async () => {
      const opened = await capabilities.logPipes.open(log)();
      most = Math.max(most, logPipes.openNow().length);
      return opened;
    };
    const bounds = { ...settings.bounds, waiting: 5 };
    await Recovery.recover({ ...settings, bounds }, { ...capabilities, logPipes: { open } })();
    expect(names(machine, '/S/ns1')).toEqual([]);
    expect(most).toBe(5);
  });
});

/** Which directories are meant and which are refused, on machines in memory. */
import { ByteString as B } from '@shim-recovery/core';
import {
  type DirectoriesError,
  showDirectoriesError,
  systemError,
  understandDirectories,
  type UnderstoodDirectories,
} from '@shim-recovery/core/interpreter';
import { rootNamedBy } from '../../../core/src/observe/Directories.js';
import * as fc from 'fast-check';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import * as Entry from '../../src/memory/Entry.js';
import { make } from '../../src/simulation/LaidWorld.js';
import { type Machine, listTree, makeDirectories, makeMachine } from '../../src/memory/Machine.js';
import { directory, file, type Making, symlink } from '../../src/worlds/Fixture.js';

const tasks = 'io.containerd.runtime.v2.task';
const sandboxes = 'io.containerd.sandbox.controller.v1.shim';
const state = `/run/containerd/${tasks}`;
const root = `/var/lib/containerd/${tasks}`;

const machineWith = (...makings: ReadonlyArray<Making>): Machine => {
  const machine = makeMachine();
  makings.forEach(make(machine.tree));
  return machine;
};

/** The user that all entries belong to unless they are given away. */
const own = Entry.uidOf(makeMachine().tree.root());
const anotherUser = own + 1;

interface Asked {
  readonly state?: string;
  readonly root?: string;
  readonly uid?: number;
}

const understand = async (
  { capabilities }: Machine,
  asked: Asked = {},
): Promise<E.Either<DirectoriesError, UnderstoodDirectories>> =>
  understandDirectories(capabilities)({
    state: B.fromText(asked.state ?? state),
    root: B.fromText(asked.root ?? root),
    uid: asked.uid ?? own,
  })();

/** How both were understood, or why not. */
const meaningOf = async (machine: Machine, asked?: Asked): Promise<unknown> => {
  const understood = await understand(machine, asked);
  expect(machine.fileSystem.openDirectories()).toBe(0);
  if (E.isLeft(understood)) return understood.left._tag;
  const { state: one, root: other, nothingIn } = understood.right;
  return [`${one.meaning} ${B.show(one.path)}`, `${other.meaning} ${B.show(other.path)}`, nothingIn];
};

const errorOf = async (machine: Machine, asked?: Asked): Promise<DirectoriesError> => {
  const understood = await understand(machine, asked);
  return E.isLeft(understood) ? understood.left : expect.fail('it was understood');
};

const hintFor = async (machine: Machine, asked?: Asked) =>
  showDirectoriesError((uid) => (uid === anotherUser ? 'alice' : undefined))(await errorOf(machine, asked));

/** A bundle as a daemon makes it, with its working directory. */
const bundle = (
  id = 'web',
  { namespace = 'default', in: where = state, work = root }: { namespace?: string; in?: string; work?: string } = {},
): ReadonlyArray<Making> => [
  directory(`${where}/${namespace}/${id}/rootfs`),
  file(`${where}/${namespace}/${id}/config.json`, '{}'),
  symlink(`${where}/${namespace}/${id}/work`, `${work}/${namespace}/${id}`),
  directory(`${work}/${namespace}/${id}`),
];

const usual = [`plugin ${state}`, `plugin ${root}`, null];

describe('the directories of a host', () => {
  it("are those of the plugin, by their own names and by those of the daemon's directories", async () => {
    const machine = machineWith(...bundle());
    expect(await meaningOf(machine)).toEqual(usual);
    expect(await meaningOf(machine, { state: '/run/containerd', root: '/var/lib/containerd' })).toEqual([
      `daemon ${state}`,
      `daemon ${root}`,
      null,
    ]);
    expect(await meaningOf(machine, { state: '/run/containerd' })).toEqual([`daemon ${state}`, `plugin ${root}`, null]);
  });

  it("are found in a daemon's directory through a symlink, too", async () => {
    const machine = machineWith(
      ...bundle('web', { in: '/srv/tasks' }),
      symlink(`/run/containerd/${tasks}`, '/srv/tasks'),
    );
    expect(await meaningOf(machine, { state: '/run/containerd' })).toEqual([`daemon ${state}`, `plugin ${root}`, null]);
  });

  it('may have names of their own', async () => {
    const machine = machineWith(...bundle('web', { in: '/a/state', work: '/b/root' }));
    expect(await meaningOf(machine, { state: '/a/state', root: '/b/root' })).toEqual([
      'as-given /a/state',
      'as-given /b/root',
      null,
    ]);
  });

  it('are those of the sandbox controller, where one of them is named so', async () => {
    const [inState, inRoot] = [`/run/containerd/${sandboxes}`, `/var/lib/containerd/${sandboxes}`];
    const machine = machineWith(...bundle(), ...bundle('pod', { in: inState, work: inRoot }));
    const both = { state: inState, root: inRoot };
    expect(await meaningOf(machine, both)).toEqual([`plugin ${inState}`, `plugin ${inRoot}`, null]);
    expect(await meaningOf(machine, { ...both, root: '/var/lib/containerd' })).toEqual([
      `plugin ${inState}`,
      `daemon ${inRoot}`,
      null,
    ]);
    // The other tree's root would lose what it holds of these pods.
    expect(await errorOf(machine, { state: inState, root })).toMatchObject({ _tag: 'OtherRoot', named: inRoot });
  });

  it('have nothing to do where the state directory is missing or empty', async () => {
    expect(await meaningOf(machineWith())).toEqual([`plugin ${state}`, `plugin ${root}`, 'missing']);
    expect(await meaningOf(machineWith(directory(state)))).toEqual([`plugin ${state}`, `plugin ${root}`, 'empty']);
    expect(await meaningOf(machineWith(directory(state)), { state: '/run/containerd' })).toEqual([
      `daemon ${state}`,
      `plugin ${root}`,
      'empty',
    ]);
  });

  it('are not missing where a symlink leads nowhere, or the way to them does', async () => {
    expect(await errorOf(machineWith(symlink('/run/tasks', '/nowhere')), { state: '/run/tasks' })).toMatchObject({
      _tag: 'Unusable',
      option: 'state',
      error: { code: 'ENOENT' },
    });
    expect(await errorOf(machineWith(file('/run/file')), { state: '/run/file/tasks' })).toMatchObject({
      _tag: 'Unusable',
      error: { code: 'ENOTDIR' },
    });
  });

  it('without a root directory are named by the root that the bundles name', async () => {
    expect(await errorOf(machineWith(directory(`${state}/default/web`)))).toMatchObject({
      _tag: 'RootMissing',
      named: null,
    });
    const elsewhere = machineWith(...bundle('web', { work: '/srv/root' }));
    expect(await errorOf(elsewhere)).toMatchObject({ _tag: 'RootMissing', named: '/srv/root' });
    expect((await hintFor(elsewhere)).problem).toBe(
      `the root directory cannot be used: cannot open ${root}: ENOENT; the work links of the bundles name --root /srv/root`,
    );
  });
});

describe('what is refused', () => {
  it('is a state directory one level too high, although a daemon has no name for it', async () => {
    const machine = machineWith(...bundle('web', { in: `/run/docker/containerd/daemon/${tasks}` }));
    expect(await hintFor(machine, { state: '/run/docker/containerd' })).toEqual({
      problem: `--state is one level off: ${tasks} in /run/docker/containerd/daemon is a plugin of the daemon, where a namespace was expected`,
      hint: `--state /run/docker/containerd/daemon/${tasks}`,
    });
  });

  it.each(['state', 'root'] as const)(
    "is a daemon's %s directory without the plugin's, by its other plugins",
    async (option) => {
      const machine = machineWith(...bundle(), directory('/srv/daemon/io.containerd.metadata.v1.bolt'));
      expect(await errorOf(machine, { [option]: '/srv/daemon' })).toMatchObject({ _tag: 'PluginInside', option });
      expect((await hintFor(machine, { [option]: '/srv/daemon' })).hint).toBe(`--${option} /srv/daemon/${tasks}`);
    },
  );

  it.each(['state', 'root'] as const)('is a %s directory of a plugin that keeps other bundles', async (option) => {
    const other = '/run/containerd/io.containerd.runtime.v1.linux';
    const machine = machineWith(...bundle(), ...bundle('web', { in: other }));
    expect(await hintFor(machine, { [option]: other })).toMatchObject({ hint: `--${option} ${state}` });
    expect(await meaningOf(machine, { [option]: other })).toBe('OtherPlugin');
  });

  it('is one directory under two names', async () => {
    const machine = machineWith(...bundle(), symlink('/srv/root', state));
    expect(await meaningOf(machine, { root: '/srv/root' })).toBe('SameDirectory');
    expect(await meaningOf(machine, { root: `/run/../run/containerd/${tasks}` })).toBe('SameDirectory');
  });

  it.each([
    ['root', { root: '/srv/root' }, symlink('/srv/root', `${state}/default`)],
    ['root', { root: '/srv/run/web' }, symlink('/srv/run', `${state}/default`)],
    ['state', { root: '/srv/run' }, symlink('/srv/run', '/run')],
  ] as const)('is a %s directory inside the other one by a path over a symlink (%j)', async (inner, asked, link) => {
    expect(await errorOf(machineWith(...bundle(), link), asked)).toMatchObject({ _tag: 'Nested', inner });
  });

  it('is a root directory that is a part of the state directory, mounted elsewhere', async () => {
    const machine = machineWith(...bundle(), directory('/srv/root/web'));
    const lines = ['36 1 98:0 / / rw - ext4 none rw', `37 36 98:0 ${state}/default /srv/root rw - ext4 none rw`];
    const mounts = { ...machine.capabilities.mounts, read: async () => E.right(B.fromText(`${lines.join('\n')}\n`)) };
    const asked = { ...machine, capabilities: { ...machine.capabilities, mounts } };
    expect(await errorOf(asked, { root: '/srv/root' })).toMatchObject({ _tag: 'Nested', inner: 'root' });
    expect(await errorOf(asked, { state: '/srv/root', root: state })).toMatchObject({ _tag: 'Nested', inner: 'state' });
  });

  it("is another user's tree, from its top down to a bundle, also for root", async () => {
    const given = async (path: string): Promise<DirectoriesError> => {
      const machine = machineWith(...bundle('db'), ...bundle('web', { namespace: 'moby' }));
      Entry.giveTo(makeDirectories(machine.tree, B.fromText(path)), anotherUser);
      return errorOf(machine);
    };
    const paths = [state, `${state}/moby`, `${state}/moby/web`, root];
    for (const path of paths)
      expect(await given(path)).toEqual({ _tag: 'OtherOwner', path, owner: anotherUser, uid: own });
    const machine = machineWith(...bundle());
    expect(await meaningOf(machine, { uid: anotherUser })).toBe('OtherOwner');
    Entry.giveTo(machine.tree.root(), anotherUser);
    expect(await meaningOf(machine, { uid: anotherUser })).toEqual(usual);
    expect(await hintFor(machine)).toEqual({
      problem: `${state} belongs to alice (uid ${anotherUser}), and this process runs as uid ${own}; only its owner sees what lives there`,
      hint: 'run it as that user: sudo -u alice shim-recovery …',
    });
  });

  it("is a namespace's directory, with the one that was meant", async () => {
    const machine = machineWith(...bundle(), ...bundle('db'));
    expect(await hintFor(machine, { state: `${state}/default` })).toEqual({
      problem: `--state ${state}/default is one level too deep: ${state}/default/db is a bundle, where a namespace was expected`,
      hint: `--state ${state}`,
    });
  });

  it('is a directory of something else, though some of it is empty', async () => {
    const home = machineWith(
      file('/home/alice/notes/today'),
      directory('/home/alice/empty'),
      directory('/home/bob'),
      directory(root),
    );
    expect(await errorOf(home, { state: '/home' })).toMatchObject({ _tag: 'NoBundles', found: '/home/alice/notes' });
    const files = machineWith(file('/etc/passwd'), file('/etc/group'), directory(root));
    expect(await errorOf(files, { state: '/etc' })).toMatchObject({ _tag: 'NoBundles', found: '/etc/group' });
    const flat = machineWith(file('/srv/a/x'), directory(root));
    expect(await errorOf(flat, { state: '/srv' })).toMatchObject({ _tag: 'NoBundles', found: '/srv/a' });
    expect((await hintFor(flat, { state: '/srv' })).hint).toBe(
      "name the daemon's state directory, such as --state /run/containerd",
    );
  });

  it.each([
    ['/run/containerd', '/run/containerd/runc/default/state.json'],
    ['/run/containerd', `${state}/notes`],
    [state, `${state}/notes`],
  ])('is %s without a bundle (%s): the hint does not name it again', async (asked, found) => {
    const { problem, hint } = await hintFor(machineWith(file(found), directory(root)), { state: asked });
    expect(problem).toMatch(/ holds no bundle: /);
    expect(hint).toMatch(/^a daemon that keeps its state here has no bundle to recover; /);
  });

  it('is a root directory that no bundle names while one names another, ready to be typed', async () => {
    const machine = machineWith(...bundle('web', { work: '/srv/root' }), directory(root));
    expect(await hintFor(machine)).toEqual({
      problem: `no bundle keeps its work in --root ${root}: the work link of ${state}/default/web names another root directory`,
      hint: '--root /srv/root',
    });
    expect(await meaningOf(machine, { root: '/srv/root' })).toEqual([`plugin ${state}`, 'as-given /srv/root', null]);
  });
});

describe('what is not refused', () => {
  it.each<readonly [string, ReadonlyArray<Making>]>([
    ['a namespace without bundles', [directory(`${state}/default`)]],
    ['an empty bundle', [directory(`${state}/default/web`)]],
    ['the leftover of a bundle', [directory(`${state}/default/.web/rootfs`)]],
    ['a bundle without a work link', [file(`${state}/default/web/address`)]],
    ['a bundle with a work link of another shape', [...bundle('db'), symlink(`${state}/default/web/work`, '/x')]],
    ['a file beside a namespace', [directory(`${state}/default`), file(`${state}/file`)]],
    ['a directory of something else beside a bundle', [...bundle(), file(`${state}/default/strange/x`)]],
    ['one bundle of many that names another root', [...bundle('a', { work: '/srv/root' }), ...bundle('b')]],
    ['bundles that are called like files of one', [...bundle('work'), ...bundle('rootfs'), ...bundle('log')]],
    ['a bundle that is called like a plugin', bundle('io.containerd.x')],
  ])('is %s', async (_, makings) => {
    expect(await meaningOf(machineWith(directory(root), ...makings))).toEqual(usual);
  });

  it('is a root directory that the bundles name by a symlink', async () => {
    const machine = machineWith(...bundle('web', { work: '/srv/root' }), symlink('/by', '/srv/root'));
    expect(await meaningOf(machine, { root: '/by' })).toEqual([`plugin ${state}`, 'as-given /by', null]);
  });

  it('is a namespace that cannot be opened, unless this process lacks something', async () => {
    const failing = (code: string): Machine => {
      const machine = machineWith(...bundle(), ...bundle('db', { namespace: 'moby' }));
      const { fileSystem } = machine.capabilities;
      const openDirectory: typeof fileSystem.openDirectory = (at) =>
        at.name === 'moby'
          ? async () => E.left(systemError('open', at.directory.path, code))
          : fileSystem.openDirectory(at);
      return { ...machine, capabilities: { ...machine.capabilities, fileSystem: { ...fileSystem, openDirectory } } };
    };
    expect(await meaningOf(failing('EIO'))).toEqual(usual);
    expect(await meaningOf(failing('EMFILE'))).toBe('Unusable');
  });
});

describe('rootNamedBy', () => {
  const named = (work: string, namespace: string, id: string): string | undefined =>
    rootNamedBy(B.fromText(work), { namespace: B.fromText(namespace), id: B.fromText(id) });

  it.each([
    ['/var/root/default/web', '/var/root'],
    ['/var//root/./default/web/', '/var/root'],
    ['/default/web', '/'],
    ['/var/root/moby/web', undefined],
    ['/var/root/default/db', undefined],
    ['var/root/default/web', undefined],
    ['', undefined],
  ])('finds in %j the root directory %j', (work, expected) => {
    expect(named(work, 'default', 'web')).toBe(expected);
    expect(named(work, 'default', '..web')).toBe(expected);
  });
});

/** Anything that is laid below some directories; two of them are named. */
const anyTree = fc.array(
  fc.record({
    at: fc.constantFrom(state, root, '/run/containerd', '/var/lib/containerd', '/home', `${state}/default`),
    names: fc.array(
      fc.constantFrom('default', 'moby', 'web', '.web', 'config.json', 'rootfs', 'work', 'log', tasks, 'notes'),
      { minLength: 1, maxLength: 4 },
    ),
    kind: fc.constantFrom('directory', 'file', 'to state', 'to root', 'work link'),
    isGiven: fc.nat({ max: 4 }).map((nth) => nth === 0),
  }),
  { maxLength: 12 },
);

const anyPlace = fc.constantFrom(
  state,
  root,
  '/run/containerd',
  '/var/lib/containerd',
  '/home',
  `${state}/default`,
  '/',
);

const lay = (things: typeof anyTree extends fc.Arbitrary<infer T> ? T : never): Machine => {
  const machine = makeMachine();
  const { tree } = machine;
  for (const { at, names, kind, isGiven } of things) {
    const path = [at, ...names].join('/');
    const isFree = names.every((_, index) => {
      const found = tree.walk(B.fromText([at, ...names.slice(0, index + 1)].join('/')));
      if (E.isLeft(found)) return found.left === 'ENOENT';
      return index < names.length - 1 && Entry.isDirectory(found.right);
    });
    const target = { 'to state': state, 'to root': root, 'work link': `${root}/${names.slice(-3, -1).join('/')}` };
    if (!isFree) continue;
    try {
      if (kind === 'directory') make(tree)(directory(path));
      else if (kind === 'file') make(tree)(file(path));
      else make(tree)(symlink(path, target[kind]));
    } catch {
      continue; // a dangling symlink is in its place
    }
    const made = tree.walk(B.fromText(path), { followLast: false });
    if (isGiven && E.isRight(made)) Entry.giveTo(made.right, anotherUser);
  }
  return machine;
};

it('whatever is there, it is understood or refused with a sentence, nothing stays open, and nothing is changed', async () => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(anyTree, anyPlace, anyPlace, async (things, one, other) => {
      const machine = lay(things);
      const before = listTree(machine.tree, B.fromText('/'));
      const understood = await understand(machine, { state: one, root: other });
      expect(machine.fileSystem.openDirectories()).toBe(0);
      expect(listTree(machine.tree, B.fromText('/'))).toEqual(before);
      if (E.isLeft(understood)) {
        seen.add(understood.left._tag);
        const { problem, hint } = showDirectoriesError(() => undefined)(understood.left);
        expect(`${problem}${hint ?? ''}`).toMatch(/^[^\n]{20,}$/);
        return;
      }
      seen.add(understood.right.nothingIn ?? 'understood');
      if (understood.right.nothingIn !== null) return;
      // What may be worked on is apart, belongs to this user, and holds no plugin.
      const { state: first, root: second } = understood.right;
      const [inState, inRoot] = [first, second].map(({ path }) => machine.tree.walk(path));
      if (inState === undefined || inRoot === undefined || E.isLeft(inState) || E.isLeft(inRoot))
        return expect.fail('one of them is missing');
      const above = (entry: Entry.Entry): ReadonlyArray<Entry.Entry> =>
        Entry.isRoot(entry) ? [entry] : [entry, ...above(Entry.parentOf(entry))];
      expect(above(inState.right)).not.toContain(inRoot.right);
      expect(above(inRoot.right)).not.toContain(inState.right);
      expect([inState.right, inRoot.right].map(Entry.uidOf)).toEqual([own, own]);
      expect(Entry.namesIn(inState.right).filter((name) => name.startsWith('io.containerd.'))).toEqual([]);
    }),
    { numRuns: 3_000 },
  );
  expect([...seen].sort()).toEqual(
    expect.arrayContaining(['NoBundles', 'OtherOwner', 'SameDirectory', 'TooDeep', 'empty', 'missing', 'understood']),
  );
});

import { ByteString as B } from '@shim-recovery/core';
import { MountTable } from '@shim-recovery/core/interpreter';
import { unmountBelow, viewMountTable } from '../../core/src/apply/Unmounting.js';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { listTree, type Machine, makeDirectories, makeEntry, makeMachine, makeMount } from '../src/memory/Machine.js';

const text = B.fromText;
const refused = (code: string) => ({ _tag: 'Left', left: { _tag: 'UnmountRefused', code } });
const done = E.right(undefined);

const mountPoints = async ({ capabilities: { mounts } }: Machine): Promise<ReadonlyArray<string>> =>
  pipe(
    await mounts.read(),
    E.chain(MountTable.parse),
    E.match(
      () => ['unreadable'],
      (table) => table.map(({ mountPoint }) => mountPoint).filter((point) => point !== '/'),
    ),
  );

const paths = ({ tree }: Machine, top: string): ReadonlyArray<string> =>
  listTree(tree, text(top)).map(({ path, isMountPoint }) => `${path}${isMountPoint ? ' [mount]' : ''}`);

/** A directory with a file in it, then a tmpfs with another file mounted over it. */
const overmounted = (): Machine => {
  const machine = makeMachine();
  makeEntry(machine.tree, text('/b/rootfs/under'), { kind: 'file', mode: 0o644 });
  makeMount(machine.tree, text('/b/rootfs'));
  makeEntry(machine.tree, text('/b/rootfs/inside'), { kind: 'file', mode: 0o644 });
  return machine;
};

describe('mounts in memory', () => {
  it('hide what is below them until they are unmounted', async () => {
    const machine = overmounted();
    expect(paths(machine, '/b')).toEqual(['/b/rootfs [mount]', '/b/rootfs/inside']);
    expect(await machine.capabilities.mounts.unmount(text('/b/rootfs'))()).toEqual(done);
    expect(paths(machine, '/b')).toEqual(['/b/rootfs', '/b/rootfs/under']);
    expect(await mountPoints(machine)).toEqual([]);
  });

  it('stack, and come off from the top', async () => {
    const machine = overmounted();
    makeMount(machine.tree, text('/b/rootfs'), 'overlay');
    expect(await mountPoints(machine)).toEqual(['/b/rootfs', '/b/rootfs']);
    expect(paths(machine, '/b')).toEqual(['/b/rootfs [mount]']);
    expect(await machine.capabilities.mounts.unmount(text('/b/rootfs'))()).toEqual(done);
    expect(paths(machine, '/b')).toEqual(['/b/rootfs [mount]', '/b/rootfs/inside']);
  });

  it('move along when a directory above them is renamed', async () => {
    const machine = overmounted();
    const { fileSystem: files } = machine;
    const root = await files.openPath(text('/'))();
    if (E.isLeft(root)) throw new Error('the root does not open');
    const at = (name: string) => ({ directory: root.right, name: text(name) });
    expect(await files.rename(at('b'), at('.b c'))()).toEqual(done);
    expect(await mountPoints(machine)).toEqual(['/.b c/rootfs']);
    expect(paths(machine, '/.b c')).toEqual(['/.b c/rootfs [mount]', '/.b c/rootfs/inside']);
  });

  it('print a table that names every mount point, whatever bytes are in its path', async () => {
    const name = fc
      .uint8Array({ minLength: 1, maxLength: 12 })
      .map((bytes) => B.fromBytes(bytes))
      .filter((bytes) => bytes !== '.' && bytes !== '..' && !/[/\0]/.test(bytes));
    await fc.assert(
      fc.asyncProperty(fc.array(name, { minLength: 1, maxLength: 4 }), async (names) => {
        const machine = makeMachine();
        const path = names.reduce((parent, child) => B.concat(parent, text('/'), child), B.empty);
        makeMount(machine.tree, path);
        expect(await mountPoints(machine)).toEqual([path]);
        expect(await machine.capabilities.mounts.unmount(path)()).toEqual(done);
      }),
    );
  });

  it('are refused with the error of the kernel', async () => {
    const { capabilities, tree, fileSystem } = overmounted();
    const { mounts } = capabilities;
    makeMount(tree, text('/b/rootfs/n'));
    makeEntry(tree, text('/link'), { kind: 'symlink', mode: 0o777, content: text('/b/rootfs') });
    expect(await mounts.unmount(text('/b/nothing'))()).toMatchObject(refused('ENOENT'));
    expect(await mounts.unmount(text('/b'))()).toMatchObject(refused('EINVAL'));
    expect(await mounts.unmount(text('/link'))()).toMatchObject(refused('EINVAL'));
    expect(await mounts.unmount(text('/link/n'))()).toMatchObject(refused('ENOTDIR'));
    expect(await mounts.unmount(text('/b/rootfs'))()).toMatchObject(refused('EBUSY'));
    const inside = await fileSystem.openPath(text('/b/rootfs/n'))();
    expect(await mounts.unmount(text('/b/rootfs/n'))()).toMatchObject(refused('EBUSY'));
    if (E.isRight(inside)) await fileSystem.close(inside.right)();
    expect(await mounts.unmount(text('/b/rootfs/n'))()).toEqual(done);
    expect(await mounts.exists(text('/b/nothing'))()).toBe(false);
    expect(await mounts.exists(text('/b/rootfs/inside/x'))()).toBe(true);
  });

  it('that are busy cost 2.5 seconds each, and only the last one counts (SPEC 7.3)', async () => {
    const machine = makeMachine();
    const { capabilities, tree, clock } = machine;
    makeMount(tree, text('/b/rootfs'));
    makeMount(tree, text('/b/rootfs/n')).isBusy = true;
    const view = viewMountTable(capabilities);
    const unmounted = await unmountBelow(capabilities, view)(text('/b/rootfs'))();
    expect(unmounted).toMatchObject(refused('EBUSY'));
    expect(Math.round(clock.elapsedMs() / 500)).toBe(10);
  });

  it('know FUSE, and its helpers may fail', async () => {
    const able = makeMachine();
    const unable = makeMachine({ fuseHelperProblem: 'not installed' });
    for (const { tree } of [able, unable]) {
      makeMount(tree, text('/b/rootfs'), 'fuse.overlayfs');
      makeDirectories(tree, text('/plain'));
    }
    expect(await able.capabilities.mounts.isFuse(text('/b/rootfs'))()).toBe(true);
    expect(await able.capabilities.mounts.isFuse(text('/plain'))()).toBe(false);
    expect(await unable.capabilities.mounts.unmountFuse(text('/b/rootfs'))()).toMatchObject({ _tag: 'Left' });
    expect(await able.capabilities.mounts.unmountFuse(text('/b/rootfs'))()).toEqual(done);
  });

  it('become unreadable by one odd line (H39)', async () => {
    const machine = makeMachine({ extraLines: [text('odd')] });
    expect(await mountPoints(machine)).toEqual(['unreadable']);
  });
});

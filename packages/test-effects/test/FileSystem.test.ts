import * as B from '@shim-recovery/core/ByteString';
import type { Directory, FileError } from '@shim-recovery/core/FileSystem';
import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import * as Entry from '../src/Entry.js';
import { listTree, makeDirectories, makeEntry, makeMachine, makeMount } from '../src/Machine.js';
import { maxNameBytes } from '../src/Tree.js';
import * as Real from './realDirectory.js';

const text = B.fromText;

/** One operation, on directories that are open (by their place in the list of them) and names. */
type Operation =
  | { readonly do: 'openPath'; readonly path: string }
  | { readonly do: 'rename'; readonly in: number; readonly name: string; readonly to: number; readonly toName: string }
  | { readonly do: 'file' | 'symlink'; readonly in: number; readonly name: string; readonly content: string }
  | {
      readonly do:
        | 'openDirectory'
        | 'close'
        | 'list'
        | 'readSmallFile'
        | 'readLink'
        | 'status'
        | 'resolvedStatus'
        | 'unlink'
        | 'removeDirectory'
        | 'directory'
        | 'fifo';
      readonly in: number;
      readonly name: string;
    };

const maxBytes = 4;

/** Few names, so that operations meet; one that is not UTF-8, one as long as can be and one too long. */
const name = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom('a', 'b', 'c') },
  { weight: 1, arbitrary: fc.constantFrom('.hidden', '\xff\n', '__proto__', 'x'.repeat(255), 'x'.repeat(256)) },
);

/** Texts of symlinks and ends of paths. At most one step up each, so that they stay near. */
const route = fc
  .tuple(
    fc.constantFrom('', '', './', '../', '/'),
    fc.array(fc.constantFrom('a', 'b', 'c', '.', 'a/..'), { minLength: 1, maxLength: 3 }),
    fc.constantFrom('', '', '', '/', '/.'),
  )
  .map(([before, names, after]) => ({ isAbsolute: before === '/', text: `${before}${names.join('/')}${after}` }));

const place = fc.nat({ max: 3 });

/** Three open directories, one in the other and one beside, with something in each: renames have much to refuse here. */
const furnished: ReadonlyArray<Operation> = [
  { do: 'directory', in: 0, name: 'a' },
  { do: 'directory', in: 0, name: 'b' },
  { do: 'openDirectory', in: 0, name: 'a' },
  { do: 'directory', in: 1, name: 'b' },
  { do: 'openDirectory', in: 1, name: 'b' },
  { do: 'file', in: 2, name: 'c', content: 'x' },
  { do: 'openDirectory', in: 0, name: 'b' },
  { do: 'file', in: 3, name: 'a', content: '' },
  { do: 'symlink', in: 0, name: 'c', content: 'a/b/' },
];

/** A sequence of operations, in an empty or a furnished directory; shrinks to fewer. The paths in it are below `base`. */
const operations = (base: string): fc.Arbitrary<ReadonlyArray<Operation>> => {
  const at = { in: place, name };
  const target = route.map((to) => (to.isAbsolute ? `${base}${to.text}` : to.text));
  const one: fc.Arbitrary<Operation> = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('directory' as const), ...at }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('file' as const), ...at, content: fc.constantFrom('', 'x', 'long\xe9') }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('symlink' as const), ...at, content: target }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('fifo' as const), ...at }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('openDirectory' as const), ...at }) },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('rename' as const), ...at, to: place, toName: name }) },
    { weight: 2, arbitrary: route.map((to) => ({ do: 'openPath' as const, path: `${base}/${to.text}` })) },
    {
      weight: 10,
      arbitrary: fc.record({
        do: fc.constantFrom(
          'close',
          'list',
          'readSmallFile',
          'readLink',
          'status',
          'resolvedStatus',
          'unlink',
          'removeDirectory',
        ),
        ...at,
      }),
    },
  );
  return fc
    .tuple(fc.constantFrom<ReadonlyArray<Operation>>([], furnished), fc.array(one, { minLength: 1, maxLength: 20 }))
    .map(([before, after]) => [...before, ...after]);
};

const answerOf = <A>(outcome: E.Either<FileError, A>, show: (value: A) => unknown): Real.Answer => {
  if (E.isRight(outcome)) return { value: show(outcome.right) };
  const error = outcome.left;
  switch (error._tag) {
    case 'SystemError':
      return { code: error.code };
    case 'NotRegularFile':
      return { value: { notRegular: error.kind } };
    case 'TooLarge':
      return { value: 'too large' };
    case 'Replaced':
      return { value: 'replaced' };
  }
};

const nothing = (): undefined => undefined;

/** Takes every operation on both sides and compares the answers, then what stands there in the end. */
const compare = async (base: string, pipe: () => string, taken: ReadonlyArray<Operation>): Promise<void> => {
  const { fileSystem: files, tree } = makeMachine();
  makeDirectories(tree, text(base));
  const first = await files.openPath(text(base))();
  const firstReal = Real.openPath(Buffer.from(base));
  if (E.isLeft(first) || !('value' in firstReal)) throw new Error('the base does not open');
  const handles: Array<{ readonly memory: Directory; readonly real: number }> = [
    { memory: first.right, real: Number(firstReal.value) },
  ];

  const make = (directory: Directory, child: B.ByteString, entry: Entry.NewEntry): Real.Answer => {
    const parent = files.entryOf(directory);
    if (parent === undefined) return { code: 'EBADF' };
    const found = tree.lookUp(parent, child);
    if (E.isRight(found)) return { code: 'EEXIST' };
    if (found.left !== 'ENOENT') return { code: found.left };
    if (!Entry.isAttached(parent)) return { code: 'ENOENT' };
    Entry.makeChild(parent, child, entry);
    return { value: undefined };
  };

  const keep = (memory: E.Either<FileError, Directory>, real: Real.Answer): void => {
    expect(answerOf(memory, nothing)).toEqual('value' in real ? { value: undefined } : real);
    if (E.isLeft(memory) || !('value' in real)) return;
    const handle = { memory: memory.right, real: Number(real.value) };
    const entry = files.entryOf(memory.right);
    const where = Real.pathOfHandle(handle.real);
    if (entry !== undefined && !where.endsWith(' (deleted)')) expect(tree.pathOf(entry)).toBe(where);
    // Nothing is ever done in a directory outside the base.
    if (`${where}/`.startsWith(`${base}/`)) handles.push(handle);
    else Real.close(handle.real);
  };

  const take = async (operation: Operation): Promise<void> => {
    if (operation.do === 'openPath') {
      const path = Buffer.from(operation.path, 'latin1');
      return keep(await files.openPath(B.fromBytes(path))(), Real.openPath(path));
    }
    const here = handles[operation.in % handles.length] ?? handles[0]!;
    const child = B.fromBytes(Buffer.from(operation.name, 'latin1'));
    const at = { directory: here.memory, name: child };
    const on = [here.real, operation.name] as const;
    switch (operation.do) {
      case 'directory':
        return expect(make(here.memory, child, { kind: 'directory', mode: 0o755 })).toEqual(Real.makeDirectory(...on));
      case 'file': {
        const content = B.fromBytes(Buffer.from(operation.content, 'latin1'));
        const real = Real.makeFile(...on, operation.content);
        return expect(make(here.memory, child, { kind: 'file', mode: 0o644, content })).toEqual(real);
      }
      case 'symlink': {
        const content = B.fromBytes(Buffer.from(operation.content, 'latin1'));
        const real = Real.makeSymlink(...on, operation.content);
        return expect(make(here.memory, child, { kind: 'symlink', mode: 0o777, content })).toEqual(real);
      }
      case 'fifo':
        return expect(make(here.memory, child, { kind: 'fifo', mode: 0o700 })).toEqual(Real.placePipe(...on, pipe));
      case 'openDirectory':
        return keep(await files.openDirectory(at)(), Real.openDirectory(...on));
      case 'close': {
        if (handles.length === 1) return;
        handles.splice(handles.indexOf(here), 1);
        await files.close(here.memory)();
        Real.close(here.real);
        expect(answerOf(await files.list(here.memory)(), nothing)).toEqual({ code: 'EBADF' });
        return;
      }
      case 'list':
        return expect(answerOf(await files.list(here.memory)(), (entries) => entries)).toEqual(Real.list(here.real));
      case 'readSmallFile': {
        const real = Real.readSmallFile(...on, maxBytes);
        return expect(answerOf(await files.readSmallFile(at, maxBytes)(), (content) => content)).toEqual(real);
      }
      case 'readLink':
        return expect(answerOf(await files.readLink(at)(), (link) => link)).toEqual(Real.readLink(...on));
      case 'status':
        return expect(answerOf(await files.status(at)(), ({ kind }) => kind)).toEqual(Real.status(...on));
      case 'resolvedStatus': {
        const real = Real.resolvedStatus(...on);
        return expect(answerOf(await files.resolvedStatus(at)(), ({ kind }) => kind)).toEqual(real);
      }
      case 'unlink':
        return expect(answerOf(await files.unlink(at)(), nothing)).toEqual(Real.unlink(...on));
      case 'removeDirectory':
        return expect(answerOf(await files.removeDirectory(at)(), nothing)).toEqual(Real.removeDirectory(...on));
      case 'rename': {
        const there = handles[operation.to % handles.length] ?? handles[0]!;
        const toName = B.fromBytes(Buffer.from(operation.toName, 'latin1'));
        const renamed = await files.rename(at, { directory: there.memory, name: toName })();
        return expect(answerOf(renamed, nothing)).toEqual(Real.rename(on, [there.real, operation.toName]));
      }
    }
  };

  try {
    for (const operation of taken) await take(operation);
    const byPath = (one: { path: string }, other: { path: string }): number => (one.path < other.path ? -1 : 1);
    expect([...listTree(tree, text(base))].sort(byPath)).toEqual([...Real.listReal(base)].sort(byPath));
  } finally {
    for (const { real } of handles) Real.close(real);
  }
};

describe('files and directories in memory', () => {
  const real = Real.makeRealDirectories();
  afterAll(real.clear);

  it('answer as the kernel does, operation by operation, and leave the same tree', { timeout: 60_000 }, async () => {
    const template = operations('$BASE');
    await fc.assert(
      fc.asyncProperty(template, async (taken) => {
        const base = real.next();
        const resolved = taken.map((operation): Operation => {
          if (operation.do === 'openPath') return { ...operation, path: operation.path.replace('$BASE', base) };
          return operation.do === 'symlink'
            ? { ...operation, content: operation.content.replace('$BASE', base) }
            : operation;
        });
        await compare(base, real.nextPipe, resolved).finally(() => real.discard(base));
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['a file', 'f'],
    ['a file, as if it were a directory', 'f/'],
    ['a directory, by a slash at the end', 'd/'],
    ['the directory itself', '.'],
    ['a name below a file', 'f/x'],
    ['a way up and down again', 'd/../f'],
    ['a way up from a link', 'out/../f'],
    ['a way up from a file', 'f/../f'],
    ['nothing', 'none'],
    ['a way through nothing', 'none/../f'],
    ['itself', 'link'],
  ])('follow a link to %s as the kernel does', async (_, target) => {
    const base = real.next();
    await compare(base, real.nextPipe, [
      { do: 'file', in: 0, name: 'f', content: 'x' },
      { do: 'directory', in: 0, name: 'd' },
      { do: 'symlink', in: 0, name: 'out', content: 'd' },
      { do: 'symlink', in: 0, name: 'link', content: target },
      { do: 'resolvedStatus', in: 0, name: 'link' },
      { do: 'openPath', path: `${base}/link` },
      { do: 'openPath', path: `${base}/link/` },
      { do: 'openPath', path: `${base}/link/.` },
    ]);
  });

  it('follow as many links as the kernel does, and no more', async () => {
    const base = real.next();
    const chain = Array.from({ length: 42 }, (_, index): Operation => {
      const [name, content] = [`l${index}`, index === 0 ? '.' : `l${index - 1}`];
      return { do: 'symlink', in: 0, name, content };
    });
    // Not by way of /proc/self/fd, which are links themselves.
    const looks = chain.map((_, index): Operation => ({ do: 'openPath', path: `${base}/l${index}` }));
    await compare(base, real.nextPipe, [...chain, ...looks]);
  });

  it('take nothing new into a directory that was removed while it was open', async () => {
    await compare(real.next(), real.nextPipe, [
      { do: 'directory', in: 0, name: 'a' },
      { do: 'openDirectory', in: 0, name: 'a' },
      { do: 'removeDirectory', in: 0, name: 'a' },
      { do: 'file', in: 0, name: 'f', content: 'x' },
      { do: 'rename', in: 0, name: 'f', to: 1, toName: 'f' },
      { do: 'directory', in: 1, name: 'd' },
      { do: 'list', in: 1, name: '' },
    ]);
  });

  it('keep an open directory the same one when it or its parent is renamed', async () => {
    const { fileSystem: files, tree } = makeMachine();
    makeEntry(tree, text('/state/ns/web/rootfs/f'), { kind: 'file', mode: 0o644, content: text('x') });
    const open = async (path: string): Promise<Directory> => {
      const opened = await files.openPath(text(path))();
      if (E.isLeft(opened)) throw new Error(path);
      return opened.right;
    };
    const [state, rootfs] = [await open('/state'), await open('/state/ns/web/rootfs')];
    const ns = text('ns');
    expect(await files.rename({ directory: state, name: ns }, { directory: state, name: text('.ns') })()).toEqual(
      E.right(undefined),
    );
    makeEntry(tree, text('/state/ns/web/rootfs/decoy'), { kind: 'file', mode: 0o644 });
    expect(await files.list(rootfs)()).toEqual(E.right([{ name: 'f', kind: 'file' }]));
    expect(await files.unlink({ directory: rootfs, name: text('f') })()).toEqual(E.right(undefined));
    expect(listTree(tree, text('/state')).map(({ path }) => path)).toEqual([
      '/state/.ns',
      '/state/.ns/web',
      '/state/.ns/web/rootfs',
      '/state/ns',
      '/state/ns/web',
      '/state/ns/web/rootfs',
      '/state/ns/web/rootfs/decoy',
    ]);
  });

  it('tell an inode from a later one that got its number', async () => {
    const { fileSystem: files, tree } = makeMachine();
    const directory = E.getOrElseW(() => {
      throw new Error('the root does not open');
    })(await files.openPath(text('/'))());
    const at = { directory, name: text('a') };
    const statuses = [];
    for (const _ of [1, 2]) {
      makeEntry(tree, text('/a'), { kind: 'directory', mode: 0o755 });
      statuses.push(E.getOrElseW(() => undefined)(await files.status(at)()));
      await files.removeDirectory(at)();
    }
    expect(statuses[0]?.inode).toBe(statuses[1]?.inode);
    expect(statuses[0]?.bornNs).not.toBe(statuses[1]?.bornNs);
  });

  it('refuse what is not one name', async () => {
    const { fileSystem: files } = makeMachine();
    const directory = E.getOrElseW(() => ({ path: text('closed') }))(await files.openPath(text('/'))());
    for (const name of ['', '.', '..', 'a/b', 'a\0b'])
      expect(await files.status({ directory, name: text(name) })()).toMatchObject({ left: { code: 'EINVAL' } });
    const tooLong = text('x'.repeat(maxNameBytes + 1));
    expect(await files.status({ directory, name: tooLong })()).toMatchObject({ left: { code: 'ENAMETOOLONG' } });
  });

  it('neither remove nor rename a mount point, nor rename across file systems', async () => {
    const { fileSystem: files, tree } = makeMachine();
    makeMount(tree, text('/b/rootfs'));
    makeEntry(tree, text('/b/rootfs/inside'), { kind: 'file', mode: 0o644 });
    const open = async (path: string): Promise<Directory> =>
      E.getOrElseW(() => {
        throw new Error(path);
      })(await files.openPath(text(path))());
    const [bundle, rootfs] = [await open('/b'), await open('/b/rootfs')];
    const point = { directory: bundle, name: text('rootfs') };
    const code = (expected: string) => ({ _tag: 'Left', left: { code: expected } });
    expect(await files.removeDirectory(point)()).toMatchObject(code('EBUSY'));
    expect(await files.unlink(point)()).toMatchObject(code('EISDIR'));
    expect(await files.rename(point, { directory: bundle, name: text('other') })()).toMatchObject(code('EBUSY'));
    expect(
      await files.rename({ directory: rootfs, name: text('inside') }, { directory: bundle, name: text('inside') })(),
    ).toMatchObject(code('EXDEV'));
    const [above, below] = [
      await files.status({ directory: await open('/'), name: text('b') })(),
      await files.status(point)(),
    ];
    expect(E.isRight(above) && E.isRight(below) && above.right.device !== below.right.device).toBe(true);
  });
});

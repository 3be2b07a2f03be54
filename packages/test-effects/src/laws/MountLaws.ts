/** What every `Mounts` must do: tell the table as the kernel does, and take away one mount at a time, the topmost. */
import { ByteString as B } from '@shim-recovery/core';
import { codeOf, type FileError, type MountError, type Mounts, MountTable } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import { make } from '../simulation/LaidWorld.js';
import { busyTmpfs, directory, fifo, file, type Making, symlink, tmpfs } from '../worlds/Fixture.js';
import { makeDirectories, makeMachine } from '../memory/Machine.js';
import { anyRoute } from './FileOperation.js';
import type { FileArea } from './FileSystemLaws.js';
import { expectSame, type Law, law, lawOfAll, type Trials } from './Law.js';

/** An area in which mounts can be made. */
export interface MountArea extends FileArea {
  readonly mounts: Mounts;
  /** Lets go of what was made as busy. */
  readonly release: () => Promise<void>;
}

/** The laws of mounts. */
export const mountLaws = (open: () => Promise<MountArea>, trials: Trials = {}): ReadonlyArray<Law> => {
  const one = law(open);
  return [
    lawOfAll(anyOperations, trials)(
      open,
      'any sequence of mounts and unmounts answers as on Linux, and leaves the same table',
      compare,
    ),

    one('a mount hides what is below it, and gives it back', async (area) => {
      const [point, below] = [`${area.base}/d`, `${area.base}/d/below`];
      await area.make(file(below));
      await area.make(tmpfs(point));
      await area.make(file(`${point}/inside`));
      const names = async (): Promise<ReadonlyArray<string>> =>
        (await area.list()).map(({ path }) => B.show(path).slice(area.base.length));
      const hidden = await names();
      const unmounted = await area.mounts.unmount(B.fromText(point))();
      return [
        ...expectSame('while it is mounted', hidden, ['/d', '/d/inside']),
        ...expectSame('unmounting', outcome(unmounted), 'done'),
        ...expectSame('afterwards', await names(), ['/d', '/d/below']),
      ];
    }),

    one('a busy mount is EBUSY until it is let go of', async (area) => {
      const point = `${area.base}/d`;
      await area.make(busyTmpfs(point));
      const busy = await area.mounts.unmount(B.fromText(point))();
      await area.release();
      const released = await area.mounts.unmount(B.fromText(point))();
      return expectSame('unmounting', [busy, released].map(outcome), ['EBUSY', 'done']);
    }),

    one('no symlink is followed, neither at the end of the path nor on the way', async (area) => {
      await area.make(tmpfs(`${area.base}/d/m`));
      await area.make(symlink(`${area.base}/toMount`, 'd/m'));
      await area.make(symlink(`${area.base}/toDirectory`, 'd'));
      const refused = [
        await area.mounts.unmount(B.fromText(`${area.base}/toMount`))(),
        await area.mounts.unmount(B.fromText(`${area.base}/toDirectory/m`))(),
      ];
      return [
        ...(refused.some(E.isRight) ? ['a symlink was followed'] : []),
        ...expectSame('the table', await pointsBelow(area.mounts, area.base), [`${area.base}/d/m`]),
      ];
    }),

    lawOfAll(anyLinks, trials)(open, 'any path resolves as on Linux, or fails with the same error', compareResolving),

    one('a resolved path has no symlink in it, whatever stands at its end', async (area) => {
      await area.make(file(`${area.base}/d/f`));
      await area.make(fifo(`${area.base}/d/pipe`));
      await area.make(symlink(`${area.base}/d/up`, '../d'));
      await area.make(symlink(`${area.base}/link`, `${area.base}/d/up`));
      const found = await Promise.all(
        ['d', 'd/f', 'link', 'link/', 'link/.', 'link/up/f', 'link/pipe', 'link/../d/f'].map((name) =>
          area.mounts.resolve(B.fromText(`${area.base}/${name}`))(),
        ),
      );
      const expected = ['/d', '/d/f', '/d', '/d', '/d', '/d/f', '/d/pipe', '/d/f'];
      return expectSame(
        'resolved',
        found.map(resolved),
        expected.map((path) => `${area.base}${path}`),
      );
    }),

    one('a mount that a symlink leads to is in the table by its resolved path', async (area) => {
      await area.make(tmpfs(`${area.base}/d/m`));
      await area.make(symlink(`${area.base}/link`, 'd'));
      const found = await area.mounts.resolve(B.fromText(`${area.base}/link/m`))();
      return expectSame('the table', await pointsBelow(area.mounts, area.base), [resolved(found)]);
    }),

    one('what leads nowhere resolves to the error that says why', async (area) => {
      await area.make(file(`${area.base}/f`));
      await area.make(symlink(`${area.base}/toNothing`, 'none'));
      await area.make(symlink(`${area.base}/loop`, 'loop'));
      const found = await Promise.all(
        ['none', 'none/x', 'toNothing', 'f/x', 'f/', 'loop', 'x'.repeat(256)].map((name) =>
          area.mounts.resolve(B.fromText(`${area.base}/${name}`))(),
        ),
      );
      const expected = ['ENOENT', 'ENOENT', 'ENOENT', 'ENOTDIR', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'];
      return expectSame('errors', found.map(resolved), expected);
    }),

    one('only what certainly is not there does not exist', async (area) => {
      await area.make(directory(`${area.base}/d`));
      await area.make(file(`${area.base}/f`));
      const exists = await Promise.all(
        ['d', 'f', 'f/x', 'none'].map((name) => area.mounts.exists(B.fromText(`${area.base}/${name}`))()),
      );
      return expectSame('d, f, f/x and none', exists, [true, true, true, false]);
    }),

    one('what is no FUSE file system is none', async (area) => {
      await area.make(tmpfs(`${area.base}/d`));
      const found = await Promise.all(
        ['d', 'none'].map((name) => area.mounts.isFuse(B.fromText(`${area.base}/${name}`))()),
      );
      return expectSame('d and none', found, [false, false]);
    }),
  ];
};

/** Names with what the kernel escapes in its table. */
const anyOperations = fc.array(
  fc.record({
    do: fc.constantFrom('mount' as const, 'unmount' as const),
    name: fc.constantFrom('a', 'a/b', 'a/b/c', 'with blank', 'tab\tand\\backslash', 'line\nfeed', 'd#'),
  }),
  { minLength: 1, maxLength: 8 },
);

const compare = async (area: MountArea, operations: ReadonlyArray<Operation>): Promise<ReadonlyArray<string>> => {
  const { tree, capabilities } = makeMachine();
  makeDirectories(tree, B.fromText(area.base));
  const differences: Array<string> = [];
  for (const operation of operations) {
    const path = `${area.base}/${operation.name}`;
    if (operation.do === 'mount') {
      make(tree)(tmpfs(path));
      await area.make(tmpfs(path));
    } else {
      const expected = await capabilities.mounts.unmount(B.fromText(path))();
      const actual = await area.mounts.unmount(B.fromText(path))();
      differences.push(...expectSame(`unmounting ${operation.name}`, outcome(actual), outcome(expected)));
    }
    const tables = [await pointsBelow(area.mounts, area.base), await pointsBelow(capabilities.mounts, area.base)];
    differences.push(...expectSame(`the table after ${operation.do} ${operation.name}`, tables[0], tables[1]));
  }
  return differences;
};

interface Operation {
  readonly do: 'mount' | 'unmount';
  readonly name: string;
}

const outcome = (unmounted: E.Either<MountError, void>): string => {
  if (E.isRight(unmounted)) return 'done';
  return unmounted.left._tag === 'UnmountRefused' ? unmounted.left.code : unmounted.left._tag;
};

/** Where something is mounted below the base, in the table's order; one that is mounted over is there twice. */
const pointsBelow = async (mounts: Mounts, base: string): Promise<ReadonlyArray<string>> => {
  const text = await mounts.read();
  const table = E.isRight(text) ? MountTable.parse(text.right) : text;
  if (E.isLeft(table)) throw new Error(`the table cannot be understood: ${JSON.stringify(table.left)}`);
  return table.right
    .map(({ mountPoint }) => B.show(mountPoint))
    .filter((point) => point.startsWith(`${base}/`))
    .sort();
};

const compareResolving = async (
  area: MountArea,
  { standing, paths }: { readonly standing: ReadonlyArray<Standing>; readonly paths: ReadonlyArray<string> },
): Promise<ReadonlyArray<string>> => {
  const { tree, capabilities } = makeMachine();
  makeDirectories(tree, B.fromText(area.base));
  for (const making of standing.map(makingOf(area.base))) {
    make(tree)(making);
    await area.make(making);
  }
  const differences: Array<string> = [];
  for (const path of paths.map((one) => B.fromText(one.replace('$BASE', area.base)))) {
    const expected = await capabilities.mounts.resolve(path)();
    const actual = await area.mounts.resolve(path)();
    differences.push(...expectSame(`resolving ${B.show(path)}`, resolved(actual), resolved(expected)));
  }
  return differences;
};

/** What stands somewhere below the base. A symlink's text begins with `$BASE` where it is absolute. */
interface Standing {
  readonly name: string;
  readonly kind: 'directory' | 'file' | 'symlink' | 'mount';
  readonly target: string;
}

const makingOf =
  (base: string) =>
  ({ name, kind, target }: Standing): Making => {
    const path = `${base}/${name}`;
    switch (kind) {
      case 'directory':
        return directory(path, 0o755);
      case 'file':
        return file(path, 'x');
      case 'symlink':
        return symlink(path, target.replace('$BASE', base));
      case 'mount':
        return tmpfs(path);
    }
  };

const resolved = (outcome: E.Either<FileError, B.ByteString>): string =>
  E.isRight(outcome) ? B.show(outcome.right) : codeOf(outcome.left);

const atBase = (base: string) => (route: { readonly isAbsolute: boolean; readonly text: string }) =>
  `${base}${route.isAbsolute ? '' : '/'}${route.text}`;

const text = anyRoute.map((route) => (route.isAbsolute ? atBase('$BASE')(route) : route.text));

/** A directory with a few things in it, which symlinks connect, and the paths to be resolved. */
const anyLinks = fc.record({
  standing: fc.uniqueArray(
    fc.record<Standing>({
      name: fc.constantFrom('a', 'b', 'c', 'd/a', 'd/b'),
      kind: fc.constantFrom('directory', 'file', 'symlink', 'symlink', 'symlink', 'mount'),
      target: text,
    }),
    { selector: ({ name }) => name, maxLength: 5 },
  ),
  paths: fc.array(anyRoute.map(atBase('$BASE')), { minLength: 1, maxLength: 4 }),
});

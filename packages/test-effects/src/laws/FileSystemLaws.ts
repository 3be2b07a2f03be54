/** What every `FileSystem` must do: in every operation what Linux does, and what the capability promises beyond it. */
import { ByteString as B } from '@shim-recovery/core';
import {
  codeOf,
  type Directory,
  type FileError,
  type FileStatus,
  type FileSystem,
  isSameFile,
  type Location,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import * as Entry from '../memory/Entry.js';
import { make } from '../simulation/LaidWorld.js';
import { directory, fifo, file, type Making, symlink, tmpfs } from '../worlds/Fixture.js';
import { type Machine, listTree, makeDirectories, makeMachine } from '../memory/Machine.js';
import type { Listing } from '../worlds/Outcome.js';
import { maxNameBytes } from '../memory/Tree.js';
import { anyOperations, type Operation } from './FileOperation.js';
import { type Disposable, expectSame, type Law, law, lawOfAll, type Trials } from './Law.js';

/** An empty directory, and a file system that reaches it. */
export interface FileArea extends Disposable {
  readonly fileSystem: FileSystem;
  /** Its absolute path, without symlinks on the way. */
  readonly base: string;
  /** Makes one thing at a path below the base, at which nothing stands. */
  readonly make: (making: Making) => Promise<void>;
  /** Everything below the base; symlinks not followed. */
  readonly list: () => Promise<Listing>;
  /** Whether mounts can be made here: otherwise nothing is tried of them. */
  readonly canMount: boolean;
  /** Gives what stands at a path to another user. Absent where this process may not. */
  readonly giveTo?: (path: string, uid: number) => Promise<void>;
}

type Answer = { readonly value: unknown } | { readonly code: string };

/** The laws of files and directories, on an area that `open` makes anew each time. */
export const fileSystemLaws = (open: () => Promise<FileArea>, trials: Trials = {}): ReadonlyArray<Law> => {
  const one = law(open);
  return [
    lawOfAll(anyOperations(), trials)(
      open,
      'any sequence of operations answers as on Linux, with the same errors, and leaves the same tree',
      compare,
    ),

    ...targets.map((target) =>
      one(`a symlink to ${target} leads where it leads on Linux`, (area) => compare(area, linkTo(target))),
    ),
    one('as many symlinks are followed on a path as on Linux, and no more', (area) => compare(area, chain)),
    one('nothing new comes into a directory that was removed while it was open', (area) =>
      compare(area, removedWhileOpen),
    ),

    one('a symlink is never opened as a directory, nor read as a file', async (area) => {
      await area.make(directory(`${area.base}/d`));
      await area.make(file(`${area.base}/d/f`));
      await area.make(symlink(`${area.base}/toD`, 'd'));
      await area.make(symlink(`${area.base}/toF`, 'd/f'));
      return inBase(area, async (at) => {
        const { openDirectory, readSmallFile } = area.fileSystem;
        const [opened] = codes(await openDirectory(at('toD'))());
        const read = await readSmallFile(at('toF'), 100)();
        return [
          ...(opened === 'ENOTDIR' || opened === 'ELOOP' ? [] : [`opening a symlink to a directory: ${opened}`]),
          ...(E.isRight(read) ? ['a symlink was followed when it was read as a file'] : []),
        ];
      });
    }),

    one('an open directory stays the same one, wherever it is moved and whatever takes its place', async (area) => {
      await area.make(directory(`${area.base}/d`));
      await area.make(file(`${area.base}/d/f`));
      await area.make(directory(`${area.base}/decoy`));
      return inBase(area, async (at) => {
        const { openDirectory, rename, list, unlink, close } = area.fileSystem;
        const opened = await openDirectory(at('d'))();
        if (E.isLeft(opened)) return ['the directory does not open'];
        const moved = codes(await rename(at('d'), at('gone'))(), await rename(at('decoy'), at('d'))());
        const listed = await list(opened.right)();
        const unlinked = codes(await unlink({ directory: opened.right, name: B.fromText('f') })());
        await close(opened.right)();
        return [
          ...expectSame('renames', moved, ['done', 'done']),
          ...expectSame('what it holds', E.isRight(listed) && listed.right.map(({ name }) => B.show(name)), ['f']),
          ...expectSame('unlinking in it', unlinked, ['done']),
        ];
      });
    }),

    one('a directory that was closed is never used again', async (area) => {
      const { openPath, close, list, owner, status, openDirectory, createFile, writable, unlink } = area.fileSystem;
      const opened = await openPath(B.fromText(area.base))();
      if (E.isLeft(opened)) return ['the base does not open'];
      await close(opened.right)();
      const at = { directory: opened.right, name: B.fromText('x') };
      // Whoever opens another one now may get its number.
      const other = await openPath(B.fromText(area.base))();
      const found = codes(
        await list(opened.right)(),
        await owner(opened.right)(),
        await status(at)(),
        await openDirectory(at)(),
        await createFile(at, B.empty)(),
        await writable(opened.right)(),
        await unlink(at)(),
      );
      await close(opened.right)();
      if (E.isRight(other)) await close(other.right)();
      return expectSame(
        'using it',
        found,
        found.map(() => 'EBADF'),
      );
    }),

    one('a directory in which files can be made is writable, and nothing is made to find that out', async (area) => {
      const { openPath, writable, list, close } = area.fileSystem;
      const opened = await openPath(B.fromText(area.base))();
      if (E.isLeft(opened)) return ['the base does not open'];
      const before = await list(opened.right)();
      const found = codes(await writable(opened.right)());
      const after = await list(opened.right)();
      await close(opened.right)();
      return [...expectSame('asking', found, ['done']), ...expectSame('what is in it', after, before)];
    }),

    one('reading never waits, never reads what is no regular file, and never more than allowed', async (area) => {
      await area.make(fifo(`${area.base}/pipe`));
      await area.make(directory(`${area.base}/d`));
      await area.make(file(`${area.base}/f`, 'four'));
      return inBase(area, async (at) => {
        const { readSmallFile } = area.fileSystem;
        const found = codes(
          await readSmallFile(at('pipe'), 100)(),
          await readSmallFile(at('d'), 100)(),
          await readSmallFile(at('f'), 3)(),
          await readSmallFile(at('f'), 4)(),
          await readSmallFile(at('none'), 4)(),
        );
        return expectSame('reading', found, ['NotRegularFile', 'NotRegularFile', 'TooLarge', 'done', 'ENOENT']);
      });
    }),

    one('what is created holds what it was given, byte for byte, and is a file like any other', async (area) =>
      inBase(area, async (at) => {
        const { createFile, readSmallFile, list } = area.fileSystem;
        const contents = ['', 'text\n', '\xff\0\x80', 'x'.repeat(100_000)];
        const found: Array<string> = [];
        for (const [index, text] of contents.entries()) {
          const content = B.fromBytes(Buffer.from(text, 'latin1'));
          const what = `${content.length} bytes`;
          found.push(...expectSame(what, codes(await createFile(at(`f${index}`), content)()), ['done']));
          const read = await readSmallFile(at(`f${index}`), content.length)();
          found.push(...(E.isRight(read) && read.right === content ? [] : [`${what}: they do not come back`]));
        }
        const listed = await list(at('').directory)();
        const kinds = E.isRight(listed) ? listed.right.map(({ name, kind }) => `${B.show(name)} ${kind}`) : [];
        const expected = ['f0 file', 'f1 file', 'f2 file', 'f3 file'];
        return [...found, ...expectSame('entries', kinds, expected)];
      }),
    ),

    one(
      'creating touches nothing that stands there, and follows no symlink, not even one that leads nowhere',
      async (area) => {
        await area.make(file(`${area.base}/f`, 'old'));
        await area.make(directory(`${area.base}/d`));
        await area.make(fifo(`${area.base}/pipe`));
        await area.make(symlink(`${area.base}/toFile`, 'f'));
        await area.make(symlink(`${area.base}/toDirectory`, 'd'));
        await area.make(symlink(`${area.base}/toNothing`, 'nothing'));
        const before = sorted(await area.list());
        return inBase(area, async (at) => {
          const taken = ['f', 'd', 'pipe', 'toFile', 'toDirectory', 'toNothing'];
          const found: Array<string> = [];
          for (const name of taken) {
            const created = await area.fileSystem.createFile(at(name), B.fromText('new'))();
            found.push(...expectSame(name, codes(created), ['EEXIST']));
          }
          return [...found, ...expectSame('afterwards', sorted(await area.list()), before)];
        });
      },
    ),

    one('lists in byte-wise order, each entry with its own kind', async (area) => {
      for (const name of ['b', 'B', 'a', '.hidden', 'é', '~']) await area.make(directory(`${area.base}/${name}`));
      await area.make(symlink(`${area.base}/link`, 'a'));
      await area.make(fifo(`${area.base}/pipe`));
      return inBase(area, async (at) => {
        const listed = await area.fileSystem.list(at('').directory)();
        const entries = E.isRight(listed) ? listed.right.map(({ name, kind }) => `${B.show(name)} ${kind}`) : [];
        const folders = ['.hidden', 'B', 'a', 'b'].map((name) => `${name} directory`);
        return expectSame('entries', entries, [...folders, 'link symlink', 'pipe fifo', '~ directory', 'é directory']);
      });
    }),

    one('what is not one name is refused', async (area) =>
      inBase(area, async (at) => {
        const { status, openDirectory, unlink, removeDirectory, readLink } = area.fileSystem;
        const createFile = (there: Location) => area.fileSystem.createFile(there, B.empty);
        const found: Array<string> = [];
        for (const name of ['', '.', '..', 'a/b', '../x', 'a\0b'])
          for (const operation of [status, openDirectory, createFile, unlink, removeDirectory, readLink])
            found.push(...expectSame(JSON.stringify(name), codes(await operation(at(name))()), ['EINVAL']));
        return found;
      }),
    ),

    one('nothing there is ENOENT, and only that', async (area) => {
      await area.make(file(`${area.base}/f`));
      return inBase(area, async (at) => {
        const { status, openDirectory, unlink, removeDirectory, readLink } = area.fileSystem;
        const operations = [status, openDirectory, unlink, removeDirectory, readLink];
        const absent = await Promise.all(operations.map(async (operation) => operation(at('none'))()));
        const present = await Promise.all([openDirectory, removeDirectory, readLink].map((run) => run(at('f'))()));
        return [
          ...expectSame(
            'nothing',
            codes(...absent),
            operations.map(() => 'ENOENT'),
          ),
          ...expectSame('a file', codes(...present), ['ENOTDIR', 'ENOTDIR', 'EINVAL']),
        ];
      });
    }),

    one('the same thing is known again under another name, and its successor is not taken for it', async (area) => {
      await area.make(directory(`${area.base}/d`));
      return inBase(area, async (at) => {
        const { status, rename, removeDirectory } = area.fileSystem;
        const first = await status(at('d'))();
        await rename(at('d'), at('e'))();
        const renamed = await status(at('e'))();
        await removeDirectory(at('e'))();
        await area.make(directory(`${area.base}/d`));
        const successor = await status(at('d'))();
        if (E.isLeft(first) || E.isLeft(renamed) || E.isLeft(successor)) return ['it cannot be looked at'];
        return [
          ...(isSameFile(first.right, renamed.right) ? [] : ['it is not known again']),
          ...(isSameFile(first.right, successor.right) ? ['its successor is taken for it'] : []),
        ];
      });
    }),

    one('an open directory tells whom it belongs to, also once it was given away', async (area) => {
      await area.make(directory(`${area.base}/d`));
      return inBase(area, async (at) => {
        const { openDirectory, owner, close } = area.fileSystem;
        const opened = await openDirectory(at('d'))();
        if (E.isLeft(opened)) return ['the directory does not open'];
        const own = await owner(opened.right)();
        const ofBase = await owner(at('').directory)();
        await area.giveTo?.(`${area.base}/d`, nobody);
        const given = await owner(opened.right)();
        await close(opened.right)();
        return [
          ...expectSame('the owner of what was made', own, ofBase),
          ...(area.giveTo === undefined ? [] : expectSame('the owner afterwards', given, E.right(nobody))),
        ];
      });
    }),

    one('a mount point is neither removed nor renamed, and nothing is renamed across it', async (area) => {
      if (!area.canMount) return [];
      await area.make(tmpfs(`${area.base}/d/m`));
      await area.make(file(`${area.base}/d/m/f`));
      return inBase(area, async (base) => {
        const { openDirectory, rename, unlink, removeDirectory, close } = area.fileSystem;
        const bundle = await openDirectory(base('d'))();
        if (E.isLeft(bundle)) return ['the directory does not open'];
        const point: Location = { directory: bundle.right, name: B.fromText('m') };
        const mounted = await openDirectory(point)();
        if (E.isLeft(mounted)) return ['the mount point does not open'];
        const inside: Location = { directory: mounted.right, name: B.fromText('f') };
        const found = codes(
          await removeDirectory(point)(),
          await unlink(point)(),
          await rename(point, { ...point, name: B.fromText('n') })(),
          await rename(inside, { ...point, name: B.fromText('f') })(),
        );
        await close(mounted.right)();
        await close(bundle.right)();
        return expectSame('refusals', found, ['EBUSY', 'EISDIR', 'EBUSY', 'EXDEV']);
      });
    }),
  ];
};

/** Takes every operation on both sides, and tells where the answers differ. */
const compare = async (area: FileArea, operations: ReadonlyArray<Operation>): Promise<ReadonlyArray<string>> => {
  const { fileSystem: real, base } = area;
  const machine = makeModel(base);
  const { fileSystem: model, tree } = machine;
  const handles: Array<Handle> = [];
  const statuses: Array<{ readonly real: FileStatus; readonly model: FileStatus }> = [];

  const onBoth = async <A>(
    run: (files: FileSystem, side: keyof Handle) => TaskEither<FileError, A>,
    show: (value: A) => unknown,
    use: (real: A, model: A) => Promise<ReadonlyArray<string>> = async () => [],
  ): Promise<ReadonlyArray<string>> => {
    const expected = await run(model, 'model')();
    const actual = await run(real, 'real')();
    const differences = expectSame('it', answerOf(actual, show), answerOf(expected, show));
    return E.isRight(actual) && E.isRight(expected) && differences.length === 0
      ? use(actual.right, expected.right)
      : differences;
  };

  const keep = async (opened: Directory, modelled: Directory): Promise<ReadonlyArray<string>> => {
    const entry = model.entryOf(modelled);
    const where = entry === undefined ? '' : B.toText(tree.pathOf(entry));
    if (`${where}/`.startsWith(`${base}/`)) {
      handles.push({ real: opened, model: modelled });
      return [];
    }
    // Nothing is ever done in a directory outside the base.
    await real.close(opened)();
    await model.close(modelled)();
    return [];
  };

  /** Each look tells whether it is the same thing as at every earlier look. */
  const remember = async (actual: FileStatus, expected: FileStatus): Promise<ReadonlyArray<string>> => {
    const wrong = statuses.filter((one) => isSameFile(one.real, actual) !== isSameFile(one.model, expected));
    statuses.push({ real: actual, model: expected });
    return wrong.length === 0 ? [] : ['it does not tell one thing from another'];
  };

  const makeThere = async (
    handle: Handle,
    name: B.ByteString,
    operation: Operation,
  ): Promise<ReadonlyArray<string>> => {
    const parent = model.entryOf(handle.model);
    const isFree = parent !== undefined && E.isLeft(tree.lookUp(parent, name)) && Entry.isAttached(parent);
    if (!isFree || name.length > maxNameBytes) return [];
    const bytes = B.concat(tree.pathOf(parent), B.fromText('/'), name);
    const path = B.toText(bytes);
    const making = makingOf(operation, path, base);
    // What is made is named by text.
    if (making === undefined || B.fromText(path) !== bytes || !path.startsWith(`${base}/`)) return [];
    make(tree)(making);
    await area.make(making);
    return [];
  };

  const take = async (operation: Operation): Promise<ReadonlyArray<string>> => {
    if (operation.do === 'openPath') {
      const path = B.fromText(operation.path.replace('$BASE', base));
      return onBoth((files) => files.openPath(path), nothing, keep);
    }
    const handle = handles[operation.in % handles.length];
    if (handle === undefined) return [];
    const name = B.fromBytes(Buffer.from(operation.name, 'latin1'));
    const at = (side: keyof Handle): Location => ({ directory: handle[side], name });
    switch (operation.do) {
      case 'directory':
      case 'file':
      case 'symlink':
      case 'fifo':
        return makeThere(handle, name, operation);
      case 'openDirectory':
        return onBoth((files, side) => files.openDirectory(at(side)), nothing, keep);
      case 'close':
        if (handles.length === 1) return [];
        handles.splice(handles.indexOf(handle), 1);
        await real.close(handle.real)();
        await model.close(handle.model)();
        return onBoth((files, side) => files.list(handle[side]), nothing);
      case 'list':
        return onBoth(
          (files, side) => files.list(handle[side]),
          (entries) => entries,
        );
      case 'identify':
        return onBoth(
          (files, side) => files.identify(handle[side]),
          ({ kind }) => kind,
          remember,
        );
      case 'owner':
        return onBoth(
          (files, side) => files.owner(handle[side]),
          (uid) => uid,
        );
      case 'readSmallFile':
        return onBoth((files, side) => files.readSmallFile(at(side), maxBytes), B.show);
      case 'readLink':
        return onBoth((files, side) => files.readLink(at(side)), B.show);
      case 'status':
        return onBoth(
          (files, side) => files.status(at(side)),
          ({ kind }) => kind,
          remember,
        );
      case 'resolvedStatus':
        return onBoth(
          (files, side) => files.resolvedStatus(at(side)),
          ({ kind }) => kind,
          remember,
        );
      case 'createFile': {
        const content = B.fromBytes(Buffer.from(operation.content, 'latin1'));
        return onBoth((files, side) => files.createFile(at(side), content), nothing);
      }
      case 'unlink':
        return onBoth((files, side) => files.unlink(at(side)), nothing);
      case 'removeDirectory':
        return onBoth((files, side) => files.removeDirectory(at(side)), nothing);
      case 'rename':
      case 'renameNoReplace': {
        const there = handles[operation.to % handles.length] ?? handle;
        const toName = B.fromBytes(Buffer.from(operation.toName, 'latin1'));
        return onBoth(
          (files, side) => files[operation.do](at(side), { directory: there[side], name: toName }),
          nothing,
        );
      }
    }
  };

  await take({ do: 'openPath', path: '$BASE' });
  const differences: Array<string> = [];
  for (const [index, operation] of operations.entries()) {
    const found = await take(operation);
    differences.push(...found.map((what) => `operation ${index}, ${JSON.stringify(operation)}: ${what}`));
    if (differences.length > 0) break;
  }
  for (const handle of handles) await real.close(handle.real)();
  const trees = [await area.list(), listTree(tree, B.fromText(base))].map(sorted);
  return differences.length > 0 ? differences : expectSame('in the end', trees[0], trees[1]);
};

/** The machine in memory, which every file system is compared with. */
const makeModel = (base: string): Machine => {
  const machine = makeMachine();
  makeDirectories(machine.tree, B.fromText(base));
  return machine;
};

/** One open directory, on both sides. */
interface Handle {
  readonly real: Directory;
  readonly model: Directory;
}

const answerOf = <A>(outcome: E.Either<FileError, A>, show: (value: A) => unknown): Answer =>
  E.isRight(outcome) ? { value: show(outcome.right) ?? null } : { code: codeOf(outcome.left) };

const makingOf = (operation: Operation, path: string, base: string): Making | undefined => {
  switch (operation.do) {
    case 'directory':
      return directory(path, 0o755);
    case 'file':
      return file(path, operation.content);
    case 'symlink':
      return symlink(path, operation.content.replace('$BASE', base));
    case 'fifo':
      return fifo(path);
    default:
      return undefined;
  }
};

const nothing = (): null => null;

/** Any of the files that are small enough. */
const maxBytes = 4;

const sorted = (listing: Listing): ReadonlyArray<unknown> =>
  listing
    .map(({ path, kind, content }) => [B.show(path), kind, content === undefined ? null : B.show(content)] as const)
    .sort(([first], [second]) => (first < second ? -1 : 1));

const linkTo = (target: string): ReadonlyArray<Operation> => [
  { do: 'file', in: 0, name: 'f', content: 'x' },
  { do: 'directory', in: 0, name: 'd' },
  { do: 'symlink', in: 0, name: 'out', content: 'd' },
  { do: 'symlink', in: 0, name: 'link', content: target },
  { do: 'resolvedStatus', in: 0, name: 'link' },
  { do: 'openPath', path: '$BASE/link' },
  { do: 'openPath', path: '$BASE/link/' },
  { do: 'openPath', path: '$BASE/link/.' },
];

/** More symlinks, each to the one before, than Linux follows. */
const chain: ReadonlyArray<Operation> = Array.from({ length: 42 }, (_, index) => index).flatMap((index) => [
  { do: 'symlink', in: 0, name: `l${index}`, content: index === 0 ? '.' : `l${index - 1}` },
  { do: 'openPath', path: `$BASE/l${index}` },
]);

const removedWhileOpen: ReadonlyArray<Operation> = [
  { do: 'directory', in: 0, name: 'a' },
  { do: 'openDirectory', in: 0, name: 'a' },
  { do: 'removeDirectory', in: 0, name: 'a' },
  { do: 'file', in: 0, name: 'f', content: 'x' },
  { do: 'rename', in: 0, name: 'f', to: 1, toName: 'f' },
  { do: 'createFile', in: 1, name: 'f', content: 'x' },
  { do: 'list', in: 1, name: '' },
  { do: 'identify', in: 1, name: '' },
];

/** The open base, and one name in it. */
const inBase = async <A>(
  { fileSystem, base }: FileArea,
  use: (at: (name: string) => Location) => Promise<A>,
): Promise<A> => {
  const opened = await fileSystem.openPath(B.fromText(base))();
  if (E.isLeft(opened)) throw new Error(`the base does not open: ${codeOf(opened.left)}`);
  const outcome = await use((name) => ({ directory: opened.right, name: B.fromText(name) }));
  await fileSystem.close(opened.right)();
  return outcome;
};

const codes = (...outcomes: ReadonlyArray<E.Either<FileError, unknown>>): ReadonlyArray<string> =>
  outcomes.map((outcome) => (E.isLeft(outcome) ? codeOf(outcome.left) : 'done'));

/** A user that no test runs as. */
const nobody = 65_534;

/** Where a symlink may lead: by a slash at its end, by ways up, through what is no directory, to itself. */
const targets = ['f', 'f/', 'd/', '.', 'f/x', 'd/../f', 'out/../f', 'f/../f', 'none', 'none/../f', 'link'];

/** Sequences of operations on files and directories, as data. */
import * as fc from 'fast-check';

/** One operation, on directories that are open (by their place in the list of them, round and round) and names. */
export type Operation =
  | { readonly do: 'openPath'; readonly path: string }
  | {
      readonly do: 'rename' | 'renameNoReplace';
      readonly in: number;
      readonly name: string;
      readonly to: number;
      readonly toName: string;
    }
  | {
      readonly do: 'file' | 'symlink' | 'createFile';
      readonly in: number;
      readonly name: string;
      readonly content: string;
    }
  | {
      readonly do:
        | 'openDirectory'
        | 'close'
        | 'list'
        | 'identify'
        | 'owner'
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

/** Few names, so that operations meet; one that is not UTF-8, one as long as can be and one too long. */
const name = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom('a', 'b', 'c') },
  { weight: 1, arbitrary: fc.constantFrom('.hidden', '\xff\n', '__proto__', 'x'.repeat(255), 'x'.repeat(256)) },
);

/** Texts of symlinks and ends of paths. At most one step up each, so that they stay near. */
export const anyRoute = fc
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

const at = { in: place, name };

/** One operation. Absolute paths in it begin with `$BASE`. */
const one: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('directory' as const), ...at }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('file' as const), ...at, content: fc.constantFrom('', 'x', 'longer') }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('symlink' as const),
      ...at,
      content: anyRoute.map(({ isAbsolute, text }) => (isAbsolute ? `$BASE${text}` : text)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fifo' as const), ...at }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('openDirectory' as const), ...at }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('createFile' as const),
      ...at,
      content: fc.constantFrom('', 'x', '\xff\0\n', 'x'.repeat(70_000)),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('rename' as const, 'renameNoReplace' as const),
      ...at,
      to: place,
      toName: name,
    }),
  },
  { weight: 2, arbitrary: anyRoute.map(({ text }) => ({ do: 'openPath' as const, path: `$BASE/${text}` })) },
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'close',
        'list',
        'identify',
        'owner',
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

/** A sequence, in an empty or a furnished directory; shrinks to fewer. */
export const anyOperations = (): fc.Arbitrary<ReadonlyArray<Operation>> =>
  fc
    .tuple(fc.constantFrom<ReadonlyArray<Operation>>([], furnished), fc.array(one, { minLength: 1, maxLength: 20 }))
    .map(([before, after]) => [...before, ...after]);

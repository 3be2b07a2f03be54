/** Reading back what was written, and what becomes of damaged files (SPEC 18.1 to 18.5). */
import * as fs from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { ByteString as B } from '@shim-recovery/core';
import * as fc from 'fast-check';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, test } from 'vitest';
import { type Bolt, type Bucket as OpenBucket, type Entry, openBolt } from '../../src/stores/bolt/Bolt.js';
import type { BoltError } from '../../src/stores/bolt/BoltError.js';
import { memorySource } from '../../src/stores/bolt/Source.js';
import { right } from '../temporary.js';
import { type Bucket, bucket, type WriterOptions, writeBolt } from './writer.js';

/** Any bytes, but never none: the format has no empty keys. */
const key: fc.Arbitrary<B.ByteString> = fc.uint8Array({ minLength: 1, maxLength: 12 }).map(B.fromBytes);

/** Mostly small, some larger than every page size but the largest. */
const value = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 900, max: 20_000 }).map((length) => new Uint8Array(length).fill(length % 251)),
  },
);

/** Up to three levels of buckets: inline ones, paged ones, and buckets with nothing in them. */
const content: fc.Arbitrary<Bucket> = fc.letrec<{ bucket: Bucket; entry: Uint8Array | Bucket }>((tie) => ({
  entry: fc.oneof({ depthSize: 'small', withCrossShrink: true }, value, tie('bucket')),
  bucket: fc
    .uniqueArray(fc.tuple(key, tie('entry')), { selector: ([name]) => name, maxLength: 30, depthIdentifier: 'b' })
    .map((entries) => ({ content: new Map(entries) })),
})).bucket;

const layout: fc.Arbitrary<WriterOptions> = fc.record({
  pageSize: fc.constantFrom(1024, 4096, 16_384, 65_536),
  newerMeta: fc.constantFrom(0, 1),
});

const open = (bytes: Uint8Array): Bolt => right(openBolt(memorySource(bytes)));
const rootOf = (bolt: Bolt): OpenBucket => right(bolt.bucketAt([])) ?? expect.fail('the root is always there');

/** Content as lines of `path = value`: two contents are the same when their lines are. */
const linesOf = ({ content: written }: Bucket, prefix = ''): ReadonlyArray<string> =>
  [...written]
    .sort(([first], [second]) => B.Ord.compare(first, second))
    .flatMap(([name, entry]) => {
      const path = `${prefix}/${Buffer.from(name, 'latin1').toString('hex')}`;
      return entry instanceof Uint8Array
        ? [`${path} = ${Buffer.from(entry).toString('latin1')}`]
        : [`${path}/`, ...linesOf(entry, path)];
    });

/** The same of what is read: in the order in which it is listed, and each key looked up on its own as well. */
const readLines = (bolt: Bolt, from: OpenBucket, prefix = ''): ReadonlyArray<string> =>
  right(bolt.entries(from)).flatMap(([name, entry]) => {
    const path = `${prefix}/${Buffer.from(name, 'latin1').toString('hex')}`;
    const got = right(bolt.get(from, name));
    if (entry._tag === 'Bucket') {
      expect(got).toEqual(entry);
      return [`${path}/`, ...readLines(bolt, entry.bucket, path)];
    }
    expect(got?._tag === 'Value' && got.value.equals(entry.value)).toBe(true);
    return [`${path} = ${entry.value.toString('latin1')}`];
  });

/** Keys that fill several branch pages, one above the other. */
const manyKeys = (count: number): Bucket => ({
  content: new Map(
    Array.from({ length: count }, (_, index) => [
      B.fromText(`key-${String(index).padStart(5, '0')}-${'x'.repeat(40)}`),
      Uint8Array.of(index & 0xff),
    ]),
  ),
});

describe('a file as it should be', () => {
  test('whatever was written is read back, in order', () => {
    fc.assert(
      fc.property(content, layout, (written, options) => {
        const bolt = open(writeBolt(written, options));
        expect(readLines(bolt, rootOf(bolt)).join('\n')).toBe(linesOf(written).join('\n'));
      }),
      { numRuns: 150 },
    );
  });

  test('a key that was not written is absent', () => {
    fc.assert(
      fc.property(content, layout, fc.array(key, { minLength: 1, maxLength: 20 }), (written, options, others) => {
        const bolt = open(writeBolt(written, options));
        for (const other of others.filter((name) => !written.content.has(name))) {
          expect(bolt.get(rootOf(bolt), other)).toEqual(E.right(undefined));
          expect(bolt.bucketAt([other, B.fromText('x')])).toEqual(E.right(undefined));
        }
      }),
      { numRuns: 100 },
    );
  });

  test('a path through a plain value leads nowhere', () => {
    const bolt = open(writeBolt(bucket([['a', Buffer.from('value')]])));
    expect(bolt.bucketAt([B.fromText('a')])).toEqual(E.right(undefined));
    expect(bolt.bucketAt([B.fromText('a'), B.fromText('b')])).toEqual(E.right(undefined));
  });

  test('three levels of pages hold as well as one', () => {
    const written = manyKeys(2_000);
    const bytes = writeBolt(written, { pageSize: 1024, newerMeta: 0 });
    const branches = pagesOf(bytes, 1024).filter(({ flags }) => flags === 1);
    expect(branches.length).toBeGreaterThan(2); // so one of them is above the others
    const bolt = open(bytes);
    expect(readLines(bolt, rootOf(bolt))).toEqual(linesOf(written));
    for (const absent of ['', 'key-', 'key-00000', 'key-00700-y', 'zzz'])
      expect(bolt.get(rootOf(bolt), B.fromText(absent))).toEqual(E.right(undefined));
  });

  test("a daemon's own file is read: branch pages, deleted keys, empty namespaces", () => {
    const file = new URL('fixtures/containerd-1.6.20.db.gz', import.meta.url);
    const bytes = gunzipSync(fs.readFileSync(file));
    expect(pagesOf(bytes, 4096).some(({ flags }) => flags === 1)).toBe(true);
    const bolt = open(bytes);
    const names = (...path: ReadonlyArray<string>): ReadonlyArray<string> =>
      right(bolt.entries(right(bolt.bucketAt(path.map(B.fromText))) ?? expect.fail(path.join('/')))).map(
        ([name]) => name,
      );
    expect(names()).toEqual(['v1']);
    expect(names('v1')).toEqual(['default', 'empty', 'k8s.io', 'many', 'version']);
    expect(names('v1', 'default', 'containers')).toEqual(['batch', 'web']);
    expect(names('v1', 'many', 'containers')).toHaveLength(88);
    expect(readLines(bolt, rootOf(bolt)).length).toBeGreaterThan(88 * 6);
  });
});

interface PageAt {
  readonly id: number;
  readonly flags: number;
  readonly at: number;
  readonly count: number;
}

/** The pages of a sound file, each once, however many of them it overflows into. */
const pagesOf = (bytes: Buffer, pageSize: number): ReadonlyArray<PageAt> => {
  const pages: Array<PageAt> = [];
  for (let id = 0; id * pageSize < bytes.length; id += bytes.readUInt32LE(id * pageSize + 12) + 1) {
    const at = id * pageSize;
    pages.push({ id, at, flags: bytes.readUInt16LE(at + 8), count: bytes.readUInt16LE(at + 10) });
  }
  return pages;
};

const pageSize = 1024;

/** A bucket of two leaves below a branch, beside an inline bucket and a value that overflows. */
const sound = bucket([
  ['big', Buffer.alloc(3_000, 0x62)],
  ['inline', bucket([['name', Buffer.from('io.containerd.runc.v2')]])],
  ['many', manyKeys(20)],
  ['z', Buffer.from('last')],
]);

const soundBytes = writeBolt(sound, { pageSize, newerMeta: 1 });

const paths: ReadonlyArray<{ readonly path: ReadonlyArray<B.ByteString>; readonly value: Uint8Array }> = [
  ...sound.content,
].flatMap(([name, entry]) =>
  entry instanceof Uint8Array
    ? [{ path: [name], value: entry }]
    : [...entry.content].flatMap(([inner, nested]) =>
        nested instanceof Uint8Array ? [{ path: [name, inner], value: nested }] : [],
      ),
);

type Got = E.Either<BoltError, Entry | undefined>;

const getAt = (bolt: Bolt, path: ReadonlyArray<B.ByteString>): Got => {
  const parent = bolt.bucketAt(path.slice(0, -1));
  if (E.isLeft(parent)) return parent;
  return parent.right === undefined ? E.right(undefined) : bolt.get(parent.right, path.at(-1) ?? B.empty);
};

/** What the look-ups of every key come to in a file that may be damaged. */
const lookUpAll = (bytes: Uint8Array): ReadonlyArray<{ readonly value: Uint8Array; readonly got: Got }> => {
  const bolt = openBolt(memorySource(bytes));
  return paths.map(({ path, value: written }) => ({
    value: written,
    got: E.isLeft(bolt) ? bolt : getAt(bolt.right, path),
  }));
};

const isHidden = ({ got }: { readonly got: Got }): boolean => E.isRight(got) && got.right === undefined;

const isWrong = ({ value: written, got }: { readonly value: Uint8Array; readonly got: Got }): boolean =>
  E.isRight(got) && !(got.right?._tag === 'Value' && got.right.value.equals(written));

/** Walks through everything there is, as deep as it goes. */
const walkAll = (bytes: Uint8Array): void => {
  const bolt = openBolt(memorySource(bytes));
  if (E.isLeft(bolt)) return;
  let budget = 2_000; // buckets may hold one another in a damaged file
  const walk = (from: E.Either<BoltError, OpenBucket | undefined>): void => {
    if (E.isLeft(from) || from.right === undefined || budget-- < 0) return;
    const entries = bolt.right.entries(from.right);
    if (E.isLeft(entries)) return;
    for (const [, entry] of entries.right) if (entry._tag === 'Bucket') walk(E.right(entry.bucket));
  };
  walk(bolt.right.bucketAt([]));
};

/** A copy with some of its bytes changed. */
const edited = (bytes: Buffer, edit: (copy: Buffer) => void): Buffer => {
  const copy = Buffer.from(bytes);
  edit(copy);
  return copy;
};

describe('a damaged file', () => {
  test('whatever bytes are changed or cut off, every call returns', () => {
    const change = fc.record({ at: fc.nat({ max: soundBytes.length - 1 }), to: fc.integer({ min: 0, max: 255 }) });
    fc.assert(
      fc.property(
        fc.array(change, { minLength: 1, maxLength: 40 }),
        fc.option(fc.nat({ max: soundBytes.length }), { freq: 4 }),
        (changes, end) => {
          const bytes = edited(soundBytes, (copy) => {
            for (const { at, to } of changes) copy[at] = to;
          }).subarray(0, end ?? undefined);
          lookUpAll(bytes);
          walkAll(bytes);
        },
      ),
      { numRuns: 3_000 },
    );
  });

  test('a file that is cut off hides no key', () => {
    for (let length = 0; length < soundBytes.length; length += 97) {
      const outcomes = lookUpAll(soundBytes.subarray(0, length));
      expect(outcomes.filter(isWrong), `the first ${length} bytes`).toEqual([]);
    }
  });

  /**
   * All bits of page headers and of elements, with two exceptions that no reader can notice: whether a value is a bucket,
   * and the sizes of a page's last key and value, behind which there is nothing else. Damage within keys, values and the
   * roots of buckets is likewise not noticeable, as the format has no checksum for them.
   */
  const structuralBits = (): ReadonlyArray<{ readonly at: number; readonly bit: number }> =>
    pagesOf(soundBytes, pageSize)
      .filter(({ flags }) => flags === 1 || flags === 2)
      .flatMap(({ at, count, flags }) =>
        Array.from({ length: 16 + count * 16 }, (_, offset) => offset).flatMap((offset) => {
          const field = offset < 16 ? -1 : (offset - 16) % 16;
          const isLast = offset >= 16 + (count - 1) * 16;
          const sizes = flags === 2 ? field >= 8 : field >= 4 && field < 8;
          if (isLast && offset >= 16 && sizes) return [];
          const bits = flags === 2 && field === 0 ? [1, 2, 3, 4, 5, 6, 7] : [0, 1, 2, 3, 4, 5, 6, 7];
          return bits.map((bit) => ({ at: at + offset, bit }));
        }),
      );

  test('no single bit of a page header or an element hides a key', () => {
    const bits = structuralBits();
    expect(bits.length).toBeGreaterThan(2_000);
    const hiding = bits.filter(({ at, bit }) => {
      const bytes = edited(soundBytes, (copy) => {
        copy[at] = (copy[at] ?? 0) ^ (1 << bit);
      });
      return lookUpAll(bytes).some(isWrong);
    });
    expect(hiding).toEqual([]);
  });

  const page = (flags: number, nth = 0): PageAt =>
    pagesOf(soundBytes, pageSize).filter((candidate) => candidate.flags === flags)[nth] ??
    expect.fail('the file has no such page');
  const branch = page(1);
  const element = (of: PageAt, nth: number): number => of.at + 16 + nth * 16;
  const corruptions: ReadonlyArray<readonly [string, RegExp, (copy: Buffer) => void]> = [
    [
      'a branch that is its own first child',
      /do not belong/,
      (copy) => copy.writeBigUInt64LE(BigInt(branch.id), element(branch, 0) + 8),
    ],
    [
      'a child beyond the end of the file',
      /out of the file/,
      (copy) => copy.writeBigUInt64LE(1_000_000n, element(branch, 0) + 8),
    ],
    [
      'a child beyond all files',
      /out of the file/,
      (copy) => copy.writeBigUInt64LE(2n ** 64n - 1n, element(branch, 0) + 8),
    ],
    [
      'a child that is a meta page',
      /neither a branch nor a leaf/,
      (copy) => copy.writeBigUInt64LE(0n, element(branch, 0) + 8),
    ],
    ['an overflow of 2^32 - 1 pages', /reaches out/, (copy) => copy.writeUInt32LE(0xffffffff, branch.at + 12)],
    ['65,535 elements', /more elements than room/, (copy) => copy.writeUInt16LE(65_535, branch.at + 10)],
    [
      'one element less',
      /not where it should be|holds more/,
      (copy) => copy.writeUInt16LE(branch.count - 1, branch.at + 10),
    ],
    ['no element', /holds more/, (copy) => copy.writeUInt16LE(0, branch.at + 10)],
    ['flags of both kinds', /neither a branch nor a leaf/, (copy) => copy.writeUInt16LE(3, branch.at + 8)],
    ['the number of another page', /number of another page/, (copy) => copy.writeBigUInt64LE(2n, branch.at)],
    ['a key beyond the page', /not where it should be/, (copy) => copy.writeUInt32LE(0xfffffff0, element(branch, 1))],
    [
      'a key longer than the page',
      /not where it should be/,
      (copy) => copy.writeUInt32LE(0xfffffff0, element(branch, 0) + 4),
    ],
    ['no key', /not where it should be/, (copy) => copy.writeUInt32LE(0, element(branch, 0) + 4)],
    [
      'children that changed places',
      /do not belong/,
      (copy) => {
        const [first, second] = [0, 1].map((nth) => copy.readBigUInt64LE(element(branch, nth) + 8));
        copy.writeBigUInt64LE(second ?? 0n, element(branch, 0) + 8);
        copy.writeBigUInt64LE(first ?? 0n, element(branch, 1) + 8);
      },
    ],
    [
      'keys out of order',
      /not in order/,
      (copy) => copy.write('key-99999', element(branch, 0) + copy.readUInt32LE(element(branch, 0)), 'latin1'),
    ],
  ];

  test.each(corruptions)('%s is noticed', (_, reason, edit) => {
    const bolt = open(edited(soundBytes, edit));
    const many = right(bolt.bucketAt([B.fromText('many')])) ?? expect.fail('the bucket is still there');
    const listed = bolt.entries(many);
    expect(E.isLeft(listed) && listed.left._tag === 'Corrupt' ? listed.left.reason : listed).toMatch(reason);
    const first = bolt.get(many, paths.find(({ path }) => path.length === 2 && path[0] === 'many')?.path[1] ?? B.empty);
    expect(E.isLeft(first) || first.right !== undefined).toBe(true);
  });

  test('a leaf without elements below a branch is noticed', () => {
    const leaf = soundBytes.readBigUInt64LE(element(branch, 0) + 8);
    const bytes = edited(soundBytes, (copy) => {
      const at = Number(leaf) * pageSize;
      copy.writeUInt16LE(0, at + 10);
      copy.fill(0, at + 16, at + pageSize);
    });
    const hidden = lookUpAll(bytes).filter(isHidden);
    expect(hidden).toEqual([]);
  });

  test('branches that lead back to each other end with an error', () => {
    const chain = (count: number): Buffer =>
      edited(writeBolt(manyKeys(40), { pageSize, newerMeta: 0 }), (copy) => {
        // Each of the first pages becomes a branch with one child: the next one, and the last leads back to the first.
        const first = 3;
        for (let nth = 0; nth < count; nth++) {
          const at = (first + nth) * pageSize;
          copy.fill(0, at, at + pageSize);
          copy.writeBigUInt64LE(BigInt(first + nth), at);
          copy.writeUInt16LE(1, at + 8);
          copy.writeUInt16LE(1, at + 10);
          copy.writeUInt32LE(16, at + 16);
          copy.writeUInt32LE(1, at + 20);
          copy.writeBigUInt64LE(BigInt(first + ((nth + 1) % count)), at + 24);
          copy.write('a', at + 32);
        }
      });
    for (const count of [1, 2, 3]) {
      const bytes = chain(count);
      const bolt = open(bytes);
      // The root is the last page; through its first child the circle is entered.
      const got = bolt.get(rootOf(bolt), B.fromText('a'));
      expect(E.isLeft(got)).toBe(true);
      expect(E.isLeft(bolt.entries(rootOf(bolt)))).toBe(true);
    }
  });

  test('an element that claims the same large key as all the others costs no time', () => {
    const hugeBytes = 16 * 1024 * 1024;
    const bytes = Buffer.concat([
      writeBolt(bucket([]), { pageSize: 4096, newerMeta: 0 }),
      Buffer.alloc(hugeBytes - 4096),
    ]);
    const at = 3 * 4096;
    const count = 65_535;
    bytes.writeUInt16LE(count, at + 10);
    bytes.writeUInt32LE(hugeBytes / 4096 - 1, at + 12);
    for (let nth = 0; nth < count; nth++) {
      const here = at + 16 + nth * 16;
      bytes.writeUInt32LE(at + 16 + count * 16 - here, here + 4);
      bytes.writeUInt32LE(8 * 1024 * 1024, here + 8);
    }
    const startedMs = performance.now();
    const bolt = open(bytes);
    expect(E.isLeft(bolt.get(rootOf(bolt), B.fromText('a')))).toBe(true);
    expect(performance.now() - startedMs).toBeLessThan(5_000);
  });

  describe('the two meta pages', () => {
    const metaAt = (nth: number): number => nth * pageSize + 16;
    const spoil = (nth: number) => (copy: Buffer) =>
      copy.writeUInt8((copy[metaAt(nth) + 50] ?? 0) ^ 1, metaAt(nth) + 50);

    test.each([0, 1] as const)('with a bad checksum of the older one, the newer one (%i) counts', (newerMeta) => {
      const bytes = edited(writeBolt(sound, { pageSize, newerMeta }), spoil(1 - newerMeta));
      expect(lookUpAll(bytes).filter(isWrong)).toEqual([]);
    });

    test.each([0, 1] as const)('with a bad checksum of the newer one (%i), the older one counts', (newerMeta) => {
      const bytes = edited(writeBolt(sound, { pageSize, newerMeta }), spoil(newerMeta));
      // What the writer's older one says is a root beyond the end: so it was looked at, and nothing was believed.
      const outcome = right(openBolt(memorySource(bytes))).get({ _tag: 'Paged', root: 2 ** 40 }, B.fromText('z'));
      expect(outcome).toEqual(lookUpAll(bytes)[0]?.got);
      expect(E.isLeft(outcome)).toBe(true);
    });

    test('two bad ones are no database', () => {
      const bytes = edited(edited(soundBytes, spoil(0)), spoil(1));
      expect(openBolt(memorySource(bytes))).toEqual(E.left({ _tag: 'NotBolt', reason: 'the checksum is wrong' }));
    });

    test.each([
      ['nothing', Buffer.alloc(0)],
      ['zeros', Buffer.alloc(100_000)],
      ['text', Buffer.from('{"schema":"shim-recovery/store@1"}\n'.repeat(500))],
      ['one page of two', soundBytes.subarray(0, pageSize)],
    ])('%s is no database', (_, bytes) => {
      const bolt = openBolt(memorySource(bytes));
      expect(E.isLeft(bolt) ? bolt.left._tag : bolt).toBe('NotBolt');
    });
  });
});

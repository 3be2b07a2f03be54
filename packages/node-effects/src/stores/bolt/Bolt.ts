/**
 * Reading a bbolt file: buckets, keys and values (SPEC 18). The file is not trusted: every page is checked when it is
 * first seen, and a walk through a damaged file ends with an error, never in a circle and never with a wrong "absent".
 */
import type { ByteString as B } from '@shim-recovery/core';
import * as E from 'fp-ts/lib/Either.js';
import type { BoltError } from './BoltError.js';
import { type LeafElement, overflowOf, type Page, pageHeaderBytes, parsePage } from './Page.js';
import { readMeta } from './Meta.js';
import type { Source } from './Source.js';

/** A bucket: where its tree begins, or, for a small one, the page that its value holds. */
export type Bucket =
  | { readonly _tag: 'Paged'; readonly root: number }
  | { readonly _tag: 'Inline'; readonly page: Page };

/** What a key stands for. */
export type Entry =
  | { readonly _tag: 'Value'; readonly value: Buffer }
  | { readonly _tag: 'Bucket'; readonly bucket: Bucket };

export interface Bolt {
  /** Undefined: the bucket certainly has no such key. */
  readonly get: (bucket: Bucket, key: B.ByteString) => E.Either<BoltError, Entry | undefined>;
  /** The bucket that a path of names leads to, from the root. Undefined: one of them is absent, or no bucket. */
  readonly bucketAt: (path: ReadonlyArray<B.ByteString>) => E.Either<BoltError, Bucket | undefined>;
  /** All keys of a bucket, in order. */
  readonly entries: (bucket: Bucket) => E.Either<BoltError, ReadonlyArray<readonly [B.ByteString, Entry]>>;
}

const bucketHeaderBytes = 16;

/** No tree that fits on a disk is deeper. */
const maxDepth = 32;

/** The largest page that is read, with its overflow: above any real value, below what could exhaust the memory. */
const maxPageBytes = 256 * 1024 * 1024;

/** What is remembered of pages; above it, all are forgotten. */
const maxCachedBytes = 16 * 1024 * 1024;

/** Opens a database. Left when no valid meta page is found. */
export const openBolt = (source: Source): E.Either<BoltError, Bolt> => {
  const meta = readMeta(source);
  if (E.isLeft(meta)) return meta;
  const pageOf = makePages(source, meta.right.pageSize);
  const rootOf = (bucket: Bucket): E.Either<BoltError, Page> =>
    bucket._tag === 'Inline' ? E.right(bucket.page) : pageOf(bucket.root);

  const childOf = (
    parent: Extract<Page, { readonly _tag: 'Branch' }>,
    index: number,
    range: Range,
  ): E.Either<BoltError, Page> => {
    const child = pageOf(parent.elements[index]?.child ?? 0);
    if (E.isLeft(child)) return child;
    if (child.right.elements.length === 0) return corrupt(child.right.id, 'it is empty, but has a parent');
    return isWithin(child.right, range) ? child : corrupt(child.right.id, 'its keys do not belong below its parent');
  };

  const get: Bolt['get'] = (bucket, key) => {
    let page = rootOf(bucket);
    let range = everything;
    for (let depth = 0; E.isRight(page) && page.right._tag === 'Branch'; depth++) {
      if (depth > maxDepth) return corrupt(page.right.id, 'the tree is too deep, or goes in a circle');
      const index = Math.max(0, lastNotGreater(page.right.elements, key));
      range = childRange(page.right, index, range);
      page = childOf(page.right, index, range);
    }
    if (E.isLeft(page)) return page;
    if (page.right._tag === 'Branch') return corrupt(page.right.id, 'the tree does not end');
    const element = page.right.elements[lastNotGreater(page.right.elements, key)];
    return element?.key === key ? entryOf(page.right.id, element) : E.right(undefined);
  };

  const bucketAt: Bolt['bucketAt'] = (path) => {
    let bucket: Bucket = { _tag: 'Paged', root: meta.right.rootPage };
    for (const name of path) {
      const entry = get(bucket, name);
      if (E.isLeft(entry)) return entry;
      if (entry.right?._tag !== 'Bucket') return E.right(undefined);
      bucket = entry.right.bucket;
    }
    return E.right(bucket);
  };

  const entries: Bolt['entries'] = (bucket) => {
    const found: Array<readonly [B.ByteString, Entry]> = [];
    const seen = new Set<number>();
    const collect = (page: E.Either<BoltError, Page>, range: Range, depth: number): BoltError | undefined => {
      if (E.isLeft(page)) return page.left;
      const { right } = page;
      const circle: BoltError = { _tag: 'Corrupt', page: right.id, reason: 'the tree goes in a circle' };
      if (depth > maxDepth || seen.has(right.id)) return circle;
      if (bucket._tag === 'Paged') seen.add(right.id);
      if (right._tag === 'Branch') {
        for (const index of right.elements.keys()) {
          const below = childRange(right, index, range);
          const problem = collect(childOf(right, index, below), below, depth + 1);
          if (problem !== undefined) return problem;
        }
        return undefined;
      }
      for (const element of right.elements) {
        const entry = entryOf(right.id, element);
        if (E.isLeft(entry)) return entry.left;
        found.push([element.key, entry.right]);
      }
      return undefined;
    };
    const problem = collect(rootOf(bucket), everything, 0);
    return problem === undefined ? E.right(found) : E.left(problem);
  };

  return E.right({ get, bucketAt, entries });
};

const makePages = (source: Source, pageSize: number): ((id: number) => E.Either<BoltError, Page>) => {
  const cache = new Map<number, Page>();
  let cachedBytes = 0;
  const lengthOf = (id: number): E.Either<BoltError, number> => {
    if ((id + 1) * pageSize > source.sizeBytes) return corrupt(id, 'it is out of the file');
    const header = source.read(id * pageSize, pageHeaderBytes);
    if (E.isLeft(header)) return header;
    const length = (overflowOf(header.right) + 1) * pageSize;
    if (id * pageSize + length > source.sizeBytes) return corrupt(id, 'it reaches out of the file');
    return length > maxPageBytes ? corrupt(id, 'it is too large') : E.right(length);
  };
  return (id) => {
    const cached = cache.get(id);
    if (cached !== undefined) return E.right(cached);
    const length = lengthOf(id);
    if (E.isLeft(length)) return length;
    const bytes = source.read(id * pageSize, length.right);
    const page = E.isLeft(bytes) ? bytes : parsePage({ id, kind: 'paged' }, bytes.right);
    if (E.isLeft(page)) return page;
    if (cachedBytes + length.right > maxCachedBytes) {
      cache.clear();
      cachedBytes = 0;
    }
    cache.set(id, page.right);
    cachedBytes += length.right;
    return page;
  };
};

const corrupt = (page: number, reason: string): E.Either<BoltError, never> => E.left({ _tag: 'Corrupt', page, reason });

/** The keys that a page may hold, by what its parent says: from `from` on, and before `to`. */
interface Range {
  readonly from: string;
  readonly to: string | undefined;
}

const isWithin = ({ elements }: Page, { from, to }: Range): boolean => {
  const [first, last] = [elements[0]?.key, elements.at(-1)?.key];
  return first === undefined || last === undefined || (first >= from && (to === undefined || last < to));
};

const everything: Range = { from: '', to: undefined };

/** The index of the last element whose key is not greater than the one looked for; -1 when all are greater. */
const lastNotGreater = (elements: ReadonlyArray<{ readonly key: B.ByteString }>, key: B.ByteString): number => {
  let low = 0;
  let high = elements.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((elements[middle]?.key ?? key) <= key) low = middle + 1;
    else high = middle;
  }
  return low - 1;
};

const childRange = (page: Extract<Page, { readonly _tag: 'Branch' }>, index: number, range: Range): Range => ({
  from: index === 0 ? range.from : (page.elements[index]?.key ?? range.from),
  to: page.elements[index + 1]?.key ?? range.to,
});

const entryOf = (page: number, { isBucket, value }: LeafElement): E.Either<BoltError, Entry> => {
  if (!isBucket) return E.right({ _tag: 'Value', value });
  if (value.length < bucketHeaderBytes) return corrupt(page, 'a bucket is too short');
  const root = value.readBigUInt64LE(0);
  if (root > BigInt(Number.MAX_SAFE_INTEGER)) return corrupt(page, 'a bucket begins out of the file');
  if (root !== 0n) return E.right({ _tag: 'Bucket', bucket: { _tag: 'Paged', root: Number(root) } });
  const inline = parsePage({ id: 0, kind: 'inline' }, value.subarray(bucketHeaderBytes));
  if (E.isLeft(inline)) return corrupt(page, 'a bucket inside of it is damaged');
  return E.right({ _tag: 'Bucket', bucket: { _tag: 'Inline', page: inline.right } });
};

/** One page of the tree, taken apart and checked (SPEC 18.2, 18.4). Whatever does not fit is corruption. */
import * as B from '@shim-recovery/core/ByteString';
import * as E from 'fp-ts/lib/Either.js';
import type { BoltError } from './BoltError.js';

export interface BranchElement {
  readonly key: B.ByteString;
  readonly child: number;
}

export interface LeafElement {
  readonly key: B.ByteString;
  readonly isBucket: boolean;
  readonly value: Buffer;
}

export type Page =
  | { readonly _tag: 'Branch'; readonly id: number; readonly elements: ReadonlyArray<BranchElement> }
  | { readonly _tag: 'Leaf'; readonly id: number; readonly elements: ReadonlyArray<LeafElement> };

export const pageHeaderBytes = 16;
const elementBytes = 16;
const branchFlag = 1;
const leafFlag = 2;
const bucketFlag = 1;

const corrupt = (page: number, reason: string): E.Either<BoltError, never> => E.left({ _tag: 'Corrupt', page, reason });

/** How many pages follow the first one and belong to it. */
export const overflowOf = (header: Buffer): number => header.readUInt32LE(12);

const isSorted = (elements: ReadonlyArray<{ readonly key: B.ByteString }>): boolean =>
  elements.every(({ key }, index) => index === 0 || (elements[index - 1]?.key ?? '') < key);

const slice = (bytes: Buffer, start: number, length: number): Buffer | undefined =>
  start + length <= bytes.length ? bytes.subarray(start, start + length) : undefined;

const branchElement = (bytes: Buffer, at: number): BranchElement | string => {
  const key = slice(bytes, at + bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4));
  const child = bytes.readBigUInt64LE(at + 8);
  if (key === undefined) return 'a key reaches out of the page';
  if (child > BigInt(Number.MAX_SAFE_INTEGER)) return 'a child is out of the file';
  return { key: B.fromBytes(key), child: Number(child) };
};

const leafElement = (bytes: Buffer, at: number): LeafElement | string => {
  const keyBytes = bytes.readUInt32LE(at + 8);
  const keyStart = at + bytes.readUInt32LE(at + 4);
  const key = slice(bytes, keyStart, keyBytes);
  const value = slice(bytes, keyStart + keyBytes, bytes.readUInt32LE(at + 12));
  if (key === undefined || value === undefined) return 'a key or a value reaches out of the page';
  return { key: B.fromBytes(key), isBucket: (bytes.readUInt32LE(at) & bucketFlag) !== 0, value };
};

const elementsOf = <A extends { readonly key: B.ByteString }>(
  id: number,
  bytes: Buffer,
  element: (bytes: Buffer, at: number) => A | string,
): E.Either<BoltError, ReadonlyArray<A>> => {
  const count = bytes.readUInt16LE(10);
  if (pageHeaderBytes + count * elementBytes > bytes.length) return corrupt(id, 'it has more elements than room');
  const elements: Array<A> = [];
  for (let index = 0; index < count; index++) {
    const parsed = element(bytes, pageHeaderBytes + index * elementBytes);
    if (typeof parsed === 'string') return corrupt(id, parsed);
    elements.push(parsed);
  }
  return isSorted(elements) ? E.right(elements) : corrupt(id, 'its keys are not in order');
};

/** Takes a page apart: all of its bytes, with those of the pages that overflow from it. An inline one has id 0. */
export const parsePage = (id: number, bytes: Buffer): E.Either<BoltError, Page> => {
  if (bytes.length < pageHeaderBytes) return corrupt(id, 'it is shorter than a page header');
  if (bytes.readBigUInt64LE(0) !== BigInt(id)) return corrupt(id, 'it carries the number of another page');
  const flags = bytes.readUInt16LE(8);
  if (flags === leafFlag) {
    const elements = elementsOf(id, bytes, leafElement);
    return E.isLeft(elements) ? elements : E.right({ _tag: 'Leaf', id, elements: elements.right });
  }
  if (flags !== branchFlag) return corrupt(id, `it is neither a branch nor a leaf (flags ${flags})`);
  const elements = elementsOf(id, bytes, branchElement);
  if (E.isLeft(elements)) return elements;
  return elements.right.length === 0
    ? corrupt(id, 'a branch without children')
    : E.right({ _tag: 'Branch', id, elements: elements.right });
};

/** One page of the tree, taken apart and checked (SPEC 18.2, 18.4). Whatever does not fit is corruption. */
import { ByteString as B } from '@shim-recovery/core';
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

/** How many pages follow the first one and belong to it. */
export const overflowOf = (header: Buffer): number => header.readUInt32LE(12);

/** Which page, and whether it stands in the file or inside of a bucket's value. */
export interface PageName {
  readonly id: number;
  readonly kind: 'paged' | 'inline';
}

/** Takes a page apart: all of its bytes, with those of the pages that overflow from it. */
export const parsePage = (name: PageName, bytes: Buffer): E.Either<BoltError, Page> => {
  const { id } = name;
  if (bytes.length < pageHeaderBytes) return corrupt(id, 'it is shorter than a page header');
  if (bytes.readBigUInt64LE(0) !== BigInt(id)) return corrupt(id, 'it carries the number of another page');
  const flags = bytes.readUInt16LE(8);
  if (flags === leafFlag) {
    const elements = elementsOf(name, bytes, leafElement);
    return E.isLeft(elements) ? elements : E.right({ _tag: 'Leaf', id, elements: elements.right });
  }
  if (flags !== branchFlag || name.kind === 'inline')
    return corrupt(id, `it is neither a branch nor a leaf (flags ${flags})`);
  const elements = elementsOf(name, bytes, branchElement);
  if (E.isLeft(elements)) return elements;
  return elements.right.length === 0
    ? corrupt(id, 'a branch without children')
    : E.right({ _tag: 'Branch', id, elements: elements.right });
};

const corrupt = (page: number, reason: string): E.Either<BoltError, never> => E.left({ _tag: 'Corrupt', page, reason });

/**
 * A writer puts keys and values right behind the elements, in their order and without gaps; a page of the file is
 * filled up with zeros, and one inside of a value ends there. Insisting on it finds a count or a length that was
 * damaged, which would hide keys otherwise; and no byte is looked at twice.
 */
const elementsOf = <A extends { readonly key: B.ByteString }>(
  { id, kind }: PageName,
  bytes: Buffer,
  parseElement: ParseElement<A>,
): E.Either<BoltError, ReadonlyArray<A>> => {
  const count = bytes.readUInt16LE(10);
  let dataAt = pageHeaderBytes + count * elementBytes;
  if (dataAt > bytes.length) return corrupt(id, 'it has more elements than room');
  const elements: Array<A> = [];
  for (let index = 0; index < count; index++) {
    const parsed = parseElement(bytes, pageHeaderBytes + index * elementBytes, dataAt);
    if (typeof parsed === 'string') return corrupt(id, parsed);
    elements.push(parsed.element);
    dataAt = parsed.end;
  }
  const isFilledUp = kind === 'inline' ? dataAt === bytes.length : isZero(bytes.subarray(dataAt));
  if (!isFilledUp) return corrupt(id, 'it holds more than it has elements for');
  return isSorted(elements) ? E.right(elements) : corrupt(id, 'its keys are not in order');
};

/** Takes one element apart, whose data must begin at `dataAt`. */
type ParseElement<A> = (bytes: Buffer, at: number, dataAt: number) => Parsed<A> | string;

const isZero = (bytes: Buffer): boolean => bytes.equals(Buffer.alloc(bytes.length));

const isSorted = (elements: ReadonlyArray<{ readonly key: B.ByteString }>): boolean =>
  elements.every(({ key }, index) => index === 0 || (elements[index - 1]?.key ?? '') < key);

const leafElement: ParseElement<LeafElement> = (bytes, at, dataAt) => {
  const flags = bytes.readUInt32LE(at);
  if (flags !== 0 && flags !== bucketFlag) return `an element is neither a value nor a bucket (flags ${flags})`;
  const length = bytes.readUInt32LE(at + 8);
  const key = keyOf(bytes, { position: at + bytes.readUInt32LE(at + 4), length, dataAt });
  const valueAt = dataAt + length;
  const end = valueAt + bytes.readUInt32LE(at + 12);
  if (key === undefined || end > bytes.length) return misplaced;
  return { element: { key, isBucket: flags === bucketFlag, value: bytes.subarray(valueAt, end) }, end };
};

/** The key, which every element has, or what is wrong with it. */
const keyOf = (
  bytes: Buffer,
  { position, length, dataAt }: { readonly position: number; readonly length: number; readonly dataAt: number },
): B.ByteString | undefined =>
  position === dataAt && length > 0 && position + length <= bytes.length
    ? B.fromBytes(bytes.subarray(position, position + length))
    : undefined;

const misplaced = 'a key or a value is not where it should be';

const branchElement: ParseElement<BranchElement> = (bytes, at, dataAt) => {
  const length = bytes.readUInt32LE(at + 4);
  const key = keyOf(bytes, { position: at + bytes.readUInt32LE(at), length, dataAt });
  const child = bytes.readBigUInt64LE(at + 8);
  if (key === undefined) return misplaced;
  if (child > BigInt(Number.MAX_SAFE_INTEGER)) return 'a child is out of the file';
  return { element: { key, child: Number(child) }, end: dataAt + length };
};

/** An element, and where its data ends. */
interface Parsed<A> {
  readonly element: A;
  readonly end: number;
}

/** The two meta pages of a bbolt file: which page size, and where the newest tree begins (SPEC 18.3). */
import * as E from 'fp-ts/lib/Either.js';
import type { BoltError } from './BoltError.js';
import type { Source } from './Source.js';

/** What the newest valid meta page says. */
export interface Meta {
  readonly pageSize: number;
  readonly rootPage: number;
  readonly transaction: bigint;
}

const magic = 0xed0cdaed;

const version = 2;

const pageHeaderBytes = 16;

const metaBytes = 64;

const checkedBytes = 56;

const smallestProbe = 1024;

const probes = 15;

const maxPageSize = 1024 * 1024;

/** The newest valid meta; of two of the same age the first. */
export const readMeta = (source: Source): E.Either<BoltError, Meta> => {
  const first = metaAt(source, 0);
  const notBolt = (reason: string): E.Either<BoltError, Meta> => E.left({ _tag: 'NotBolt', reason });
  const pageSize = findPageSize(source);
  if (pageSize === undefined) return notBolt(typeof first === 'string' ? first : 'no valid meta page');
  if (source.sizeBytes < 2 * pageSize) return notBolt('the file is shorter than two pages');
  const second = metaAt(source, pageSize);
  if (typeof first === 'string') return typeof second === 'string' ? notBolt(first) : E.right(second);
  return E.right(typeof second !== 'string' && second.transaction > first.transaction ? second : first);
};

const metaAt = (source: Source, offset: number): Meta | string => {
  const read = source.read(offset + pageHeaderBytes, metaBytes);
  if (E.isLeft(read)) return 'too short';
  const bytes = read.right;
  if (bytes.readUInt32LE(0) !== magic) return 'the magic number is missing';
  if (bytes.readUInt32LE(4) !== version) return `version ${bytes.readUInt32LE(4)} is not supported`;
  if (bytes.readBigUInt64LE(checkedBytes) !== fnv1a(bytes.subarray(0, checkedBytes))) return 'the checksum is wrong';
  const pageSize = bytes.readUInt32LE(8);
  const rootPage = bytes.readBigUInt64LE(16);
  if (pageSize < smallestProbe || pageSize > maxPageSize || (pageSize & (pageSize - 1)) !== 0)
    return `a page size of ${pageSize} bytes cannot be`;
  if (rootPage > BigInt(Number.MAX_SAFE_INTEGER)) return 'the root page is out of the file';
  return { pageSize, rootPage: Number(rootPage), transaction: bytes.readBigUInt64LE(48) };
};

/** FNV-1a, 64 bits. */
const fnv1a = (bytes: Uint8Array): bigint => {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash;
};

/** Where the first meta page cannot be used, the second one is looked for at every page size there is. */
const findPageSize = (source: Source): number | undefined => {
  const first = metaAt(source, 0);
  if (typeof first !== 'string') return first.pageSize;
  for (let probe = 0; probe < probes; probe++) {
    const offset = smallestProbe << probe;
    if (offset >= source.sizeBytes - smallestProbe) return undefined;
    const meta = metaAt(source, offset);
    if (typeof meta !== 'string') return meta.pageSize;
  }
  return undefined;
};

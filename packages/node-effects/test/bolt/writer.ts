/** Writes small bbolt files for tests: nested buckets, inline ones, several leaves under a branch, overflowing pages. */
import { ByteString as B } from '@shim-recovery/core';

/** A bucket: what each key stands for. */
type Content = ReadonlyMap<B.ByteString, Uint8Array | Bucket>;
export interface Bucket {
  readonly content: Content;
}

export interface WriterOptions {
  readonly pageSize: number;
  /** Which of the two meta pages is the newer one. */
  readonly newerMeta: 0 | 1;
}

const headerBytes = 16;
const elementBytes = 16;

const fnv1a = (bytes: Uint8Array): bigint => {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash;
};

const u64 = (value: number | bigint): Buffer => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer;
};

const u32 = (value: number): Buffer => {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
};

const pageHeader = (id: number, flags: number, count: number, overflow: number): Buffer => {
  const header = Buffer.alloc(headerBytes);
  header.writeBigUInt64LE(BigInt(id), 0);
  header.writeUInt16LE(flags, 8);
  header.writeUInt16LE(count, 10);
  header.writeUInt32LE(overflow, 12);
  return header;
};

interface Leaf {
  readonly key: B.ByteString;
  readonly value: Uint8Array;
  readonly isBucket: boolean;
}

/** Elements first, then keys and values, each found from its element by its distance. */
const leafBody = (leaves: ReadonlyArray<Leaf>): Buffer => {
  const elements: Array<Buffer> = [];
  const data: Array<Uint8Array> = [];
  let dataBytes = 0;
  leaves.forEach(({ key, value, isBucket }, index) => {
    const position = (leaves.length - index) * elementBytes + dataBytes;
    elements.push(Buffer.concat([u32(isBucket ? 1 : 0), u32(position), u32(key.length), u32(value.length)]));
    data.push(B.toBytes(key), value);
    dataBytes += key.length + value.length;
  });
  return Buffer.concat([...elements, ...data]);
};

const branchBody = (children: ReadonlyArray<{ readonly key: B.ByteString; readonly page: number }>): Buffer => {
  const elements: Array<Buffer> = [];
  const data: Array<Uint8Array> = [];
  let dataBytes = 0;
  children.forEach(({ key, page }, index) => {
    const position = (children.length - index) * elementBytes + dataBytes;
    elements.push(Buffer.concat([u32(position), u32(key.length), u64(page)]));
    data.push(B.toBytes(key));
    dataBytes += key.length;
  });
  return Buffer.concat([...elements, ...data]);
};

export const bucket = (content: Iterable<readonly [string, Uint8Array | Bucket]>): Bucket => ({
  content: new Map([...content].map(([key, value]) => [B.fromText(key), value])),
});

/** The bytes of a database whose root bucket is `root`. */
export const writeBolt = (
  root: Bucket,
  { pageSize, newerMeta }: WriterOptions = { pageSize: 4096, newerMeta: 1 },
): Buffer => {
  const pages: Array<Buffer> = [];
  const firstDataPage = 3; // two metas and a free list
  let nextPage = firstDataPage;

  const put = (flags: number, count: number, body: Buffer): number => {
    const id = nextPage;
    const total = Math.ceil((headerBytes + body.length) / pageSize);
    const bytes = Buffer.alloc(total * pageSize);
    pageHeader(id, flags, count, total - 1).copy(bytes);
    body.copy(bytes, headerBytes);
    pages.push(bytes);
    nextPage += total;
    return id;
  };

  const valueOf = (written: Bucket): Buffer => {
    const leaves = leavesOf(written);
    const body = leafBody(leaves);
    const isSmall = headerBytes + body.length <= pageSize / 4 && leaves.every(({ isBucket }) => !isBucket);
    return isSmall
      ? Buffer.concat([u64(0), u64(0), pageHeader(0, 2, leaves.length, 0), body])
      : Buffer.concat([u64(treeOf(leaves)), u64(0)]);
  };

  const leavesOf = ({ content }: Bucket): ReadonlyArray<Leaf> =>
    [...content]
      .sort(([first], [second]) => B.Ord.compare(first, second))
      .map(([key, value]) =>
        value instanceof Uint8Array ? { key, value, isBucket: false } : { key, value: valueOf(value), isBucket: true },
      );

  /** As many leaves on a page as fit, and a branch above them when there is more than one page; then again. */
  const treeOf = (leaves: ReadonlyArray<Leaf>): number => {
    let level: Array<{ key: B.ByteString; page: number }> = [];
    for (const group of groupsOf(leaves, ({ key, value }) => key.length + value.length))
      level.push({ key: group[0]?.key ?? B.empty, page: put(2, group.length, leafBody(group)) });
    while (level.length > 1)
      level = groupsOf(level, ({ key }) => key.length).map((group) => ({
        key: group[0]?.key ?? B.empty,
        page: put(1, group.length, branchBody(group)),
      }));
    return level[0]?.page ?? put(2, 0, Buffer.alloc(0));
  };

  const groupsOf = <A>(items: ReadonlyArray<A>, sizeOf: (item: A) => number): Array<Array<A>> => {
    const groups: Array<Array<A>> = [];
    let room = 0;
    for (const item of items) {
      const bytes = elementBytes + sizeOf(item);
      const last = groups.at(-1);
      if (last === undefined || bytes > room) {
        groups.push([item]);
        room = pageSize - headerBytes - bytes;
      } else {
        last.push(item);
        room -= bytes;
      }
    }
    return groups;
  };

  const rootPage = treeOf(leavesOf(root));
  const meta = (page: 0 | 1): Buffer => {
    const body = Buffer.concat([
      u32(0xed0cdaed),
      u32(2),
      u32(pageSize),
      u32(0),
      u64(page === newerMeta ? rootPage : 2 ** 40),
      u64(0),
      u64(0xffffffffffffffffn),
      u64(nextPage),
      u64(page === newerMeta ? 8 : 7),
    ]);
    const bytes = Buffer.alloc(pageSize);
    Buffer.concat([pageHeader(page, 4, 0, 0), body, u64(fnv1a(body))]).copy(bytes);
    return bytes;
  };
  const freeList = Buffer.alloc(pageSize);
  pageHeader(2, 0x10, 0, 0).copy(freeList);
  return Buffer.concat([meta(0), meta(1), freeList, ...pages]);
};

/** What a test wants recorded. */
export interface Records {
  readonly containers: ReadonlyArray<{ readonly namespace: string; readonly id: string; readonly runtimeName: string }>;
  readonly sandboxes: ReadonlyArray<{ readonly namespace: string; readonly id: string }>;
}

/** A time as Go writes it. */
const goTime = Buffer.from('010000000edd6c0f0000000000ffff', 'hex');

const recordOf = (runtimeName: string): Bucket =>
  bucket([
    ['createdat', goTime],
    ['updatedat', goTime],
    ['image', Buffer.from('local/busybox')],
    ['runtime', bucket([['name', Buffer.from(runtimeName)]])],
  ]);

interface Recorded {
  readonly kind: 'containers' | 'sandboxes';
  readonly namespace: string;
  readonly id: string;
  readonly runtimeName: string;
}

const idsOf = (records: ReadonlyArray<Recorded>): Bucket =>
  bucket(records.map(({ id, runtimeName }) => [id, recordOf(runtimeName)]));

/** A bucket for each namespace, and in it one for each kind of record that it has. */
const byNamespace = (records: ReadonlyArray<Recorded>): ReadonlyArray<readonly [string, Bucket]> =>
  [...new Set(records.map(({ namespace }) => namespace))].map((namespace) => {
    const own = records.filter((record) => record.namespace === namespace);
    const kinds = [...new Set(own.map(({ kind }) => kind))];
    return [namespace, bucket(kinds.map((kind) => [kind, idsOf(own.filter((record) => record.kind === kind))]))];
  });

/** A daemon's database: containers below `v1`; sandboxes there too, as 2.x keeps them, or at the root, as 1.7 does. */
export const writeMetadata = (records: Records, sandboxesAt: 'root' | 'v1' = 'root'): Buffer => {
  const containers = records.containers.map((record) => ({ kind: 'containers' as const, ...record }));
  const sandboxes = records.sandboxes.map((record) => ({
    kind: 'sandboxes' as const,
    runtimeName: 'io.containerd.runc.v2',
    ...record,
  }));
  const isBelow = sandboxesAt === 'v1';
  return writeBolt(
    bucket([
      ['v1', bucket([['version', Buffer.of(6)], ...byNamespace(isBelow ? [...containers, ...sandboxes] : containers)])],
      ...byNamespace(isBelow ? [] : sandboxes),
    ]),
  );
};

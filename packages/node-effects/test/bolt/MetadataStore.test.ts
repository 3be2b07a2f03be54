/** The daemon's database: how its records are read (SPEC 18.6 to 18.8), and who may read it meanwhile (SPEC 2.4). */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { ByteString as B } from '@shim-recovery/core';
import type { ContainerRecord, Lookup, SandboxRecord, SandboxRecords } from '@shim-recovery/core/interpreter';
import * as fc from 'fast-check';
import * as E from 'fp-ts/lib/Either.js';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openBolt } from '../../src/stores/bolt/Bolt.js';
import { checkRecords, metadataStores } from '../../src/stores/bolt/MetadataRecords.js';
import { type MetadataStore, openMetadataStore, showMetadataStoreError } from '../../src/stores/bolt/MetadataStore.js';
import { memorySource } from '../../src/stores/bolt/Source.js';
import type * as Native from '../../src/native/Native.js';
import { holdLock } from '../lockHolder.js';
import { problem, right, temporaryDirectory } from '../temporary.js';
import { type Bucket, bucket, writeBolt, writeMetadata } from './writer.js';

/** What happens between the opening of the file and its locking. */
const meanwhile = vi.hoisted(() => ({ happens: (): void => undefined }));

vi.mock('../../src/native/Native.js', async (importOriginal) => {
  const native = await importOriginal<typeof Native>();
  const flock: typeof native.flock = (descriptor, operation) => {
    meanwhile.happens();
    return native.flock(descriptor, operation);
  };
  return { ...native, flock };
});

type Fields = Readonly<Record<string, Uint8Array | Bucket>>;

const text = (value: string): Uint8Array => Buffer.from(value);
const fieldsOf = (fields: Fields): Bucket => bucket(Object.entries(fields));

const storesIn = (root: Bucket) => metadataStores(right(openBolt(memorySource(writeBolt(root)))));

const key = (namespace: string, id: string) => ({ namespace: B.fromText(namespace), id: B.fromText(id) });

const withContainer = (record: Uint8Array | Bucket): Promise<Lookup<ContainerRecord>> =>
  storesIn(fieldsOf({ v1: fieldsOf({ default: fieldsOf({ containers: fieldsOf({ web: record }) }) }) })).container(
    key('default', 'web'),
  )();

const sandboxKey = (namespace: string, id: string, records: SandboxRecords = 'root') => ({
  ...key(namespace, id),
  records,
});

const sandboxTree = (record: Uint8Array | Bucket, place: SandboxRecords): Bucket => {
  const namespaces = fieldsOf({ default: fieldsOf({ sandboxes: fieldsOf({ pod: record }) }) });
  return place === 'root' ? namespaces : fieldsOf({ v1: namespaces });
};

const withSandbox = (record: Uint8Array | Bucket): Promise<Lookup<SandboxRecord>> =>
  storesIn(sandboxTree(record, 'root')).sandbox(sandboxKey('default', 'pod'))();

const foundWith = (runtimeName: string) => ({ _tag: 'Found', value: { runtimeName } });
const notFound = { _tag: 'NotFound' };
const malformed = { _tag: 'Unknown', error: { _tag: 'RecordMalformed' } };
const unavailable = { _tag: 'Unknown', error: { _tag: 'StoreUnavailable' } };

/** A version byte and 14 bytes, or 15 of them in the second version. */
const time = (version: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  if (length > 0) bytes[0] = version;
  return bytes;
};
const goodTime = time(1, 15);

/** `type_url` "a" and value "b". */
const goodAny = Uint8Array.of(0x0a, 1, 0x61, 0x12, 1, 0x62);
/** A `type_url` of one byte that is not UTF-8; a length beyond the end; a tag that never ends. */
const badAnys: ReadonlyArray<readonly [string, Uint8Array]> = [
  ['a type that is not UTF-8', Uint8Array.of(0x0a, 1, 0xff)],
  ['a length beyond the end', Uint8Array.of(0x0a, 9, 0x61)],
  ['a tag that does not end', Uint8Array.of(0xff)],
];

const runtime = fieldsOf({ name: text('io.containerd.runc.v2') });

/** What makes a record of either kind unreadable (18.7 3, 18.8). */
const unreadable: ReadonlyArray<readonly [string, Fields]> = [
  ...['createdat', 'updatedat'].flatMap(
    (field): ReadonlyArray<readonly [string, Fields]> => [
      [`${field} is empty`, { [field]: time(1, 0) }],
      [`${field} is one byte short`, { [field]: time(1, 14) }],
      [`${field} is one byte long`, { [field]: time(1, 16) }],
      [`${field} of the second version is one byte short`, { [field]: time(2, 15) }],
      [`${field} is of an unknown version`, { [field]: time(3, 15) }],
    ],
  ),
  ...badAnys.flatMap(
    ([what, any]): ReadonlyArray<readonly [string, Fields]> => [
      [`its spec holds ${what}`, { spec: any }],
      [`its options hold ${what}`, { runtime: fieldsOf({ name: text('x'), options: any }) }],
      [`an extension holds ${what}`, { extensions: fieldsOf({ good: goodAny, bad: any }) }],
    ],
  ),
];

const readable: ReadonlyArray<readonly [string, Fields]> = [
  ['times of both versions', { createdat: goodTime, updatedat: time(2, 16) }],
  ['good spec, options and extensions', { spec: goodAny, extensions: fieldsOf({ a: goodAny, b: new Uint8Array() }) }],
  ['an empty spec', { spec: new Uint8Array() }],
  ['labels of any kind', { labels: fieldsOf({ key: Uint8Array.of(0xff) }) }],
  ['unknown keys', { aaa: Uint8Array.of(0xff), zzz: fieldsOf({ createdat: Uint8Array.of(0xff) }) }],
  ['buckets where values belong', { createdat: fieldsOf({}), spec: fieldsOf({ a: text('b') }) }],
  ['a value where the extensions belong', { extensions: Uint8Array.of(0xff) }],
];

describe('a container (SPEC 18.7)', () => {
  test('is found with the name of its runtime, whatever the name', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 100 }), async (name) => {
        expect(await withContainer(fieldsOf({ runtime: fieldsOf({ name }) }))).toEqual(foundWith(B.fromBytes(name)));
      }),
      { numRuns: 50 },
    );
  });

  test.each(unreadable)('is not known when %s', async (_, fields) => {
    expect(await withContainer(fieldsOf({ runtime, ...fields }))).toMatchObject(malformed);
  });

  test.each(readable)('is found with %s', async (_, fields) => {
    expect(await withContainer(fieldsOf({ runtime, ...fields }))).toEqual(foundWith('io.containerd.runc.v2'));
  });

  test.each<readonly [string, Fields]>([
    ['no runtime', { image: text('busybox') }],
    ['no field at all', {}],
    ['a runtime that is a plain value', { runtime: text('io.containerd.runc.v2') }],
    ['a runtime without a name', { runtime: fieldsOf({ options: goodAny }) }],
    ['a runtime with a bucket for a name', { runtime: fieldsOf({ name: fieldsOf({}) }) }],
  ])('with %s is found, with an empty name', async (_, fields) => {
    expect(await withContainer(fieldsOf(fields))).toEqual(foundWith(''));
  });

  test.each<readonly [string, Bucket]>([
    ['there is nothing at all', fieldsOf({})],
    [
      'the schema is missing',
      fieldsOf({ default: fieldsOf({ containers: fieldsOf({ web: fieldsOf({ runtime }) }) }) }),
    ],
    ['the namespace is missing', fieldsOf({ v1: fieldsOf({ other: fieldsOf({}) }) })],
    ['the namespace has no containers', fieldsOf({ v1: fieldsOf({ default: fieldsOf({ images: fieldsOf({}) }) }) })],
    [
      'the containers are a plain value',
      fieldsOf({ v1: fieldsOf({ default: fieldsOf({ containers: text('web') }) }) }),
    ],
    [
      'another id is recorded',
      fieldsOf({ v1: fieldsOf({ default: fieldsOf({ containers: fieldsOf({ web2: fieldsOf({ runtime }) }) }) }) }),
    ],
    [
      'the id is a plain value',
      fieldsOf({ v1: fieldsOf({ default: fieldsOf({ containers: fieldsOf({ web: text('x') }) }) }) }),
    ],
  ])('is absent when %s', async (_, root) => {
    expect(await storesIn(root).container(key('default', 'web'))()).toEqual(notFound);
  });
});

describe('a sandbox (SPEC 18.8)', () => {
  test.each(unreadable)('is not known when %s', async (_, fields) => {
    expect(await withSandbox(fieldsOf({ runtime, ...fields }))).toMatchObject(malformed);
  });

  test.each(readable)('is found with %s', async (_, fields) => {
    expect(await withSandbox(fieldsOf({ runtime, ...fields }))).toEqual({ _tag: 'Found', value: { id: 'pod' } });
  });

  test.each<readonly [string, Fields]>([
    ['no runtime', { createdat: goodTime }],
    ['a runtime that is a plain value', { runtime: text('io.containerd.runc.v2') }],
  ])('with %s is not known, rather than absent', async (_, fields) => {
    expect(await withSandbox(fieldsOf(fields))).toMatchObject(malformed);
  });

  test('with a runtime without a name is found', async () => {
    expect(await withSandbox(fieldsOf({ runtime: fieldsOf({}) }))).toMatchObject({ _tag: 'Found' });
  });

  test('that is a plain value is absent', async () => {
    expect(await withSandbox(text('x'))).toEqual(notFound);
  });

  test.each<readonly [SandboxRecords, SandboxRecords]>([
    ['root', 'v1'],
    ['v1', 'root'],
  ])('is looked for in one place only: %s, not %s (18.6)', async (place, other) => {
    const record = fieldsOf({ runtime });
    expect(await storesIn(sandboxTree(record, place)).sandbox(sandboxKey('default', 'pod', place))()).toMatchObject({
      _tag: 'Found',
    });
    expect(await storesIn(sandboxTree(record, place)).sandbox(sandboxKey('default', 'pod', other))()).toEqual(notFound);
  });
});

test.each(['', 'bad..ns', '.hidden', '-a', 'a-', 'a/b', 'ä', 'a'.repeat(77)])(
  'the namespace %j is not valid, and nothing in it is known',
  async (namespace) => {
    const stores = storesIn(fieldsOf({ v1: fieldsOf({}) }));
    expect(await stores.container(key(namespace, 'web'))()).toMatchObject(unavailable);
    expect(await stores.sandbox(sandboxKey(namespace, 'web'))()).toMatchObject(unavailable);
  },
);

test('a database that is damaged on the way to a record leaves it unknown, and another one known', async () => {
  const records = { namespace: 'default', runtimeName: 'io.containerd.runc.v2' };
  const bytes = writeMetadata({
    containers: [
      { ...records, id: 'web' },
      { ...records, namespace: 'other', id: 'web' },
    ],
    sandboxes: [],
  });
  // The bucket of each namespace's containers has a page of its own; the first one of them is spoilt.
  const spoilt = bytes.indexOf('\u0000\u0000web', 0, 'latin1');
  const at = bytes.lastIndexOf(Buffer.of(2, 0), spoilt);
  expect(spoilt).toBeGreaterThan(0);
  bytes.fill(0xee, Math.floor(at / 4096) * 4096, Math.floor(at / 4096) * 4096 + 16);
  const bolt = right(openBolt(memorySource(bytes)));
  expect(checkRecords(bolt)).toMatchObject(E.left({ _tag: 'Corrupt' }));
  const stores = metadataStores(bolt);
  const outcomes = [await stores.container(key('default', 'web'))(), await stores.container(key('other', 'web'))()];
  expect(outcomes).toContainEqual(foundWith('io.containerd.runc.v2'));
  expect(outcomes).toContainEqual({
    _tag: 'Unknown',
    error: {
      _tag: 'StoreUnavailable',
      reason: expect.stringMatching(/^the metadata store is damaged: page \d+ is corrupt/),
    },
  });
});

describe('the file', () => {
  const directory = temporaryDirectory();
  let file = '';
  let opened: Array<MetadataStore> = [];

  const open = (locking: 'shared' | 'exclusive' | 'none', at = file) => {
    const store = openMetadataStore(at, { locking });
    if (E.isRight(store)) opened.push(store.right);
    return store;
  };

  beforeEach((context) => {
    file = path.join(directory.path(), `${context.task.id}.db`);
    fs.writeFileSync(
      file,
      writeMetadata({
        containers: [{ namespace: 'default', id: 'web', runtimeName: 'io.containerd.runc.v2' }],
        sandboxes: [{ namespace: 'default', id: 'pod' }],
      }),
    );
  });

  afterEach(() => {
    for (const store of opened) store.close();
    opened = [];
    meanwhile.happens = () => undefined;
  });

  test.each(['shared', 'exclusive', 'none'] as const)('answers while it is open (%s)', async (locking) => {
    const { stores } = right(open(locking));
    expect(await stores.container(key('default', 'web'))()).toEqual(foundWith('io.containerd.runc.v2'));
    expect(await stores.container(key('default', 'other'))()).toEqual(notFound);
    expect(await stores.sandbox(sandboxKey('default', 'pod'))()).toEqual({ _tag: 'Found', value: { id: 'pod' } });
  });

  test('of a real daemon answers what its `ctr` was told', async () => {
    const fixture = new URL('fixtures/containerd-1.6.20.db.gz', import.meta.url);
    fs.writeFileSync(file, gunzipSync(fs.readFileSync(fixture)));
    const { stores } = right(open('shared'));
    const long = (number: number): string => `task-${number}-${'x'.repeat(50)}`;
    const expected: ReadonlyArray<readonly [string, string, string | undefined]> = [
      ['default', 'web', 'io.containerd.runc.v2'],
      ['default', 'batch', 'io.containerd.runc.v1'],
      ['default', 'gone', undefined],
      ['default', 'pod', undefined],
      ['k8s.io', 'pod', 'io.containerd.runsc.v1'],
      ['empty', 'web', undefined],
      ['absent', 'web', undefined],
      ...Array.from({ length: 90 }, (_, nth): readonly [string, string, string | undefined] => [
        'many',
        long(200 + nth),
        nth === 0 || nth === 45 ? undefined : 'io.containerd.kata.v2',
      ]),
    ];
    for (const [namespace, id, name] of expected) {
      const answer = await stores.container(key(namespace, id))();
      expect(answer, `${namespace}/${id}`).toEqual(name === undefined ? notFound : foundWith(name));
      expect(await stores.sandbox(sandboxKey(namespace, id))()).toEqual(notFound);
    }
  });

  test('that a daemon holds is locked, and the daemon named', async () => {
    const daemon = await holdLock(file, 'exclusive');
    try {
      for (const locking of ['shared', 'exclusive'] as const) {
        const store = open(locking);
        expect(store).toEqual(E.left({ _tag: 'Locked', path: file, holder: daemon.pid }));
        expect(E.isLeft(store) && showMetadataStoreError(store.left)).toContain(`in use by process ${daemon.pid}`);
      }
      expect(problem(open('none'))).toBe('ok');
    } finally {
      await daemon.release();
    }
    expect(problem(open('exclusive'))).toBe('ok');
  });

  test('may be looked at by several at once, but not while somebody acts on it', async () => {
    const reader = await holdLock(file, 'shared');
    try {
      expect(problem(open('shared'))).toBe('ok');
      expect(problem(open('shared'))).toBe('ok');
      expect(open('exclusive')).toMatchObject(E.left({ _tag: 'Locked' }));
    } finally {
      await reader.release();
    }
  });

  test('keeps a daemon out while it is open for acting, and lets it in afterwards', () => {
    const daemonStarts = (): boolean => {
      try {
        execFileSync('flock', ['--exclusive', '--nonblock', file, 'true'], { stdio: 'ignore' });
        return true;
      } catch {
        return false;
      }
    };
    const store = right(open('exclusive'));
    expect(daemonStarts()).toBe(false);
    opened = [];
    store.close();
    expect(daemonStarts()).toBe(true);
  });

  test('that is replaced before it is locked is refused: the lock would keep nobody out', () => {
    const replacement = `${file}.new`;
    fs.copyFileSync(file, replacement);
    meanwhile.happens = () => fs.renameSync(replacement, file);
    expect(open('exclusive')).toEqual(E.left({ _tag: 'CannotOpen', path: file, code: 'ESTALE' }));
  });

  test('that is removed before it is locked is refused', () => {
    meanwhile.happens = () => fs.rmSync(file);
    expect(problem(open('shared'))).toBe('ESTALE');
  });

  test('is found through a link, and a dangling link is like no file', () => {
    fs.symlinkSync(file, `${file}.link`);
    fs.symlinkSync(`${file}.nowhere`, `${file}.dangling`);
    expect(problem(open('exclusive', `${file}.link`))).toBe('ok');
    expect(problem(open('shared', `${file}.dangling`))).toBe('ENOENT');
  });

  test.each<readonly [string, (at: string) => unknown, RegExp]>([
    ['nothing', () => undefined, /cannot be opened: ENOENT/],
    ['a directory', (at) => fs.mkdirSync(at), /no regular file/],
    ['a FIFO', (at) => execFileSync('mkfifo', [at]), /no regular file/],
    ['a device', (at) => fs.symlinkSync('/dev/zero', at), /no regular file/],
    ['a path through a file', (at) => fs.writeFileSync(path.dirname(at), ''), /cannot be opened: ENOTDIR/],
    ['an empty file', (at) => fs.writeFileSync(at, ''), /no bbolt database/],
    ['garbage', (at) => fs.writeFileSync(at, Buffer.alloc(50_000, 'garbage ')), /the magic number is missing/],
    ['the first half', (at) => fs.writeFileSync(at, fs.readFileSync(file).subarray(0, 6_000)), /no bbolt database/],
  ])('%s in its place is an error, at once', (what, make, sentence) => {
    const at = what.includes('through') ? path.join(`${file}.d`, 'meta.db') : `${file}.other`;
    make(at);
    const before = fs.readdirSync('/proc/self/fd').length;
    const store = open('shared', at);
    expect(E.isLeft(store) ? showMetadataStoreError(store.left) : 'it was opened').toMatch(sentence);
    expect(fs.readdirSync('/proc/self/fd')).toHaveLength(before);
  });

  test('a socket in its place is an error', async () => {
    const server = net.createServer();
    const at = `${file}.sock`;
    await new Promise<void>((resolve) => server.listen(at, resolve));
    try {
      expect(problem(open('shared', at))).toBe('ENXIO');
    } finally {
      server.close();
    }
  });
});

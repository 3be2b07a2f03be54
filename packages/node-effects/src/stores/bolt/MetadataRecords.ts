/** The daemon's records of containers and sandboxes, as they stand in its database (SPEC 18.6 to 18.8). */
import { ByteString as B } from '@shim-recovery/core';
import {
  type ContainerRecord,
  type ContainerStore,
  found,
  isValidNamespace,
  type Lookup,
  notFound,
  type RecordKey,
  type SandboxRecord,
  type SandboxRecords,
  type SandboxStore,
  unknown,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { decode, showMalformedMessage } from '../../protobuf/Message.js';
import { Any } from '../../protobuf/WellKnown.js';
import type { Bolt, Bucket, Entry } from './Bolt.js';
import { type BoltError, showBoltError } from './BoltError.js';

const name = {
  schema: B.fromText('v1'),
  containers: B.fromText('containers'),
  sandboxes: B.fromText('sandboxes'),
  runtimeName: B.fromText('name'),
  options: B.fromText('options'),
} as const;

/** Either the file is damaged, or the record in it is. */
type ReadError = BoltError | { readonly _tag: 'Malformed'; readonly reason: string };

/** Looks the records up in an open database. */
export const metadataStores = (bolt: Bolt): ContainerStore & SandboxStore => ({
  container: (key) => async () =>
    lookUp<ContainerRecord>(
      bolt,
      key,
      [name.schema, key.namespace, name.containers, key.id],
      ({ runtimeName }) => found({ runtimeName }), // a record without a runtime is one with an empty name (18.7)
    ),
  sandbox: (key) => async () => {
    const answers = placesOf[key.records ?? 'either'].map((place) => lookUpSandbox(bolt, key, place));
    return answers.find(({ _tag }) => _tag !== 'NotFound') ?? notFound;
  },
});

const lookUp = <A>(
  bolt: Bolt,
  { namespace }: RecordKey,
  path: ReadonlyArray<B.ByteString>,
  valueOf: (runtime: RuntimeField) => Lookup<A>,
): Lookup<A> => {
  if (!isValidNamespace(namespace))
    return unknown({ _tag: 'StoreUnavailable', reason: 'the name is not valid for a namespace' });
  const bucket = bolt.bucketAt(path);
  if (E.isLeft(bucket)) return unknownBecause(bucket.left);
  if (bucket.right === undefined) return notFound;
  const record = readRecord(bolt, bucket.right);
  return E.isLeft(record) ? unknownBecause(record.left) : valueOf(record.right);
};

interface RuntimeField {
  readonly isPresent: boolean;
  readonly runtimeName: B.ByteString;
}

const unknownBecause = (error: ReadError): Lookup<never> =>
  unknown(
    error._tag === 'Malformed'
      ? { _tag: 'RecordMalformed', reason: error.reason }
      : { _tag: 'StoreUnavailable', reason: `the metadata store is damaged: ${showBoltError(error)}` },
  );

/** Visits a record's keys in order, as the reference does: the first that cannot be read fails the whole. */
const readRecord = (bolt: Bolt, bucket: Bucket): E.Either<ReadError, RuntimeField> => {
  const entries = bolt.entries(bucket);
  if (E.isLeft(entries)) return entries;
  let runtime: RuntimeField = { isPresent: false, runtimeName: B.empty };
  for (const [key, entry] of entries.right) {
    if (key === 'runtime' && entry._tag === 'Bucket') {
      const read = readRuntime(bolt, entry.bucket);
      if (E.isLeft(read)) return read;
      runtime = read.right;
      continue;
    }
    const checked = checkField(bolt, key, entry);
    if (E.isLeft(checked)) return checked;
  }
  return E.right(runtime);
};

const readRuntime = (bolt: Bolt, bucket: Bucket): E.Either<ReadError, RuntimeField> => {
  const runtimeName = bolt.get(bucket, name.runtimeName);
  if (E.isLeft(runtimeName)) return runtimeName;
  const options = bolt.get(bucket, name.options);
  if (E.isLeft(options)) return options;
  const checked = options.right?._tag === 'Value' ? checkAny(options.right.value) : fine;
  if (E.isLeft(checked)) return checked;
  return E.right({
    isPresent: true,
    runtimeName: runtimeName.right?._tag === 'Value' ? B.fromBytes(runtimeName.right.value) : B.empty,
  });
};

const checkAny = (value: Buffer): E.Either<ReadError, void> => {
  const decoded = decode(Any)(value);
  return E.isLeft(decoded) ? malformed(showMalformedMessage(decoded.left)) : fine;
};

const malformed = (reason: string): E.Either<ReadError, never> => E.left({ _tag: 'Malformed', reason });

const fine: E.Either<ReadError, void> = E.right(undefined);

const checkField = (bolt: Bolt, key: string, entry: Entry): E.Either<ReadError, void> => {
  if (entry._tag === 'Bucket') return key === 'extensions' ? checkExtensions(bolt, entry.bucket) : fine;
  switch (key) {
    case 'createdat':
    case 'updatedat':
      return checkTime(entry.value);
    case 'spec':
      return checkAny(entry.value);
    default:
      return fine;
  }
};

/** The values of a bucket of extensions, each of which must be an `Any`. */
const checkExtensions = (bolt: Bolt, bucket: Bucket): E.Either<ReadError, void> => {
  const entries = bolt.entries(bucket);
  if (E.isLeft(entries)) return entries;
  for (const [, entry] of entries.right) {
    const checked = entry._tag === 'Value' ? checkAny(entry.value) : fine;
    if (E.isLeft(checked)) return checked;
  }
  return fine;
};

/** A time as Go writes it: a version byte, 1 with 14 bytes behind it, or 2 with 15. */
const checkTime = (value: Buffer): E.Either<ReadError, void> => {
  const isTime = (value[0] === 1 && value.length === 15) || (value[0] === 2 && value.length === 16);
  return isTime ? fine : malformed('a time in it cannot be read');
};

/** The places where each version keeps its sandboxes (18.6). */
const placesOf: Readonly<Record<SandboxRecords, ReadonlyArray<ReadonlyArray<B.ByteString>>>> = {
  root: [[]],
  v1: [[name.schema]],
  either: [[name.schema], []],
};

const lookUpSandbox = (bolt: Bolt, key: RecordKey, place: ReadonlyArray<B.ByteString>): Lookup<SandboxRecord> =>
  lookUp<SandboxRecord>(bolt, key, [...place, key.namespace, name.sandboxes, key.id], ({ isPresent }) =>
    isPresent ? found({ id: key.id }) : unknown({ _tag: 'RecordMalformed', reason: 'it has no runtime' }),
  );

/** Reads every record once. Left: where the file is damaged; a daemon does not start with one like that. */
export const checkRecords = (bolt: Bolt): E.Either<BoltError, void> => {
  for (const place of placesOf.either) {
    const paths = recordsBelow(bolt, place);
    if (E.isLeft(paths)) return paths;
    for (const path of paths.right) {
      const bucket = bolt.bucketAt(path);
      const read = E.isRight(bucket) && bucket.right !== undefined ? readAll(bolt, bucket.right) : bucket;
      if (E.isLeft(read)) return read;
    }
  }
  return E.right(undefined);
};

/** The buckets below one that hold records, each of one namespace. */
const recordsBelow = (
  bolt: Bolt,
  place: ReadonlyArray<B.ByteString>,
): E.Either<BoltError, ReadonlyArray<ReadonlyArray<B.ByteString>>> => {
  const bucket = bolt.bucketAt(place);
  if (E.isLeft(bucket)) return bucket;
  const entries = bucket.right === undefined ? E.right([]) : bolt.entries(bucket.right);
  if (E.isLeft(entries)) return entries;
  return E.right(
    entries.right.flatMap(([namespace, { _tag }]) =>
      _tag === 'Bucket' ? [name.containers, name.sandboxes].map((kind) => [...place, namespace, kind]) : [],
    ),
  );
};

/** All that is below a bucket. */
const readAll = (bolt: Bolt, bucket: Bucket): E.Either<BoltError, void> => {
  const entries = bolt.entries(bucket);
  if (E.isLeft(entries)) return entries;
  for (const [, entry] of entries.right) {
    const read = entry._tag === 'Bucket' ? readAll(bolt, entry.bucket) : E.right(undefined);
    if (E.isLeft(read)) return read;
  }
  return E.right(undefined);
};

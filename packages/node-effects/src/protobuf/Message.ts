/**
 * Protobuf messages: each field declared once, as a number with a getter and a setter, serves both directions (SPEC 16).
 *
 * Decoding is as lenient and as strict as the reference's (SPEC 23.9): unknown fields, and known ones of another wire
 * type, are skipped; a truncated or invalid tag, a length beyond the end and text that is not UTF-8 are errors; a
 * message that appears twice is merged.
 */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { ByteString as B } from '@shim-recovery/core';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as O from 'fp-ts/lib/Option.js';

/** One field of a message `A`. `read` throws where the bytes are malformed: {@link decode} turns that into a value. */
export interface Field<A> {
  readonly number: number;
  readonly wireType: WireType;
  readonly write: (writer: BinaryWriter, value: A) => void;
  readonly read: (reader: BinaryReader, soFar: A) => A;
}

/** A message: what it is when no field is there, and its fields in the order of their numbers. */
export interface Message<A> {
  readonly name: string;
  /** A fresh value each time, so that a field may build on it in place. */
  readonly empty: () => A;
  readonly fields: ReadonlyArray<Field<A>>;
}

/** The bytes are not the message that they should be. */
export interface MalformedMessage {
  readonly _tag: 'MalformedMessage';
  readonly message: string;
  readonly reason: string;
}

/** A sentence for people. */
export const showMalformedMessage = (error: MalformedMessage): string => `no valid ${error.message}: ${error.reason}`;

/** The message as it goes over the wire. Fields that hold their default are left out, as in proto3. */
export const encode =
  <A>(message: Message<A>) =>
  (value: A): Uint8Array => {
    const writer = new BinaryWriter();
    for (const field of message.fields) field.write(writer, value);
    return writer.finish();
  };

/** The message that these bytes hold. No bytes at all are a valid message, with every field at its default. */
export const decode =
  <A>(message: Message<A>) =>
  (bytes: Uint8Array): E.Either<MalformedMessage, A> =>
    E.tryCatch(
      () => readInto(message)(bytes, message.empty()),
      (cause): MalformedMessage => ({
        _tag: 'MalformedMessage',
        message: message.name,
        reason: cause instanceof Error ? cause.message : String(cause),
      }),
    );

const readInto =
  <A>(message: Message<A>) =>
  (bytes: Uint8Array, start: A): A => {
    if (bytes.length === 0) return start;
    const reader = new BinaryReader(bytes);
    let soFar = start;
    while (reader.pos < reader.len) {
      const [number, wireType] = reader.tag();
      const field = message.fields.find((candidate) => candidate.number === number);
      if (field?.wireType === wireType) soFar = field.read(reader, soFar);
      else skip(reader, wireType, number);
    }
    return soFar;
  };

/** Four bytes of a varint hold 28 bits: up to there the library's 32-bit number is exact, beyond it is a remainder. */
const exactLengthBytes = 4;

/** The library skips a varint of any length; one of more than ten bytes is malformed. */
const skip = (reader: BinaryReader, wireType: WireType, number: number): void => {
  if (wireType === WireType.Varint) reader.uint64();
  else if (wireType === WireType.LengthDelimited) lengthDelimited(reader);
  else reader.skip(wireType, number);
};

/** The library takes a length modulo 2^32: one far beyond the end would be read as a small one. */
const lengthDelimited = (reader: BinaryReader): Uint8Array => {
  const start = reader.pos;
  let lengthBytes = reader.uint32();
  if (reader.pos - start > exactLengthBytes) {
    reader.pos = start;
    lengthBytes = Number(reader.uint64());
  }
  if (lengthBytes > reader.len - reader.pos) throw new RangeError('a field is longer than the message');
  reader.pos = start;
  return reader.bytes();
};

/** An unsigned 32-bit number; anything else is taken modulo 2^32. */
export const uint32 = <A>(number: number, get: (a: A) => number, set: (a: A, value: number) => A): Field<A> => ({
  number,
  wireType: WireType.Varint,
  write: (writer, a) => {
    const value = get(a) >>> 0;
    if (value !== 0) writer.tag(number, WireType.Varint).uint32(value);
  },
  read: (reader, soFar) => set(soFar, reader.uint32()),
});

/** A signed 32-bit number; anything else is taken modulo 2^32. */
export const int32 = <A>(number: number, get: (a: A) => number, set: (a: A, value: number) => A): Field<A> => ({
  number,
  wireType: WireType.Varint,
  write: (writer, a) => {
    const value = get(a) | 0;
    if (value !== 0) writer.tag(number, WireType.Varint).int32(value);
  },
  read: (reader, soFar) => set(soFar, reader.int32()),
});

/** A signed 64-bit number; anything else is taken modulo 2^64. */
export const int64 = <A>(number: number, get: (a: A) => bigint, set: (a: A, value: bigint) => A): Field<A> => ({
  number,
  wireType: WireType.Varint,
  write: (writer, a) => {
    const value = BigInt.asIntN(64, get(a));
    if (value !== 0n) writer.tag(number, WireType.Varint).int64(value);
  },
  read: (reader, soFar) => set(soFar, BigInt(reader.int64())),
});

export const bool = <A>(number: number, get: (a: A) => boolean, set: (a: A, value: boolean) => A): Field<A> => ({
  number,
  wireType: WireType.Varint,
  write: (writer, a) => {
    if (get(a)) writer.tag(number, WireType.Varint).bool(true);
  },
  read: (reader, soFar) => set(soFar, reader.bool()),
});

export const bytes = <A>(number: number, get: (a: A) => Uint8Array, set: (a: A, value: Uint8Array) => A): Field<A> => ({
  number,
  wireType: WireType.LengthDelimited,
  write: (writer, a) => {
    const value = get(a);
    if (value.length > 0) writer.tag(number, WireType.LengthDelimited).bytes(value);
  },
  read: (reader, soFar) => set(soFar, lengthDelimited(reader)),
});

const noBytes = new Uint8Array(0);

const utf8 = new TextEncoder();

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Text of ours, or for people. */
export const text = <A>(number: number, get: (a: A) => string, set: (a: A, value: string) => A): Field<A> =>
  bytes(
    number,
    (a) => {
      const value = get(a);
      return value === '' ? noBytes : utf8.encode(value);
    },
    (a, value) => set(a, strictUtf8.decode(value)),
  );

/** An id or another name: its raw bytes. Sent as they are; when received they must be UTF-8, as in any string. */
export const byteText = <A>(
  number: number,
  get: (a: A) => B.ByteString,
  set: (a: A, value: B.ByteString) => A,
): Field<A> =>
  bytes(
    number,
    (a) => B.toBytes(get(a)),
    (a, value) => {
      const name = B.fromBytes(value);
      if (!B.isText(name)) throw new TypeError('a string is not valid UTF-8');
      return set(a, name);
    },
  );

/** A message within the message, which may be absent. */
export const embedded = <A, V>(
  number: number,
  message: Message<V>,
  get: (a: A) => O.Option<V>,
  set: (a: A, value: V) => A,
): Field<A> => ({
  number,
  wireType: WireType.LengthDelimited,
  write: (writer, a) => {
    const value = get(a);
    if (O.isSome(value)) writer.tag(number, WireType.LengthDelimited).bytes(encode(message)(value.value));
  },
  read: (reader, soFar) => {
    const start = pipe(get(soFar), O.getOrElse(message.empty));
    return set(soFar, readInto(message)(lengthDelimited(reader), start));
  },
});

/** Any number of messages within the message. `add` may add in place: what it gets is fresh (see `Message.empty`). */
export const repeated = <A, V>(
  number: number,
  message: Message<V>,
  get: (a: A) => ReadonlyArray<V>,
  add: (a: A, value: V) => A,
): Field<A> => ({
  number,
  wireType: WireType.LengthDelimited,
  write: (writer, a) => {
    for (const value of get(a)) writer.tag(number, WireType.LengthDelimited).bytes(encode(message)(value));
  },
  read: (reader, soFar) => add(soFar, readInto(message)(lengthDelimited(reader), message.empty())),
});

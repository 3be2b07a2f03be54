/**
 * Protobuf messages: a record of fields, each with its number and its type, serves both directions (SPEC 16).
 *
 *     const Timestamp = message('Timestamp', { seconds: int64(1), nanos: int32(2) });
 *
 * Decoding is as lenient and as strict as the reference's (SPEC 23.9): unknown fields, and known ones of another wire
 * type, are skipped; a truncated or invalid tag, a length beyond the end and text that is not UTF-8 are errors; a
 * message that appears twice is merged.
 */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { ByteString as B } from '@shim-recovery/core';
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';

/** One field with values of type `V`. Methods, so that fields of all types fit into one list. */
export interface Field<V> {
  readonly number: number;
  readonly wireType: WireType;
  /** What it holds when it is not there: a fresh value each time, so that `read` may build on it in place. */
  absent(): V;
  write(writer: BinaryWriter, value: V): void;
  /** Throws where the bytes are malformed: {@link decode} turns that into a value. */
  read(reader: BinaryReader, soFar: V): V;
}

/** A message with the values `A`. */
export interface Message<A> {
  readonly name: string;
  /** What it holds when no field is there: a fresh value each time. */
  empty(): A;
  write(writer: BinaryWriter, value: A): void;
  /** The same value with all that the bytes add to it. Throws as {@link Field.read} does. */
  read(bytes: Uint8Array, start: A): A;
}

/** What a message holds. */
export type MessageOf<M> = M extends Message<infer A> ? A : never;

type FieldsOf<A> = { readonly [K in keyof A]: Field<A[K]> };

/** A message of these fields, which are written in the order in which they are given. */
export function message<A extends object>(name: string, fields: FieldsOf<A>): Message<A>;
export function message(
  name: string,
  fields: Readonly<Record<string, Field<unknown>>>,
): Message<Readonly<Record<string, unknown>>> {
  const entries = Object.entries(fields);
  return {
    name,
    empty: () => Object.fromEntries(entries.map(([key, field]) => [key, field.absent()])),
    write: (writer, value) => {
      for (const [key, field] of entries) field.write(writer, value[key]);
    },
    read: (bytes, start) => {
      if (bytes.length === 0) return start;
      const reader = new BinaryReader(bytes);
      const value: Record<string, unknown> = { ...start };
      while (reader.pos < reader.len) {
        const [number, wireType] = reader.tag();
        const [key, field] = entries.find(([, one]) => one.number === number) ?? [];
        if (key !== undefined && field?.wireType === wireType) value[key] = field.read(reader, value[key]);
        else skip(reader, wireType, number);
      }
      return value;
    },
  };
}

/** The same on the wire, for values of another shape. */
export const shaped = <A, V>(of: Message<V>, to: (value: V) => A, from: (value: A) => V): Message<A> => ({
  name: of.name,
  empty: () => to(of.empty()),
  write: (writer, value) => of.write(writer, from(value)),
  read: (bytes, start) => to(of.read(bytes, from(start))),
});

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
  <A>(of: Message<A>) =>
  (value: A): Uint8Array => {
    const writer = new BinaryWriter();
    of.write(writer, value);
    return writer.finish();
  };

/** The message that these bytes hold. No bytes at all are a valid message, with every field at its default. */
export const decode =
  <A>(of: Message<A>) =>
  (bytes: Uint8Array): E.Either<MalformedMessage, A> =>
    E.tryCatch(
      () => of.read(bytes, of.empty()),
      (cause): MalformedMessage => ({
        _tag: 'MalformedMessage',
        message: of.name,
        reason: cause instanceof Error ? cause.message : String(cause),
      }),
    );

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
export const uint32 = (number: number): Field<number> => ({
  number,
  wireType: WireType.Varint,
  absent: () => 0,
  write: (writer, value) => {
    if (value >>> 0 !== 0) writer.tag(number, WireType.Varint).uint32(value >>> 0);
  },
  read: (reader) => reader.uint32(),
});

/** A signed 32-bit number; anything else is taken modulo 2^32. */
export const int32 = (number: number): Field<number> => ({
  number,
  wireType: WireType.Varint,
  absent: () => 0,
  write: (writer, value) => {
    if ((value | 0) !== 0) writer.tag(number, WireType.Varint).int32(value | 0);
  },
  read: (reader) => reader.int32(),
});

/** A signed 64-bit number; anything else is taken modulo 2^64. */
export const int64 = (number: number): Field<bigint> => ({
  number,
  wireType: WireType.Varint,
  absent: () => 0n,
  write: (writer, value) => {
    const sent = BigInt.asIntN(64, value);
    if (sent !== 0n) writer.tag(number, WireType.Varint).int64(sent);
  },
  read: (reader) => BigInt(reader.int64()),
});

export const bool = (number: number): Field<boolean> => ({
  number,
  wireType: WireType.Varint,
  absent: () => false,
  write: (writer, value) => {
    if (value) writer.tag(number, WireType.Varint).bool(true);
  },
  read: (reader) => reader.bool(),
});

export const bytes = (number: number): Field<Uint8Array> => ({
  number,
  wireType: WireType.LengthDelimited,
  absent: () => new Uint8Array(),
  write: (writer, value) => {
    if (value.length > 0) writer.tag(number, WireType.LengthDelimited).bytes(value);
  },
  read: lengthDelimited,
});

/** The same field, for values of another type. */
export const converted = <A, V>(field: Field<V>, to: (value: V) => A, from: (value: A) => V): Field<A> => ({
  number: field.number,
  wireType: field.wireType,
  absent: () => to(field.absent()),
  write: (writer, value) => field.write(writer, from(value)),
  read: (reader, soFar) => to(field.read(reader, from(soFar))),
});

/** Text of ours, or for people. */
export const text = (number: number): Field<string> =>
  converted(
    bytes(number),
    (value) => (value.length === 0 ? '' : strictUtf8.decode(value)),
    (value) => (value === '' ? noBytes : utf8.encode(value)),
  );

const noBytes = new Uint8Array(0);

const utf8 = new TextEncoder();

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** An id or another name: its raw bytes. Sent as they are; when received they must be UTF-8, as in any string. */
export const byteText = (number: number): Field<B.ByteString> =>
  converted(
    bytes(number),
    (value) => {
      const name = B.fromBytes(value);
      if (!B.isText(name)) throw new TypeError('a string is not valid UTF-8');
      return name;
    },
    B.toBytes,
  );

/** A message within the message, which may be absent. */
export const embedded = <V>(number: number, of: Message<V>): Field<O.Option<V>> => ({
  number,
  wireType: WireType.LengthDelimited,
  absent: () => O.none,
  write: (writer, value) => {
    if (O.isSome(value)) writer.tag(number, WireType.LengthDelimited).bytes(encode(of)(value.value));
  },
  read: (reader, soFar) => O.some(of.read(lengthDelimited(reader), O.getOrElse(() => of.empty())(soFar))),
});

/** A message within the message, which counts as an empty one where it is absent. It is always written. */
export const always = <V>(number: number, of: Message<V>): Field<V> =>
  converted(
    embedded(number, of),
    O.getOrElse(() => of.empty()),
    O.some,
  );

/** Any number of messages within the message, added in place: one frame has room for two million of them. */
export const repeated = <V>(number: number, of: Message<V>): Field<Array<V>> => ({
  number,
  wireType: WireType.LengthDelimited,
  absent: () => [],
  write: (writer, values) => {
    for (const value of values) writer.tag(number, WireType.LengthDelimited).bytes(encode(of)(value));
  },
  read: (reader, soFar) => {
    soFar.push(of.read(lengthDelimited(reader), of.empty()));
    return soFar;
  },
});

/**
 * Text as the kernel sees it: one character per byte (Latin-1).
 *
 * File names, paths and the contents of small files are bytes, not Unicode. Kept as one character per byte they sort,
 * compare, serve as map keys and travel through JSON exactly and cheaply. They become readable text in one place only,
 * {@link show}, when a person is to read them.
 */
import * as Ord_ from 'fp-ts/lib/Ord.js';
import * as t from 'io-ts';

export interface ByteStringBrand {
  readonly ByteString: unique symbol;
}

const everyCharacterIsAByte = /^[\u0000-\u00ff]*$/;

/** The codec, and the type: a string in which every character stands for one byte. */
export const ByteString = t.brand(
  t.string,
  (text): text is t.Branded<string, ByteStringBrand> => everyCharacterIsAByte.test(text),
  'ByteString',
);

export type ByteString = t.TypeOf<typeof ByteString>;

/** From text in which every character stands for a byte already, as a Latin-1 decoder makes it; any other as UTF-8. */
export const fromLatin1 = (text: string): ByteString => (isByteString(text) ? text : fromText(text));

/** The codec's own check, without the codec: this runs for every name and every path. */
const isByteString = (text: string): text is ByteString => everyCharacterIsAByte.test(text);

/** From raw bytes, as read from a file or a directory. */
export const fromBytes = (bytes: Uint8Array): ByteString => {
  let text = '';
  for (let start = 0; start < bytes.length; start += 8192) {
    text += String.fromCharCode(...bytes.subarray(start, start + 8192));
  }
  return fromLatin1(text);
};

/** The bytes themselves, one per character. */
export const toBytes = (text: ByteString): Uint8Array => {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
};

const replacement = 0xfffd;

/** Whether it is the same as bytes and as text, as nearly all is. */
export const isAscii = (text: string): boolean => /^[\u0000-\u007f]*$/.test(text);

/** From ordinary text, encoded as UTF-8: what a person typed, or a constant of this program. */
export const fromText = (text: string): ByteString => {
  if (isAscii(text)) return fromLatin1(text);
  let encoded = '';
  for (const character of text) {
    const point = wellFormed(character.codePointAt(0) ?? 0);
    if (point < 0x80) encoded += character;
    else if (point < 0x800) encoded += String.fromCharCode(0xc0 | (point >> 6), 0x80 | (point & 0x3f));
    else if (point < 0x10000)
      encoded += String.fromCharCode(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f));
    else
      encoded += String.fromCharCode(
        0xf0 | (point >> 18),
        0x80 | ((point >> 12) & 0x3f),
        0x80 | ((point >> 6) & 0x3f),
        0x80 | (point & 0x3f),
      );
  }
  return fromLatin1(encoded);
};

/** Half of a surrogate pair has no bytes: it becomes U+FFFD, as in every encoder of UTF-8. */
const wellFormed = (point: number): number => (point >= 0xd800 && point <= 0xdfff ? replacement : point);

/** By its first byte: how long a sequence is, and the smallest code point that needs that length. */
const sequenceShapes = [
  { from: 0xc2, to: 0xdf, length: 2, shortest: 0x80 },
  { from: 0xe0, to: 0xef, length: 3, shortest: 0x800 },
  { from: 0xf0, to: 0xf4, length: 4, shortest: 0x10000 },
] as const;

/** Text that is shown unchanged, as nearly all text is. */
const plain = /^[ -[\]-~]*$/;

/**
 * For a person: decoded as UTF-8, with control characters, invisible characters and bytes that are not UTF-8 escaped,
 * so that a name can neither forge a line of a log nor steer a terminal. A backslash is doubled, so
 * that two different names never look the same.
 *
 * @example
 * import * as B from '@shim-recovery/core/base/ByteString'
 * B.show(B.fromBytes(Uint8Array.of(0x61, 0x0a, 0xff))) // 'a\\x0a\\xff'
 */
export const show = (text: ByteString): string => {
  if (plain.test(text)) return text;
  let shown = '';
  for (let at = 0; at < text.length; ) {
    const sequence = sequenceAt(text, at);
    if (sequence === undefined) {
      shown += escapeByte(text.charCodeAt(at));
      at += 1;
      continue;
    }
    const { point, length } = sequence;
    if (point === 0x5c) shown += '\\\\';
    else if (point < 0x80 && isDeceptive(point)) shown += escapeByte(point);
    else if (isDeceptive(point)) shown += `\\u{${point.toString(16)}}`;
    else shown += String.fromCodePoint(point);
    at += length;
  }
  return shown;
};

/** Characters that could move a terminal's cursor, reorder the line or hide: shown as code points instead. */
const isDeceptive = (point: number): boolean =>
  point < 0x20 ||
  (point >= 0x7f && point < 0xa0) ||
  point === 0xad ||
  (point >= 0x200b && point <= 0x200f) ||
  (point >= 0x2028 && point <= 0x202e) ||
  (point >= 0x2060 && point <= 0x2069) ||
  point === 0xfeff;

/** One UTF-8 sequence at `at`: its code point and length, or undefined where the bytes are not UTF-8. */
const sequenceAt = (text: string, at: number): { readonly point: number; readonly length: number } | undefined => {
  const first = text.charCodeAt(at);
  if (first < 0x80) return { point: first, length: 1 };
  const shape = sequenceShapes.find(({ from, to }) => first >= from && first <= to);
  if (shape === undefined || at + shape.length > text.length) return undefined;
  const { length, shortest } = shape;
  let point = first & (0xff >> (length + 1));
  for (let next = at + 1; next < at + length; next++) {
    const byte = text.charCodeAt(next);
    if ((byte & 0xc0) !== 0x80) return undefined;
    point = (point << 6) | (byte & 0x3f);
  }
  const valid = point >= shortest && point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff);
  return valid ? { point, length } : undefined;
};

const escapeByte = (byte: number): string => `\\x${byte.toString(16).padStart(2, '0')}`;

/** Decoded as UTF-8; each byte that does not belong to a valid sequence becomes U+FFFD, as in Go. */
export const toText = (bytes: ByteString): string => {
  if (isAscii(bytes)) return bytes;
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const sequence = sequenceAt(bytes, at);
    text += String.fromCodePoint(sequence?.point ?? replacement);
    at += sequence?.length ?? 1;
  }
  return text;
};

/** Whether the bytes are valid UTF-8. */
export const isText = (text: ByteString): boolean => {
  if (isAscii(text)) return true;
  for (let at = 0; at < text.length; ) {
    const sequence = sequenceAt(text, at);
    if (sequence === undefined) return false;
    at += sequence.length;
  }
  return true;
};

/** Joins pieces byte by byte. */
export const concat = (...pieces: ReadonlyArray<ByteString>): ByteString => fromLatin1(pieces.join(''));

/** A part of it, by byte positions. */
export const slice = (text: ByteString, start: number, end?: number): ByteString => fromLatin1(text.slice(start, end));

/** Splits at every occurrence of a separator. */
export const split = (text: ByteString, separator: string): ReadonlyArray<ByteString> =>
  text.split(separator).map(fromLatin1);

/** Byte-wise order: the order in which the reference lists a directory (SPEC 1.4). */
export const Ord: Ord_.Ord<ByteString> = Ord_.fromCompare((first, second) => {
  if (first === second) return 0;
  return first < second ? -1 : 1;
});

export const empty: ByteString = fromLatin1('');

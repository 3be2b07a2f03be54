import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as B from '../../src/base/ByteString.js';
import { bytes } from '../arbitraries.js';

describe('ByteString', () => {
  it('gives back the bytes that it was made from', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (raw) => {
        expect([...B.toBytes(B.fromBytes(raw))]).toEqual([...raw]);
      }),
    );
  });

  it('encodes and decodes text as the platform does', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const encoded = B.fromText(text);
        expect(Buffer.from(encoded, 'latin1').equals(Buffer.from(text, 'utf8'))).toBe(true);
        expect(B.toText(encoded)).toBe(Buffer.from(text).toString());
      }),
    );
  });

  it('knows UTF-8 when it sees it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 6 }), (raw) => {
        let valid = true;
        try {
          new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw);
        } catch {
          valid = false;
        }
        expect(B.isText(B.fromBytes(raw))).toBe(valid);
      }),
      { numRuns: 2000 },
    );
  });

  it('sorts as the bytes sort', () => {
    fc.assert(
      fc.property(bytes(), bytes(), (first, second) => {
        expect(B.Ord.compare(first, second)).toBe(Buffer.compare(B.toBytes(first), B.toBytes(second)));
      }),
    );
  });

  it('never shows two different names alike', () => {
    fc.assert(
      fc.property(bytes({ maxLength: 4 }), bytes({ maxLength: 4 }), (first, second) => {
        expect(B.show(first) === B.show(second)).toBe(first === second);
      }),
      { numRuns: 5000 },
    );
  });

  it('shows nothing that could move a cursor or forge a line', () => {
    fc.assert(
      fc.property(bytes(), (name) => {
        expect(B.show(name)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
      }),
    );
  });

  it('shows ordinary names as they are', () => {
    expect(B.show(B.fromText('ünïcode web-1.x'))).toBe('ünïcode web-1.x');
    expect(B.show(B.fromBytes(Uint8Array.of(0x61, 0x0a, 0xff)))).toBe('a\\x0a\\xff');
    expect(B.show(B.fromText('a\u202eb'))).toBe('a\\u{202e}b');
  });

  it('refuses, when decoding, a character that is no byte', () => {
    expect(E.isLeft(B.ByteString.decode('\u0100'))).toBe(true);
    expect(E.isRight(B.ByteString.decode('\u00ff'))).toBe(true);
  });
});

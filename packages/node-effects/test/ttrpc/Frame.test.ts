import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  encodeFrame,
  type Frame,
  type FrameEvent,
  headerBytes,
  makeFrameDecoder,
  maxPayloadBytes,
} from '../../src/shims/ttrpc/Frame.js';

const frame: fc.Arbitrary<Frame> = fc.record({
  streamId: fc.oneof(fc.constantFrom(0, 1, 0xffff_ffff), fc.nat(0xffff_ffff)),
  type: fc.nat(255),
  flags: fc.nat(255),
  payload: fc.oneof(
    { weight: 9, arbitrary: fc.uint8Array({ maxLength: 40 }) },
    // Around the sizes at which the decoder's buffer grows.
    {
      weight: 1,
      arbitrary: fc.constantFrom(4_095, 4_096, 4_097, 9_000).map((size) => new Uint8Array(size).fill(size)),
    },
  ),
});

/** Cuts at the given places, which may coincide: then a chunk is empty. */
const cutAt = (stream: Uint8Array, places: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const cuts = places.map((place) => place % (stream.length + 1)).sort((first, second) => first - second);
  return [0, ...cuts].map((start, index) => stream.subarray(start, cuts[index] ?? stream.length));
};

const decodeAll = (chunks: ReadonlyArray<Uint8Array>): ReadonlyArray<FrameEvent> => {
  const decoder = makeFrameDecoder();
  return chunks.flatMap((chunk) => decoder.push(chunk));
};

const received = (frames: ReadonlyArray<Frame>): ReadonlyArray<FrameEvent> =>
  frames.map((each) => ({ _tag: 'Received', frame: each }));

const header = (lengthBytes: number, streamId: number): Uint8Array => {
  const encoded = encodeFrame({ streamId, type: 2, flags: 0, payload: new Uint8Array() });
  new DataView(encoded.buffer).setUint32(0, lengthBytes);
  return encoded;
};

describe('Frame', () => {
  test('frames come out as they went in, wherever the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 30 }), (frames, places) => {
        const stream = Buffer.concat(frames.map(encodeFrame));
        expect(decodeAll(cutAt(stream, places))).toEqual(received(frames));
      }),
    );
  });

  test('frames come out as they went in when every byte comes alone', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 3 }), (frames) => {
        const stream = Buffer.concat(frames.map(encodeFrame));
        const chunks = Array.from(stream, (byte) => Uint8Array.of(byte));
        expect(decodeAll(chunks)).toEqual(received(frames));
      }),
      { numRuns: 20 },
    );
  });

  test('whatever comes, decoding does not throw', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 })), (chunks) => {
        expect(decodeAll(chunks)).toBeInstanceOf(Array);
      }),
    );
  });

  test('a payload shares no memory with the chunk it came in', () => {
    const chunk = encodeFrame({ streamId: 1, type: 2, flags: 0, payload: Uint8Array.of(7) });
    const events = decodeAll([chunk]);
    chunk.fill(0);
    expect(events).toMatchObject([{ frame: { payload: Uint8Array.of(7) } }]);
  });

  test('the header is big-endian: length, stream id, type, flags', () => {
    const encoded = encodeFrame({ streamId: 0x01020304, type: 5, flags: 6, payload: Uint8Array.of(0xaa) });
    expect(Buffer.from(encoded).toString('hex')).toBe('00000001010203040506aa');
  });

  test('the longest payload allowed is read, one byte more is skipped, and what follows is read again', () => {
    const next: Frame = { streamId: 5, type: 2, flags: 0, payload: Uint8Array.of(1, 2) };
    const longest: Frame = { streamId: 1, type: 2, flags: 0, payload: new Uint8Array(maxPayloadBytes) };
    const tooLong: Frame = { streamId: 3, type: 2, flags: 0, payload: new Uint8Array(maxPayloadBytes + 1) };
    const stream = Buffer.concat([longest, tooLong, next].map(encodeFrame));
    const events = decodeAll(cutAt(stream, [3, 100_000, maxPayloadBytes, maxPayloadBytes + headerBytes + 4]));
    expect(events.map((event) => event._tag)).toEqual(['Received', 'Oversized', 'Received']);
    expect(events[1]).toEqual({ _tag: 'Oversized', streamId: 3, lengthBytes: maxPayloadBytes + 1 });
    expect(events[2]).toEqual({ _tag: 'Received', frame: next });
  });

  test('memory follows what has come, not what was announced', () => {
    const beforeBytes = process.memoryUsage().arrayBuffers;
    const decoders = Array.from({ length: 500 }, (_, index) => {
      const decoder = makeFrameDecoder();
      decoder.push(header(index % 2 === 0 ? maxPayloadBytes : 0xffff_ffff, 1));
      decoder.push(Uint8Array.of(1, 2, 3));
      return decoder;
    });
    expect(decoders).toHaveLength(500);
    expect(process.memoryUsage().arrayBuffers - beforeBytes).toBeLessThan(16 * 1024 * 1024);
  });
});

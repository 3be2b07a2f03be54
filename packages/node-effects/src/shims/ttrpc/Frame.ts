/** The frames that ttrpc's messages travel in: a header of ten bytes, then the payload (SPEC 16.1). No I/O. */

/** `length` u32, `stream id` u32, `type` u8, `flags` u8, big-endian. */
export const headerBytes = 10;

/** The longest payload that either side accepts. */
export const maxPayloadBytes = 4_194_304;

/** The types that SPEC 16.1 names; a frame may carry any other number. */
export const FrameType = { request: 1, response: 2, data: 3 } as const;

export interface Frame {
  /** Unsigned 32-bit. A client's are odd and grow with every call. */
  readonly streamId: number;
  readonly type: number;
  /** Only data frames use them. */
  readonly flags: number;
  readonly payload: Uint8Array;
}

/**
 * - `Received`: a whole frame.
 * - `Oversized`: a frame with a longer payload than allowed has gone by, unread. Its stream failed; the others go on.
 */
export type FrameEvent =
  | { readonly _tag: 'Received'; readonly frame: Frame }
  | { readonly _tag: 'Oversized'; readonly streamId: number; readonly lengthBytes: number };

/** A frame as it goes over the wire. */
export const encodeFrame = (frame: Frame): Uint8Array => {
  const encoded = new Uint8Array(headerBytes + frame.payload.length);
  const header = new DataView(encoded.buffer);
  header.setUint32(0, frame.payload.length);
  header.setUint32(4, frame.streamId);
  header.setUint8(8, frame.type);
  header.setUint8(9, frame.flags);
  encoded.set(frame.payload, headerBytes);
  return encoded;
};

/** Takes a stream of bytes apart, in chunks of any size. */
export interface FrameDecoder {
  /** The frames that this chunk completes, in order. They share no memory with it. */
  readonly push: (chunk: Uint8Array) => ReadonlyArray<FrameEvent>;
}

/** A decoder at the beginning of a stream. Whatever comes, it holds no more than twice the longest payload. */
export const makeFrameDecoder = (): FrameDecoder => {
  const header = new Uint8Array(headerBytes);
  let headerReceivedBytes = 0;
  let missingBytes = 0;
  let open: OpenFrame | undefined;

  const openFrame = (): OpenFrame => {
    const lengthBytes = numberAt(header, 0, 4);
    return {
      lengthBytes,
      streamId: numberAt(header, 4, 4),
      type: numberAt(header, 8, 1),
      flags: numberAt(header, 9, 1),
      payload: collect(lengthBytes > maxPayloadBytes ? 0 : lengthBytes),
    };
  };

  const closeFrame = ({ lengthBytes, streamId, type, flags, payload }: OpenFrame): FrameEvent =>
    lengthBytes > maxPayloadBytes
      ? { _tag: 'Oversized', streamId, lengthBytes }
      : { _tag: 'Received', frame: { streamId, type, flags, payload: payload.collected() } };

  return {
    push: (chunk) => {
      const events: Array<FrameEvent> = [];
      let at = 0;
      while (at < chunk.length) {
        if (open === undefined) {
          const part = chunk.subarray(at, at + headerBytes - headerReceivedBytes);
          header.set(part, headerReceivedBytes);
          headerReceivedBytes += part.length;
          at += part.length;
          if (headerReceivedBytes < headerBytes) break;
          headerReceivedBytes = 0;
          open = openFrame();
          missingBytes = open.lengthBytes;
        }
        const part = chunk.subarray(at, at + missingBytes);
        if (open.lengthBytes <= maxPayloadBytes) open.payload.add(part);
        at += part.length;
        missingBytes -= part.length;
        if (missingBytes > 0) break;
        events.push(closeFrame(open));
        open = undefined;
      }
      return events;
    },
  };
};

interface OpenFrame {
  readonly lengthBytes: number;
  readonly streamId: number;
  readonly type: number;
  readonly flags: number;
  readonly payload: ReturnType<typeof collect>;
}

/** Big-endian, unsigned. A `DataView` would give each of thousands of headers a buffer outside of the heap. */
const numberAt = (bytes: Uint8Array, first: number, count: 1 | 4): number => {
  let number = 0;
  for (let at = first; at < first + count; at += 1) number = number * 0x100 + (bytes[at] ?? 0);
  return number;
};

/** A buffer for what has come of a payload. It grows with what came, never with what a header merely announces. */
const collect = (lengthBytes: number) => {
  let buffer = new Uint8Array(Math.min(lengthBytes, firstAllocationBytes));
  let receivedBytes = 0;
  return {
    add: (part: Uint8Array): void => {
      const neededBytes = receivedBytes + part.length;
      if (neededBytes > buffer.length) {
        const grown = new Uint8Array(Math.min(lengthBytes, Math.max(neededBytes, 2 * buffer.length)));
        grown.set(buffer.subarray(0, receivedBytes));
        buffer = grown;
      }
      buffer.set(part, receivedBytes);
      receivedBytes = neededBytes;
    },
    collected: (): Uint8Array => buffer.subarray(0, receivedBytes),
  };
};

const firstAllocationBytes = 4_096;

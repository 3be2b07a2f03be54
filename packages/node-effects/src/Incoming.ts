/**
 * What comes over a connection, handed over as it comes. Node's own way takes 64 KiB from the heap for each read and puts a
 * stream in between, for answers of some twenty bytes.
 */
import type { OnReadOpts } from 'node:net';

export interface Incoming {
  /** For the options of the socket. */
  readonly onread: OnReadOpts;
  /** Set it before anything can have come. The bytes are only good until it returns. */
  receive: (bytes: Uint8Array) => void;
}

/** For all connections: whatever is read into it is handed over before anything else is read. */
const shared = new Uint8Array(64 * 1024);

export const makeIncoming = (): Incoming => {
  const incoming: Incoming = {
    receive: () => undefined,
    onread: {
      buffer: shared,
      callback: (length, bytes) => {
        incoming.receive(bytes.subarray(0, length));
        return true;
      },
    },
  };
  return incoming;
};

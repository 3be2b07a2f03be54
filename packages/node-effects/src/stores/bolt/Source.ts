/** The bytes of a database, wherever they are. */
import * as fs from 'node:fs';
import * as E from 'fp-ts/lib/Either.js';
import type { BoltError } from './BoltError.js';

export interface Source {
  readonly sizeBytes: number;
  /** Exactly so many bytes; asking past the end is an error. */
  readonly read: (offset: number, length: number) => E.Either<BoltError, Buffer>;
}

const pastTheEnd: BoltError = { _tag: 'Unreadable', reason: 'the file ends too early' };

/** A file that is open already. */
export const fileSource = (descriptor: number): E.Either<BoltError, Source> =>
  E.tryCatch(
    () => {
      const sizeBytes = fs.fstatSync(descriptor).size;
      return {
        sizeBytes,
        read: (offset, length) => {
          const buffer = Buffer.alloc(length);
          const count = E.tryCatch(() => fs.readSync(descriptor, buffer, 0, length, offset), unreadable);
          if (E.isLeft(count)) return count;
          return count.right === length ? E.right(buffer) : E.left(pastTheEnd);
        },
      };
    },
    (error) => unreadable(error),
  );

const unreadable = (error: unknown): BoltError => ({
  _tag: 'Unreadable',
  reason: error instanceof Error ? error.message : String(error),
});

/** Bytes in memory. */
export const memorySource = (bytes: Uint8Array): Source => ({
  sizeBytes: bytes.length,
  read: (offset, length) =>
    offset + length <= bytes.length
      ? E.right(Buffer.from(bytes.subarray(offset, offset + length)))
      : E.left(pastTheEnd),
});

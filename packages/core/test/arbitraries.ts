import * as fc from 'fast-check';
import * as B from '../src/base/ByteString.js';

/** Any bytes, as a byte string; shrinks to fewer and smaller bytes. */
export const bytes = (constraints: fc.IntArrayConstraints = {}): fc.Arbitrary<B.ByteString> =>
  fc.uint8Array(constraints).map(B.fromBytes);

import { ByteString as B } from '@shim-recovery/core';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { encode } from '../../src/protobuf/Message.js';
import { Request } from '../../src/protobuf/TtrpcMessages.js';
import { requestFrame, type UnaryCall } from '../../src/shims/ttrpc/RequestFrame.js';

/** Few of each, so that calls have some in common and some not; and names that could be taken for two. */
const anyCall: fc.Arbitrary<UnaryCall> = fc.record({
  service: fc.constantFrom('containerd.task.v2.Task', 'containerd.task.v3.Task', ''),
  method: fc.constantFrom('Connect', 'Pids', 'State', ''),
  payload: fc.uint8Array({ maxLength: 300 }),
  namespace: fc.constantFrom('default', 'a b', '\xc3\xa9', '1 a', '').map(B.fromLatin1),
  timeoutMs: fc.oneof(fc.constantFrom(0, 1, 10_000, 0.5), fc.nat()),
});

it('is the request as it would be encoded at once, whatever was asked before', () => {
  fc.assert(
    fc.property(fc.array(anyCall, { minLength: 1, maxLength: 300 }), (calls) => {
      for (const { timeoutMs, namespace, ...call } of calls) {
        const atOnce = encode(Request)({
          ...call,
          timeoutNanos: BigInt(Math.round(timeoutMs * 1_000_000)),
          metadata: [{ key: 'containerd-namespace-ttrpc', value: namespace }],
        });
        const { payload, ...header } = requestFrame(7, { ...call, timeoutMs, namespace });
        expect(Buffer.from(payload).equals(atOnce)).toBe(true);
        expect(header).toEqual({ streamId: 7, type: 1, flags: 0 });
      }
    }),
  );
});

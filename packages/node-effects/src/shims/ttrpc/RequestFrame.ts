/**
 * A call as it goes over the wire (SPEC 16.1). All of it but the payload is the same for every task of a namespace that is asked
 * the same, and is encoded once: in a protobuf message, the fields of one part followed by those of another are the fields of
 * both.
 */
import type { ByteString as B } from '@shim-recovery/core';
import { encode } from '../../protobuf/Message.js';
import { Request } from '../../protobuf/TtrpcMessages.js';
import { type Frame, FrameType } from './Frame.js';

export interface UnaryCall {
  readonly service: string;
  readonly method: string;
  readonly payload: Uint8Array;
  readonly namespace: B.ByteString;
  /** Counted from the start of the call to the whole of its answer. */
  readonly timeoutMs: number;
}

const namespaceKey = 'containerd-namespace-ttrpc';

export const requestFrame = (streamId: number, call: UnaryCall): Frame => {
  const { before, after } = envelopeOf(call);
  return {
    streamId,
    type: FrameType.request,
    flags: 0,
    payload: Buffer.concat([before, partOf({ payload: call.payload }), after]),
  };
};

const envelopeOf = (call: UnaryCall): Envelope => {
  const key = `${call.method} ${call.timeoutMs} ${call.service} ${call.namespace}`;
  const known = envelopes.get(key);
  if (known !== undefined) return known;
  if (envelopes.size === mostEnvelopes) envelopes.clear();
  const made = makeEnvelope(call);
  envelopes.set(key, made);
  return made;
};

/** What comes before the payload, and what after it. */
interface Envelope {
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

const envelopes = new Map<string, Envelope>();

/** More than a run has of methods and namespaces; whoever has many more begins anew. */
const mostEnvelopes = 256;

const makeEnvelope = ({ service, method, namespace, timeoutMs }: UnaryCall): Envelope => ({
  before: partOf({ service, method }),
  after: partOf({ timeoutNanos: nanosOf(timeoutMs), metadata: [{ key: namespaceKey, value: namespace }] }),
});

/** Some fields of a request; the others hold their default, and are left out. */
const partOf = (fields: Partial<Request>): Uint8Array => encode(Request)({ ...Request.empty(), ...fields });

const nanosOf = (timeoutMs: number): bigint => BigInt(Math.max(0, Math.round(timeoutMs * 1_000_000)));

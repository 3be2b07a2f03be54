/** The general messages that others are made of: Timestamp, Any, Empty (SPEC 16.2). */
import type { Timestamp as TimestampValue } from '@shim-recovery/core/interpreter';
import { bytes, int32, int64, type Message, text } from './Message.js';

/** Text that is no integer counts as 0: a timestamp of ours always is one. */
const secondsOf = (seconds: string): bigint => (/^-?\d+$/.test(seconds) ? BigInt(seconds) : 0n);

export const Timestamp: Message<TimestampValue> = {
  name: 'Timestamp',
  empty: () => ({ seconds: '0', nanos: 0 }),
  fields: [
    int64(
      1,
      (timestamp) => secondsOf(timestamp.seconds),
      (timestamp, seconds) => ({ ...timestamp, seconds: String(seconds) }),
    ),
    int32(
      2,
      (timestamp) => timestamp.nanos,
      (timestamp, nanos) => ({ ...timestamp, nanos }),
    ),
  ],
};

/** A message of any type. Its value is kept as bytes and never decoded further: what is nested in it costs nothing. */
export interface Any {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

export const Any: Message<Any> = {
  name: 'Any',
  empty: () => ({ typeUrl: '', value: new Uint8Array() }),
  fields: [
    text(
      1,
      (any) => any.typeUrl,
      (any, typeUrl) => ({ ...any, typeUrl }),
    ),
    bytes(
      2,
      (any) => any.value,
      (any, value) => ({ ...any, value }),
    ),
  ],
};

export type Empty = Readonly<Record<never, never>>;

export const Empty: Message<Empty> = { name: 'Empty', empty: () => ({}), fields: [] };

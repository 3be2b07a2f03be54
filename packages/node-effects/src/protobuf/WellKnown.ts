/** The general messages that others are made of: Timestamp, Any, Empty (SPEC 16.2). */
import type { Timestamp as TimestampValue } from '@shim-recovery/core/interpreter';
import { bytes, converted, int32, int64, type Message, message, type MessageOf, text } from './Message.js';

/** Text that is not an integer counts as 0: a timestamp of ours always is one. */
const secondsOf = (seconds: string): bigint => (/^-?\d+$/.test(seconds) ? BigInt(seconds) : 0n);

export const Timestamp: Message<TimestampValue> = message('Timestamp', {
  seconds: converted(int64(1), String, secondsOf),
  nanos: int32(2),
});

/** A message of any type. Its value is kept as bytes and never decoded further: what is nested in it costs nothing. */
export const Any = message('Any', { typeUrl: text(1), value: bytes(2) });
export type Any = MessageOf<typeof Any>;

export const Empty = message('Empty', {});
export type Empty = MessageOf<typeof Empty>;

/** What a ttrpc frame of type request or response holds (SPEC 16.1). */
import { bytes, byteText, embedded, int32, int64, message, type MessageOf, repeated, text } from './Message.js';
import { Any } from './WellKnown.js';

/** One value a caller sends along. Keys are in lower case. */
export const Metadata = message('Metadata', { key: text(1), value: byteText(2) });
export type Metadata = MessageOf<typeof Metadata>;

/** `timeoutNanos` is the time left when it was sent; 0 is no limit. */
export const Request = message('Request', {
  service: text(1),
  method: text(2),
  payload: bytes(3),
  timeoutNanos: int64(4),
  metadata: repeated(5, Metadata),
});
export type Request = MessageOf<typeof Request>;

/** How a call ended. Code 0 is success, as is no status at all. */
export const Status = message('Status', { code: int32(1), message: text(2), details: repeated(3, Any) });
export type Status = MessageOf<typeof Status>;

export const Response = message('Response', { status: embedded(1, Status), payload: bytes(2) });
export type Response = MessageOf<typeof Response>;

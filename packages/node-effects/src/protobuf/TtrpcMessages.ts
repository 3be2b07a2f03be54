/** What a ttrpc frame of type request or response holds (SPEC 16.1). */
import { ByteString as B } from '@shim-recovery/core';
import * as O from 'fp-ts/lib/Option.js';
import { bytes, byteText, embedded, int32, int64, type Message, repeated, text } from './Message.js';
import { Any } from './WellKnown.js';

/** One value a caller sends along. Keys are in lower case. */
export interface Metadata {
  readonly key: string;
  readonly value: B.ByteString;
}

export const Metadata: Message<Metadata> = {
  name: 'Metadata',
  empty: () => ({ key: '', value: B.empty }),
  fields: [
    text(
      1,
      (metadata) => metadata.key,
      (metadata, key) => ({ ...metadata, key }),
    ),
    byteText(
      2,
      (metadata) => metadata.value,
      (metadata, value) => ({ ...metadata, value }),
    ),
  ],
};

/** `timeoutNanos` is the time left when it was sent; 0 is no limit. */
export interface Request {
  readonly service: string;
  readonly method: string;
  readonly payload: Uint8Array;
  readonly timeoutNanos: bigint;
  readonly metadata: Array<Metadata>;
}

export const Request: Message<Request> = {
  name: 'Request',
  empty: () => ({ service: '', method: '', payload: new Uint8Array(), timeoutNanos: 0n, metadata: [] }),
  fields: [
    text(
      1,
      (request) => request.service,
      (request, service) => ({ ...request, service }),
    ),
    text(
      2,
      (request) => request.method,
      (request, method) => ({ ...request, method }),
    ),
    bytes(
      3,
      (request) => request.payload,
      (request, payload) => ({ ...request, payload }),
    ),
    int64(
      4,
      (request) => request.timeoutNanos,
      (request, timeoutNanos) => ({ ...request, timeoutNanos }),
    ),
    repeated(
      5,
      Metadata,
      (request) => request.metadata,
      (request, metadata) => {
        request.metadata.push(metadata);
        return request;
      },
    ),
  ],
};

/** How a call ended. Code 0 is success, as is no status at all. */
export interface Status {
  readonly code: number;
  readonly message: string;
  readonly details: Array<Any>;
}

export const Status: Message<Status> = {
  name: 'Status',
  empty: () => ({ code: 0, message: '', details: [] }),
  fields: [
    int32(
      1,
      (status) => status.code,
      (status, code) => ({ ...status, code }),
    ),
    text(
      2,
      (status) => status.message,
      (status, message) => ({ ...status, message }),
    ),
    repeated(
      3,
      Any,
      (status) => status.details,
      (status, detail) => {
        status.details.push(detail);
        return status;
      },
    ),
  ],
};

export interface Response {
  readonly status: O.Option<Status>;
  readonly payload: Uint8Array;
}

export const Response: Message<Response> = {
  name: 'Response',
  empty: () => ({ status: O.none, payload: new Uint8Array() }),
  fields: [
    embedded(
      1,
      Status,
      (response) => response.status,
      (response, status) => ({ ...response, status: O.some(status) }),
    ),
    bytes(
      2,
      (response) => response.payload,
      (response, payload) => ({ ...response, payload }),
    ),
  ],
};

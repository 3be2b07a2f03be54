import { ByteString as B } from '@shim-recovery/core';
import * as fc from 'fast-check';
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import { describe, expect, test } from 'vitest';
import {
  Envelope,
  envelopeOf,
  ForwardRequest,
  PublishRequest,
  TaskDelete,
  TaskExit,
} from '../../src/protobuf/EventMessages.js';
import { decode, encode, type Message } from '../../src/protobuf/Message.js';
import {
  ConnectResponse,
  DeleteRequest,
  DeleteResponse,
  PidsResponse,
  ShutdownRequest,
  TaskRequest,
} from '../../src/protobuf/TaskMessages.js';
import { Metadata, Request, Response } from '../../src/protobuf/TtrpcMessages.js';
import { Any, Empty, Timestamp } from '../../src/protobuf/WellKnown.js';

const uint32 = fc.oneof(fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff), fc.nat(0xffff_ffff));
const int32 = fc.oneof(fc.constantFrom(0, -1, -0x8000_0000), fc.integer());
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const text = fc.string({ unit: 'grapheme' });
const name = text.map(B.fromText);
const bytes = fc.uint8Array({ maxLength: 40 });
const option = <A>(value: fc.Arbitrary<A>): fc.Arbitrary<O.Option<A>> =>
  fc.oneof(fc.constant(O.none), value.map(O.some));

const timestamp = fc.record({ seconds: int64.map(String), nanos: int32 });
const any = fc.record({ typeUrl: text, value: bytes });
const exit = fc.record({ pid: uint32, exitStatus: uint32, exitedAt: timestamp });
const taskEnd = fc.record({ containerId: name, id: name, exit });
const envelope = fc.record({ timestamp: option(timestamp), namespace: name, topic: text, event: option(any) });

interface Sample {
  readonly name: string;
  readonly roundTrip: () => void;
  readonly decode: (bytes: Uint8Array) => E.Either<unknown, unknown>;
  readonly encoded: fc.Arbitrary<Uint8Array>;
}

const sample = <A>(message: Message<A>, values: fc.Arbitrary<A>): Sample => ({
  name: message.name,
  roundTrip: () =>
    fc.assert(
      fc.property(values, (value) => {
        expect(decode(message)(encode(message)(value))).toEqual(E.right(value));
      }),
    ),
  decode: decode(message),
  encoded: values.map(encode(message)),
});

const samples: ReadonlyArray<Sample> = [
  sample(Timestamp, timestamp),
  sample(Any, any),
  sample(Empty, fc.constant({})),
  sample(TaskRequest, fc.record({ id: name })),
  sample(ConnectResponse, fc.record({ shimPid: uint32, taskPid: uint32, version: text })),
  sample(PidsResponse, fc.record({ processes: fc.array(fc.record({ pid: uint32, info: option(any) })) })),
  sample(DeleteRequest, fc.record({ id: name, execId: name })),
  sample(DeleteResponse, exit),
  sample(ShutdownRequest, fc.record({ id: name, isImmediate: fc.boolean() })),
  sample(Metadata, fc.record({ key: text, value: name })),
  sample(
    Request,
    fc.record({
      service: text,
      method: text,
      payload: bytes,
      timeoutNanos: int64,
      metadata: fc.array(fc.record({ key: text, value: name }), { maxLength: 3 }),
    }),
  ),
  sample(
    Response,
    fc.record({
      status: option(fc.record({ code: int32, message: text, details: fc.array(any, { maxLength: 3 }) })),
      payload: bytes,
    }),
  ),
  sample(TaskExit, taskEnd),
  sample(TaskDelete, taskEnd),
  sample(Envelope, envelope),
  sample(ForwardRequest, fc.record({ envelope: option(envelope) })),
  sample(PublishRequest, fc.record({ topic: text, event: option(any) })),
];

const hex = (encoded: Uint8Array): string => Buffer.from(encoded).toString('hex');
const fromHex = (digits: string): Uint8Array => Buffer.from(digits.replaceAll(' ', ''), 'hex');

/** Fields that no message of ours has: number 99, of every wire type, a group with something in it included. */
const unknownField = fc.constantFrom(
  '98 06 96 01', // varint
  '99 06 01 02 03 04 05 06 07 08', // 64 bit
  '9a 06 03 ff fe fd', // bytes
  '9b 06 08 01 9c 06', // group
  '9d 06 01 02 03 04', // 32 bit
);

describe.each(samples)('$name', (message) => {
  test('what is encoded decodes to the same', () => message.roundTrip());

  test('whatever the bytes are, decoding returns and does not throw', () => {
    fc.assert(
      fc.property(bytes, (noise) => {
        expect(message.decode(noise)).toHaveProperty('_tag');
      }),
    );
  });

  test('one damaged byte is decoded or refused, never thrown', () => {
    fc.assert(
      fc.property(message.encoded, fc.nat(), fc.nat(255), (encoded, position, value) => {
        const damaged = Uint8Array.from(encoded);
        if (damaged.length > 0) damaged[position % damaged.length] = value;
        expect(message.decode(damaged)).toHaveProperty('_tag');
      }),
    );
  });

  test('unknown fields, before or after, change nothing', () => {
    fc.assert(
      fc.property(message.encoded, unknownField, unknownField, (encoded, before, after) => {
        const decorated = Uint8Array.from([...fromHex(before), ...encoded, ...fromHex(after)]);
        expect(message.decode(decorated)).toEqual(message.decode(encoded));
      }),
    );
  });

  test('no bytes are a valid message', () => expect(E.isRight(message.decode(new Uint8Array()))).toBe(true));
});

const at1970 = { seconds: '0', nanos: 0 };

describe('on the wire', () => {
  test('an answer of a shim binary is what protobuf prescribes', () => {
    const answer = { pid: 900, exitStatus: 137, exitedAt: { seconds: '1700000000', nanos: 5 } };
    expect(hex(encode(DeleteResponse)(answer))).toBe('088407108901' + '1a08' + '0880e2cfaa06' + '1005');
  });

  test('a negative number takes ten bytes', () => {
    expect(hex(encode(Timestamp)({ seconds: '-1', nanos: 0 }))).toBe('08ffffffffffffffffff01');
  });

  test('an id is sent as its bytes, also when they are no UTF-8', () => {
    expect(hex(encode(TaskRequest)({ id: B.fromBytes(Uint8Array.of(0xff, 0x2f, 0x00)) }))).toBe('0a03ff2f00');
  });

  test('both events carry the container, TaskDelete no process id, under bare names', () => {
    const event = {
      namespace: B.fromText('default'),
      id: B.fromText('web'),
      exit: { pid: 7, exitStatus: 1, exitedAt: at1970 },
      publishedAt: { seconds: '3', nanos: 0 },
    };
    const valueOf = (_tag: 'TaskExit' | 'TaskDelete') => {
      const { event: wrapped, ...rest } = envelopeOf({ _tag, ...event });
      expect(rest).toEqual({
        timestamp: O.some({ seconds: '3', nanos: 0 }),
        namespace: 'default',
        topic: _tag === 'TaskExit' ? '/tasks/exit' : '/tasks/delete',
      });
      return O.isSome(wrapped) ? `${wrapped.value.typeUrl} ${hex(wrapped.value.value)}` : 'nothing';
    };
    expect(valueOf('TaskExit')).toBe('containerd.events.TaskExit 0a037765621203776562180720012a00');
    expect(valueOf('TaskDelete')).toBe('containerd.events.TaskDelete 0a03776562100718012200');
  });
});

describe('decoding', () => {
  test('a known field of another wire type is skipped', () => {
    // pid as 32 bit, exit status as bytes, then a proper exit status.
    const bytesOf = fromHex('0d 01 02 03 04 12 01 41 10 05');
    expect(decode(DeleteResponse)(bytesOf)).toEqual(E.right({ pid: 0, exitStatus: 5, exitedAt: at1970 }));
  });

  test('the last of two numbers wins, and two halves of a message are merged', () => {
    const bytesOf = fromHex('08 01 08 02 1a 02 08 09 1a 02 10 07');
    expect(decode(DeleteResponse)(bytesOf)).toEqual(
      E.right({ pid: 2, exitStatus: 0, exitedAt: { seconds: '9', nanos: 7 } }),
    );
  });

  test('a 32-bit number that was sent longer is taken modulo 2^32', () => {
    expect(decode(DeleteResponse)(fromHex('08 81 80 80 80 10'))).toMatchObject({ right: { pid: 1 } });
    expect(decode(DeleteResponse)(fromHex('08 ff ff ff ff ff ff ff ff ff 01'))).toMatchObject({
      right: { pid: 0xffff_ffff },
    });
  });

  test('a byte order mark belongs to the text', () => {
    expect(decode(ConnectResponse)(fromHex('1a 04 ef bb bf 31'))).toMatchObject({ right: { version: '\ufeff1' } });
  });

  test.each([
    ['a tag without a value', '08'],
    ['a tag that is cut off', '88'],
    ['the field number 0', '00 00'],
    ['the wire type 7', '0f'],
    ['the end of a group that never began', '0c'],
    ['a group that never ends', '0b 08 01'],
    ['a varint of eleven bytes', '08 ff ff ff ff ff ff ff ff ff ff 01'],
    ['an unknown varint of eleven bytes', '98 06 ff ff ff ff ff ff ff ff ff ff 01'],
    ['a length beyond the end', '1a 05 31'],
    ['a length of 4 GiB and one', '1a 81 80 80 80 10 31'],
    ['an unknown field with a length of 4 GiB and one', '9a 06 81 80 80 80 10 31'],
    ['a string that is not UTF-8', '1a 02 c3 28'],
    ['a string with half a surrogate pair', '1a 03 ed a0 80'],
  ])('%s is refused', (_, digits) => {
    expect(decode(ConnectResponse)(fromHex(digits))).toMatchObject({ left: { _tag: 'MalformedMessage' } });
  });

  test.each([
    ['an id that is not UTF-8', TaskRequest, '0a 01 ff'],
    ['a malformed timestamp within an answer', DeleteResponse, '1a 01 08'],
    ['malformed information about a process', PidsResponse, '0a 04 08 01 12 05'],
  ])('%s is refused', (_, message, digits) => {
    expect(E.isLeft(decode(message as Message<unknown>)(fromHex(digits)))).toBe(true);
  });

  test('a nest of ten thousand groups is refused without overflowing the stack', () => {
    expect(E.isLeft(decode(ConnectResponse)(Buffer.alloc(10_000, 0x0b)))).toBe(true);
  });
});

/** Peers that lie, stall and flood (SPEC 16.1): each call ends by its own deadline, with the error that it deserves. */
import type { Socket } from 'node:net';
import { ByteString as B } from '@shim-recovery/core';
import type { ShimSession } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import { describe, expect, onTestFinished, test } from 'vitest';
import { encode } from '../../src/protobuf/Message.js';
import { ConnectResponse, PidsResponse } from '../../src/protobuf/TaskMessages.js';
import { Response } from '../../src/protobuf/TtrpcMessages.js';
import { maxPayloadBytes } from '../../src/shims/ttrpc/Frame.js';
import { answer, failed, frame, header, id, type RawBehaviour, rawShim, sessionWith } from './rawShim.js';

const timeoutMs = 150;

/** How late a deadline may be noticed on a busy machine. */
const toleranceMs = 1_000;

const connectAnswer = encode(ConnectResponse)({ shimPid: 5, taskPid: 900, version: 'v2' });
const good = { _tag: 'Right', right: { taskPid: 900 } };

const timed = async <A>(outcome: Promise<A>): Promise<A> => {
  const startMs = performance.now();
  const result = await outcome;
  expect(performance.now() - startMs).toBeLessThan(timeoutMs + toleranceMs);
  return result;
};

const connectOnce = async (behaviour: RawBehaviour): Promise<unknown> => {
  const session = await sessionWith((await rawShim(behaviour)).path);
  return timed(session.connect({ id, timeoutMs })());
};

/** Twice: what becomes of the connection after the first answer. */
const connectTwice = async (behaviour: RawBehaviour): Promise<readonly [unknown, unknown]> => {
  const session = await sessionWith((await rawShim(behaviour)).path);
  const connect = () => timed(session.connect({ id, timeoutMs })());
  return [await connect(), await connect()];
};

const responding =
  (...payloads: ReadonlyArray<Uint8Array>): NonNullable<RawBehaviour['onRequest']> =>
  (socket, { streamId }) => {
    for (const payload of payloads) socket.write(frame(streamId, payload));
  };

const status = (code: number, message = '') => O.some({ code, message, details: [] });

describe('a shim that does not answer is given up at the deadline', () => {
  const silent: ReadonlyArray<readonly [string, RawBehaviour]> = [
    ['reads nothing', {}],
    ['reads, and says nothing', { onRequest: () => undefined }],
    ['announces 4 GiB', { onConnection: (socket) => socket.write(header(1, 0xffff_ffff)) }],
    [
      'announces the longest payload, and stops one byte before its end',
      {
        onConnection: (socket) => {
          socket.write(header(1, maxPayloadBytes - 1));
          socket.write(new Uint8Array(maxPayloadBytes - 2));
        },
      },
    ],
    ['speaks HTTP', { onConnection: (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n') }],
    ['answers on stream 0', { onRequest: (socket) => socket.write(answer(0, connectAnswer)) }],
    ['answers on an even stream', { onRequest: (socket) => socket.write(answer(2, connectAnswer)) }],
    ['answers on a stream of its own', { onRequest: (socket) => socket.write(answer(0xffff_ffff, connectAnswer)) }],
    [
      'answers within a data frame of another stream',
      { onRequest: (socket) => socket.write(frame(3, connectAnswer, 3)) },
    ],
    [
      'sends its answer one byte at a time',
      {
        onRequest: (socket, { streamId }) => {
          const bytes = answer(streamId, new Uint8Array(10_000));
          let at = 0;
          const drip = setInterval(() => socket.write(bytes.subarray(at, ++at)), 20);
          socket.on('close', () => clearInterval(drip));
        },
      },
    ],
  ];

  test.each(silent)('%s', async (_, behaviour) => {
    expect(await connectOnce(behaviour)).toMatchObject(failed.timedOut);
  });

  test('its session can be closed all the same', async () => {
    const session = await sessionWith((await rawShim({})).path);
    const stuck = { id: B.fromText('x'.repeat(3_000_000)), timeoutMs };
    expect(await timed(session.connect(stuck)())).toMatchObject(failed.timedOut);
    await session.close();
    await session.disconnected();
  });

  test('an answer that comes after its deadline is not taken for another one', async () => {
    const late: Array<() => void> = [];
    const [first, second] = await connectTwice({
      onRequest: (socket, { streamId }) => {
        if (streamId === 1)
          late.push(() => socket.write(answer(1, encode(ConnectResponse)({ shimPid: 0, taskPid: 1, version: '' }))));
        else {
          for (const send of late) send();
          socket.write(answer(streamId, connectAnswer));
        }
      },
    });
    expect(first).toMatchObject(failed.timedOut);
    expect(second).toMatchObject(good);
  });
});

describe('a shim that ends the connection fails the call at once', () => {
  const ending: ReadonlyArray<readonly [string, RawBehaviour]> = [
    ['when it accepts', { onConnection: (socket) => socket.destroy() }],
    ['when it is asked', { onRequest: (socket) => socket.destroy() }],
    ['for its own direction only', { onRequest: (socket) => socket.end() }],
    ['within a header', { onRequest: (socket) => socket.end(answer(1, connectAnswer).subarray(0, 5)) }],
    ['within a payload', { onRequest: (socket) => socket.end(answer(1, connectAnswer).subarray(0, 14)) }],
    ['after some HTTP', { onRequest: (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n') }],
  ];

  test.each(ending)('%s', async (_, behaviour) => {
    const session = await sessionWith((await rawShim(behaviour)).path);
    // A deadline that the test would not live to see: only the end of the connection can end this call.
    expect(await session.connect({ id, timeoutMs: 60_000 })()).toMatchObject(failed.closed);
    await session.disconnected();
  });
});

test('a shim that neither reads nor will ever answer ends the call, though the request cannot be sent', async () => {
  const session = await sessionWith((await rawShim({ onConnection: (socket) => socket.end() })).path);
  const unsent = { id: B.fromText('x'.repeat(3_000_000)), timeoutMs: 60_000 };
  expect(await session.connect(unsent)()).toMatchObject(failed.closed);
});

describe('what is no answer is a protocol error of this call, and the connection goes on', () => {
  const malformed = Uint8Array.of(0x0a, 0x05, 0x61);
  const wrong: ReadonlyArray<readonly [string, (socket: Socket, streamId: number) => void]> = [
    ['a request', (socket, streamId) => socket.write(frame(streamId, connectAnswer, 1))],
    ['a data frame', (socket, streamId) => socket.write(frame(streamId, connectAnswer, 3))],
    ['a frame of an unknown type', (socket, streamId) => socket.write(frame(streamId, connectAnswer, 0x42))],
    ['garbage instead of a response', (socket, streamId) => socket.write(frame(streamId, malformed))],
    [
      'a response with a garbage status',
      (socket, streamId) => socket.write(frame(streamId, Uint8Array.of(0x0a, 0x03, 0x12, 0x01, 0xff))),
    ],
    ['a response with a garbage payload', (socket, streamId) => socket.write(answer(streamId, Uint8Array.of(0x08)))],
    [
      'a garbage payload beside an error, which it outweighs',
      (socket, streamId) =>
        socket.write(frame(streamId, encode(Response)({ status: status(5), payload: Uint8Array.of(0x08) }))),
    ],
  ];

  test.each(wrong)('%s', async (_, misbehave) => {
    const [first, second] = await connectTwice({
      onRequest: (socket, { streamId }) => {
        if (streamId === 1) misbehave(socket, streamId);
        else socket.write(answer(streamId, connectAnswer));
      },
    });
    expect(first).toMatchObject(failed.protocolError);
    expect(second).toMatchObject(good);
  });
});

describe('an answer is read as the reference reads it', () => {
  test('a status alone is an error', async () => {
    const onRequest = responding(encode(Response)({ status: status(5, 'gone'), payload: new Uint8Array() }));
    expect(await connectOnce({ onRequest })).toEqual(
      E.left({ _tag: 'Answered', status: 5, class: 'NotFound', message: 'gone' }),
    );
  });

  test('an error without a code is a success', async () => {
    const onRequest = responding(encode(Response)({ status: status(0, 'boom'), payload: connectAnswer }));
    expect(await connectOnce({ onRequest })).toMatchObject(good);
  });

  test('a code of no meaning is an error all the same', async () => {
    const onRequest = responding(encode(Response)({ status: status(-7), payload: new Uint8Array() }));
    expect(await connectOnce({ onRequest })).toMatchObject({
      left: { _tag: 'Answered', class: 'Unknown', status: -7 },
    });
  });

  test('an empty frame is an answer with every field at its default', async () => {
    expect(await connectOnce({ onRequest: responding(new Uint8Array()) })).toEqual(
      E.right({ shimPid: 0, taskPid: 0, version: '' }),
    );
  });

  test('the id of another task within the answer, where none belongs, is an unknown field', async () => {
    const withId = Uint8Array.from([...connectAnswer, 0x7a, 0x05, ...Buffer.from('other')]);
    const onRequest = responding(encode(Response)({ status: O.none, payload: withId }));
    expect(await connectOnce({ onRequest })).toMatchObject(good);
  });

  test('an answer that is sent twice is read once, and disturbs no later call', async () => {
    const replayed = encode(Response)({ status: O.none, payload: connectAnswer });
    const outcomes = await connectTwice({ onRequest: responding(replayed, replayed, new Uint8Array()) });
    expect(outcomes).toMatchObject([good, good]);
  });

  test('an answer that came before its call is none', async () => {
    const [first, second] = await connectTwice({
      onRequest: (socket, { streamId }) => {
        if (streamId !== 1) return;
        socket.write(answer(3, connectAnswer));
        socket.write(answer(1, connectAnswer));
      },
    });
    expect(first).toMatchObject(good);
    expect(second).toMatchObject(failed.timedOut);
  });
});

describe('too much', () => {
  const pids = async (payload: Uint8Array) => {
    const shim = await rawShim({ onRequest: (socket, { streamId }) => socket.write(answer(streamId, payload)) });
    return (await sessionWith(shim.path)).pids({ id, timeoutMs: 10_000 })();
  };

  test('an answer that is too long fails its call, and the connection goes on', async () => {
    const shim = await rawShim({
      onRequest: (socket, { streamId }) =>
        socket.write(streamId === 1 ? frame(1, new Uint8Array(maxPayloadBytes + 1)) : answer(streamId, connectAnswer)),
    });
    const session = await sessionWith(shim.path);
    // The flood of it may cost a pause: the deadline is wider here.
    const connect = (): ReturnType<ReturnType<ShimSession['connect']>> => session.connect({ id, timeoutMs: 5_000 })();
    expect(await connect()).toMatchObject({ left: { _tag: 'Answered', status: 8, class: 'Unknown' } });
    expect(await connect()).toMatchObject(good);
  });

  test('a frame that is too long on another stream does not hide the answer', async () => {
    const shim = await rawShim({
      onRequest: (socket, { streamId }) => {
        socket.write(frame(77, new Uint8Array(maxPayloadBytes + 1)));
        socket.write(answer(streamId, connectAnswer));
      },
    });
    const session = await sessionWith(shim.path);
    expect(await session.connect({ id, timeoutMs: 5_000 })()).toMatchObject(good);
  });

  test('two million processes are two million processes', async () => {
    const count = Math.floor((maxPayloadBytes - 16) / 2);
    const payload = new Uint8Array(2 * count).map((_, at) => (at % 2 === 0 ? 0x0a : 0));
    const outcome = await pids(payload);
    expect(E.isRight(outcome) ? outcome.right.length : outcome).toBe(count);
  });

  test('pids are taken as they are: 0, 1, our own, and the highest', async () => {
    const listed = [0, 1, process.pid, 0xffff_ffff];
    const payload = encode(PidsResponse)({ processes: listed.map((pid) => ({ pid, info: O.none })) });
    expect(await pids(payload)).toEqual(E.right(listed));
  });

  test('a message nested in messages a thousand times over is carried, not opened', async () => {
    let value: Uint8Array = new Uint8Array();
    for (let depth = 0; depth < 1_000; depth++) value = Uint8Array.from([0x12, 0xff, 0x7f, ...value]);
    const payload = encode(PidsResponse)({ processes: [{ pid: 7, info: O.some({ typeUrl: 'bomb', value }) }] });
    expect(await pids(payload)).toEqual(E.right([7]));
  });

  test('a hundred thousand frames nobody asked for neither answer a call nor stop the clock', async () => {
    const flood = Buffer.concat(Array.from({ length: 100_000 }, (_, index) => frame(2 * index, new Uint8Array())));
    const shim = await rawShim({ onRequest: (socket) => socket.write(flood) });
    const session = await sessionWith(shim.path);
    let ticks = 0;
    const clock = setInterval(() => {
      ticks += 1;
    }, 10);
    onTestFinished(() => clearInterval(clock));
    expect(await timed(session.connect({ id, timeoutMs: 300 })())).toMatchObject(failed.timedOut);
    expect(ticks).toBeGreaterThan(5);
  });

  test('a flood without end takes only a small part of our time', async () => {
    let sentBytes = 0;
    const chunk = Buffer.concat(Array.from({ length: 6_000 }, () => frame(2, new Uint8Array())));
    const shim = await rawShim({
      onConnection: (socket) => {
        const flood = (): void => {
          while (!socket.destroyed && socket.write(chunk)) sentBytes += chunk.length;
          sentBytes += chunk.length;
        };
        socket.on('drain', flood);
        flood();
      },
    });
    const session = await sessionWith(shim.path);
    expect(await timed(session.connect({ id, timeoutMs: 400 })())).toMatchObject(failed.timedOut);
    // What the kernel buffers, and a few chunks that were read before each silence.
    expect(sentBytes).toBeLessThan(4 * 1024 * 1024);
    await session.close();
  });
});

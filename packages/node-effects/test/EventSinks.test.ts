import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import { ByteString as B } from '@shim-recovery/core';
import type { TaskEvent } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { combine, eventLine, lineSink, makeListeners, showTimestamp } from '../src/events/EventSinks.js';

const event = (more: Partial<TaskEvent> = {}): TaskEvent => ({
  _tag: 'TaskExit',
  namespace: B.fromText('default'),
  id: B.fromText('web'),
  exit: { pid: 42, exitStatus: 7, exitedAt: { seconds: '0', nanos: 0 } },
  publishedAt: { seconds: '1700000000', nanos: 123_000_000 },
  ...more,
});

describe('an event as a line', () => {
  it('says what the reference publishes (SPEC 11.5)', () => {
    expect(JSON.parse(eventLine(event()))).toEqual({
      schema: 'shim-recovery/event@1',
      topic: '/tasks/exit',
      event: 'containerd.events.TaskExit',
      namespace: 'default',
      containerId: 'web',
      id: 'web',
      pid: 42,
      exitStatus: 7,
      exitedAt: '1970-01-01T00:00:00.000000000Z',
      publishedAt: '2023-11-14T22:13:20.123000000Z',
    });
    expect(JSON.parse(eventLine(event({ _tag: 'TaskDelete' })))).not.toHaveProperty('id');
  });

  it('is one line, whatever the names and times', () => {
    fc.assert(
      fc.property(
        fc.uint8Array(),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.nat(999_999_999),
        (id, seconds, nanos) => {
          const line = eventLine(event({ id: B.fromBytes(id), publishedAt: { seconds: String(seconds), nanos } }));
          expect(line).not.toContain('\n');
          expect(JSON.parse(line)).toHaveProperty('containerId', B.show(B.fromBytes(id)));
          expect(showTimestamp({ seconds: String(seconds), nanos })).toContain(String(nanos).padStart(9, '0'));
        },
      ),
    );
  });
});

describe('a moment', () => {
  it('is the same however its nanoseconds are carried', () => {
    const seconds = fc.integer({ min: -62_135_596_800, max: 253_402_300_799 });
    fc.assert(
      fc.property(seconds, fc.nat(999_999_999), fc.integer({ min: -2, max: 1 }), (at, nanos, carry) => {
        const shown = showTimestamp({ seconds: String(at), nanos });
        expect(showTimestamp({ seconds: String(at - carry), nanos: nanos + carry * 1_000_000_000 })).toBe(shown);
        expect(shown).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
      }),
    );
    expect(showTimestamp({ seconds: '0', nanos: -1 })).toBe('1969-12-31T23:59:59.999999999Z');
  });
});

describe('sinks', () => {
  it('write lines, and say when nobody takes them', async () => {
    const stream = new PassThrough();
    expect(E.isRight(await lineSink(stream).publish(event())())).toBe(true);
    expect(String(stream.read())).toBe(`${eventLine(event())}\n`);
    const broken = new Writable({ write: (_, __, done) => done(new Error('EPIPE')) });
    expect(await lineSink(broken).publish(event())()).toMatchObject({
      left: { _tag: 'EventNotPublished', reason: 'EPIPE' },
    });
  });

  it('outlive a reader that has gone', async () => {
    const reader = spawn('true', { stdio: ['pipe', 'ignore', 'ignore'] });
    await once(reader, 'exit');
    const sink = lineSink(reader.stdin);
    for (const _ of [1, 2])
      expect(await sink.publish(event())()).toMatchObject({ left: { _tag: 'EventNotPublished' } });
  });

  it('do not wait for ever for a reader that takes nothing', async () => {
    const stuck = new Writable({ write: () => undefined });
    expect(await lineSink(stuck, 20).publish(event())()).toMatchObject({
      left: { reason: 'nobody took it within 20 ms' },
    });
  });

  it('tell every listener, also after one that throws, and none that left', async () => {
    const { sink, subscribe } = makeListeners();
    const heard: Array<string> = [];
    const leave = subscribe(() => heard.push('first'));
    subscribe(() => {
      throw new Error('broken');
    });
    subscribe(({ id }) => heard.push(id));
    expect(E.isLeft(await sink.publish(event())())).toBe(true);
    leave();
    await sink.publish(event())();
    expect(heard).toEqual(['first', 'web', 'web']);
  });

  it('combined, are all tried, and fail if any fails', async () => {
    const { sink, subscribe } = makeListeners();
    const heard: Array<string> = [];
    subscribe(({ _tag }) => heard.push(_tag));
    const failing = { publish: () => async () => E.left({ _tag: 'EventNotPublished', reason: 'no' } as const) };
    expect(await combine([failing, sink, failing]).publish(event())()).toMatchObject({ left: { reason: 'no; no' } });
    expect(E.isRight(await combine([sink]).publish(event())())).toBe(true);
    expect(heard).toEqual(['TaskExit', 'TaskExit']);
  });

  it('combined, do not wait for each other', async () => {
    const { sink, subscribe } = makeListeners();
    const heard = new Promise((resolve) => subscribe(resolve));
    const stuck = { publish: () => () => new Promise<never>(() => undefined) };
    void combine([stuck, sink]).publish(event())();
    expect(await heard).toEqual(event());
  });
});

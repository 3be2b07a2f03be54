/** Events handed to a daemon: each arrives as the reference would publish it, or the failure is named (SPEC 11.5). */
import { join } from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import type { TaskEvent } from '@shim-recovery/core/interpreter';
import * as fc from 'fast-check';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as O from 'fp-ts/lib/Option.js';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type EventForwarder, openEventForwarder } from '../../src/events/EventForwarder.js';
import { ForwardRequest, TaskDelete, TaskExit } from '../../src/protobuf/EventMessages.js';
import { decode } from '../../src/protobuf/Message.js';
import { right } from '../temporary.js';
import { rawShim, temporaryDirectory } from '../ttrpc/rawShim.js';
import {
  abandonedSocket,
  answers,
  type Asked,
  failsWith,
  grpcServer,
  type GrpcServer,
  hangs,
  type Method,
  unary,
} from './grpcServer.js';

const forward = '/containerd.services.events.v1.Events/Forward';
const taken = answers(new Uint8Array());

const event = (more: Partial<TaskEvent> = {}): TaskEvent => ({
  _tag: 'TaskExit',
  namespace: B.fromText('default'),
  id: B.fromText('web'),
  exit: { pid: 42, exitStatus: 137, exitedAt: { seconds: '1700000000', nanos: 5 } },
  publishedAt: { seconds: '1700000001', nanos: 123_000_000 },
  ...more,
});

const daemon = (reply: Method['reply'], at?: string): Promise<GrpcServer> =>
  grpcServer({ [forward]: unary(reply) }, at);

/** A sink that publishes through the daemon at this path, closed when the test is over. */
const sinkAt = (socketPath: string, timeoutMs = 5_000): EventForwarder['sink'] => {
  const forwarder = openEventForwarder({ socketPath, timeoutMs });
  onTestFinished(forwarder.close);
  return forwarder.sink;
};

const notPublished = (reason: string) => E.left({ _tag: 'EventNotPublished', reason: expect.stringContaining(reason) });

/** What arrived, taken apart. */
const read = ({ payload, namespaces }: Asked) =>
  pipe(
    right(decode(ForwardRequest)(payload)).envelope,
    O.bindTo('envelope'),
    O.bind('any', ({ envelope }) => envelope.event),
    O.map(({ envelope: { timestamp, namespace, topic }, any: { typeUrl, value } }) => ({
      asked: namespaces['containerd-namespace'],
      namespace,
      timestamp,
      topic,
      typeUrl,
      ended: right(decode(typeUrl.endsWith('Exit') ? TaskExit : TaskDelete)(value)),
    })),
  );

describe('an event', () => {
  const seconds = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
  const moments = fc.record({ seconds, nanos: fc.nat(999_999_999) });
  const uint32 = fc.nat(0xffff_ffff);
  const events = fc.record({
    _tag: fc.constantFrom<TaskEvent['_tag']>('TaskExit', 'TaskDelete'),
    namespace: fc.stringMatching(/^[A-Za-z0-9]+([._-][A-Za-z0-9]+){0,3}$/).map(B.fromText),
    id: fc.string({ unit: 'grapheme' }).map(B.fromText),
    exit: fc.record({ pid: uint32, exitStatus: uint32, exitedAt: moments }),
    publishedAt: moments,
  });

  test('arrives with its own time and namespace, under its topic, and whole', async () => {
    const { path, asked } = await daemon(() => taken);
    const sink = sinkAt(path);
    await fc.assert(
      fc.asyncProperty(events, async (published) => {
        const { _tag, namespace, id, exit, publishedAt } = published;
        const before = asked.length;
        expect(await sink.publish(published)()).toEqual(E.right(undefined));
        expect(asked.slice(before).map(read)).toEqual([
          O.some({
            asked: namespace,
            namespace,
            timestamp: O.some(publishedAt),
            topic: _tag === 'TaskExit' ? '/tasks/exit' : '/tasks/delete',
            typeUrl: _tag === 'TaskExit' ? 'containerd.events.TaskExit' : 'containerd.events.TaskDelete',
            ended: { containerId: id, id: _tag === 'TaskExit' ? id : '', exit },
          }),
        ]);
      }),
      { numRuns: 50 },
    );
  });

  test('is not published before it is run, and again whenever it is', async () => {
    const { path, asked, accepted } = await daemon(() => taken);
    const publish = sinkAt(path).publish(event());
    expect(accepted()).toBe(0);
    await publish();
    await publish();
    expect(asked).toHaveLength(2);
  });

  test('that the daemon refuses was not published, whatever the status, and the next one may be', async () => {
    for (const code of [1, 2, 3, 5, 7, 9, 12, 13, 14, 16, 99]) {
      const { path } = await daemon(({ namespaces }) =>
        namespaces['containerd-namespace'] === 'bad' ? failsWith(code, `namespace „bad“ (${code})`) : taken,
      );
      const sink = sinkAt(path);
      expect(await sink.publish(event({ namespace: B.fromText('bad') }))()).toEqual(
        notPublished(`containerd at ${path}: namespace „bad“ (${code})`),
      );
      expect(await sink.publish(event())()).toEqual(E.right(undefined));
    }
  });

  test.each<readonly [string, () => Promise<string>]>([
    ['missing', async () => join(await temporaryDirectory(), 's')],
    ['killed', abandonedSocket],
    ['stopped', async () => (await rawShim({})).path],
    ['hung', async () => (await daemon(() => hangs)).path],
    ['of another kind', async () => (await grpcServer({})).path],
  ])('for a daemon that is %s was not published, and that is known in time', async (_, make) => {
    const path = await make();
    const startMs = performance.now();
    expect(await sinkAt(path, 200).publish(event())()).toEqual(notPublished(`containerd at ${path}: `));
    expect(performance.now() - startMs).toBeLessThan(2_000);
  });

  test('reaches the daemon that was started in place of one that died', async () => {
    const first: GrpcServer = await daemon(() => {
      void first.die();
      return hangs;
    });
    const sink = sinkAt(first.path);
    expect(await sink.publish(event())()).toEqual(notPublished(`containerd at ${first.path}: `));
    const second = await daemon(() => taken, first.path);
    expect(await sink.publish(event())()).toEqual(E.right(undefined));
    expect(second.asked).toHaveLength(1);
  });
});

test('closing ends the connection, and twice is harmless', async () => {
  const { path, drained } = await daemon(() => taken);
  const forwarder = openEventForwarder({ socketPath: path, timeoutMs: 5_000 });
  expect(await forwarder.sink.publish(event())()).toEqual(E.right(undefined));
  forwarder.close();
  forwarder.close();
  await drained();
});

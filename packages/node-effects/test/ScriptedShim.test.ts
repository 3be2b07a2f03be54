import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import { describe, expect, onTestFinished, test } from 'vitest';
import { decode } from '../src/protobuf/Message.js';
import { Response } from '../src/protobuf/TtrpcMessages.js';
import { type ScriptedShim, type ShimScript, startScriptedShim } from '../src/demo/ScriptedShim.js';
import { FrameType, makeFrameDecoder, maxPayloadBytes } from '../src/shims/ttrpc/Frame.js';
import { failed, frame, id, sessionWith, temporaryDirectory } from './ttrpc/rawShim.js';

const running: ShimScript = {
  mode: 'serve',
  connect: { ok: { task: 900 } },
  pids: { ok: { pids: [900, 901] } },
  del: { ok: { pid: 900, status: 137 } },
  shutdown: { ok: {}, exit: true },
};

const start = async (script: ShimScript): Promise<{ readonly socketPath: string; readonly shim: ScriptedShim }> => {
  const socketPath = join(await temporaryDirectory(), 's');
  const shim = await startScriptedShim({ socketPath, script })();
  if (E.isLeft(shim)) throw new Error(shim.left.code);
  onTestFinished(() => shim.right.stop());
  return { socketPath, shim: shim.right };
};

const call = { id, timeoutMs: 2_000 };

describe('a scripted shim', () => {
  test('answers what the script says, logs the calls, and exits after shutdown', async () => {
    const { socketPath, shim } = await start(running);
    const session = await sessionWith(socketPath);
    expect(await session.connect(call)()).toMatchObject({ right: { taskPid: 900, shimPid: process.pid } });
    expect(await session.pids(call)()).toEqual(E.right([900, 901]));
    expect(await session.delete(call)()).toEqual(
      E.right({ pid: 900, exitStatus: 137, exitedAt: { seconds: '1700000000', nanos: 0 } }),
    );
    expect(await session.shutdown(call)()).toEqual(E.right(undefined));
    await session.disconnected();
    expect(await session.pids(call)()).toEqual(E.left({ _tag: 'Closed' }));
    await shim.stop();
    expect(readdirSync(dirname(socketPath))).toEqual([]);
    expect(new Set(shim.calls().map(({ task }) => task))).toEqual(new Set([id]));
    expect(shim.calls().map(({ call: name }) => name)).toEqual([
      'task.v2.Task/Connect',
      'task.v2.Task/Pids',
      'task.v2.Task/Delete',
      'task.v2.Task/Shutdown',
    ]);
  });

  test('stays after a shutdown that does not exit', async () => {
    const { socketPath } = await start({ ...running, shutdown: { ok: {} } });
    const session = await sessionWith(socketPath);
    await session.shutdown(call)();
    expect(await session.connect(call)()).toMatchObject({ _tag: 'Right' });
  });

  test('fails, hangs and closes as told', async () => {
    const { socketPath } = await start({ ...running, connect: { error: 12 }, pids: 'hang', del: 'close' });
    const session = await sessionWith(socketPath);
    expect(await session.connect(call)()).toMatchObject({ left: { _tag: 'Answered', class: 'NotImplemented' } });
    expect(await session.pids({ id, timeoutMs: 100 })()).toMatchObject(failed.timedOut);
    expect(await session.delete(call)()).toMatchObject(failed.closed);
    expect(await (await sessionWith(socketPath)).connect(call)()).toMatchObject({ left: { _tag: 'Answered' } });
  });

  test('that is gone leaves its socket, until it is stopped', async () => {
    const { socketPath, shim } = await start({ ...running, mode: 'refuse' });
    expect(readdirSync(dirname(socketPath))).toEqual(['s']);
    await shim.stop();
    await shim.stop();
    expect(readdirSync(dirname(socketPath))).toEqual([]);
  });

  test.each(['serve', 'refuse'] as const)('cannot start where it cannot listen: %s', async (mode) => {
    const script = { ...running, mode };
    const tooLong = await startScriptedShim({ socketPath: `/tmp/${'x'.repeat(120)}`, script })();
    expect(tooLong).toEqual(E.left({ _tag: 'ListenFailed', code: 'EINVAL' }));
    const nowhere = await startScriptedShim({ socketPath: '/nowhere/at/all', script })();
    expect(nowhere).toMatchObject({ left: { _tag: 'ListenFailed', code: expect.stringMatching(/^E/) } });
  });

  test('answers late without keeping other calls waiting, and differently from call to call', async () => {
    const { socketPath } = await start({
      ...running,
      connect: { afterMs: 100, reply: { ok: { task: 7 } } },
      pids: { turns: [{ ok: { pids: [1] } }, { error: 5 }] },
    });
    const session = await sessionWith(socketPath);
    const order: Array<string> = [];
    const late = session
      .connect(call)()
      .then(() => order.push('Connect'));
    expect(await session.pids(call)()).toEqual(E.right([1]));
    order.push('Pids');
    expect(await session.pids(call)()).toMatchObject({ left: { class: 'NotFound' } });
    expect(await session.pids(call)()).toMatchObject({ left: { class: 'NotFound' } });
    await late;
    expect(order).toEqual(['Pids', 'Connect']);
  });

  test('dies in the middle of a call, with all its connections', async () => {
    const { socketPath } = await start({ ...running, del: 'die' });
    const [one, other] = [await sessionWith(socketPath), await sessionWith(socketPath)];
    expect(await one.delete(call)()).toMatchObject(failed.closed);
    await other.disconnected();
    expect(readdirSync(dirname(socketPath))).toEqual([]);
  });

  test('dies by itself when its time has come', async () => {
    const { socketPath } = await start({ ...running, diesAfterMs: 50 });
    await (await sessionWith(socketPath)).disconnected();
  });
});

describe('its server', () => {
  /** What it answers to these frames, by stream id. */
  const codesFor = async (frames: ReadonlyArray<Uint8Array>): Promise<ReadonlyArray<readonly [number, number]>> => {
    const { socketPath } = await start({ ...running, connect: { ok: { task: 1 } } });
    const socket = connect({ path: socketPath });
    onTestFinished(() => {
      socket.destroy();
    });
    const decoder = makeFrameDecoder();
    const codes: Array<readonly [number, number]> = [];
    for (const bytes of frames) socket.write(bytes);
    for await (const chunk of socket) {
      for (const event of decoder.push(chunk as Buffer)) {
        if (event._tag === 'Oversized') continue;
        const response = decode(Response)(event.frame.payload);
        const status = E.isRight(response) ? response.right.status : O.none;
        codes.push([event.frame.streamId, O.isSome(status) ? status.value.code : 0]);
      }
      if (codes.length === frames.length) break;
    }
    return codes;
  };

  test('refuses stream ids that are even, used, or come too late, and everything that is no request', async () => {
    const empty = new Uint8Array();
    const codes = await codesFor([
      frame(3, empty, FrameType.request),
      frame(3, empty, FrameType.request),
      frame(1, empty, FrameType.request),
      frame(4, empty, FrameType.request),
      frame(5, empty, FrameType.data),
      frame(7, Uint8Array.of(0x08), FrameType.request),
      frame(9, new Uint8Array(maxPayloadBytes + 1), FrameType.request),
    ]);
    expect(codes).toEqual([
      [3, 12],
      [3, 3],
      [1, 3],
      [4, 3],
      [5, 3],
      [7, 3],
      [9, 8],
    ]);
  });
});

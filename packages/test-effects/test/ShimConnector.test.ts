import { ByteString as B } from '@shim-recovery/core';
import type { ShimSession, SocketName } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { type Machine, makeEntry, makeMachine } from '../src/memory/Machine.js';
import type { ShimScript } from '../src/worlds/Shim.js';

const text = B.fromText;
const id = text('web');
const socket: SocketName = { _tag: 'Path', path: text('/s/1') };
const timeoutMs = 5_000;

const friendly: ShimScript = {
  mode: 'serve',
  connect: { ok: { task: 7 } },
  pids: { ok: { pids: [7, 8] } },
  del: { ok: { pid: 7, status: 3 } },
  shutdown: { ok: {}, exit: true },
};

const listening = (script: Partial<ShimScript>): Machine => {
  const machine = makeMachine();
  makeEntry(machine.tree, text('/s/1'), { kind: 'socket', mode: 0o600 });
  machine.shims.listen(socket, { ...friendly, ...script });
  return machine;
};

const dial = ({ capabilities }: Machine, to: SocketName = socket) =>
  capabilities.shimConnector.dial({
    namespace: text('main'),
    target: { protocol: 'ttrpc', service: 'containerd.task.v2.Task', socket: to },
    timeoutMs,
  })();

const session = async (machine: Machine): Promise<ShimSession> =>
  E.getOrElseW((error) => {
    throw new Error(JSON.stringify(error));
  })(await dial(machine));

describe('scripted shims', () => {
  it('answer as they are told, and every call is on record', async () => {
    const machine = listening({ pids: { error: 5 } });
    const shim = await session(machine);
    expect(await shim.connect({ id, timeoutMs })()).toMatchObject(E.right({ taskPid: 7 }));
    expect(await shim.pids({ id, timeoutMs })()).toMatchObject({ left: { _tag: 'Answered', class: 'NotFound' } });
    expect(await shim.delete({ id, timeoutMs })()).toMatchObject({ right: { pid: 7, exitStatus: 3 } });
    expect(machine.shims.calls().map(({ call }) => call)).toEqual([
      'task.v2.Task/Connect',
      'task.v2.Task/Pids',
      'task.v2.Task/Delete',
    ]);
  });

  it('that hang cost the time-out, once for all that are asked at the same time', async () => {
    const machine = listening({ connect: 'hang' });
    const shims = [await session(machine), await session(machine)];
    const answers = await Promise.all(shims.map((shim) => shim.connect({ id, timeoutMs })()));
    expect(answers).toEqual([0, 1].map(() => E.left({ _tag: 'TimedOut', afterMs: timeoutMs })));
    expect(machine.clock.elapsedMs()).toBe(timeoutMs);
  });

  it('end every call that waits when they die, long before its time-out', async () => {
    const machine = listening({ pids: 'hang' });
    const shim = await session(machine);
    const pids = shim.pids({ id, timeoutMs })();
    machine.shims.kill(socket);
    expect(await pids).toEqual(E.left({ _tag: 'Closed' }));
    expect(await dial(machine)).toMatchObject({ left: { _tag: 'DialFailed', code: 'ECONNREFUSED' } });
    expect(machine.clock.elapsedMs()).toBe(0);
  });

  it('tell everybody that a connection ended, also those who ask late', async () => {
    const machine = listening({ connect: 'close' });
    const shim = await session(machine);
    const early = shim.disconnected();
    expect(await shim.connect({ id, timeoutMs })()).toEqual(E.left({ _tag: 'Closed' }));
    await early;
    await shim.disconnected();
    expect(await shim.pids({ id, timeoutMs })()).toEqual(E.left({ _tag: 'Closed' }));
    await shim.close();
    expect(machine.shims.openConnections()).toBe(0);
  });

  it('that exit answer Shutdown first, then hang up on everybody and listen no more', async () => {
    const machine = listening({});
    const [one, other] = [await session(machine), await session(machine)];
    expect(await one.shutdown({ id, timeoutMs })()).toEqual(E.right(undefined));
    await Promise.all([one.disconnected(), other.disconnected()]);
    expect(await dial(machine)).toMatchObject({ left: { code: 'ECONNREFUSED' } });
  });

  it('answer late, but not later than they are waited for', async () => {
    const machine = listening({
      connect: { afterMs: 300, reply: { ok: { task: 7 } } },
      pids: { afterMs: 6_000, reply: { ok: { pids: [] } } },
    });
    const shim = await session(machine);
    expect(await shim.connect({ id, timeoutMs })()).toMatchObject(E.right({ taskPid: 7 }));
    expect(machine.clock.elapsedMs()).toBe(300);
    expect(await shim.pids({ id, timeoutMs })()).toEqual(E.left({ _tag: 'TimedOut', afterMs: timeoutMs }));
    expect(machine.clock.elapsedMs()).toBe(300 + timeoutMs);
  });

  it('change from call to call, and stay as they were last', async () => {
    const shim = await session(listening({ pids: { turns: [{ ok: { pids: [1] } }, { error: 5 }] } }));
    const answers = [await shim.pids({ id, timeoutMs })(), await shim.pids({ id, timeoutMs })()];
    expect(answers.map(E.isRight)).toEqual([true, false]);
    expect(await shim.pids({ id, timeoutMs })()).toEqual(answers[1]);
  });

  it('die in the middle of a call, with all their connections', async () => {
    const machine = listening({ del: 'die' });
    const [one, other] = [await session(machine), await session(machine)];
    expect(await one.delete({ id, timeoutMs })()).toEqual(E.left({ _tag: 'Closed' }));
    await other.disconnected();
    expect(await dial(machine)).toMatchObject({ left: { code: 'ECONNREFUSED' } });
  });

  it('die by themselves when their time has come', async () => {
    const machine = listening({ diesAfterMs: 700 });
    const shim = await session(machine);
    await shim.disconnected();
    expect(machine.clock.elapsedMs()).toBe(700);
  });

  it('end when they are told to, also when nobody waits for their answer any more', async () => {
    const machine = listening({ shutdown: { afterMs: 6_000, reply: { ok: {}, exit: true } } });
    const shim = await session(machine);
    expect(await shim.shutdown({ id, timeoutMs })()).toMatchObject({ left: { _tag: 'TimedOut' } });
    await shim.disconnected();
    expect(machine.clock.elapsedMs()).toBe(6_000);
  });

  it('know whose task a call is about, whoever shares them', async () => {
    const machine = listening({});
    await (await session(machine)).connect({ id: text('other'), timeoutMs })();
    expect(machine.shims.calls()).toMatchObject([{ namespace: 'main', id: 'other' }]);
  });

  it('are not reached where the kernel would not reach them', async () => {
    const machine = listening({});
    makeEntry(machine.tree, text('/s/file'), { kind: 'file', mode: 0o644 });
    const code = async (to: SocketName): Promise<unknown> => {
      const dialled = await dial(machine, to);
      return E.isLeft(dialled) && dialled.left._tag === 'DialFailed' ? dialled.left.code : 'connected';
    };
    expect(await code({ _tag: 'Path', path: text('/s/1\n') })).toBe('ENOENT');
    expect(await code({ _tag: 'Path', path: text('/s/file') })).toBe('ECONNREFUSED');
    expect(await code({ _tag: 'Path', path: text(`/${'x'.repeat(107)}`) })).toBe('EINVAL');
    expect(await code({ _tag: 'Abstract', name: text('/s/1') })).toBe('ECONNREFUSED');
    machine.shims.listen({ _tag: 'Abstract', name: text('x') }, friendly);
    expect(await code({ _tag: 'Abstract', name: text('x') })).toBe('connected');
    expect(await code(socket)).toBe('connected');
    const refusing = listening({ mode: 'refuse' });
    expect(await dial(refusing)).toMatchObject({ left: { code: 'ECONNREFUSED' } });
  });
});

/** What every `ShimConnector` must do: whatever a shim does, each call ends, by its own deadline, with its own answer. */
import { ByteString as B } from '@shim-recovery/core';
import {
  type Clock,
  errorClassOf,
  type ShimConnector,
  type ShimError,
  type ShimSession,
  type SocketName,
  type TaskCall,
  type TaskState,
  TaskStatus,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { dead, running, type ShimScript } from '../worlds/Shim.js';
import { type Disposable, expectSame, type Law, law } from './Law.js';

/** Where shims can be started, and reached. */
export interface ShimArea extends Disposable {
  readonly connector: ShimConnector;
  /** The time that the connector's deadlines are told by. */
  readonly clock: Clock;
  /** Starts a shim, or leaves the socket of one that is gone (`refuse`); gives its socket. */
  readonly start: (script: ShimScript) => Promise<SocketName>;
  /** A socket that was never there. */
  readonly nowhere: SocketName;
  /** The calls that all shims received, as `task/method`. */
  readonly calls: () => ReadonlyArray<string>;
}

const timeoutMs = 400;

const task: TaskCall = { id: B.fromText('web'), timeoutMs };

const patient: TaskCall = { ...task, timeoutMs: 10_000 };

/** The laws of shim connectors. Everything ends by itself: a law that waits in vain is broken. */
export const shimConnectorLaws = (open: () => Promise<ShimArea>): ReadonlyArray<Law> => {
  const one = law(open);
  return [
    one('a shim is asked about the task that was named, and what it answers comes back', async (area) => {
      const session = await connected(area, {
        connect: { ok: { task: 7 } },
        pids: { ok: { pids: [7, 8, 4_294_967_295] } },
        del: { ok: { pid: 7, status: 3 } },
      });
      const connect = await session.connect(patient)();
      const pids = await session.pids(patient)();
      const state = await session.state(patient)();
      const deleted = await session.delete(patient)();
      await session.close();
      return [
        ...expectSame('Connect', E.isRight(connect) && connect.right.taskPid, 7),
        ...expectSame('Pids', E.isRight(pids) && pids.right, [7, 8, 4_294_967_295]),
        ...expectSame('State', stateOf(state), ['running', 0]),
        ...expectSame('Delete', E.isRight(deleted) && [deleted.right.pid, deleted.right.exitStatus], [7, 3]),
        ...expectSame('the calls', area.calls(), ['web/Connect', 'web/Pids', 'web/State', 'web/Delete']),
      ];
    }),

    ...allStatuses.map((status) =>
      one(`State says of a task that is ${status} that it is, and how it ended (H2)`, async (area) => {
        const session = await connected(area, { state: { ok: { status, exitStatus: 137 } } });
        const state = await session.state(patient)();
        await session.close();
        return [
          ...expectSame('State', stateOf(state), [status, 137]),
          ...(E.isRight(state) && state.right.exit.exitedAt.seconds === '1700000000' ? [] : ['the moment got lost']),
        ];
      }),
    ),

    one('State of a task that is not known is told from a State that fails', async (area) => {
      const errors = { turns: [{ error: 5 }, { error: 13 }, 'hang', 'close'] as const };
      const session = await connected(area, { state: errors });
      const outcomes: Array<string> = [];
      for (const call of [patient, patient, task, patient]) outcomes.push(outcome(await session.state(call)()));
      await session.close();
      return expectSame('State', outcomes, ['5 NotFound', '13 Unknown', 'TimedOut', 'Closed']);
    }),

    ...Array.from({ length: 16 }, (_, index) => index + 1).map((code) =>
      one(`status ${code} comes back as ${errorClassOf(code)}, and is no other failure`, async (area) => {
        const session = await connected(area, { pids: { error: code } });
        const pids = await session.pids(patient)();
        await session.close();
        return expectSame('Pids', outcome(pids), `${code} ${errorClassOf(code)}`);
      }),
    ),

    one('a call that is not answered ends at its deadline, and not before', async (area) => {
      const session = await connected(area, { connect: 'hang' });
      const begunMs = area.clock.elapsedMs();
      const connect = await session.connect(task)();
      const tookMs = area.clock.elapsedMs() - begunMs;
      await session.close();
      return [
        ...expectSame('Connect', outcome(connect), 'TimedOut'),
        ...(tookMs >= timeoutMs - 5 ? [] : [`it ended after ${tookMs} of ${timeoutMs} ms`]),
        ...(tookMs < timeoutMs + 3_000 ? [] : [`it took ${tookMs} ms with a deadline of ${timeoutMs} ms`]),
      ];
    }),

    one('an answer that comes too late is not taken for that to the next call', async (area) => {
      const session = await connected(area, {
        pids: {
          turns: [
            { afterMs: timeoutMs + 200, reply: { ok: { pids: [1] } } },
            { afterMs: 500, reply: { ok: { pids: [2] } } },
          ],
        },
      });
      const first = await session.pids(task)();
      const second = await session.pids(patient)();
      await session.close();
      return [
        ...expectSame('the first', outcome(first), 'TimedOut'),
        ...expectSame('the second', E.isRight(second) && second.right, [2]),
      ];
    }),

    one('calls that overlap do not wait for each other, and each gets its own answer', async (area) => {
      const session = await connected(area, {
        connect: 'hang',
        pids: { afterMs: 100, reply: { ok: { pids: [5] } } },
        state: { afterMs: 50, reply: { ok: { status: 'paused' } } },
        del: { error: 5 },
      });
      const hanging = session.connect(task)();
      const [pids, state, deleted] = await Promise.all([
        session.pids(patient)(),
        session.state(patient)(),
        session.delete(patient)(),
      ]);
      const connect = await hanging;
      await session.close();
      return [
        ...expectSame('Pids', E.isRight(pids) && pids.right, [5]),
        ...expectSame('State', stateOf(state), ['paused', 0]),
        ...expectSame('Delete', outcome(deleted), '5 NotFound'),
        ...expectSame('Connect', outcome(connect), 'TimedOut'),
      ];
    }),

    one('a connection that ends fails every call that waits, and tells everybody, also who asks late', async (area) => {
      const session = await connected(area, { connect: 'hang', pids: 'close' });
      const early = Promise.all([session.disconnected(), session.disconnected()]);
      const [connect, pids] = await Promise.all([session.connect(patient)(), session.pids(patient)()]);
      await early;
      await session.disconnected();
      const later = await session.pids(patient)();
      await session.close();
      return expectSame('the calls', [connect, pids, later].map(outcome), ['Closed', 'Closed', 'Closed']);
    }),

    one(
      'a shim that dies in the middle of a call ends all its connections, and nobody listens any more',
      async (area) => {
        const socket = await area.start({ ...running, del: 'die' });
        const [first, second] = [await dial(area, socket), await dial(area, socket)];
        if (E.isLeft(first) || E.isLeft(second)) return ['a shim that listens cannot be dialled twice'];
        const deleted = await first.right.delete(patient)();
        await Promise.all([first.right.disconnected(), second.right.disconnected()]);
        const again = await dial(area, socket);
        return [
          ...expectSame('Delete', outcome(deleted), 'Closed'),
          ...(E.isLeft(again) && again.left._tag === 'DialFailed' ? [] : ['it can still be dialled']),
        ];
      },
    ),

    one('a shim that exits answers Shutdown first', async (area) => {
      const session = await connected(area, {});
      const shutdown = await session.shutdown(patient)();
      await session.disconnected();
      return expectSame('Shutdown', outcome(shutdown), 'answered');
    }),

    one('closing ends the connection and not the shim; closing twice is harmless', async (area) => {
      const socket = await area.start(running);
      const first = await dial(area, socket);
      if (E.isLeft(first)) return ['a shim that listens cannot be dialled'];
      await first.right.close();
      await first.right.close();
      await first.right.disconnected();
      const closed = await first.right.pids(patient)();
      const second = await dial(area, socket);
      const pids = E.isRight(second) ? await second.right.pids(patient)() : second;
      if (E.isRight(second)) await second.right.close();
      return [
        ...expectSame('after closing', outcome(closed), 'Closed'),
        ...expectSame('again', outcome(pids), 'answered'),
      ];
    }),

    one('a socket without a listener, or that is not there, is a failure to dial', async (area) => {
      const refused = await dial(area, await area.start(dead));
      const missing = await dial(area, area.nowhere);
      return expectSame('dialling', [refused, missing].map(outcome), ['ECONNREFUSED', 'ENOENT']);
    }),

    one('one shim answers about several tasks', async (area) => {
      const session = await connected(area, {});
      await session.connect(patient)();
      await session.connect({ ...patient, id: B.fromText('sidecar') })();
      await session.close();
      return expectSame('the calls', area.calls(), ['web/Connect', 'sidecar/Connect']);
    }),
  ];
};

const connected = async (area: ShimArea, script: Partial<ShimScript>): Promise<ShimSession> => {
  const dialled = await dial(area, await area.start({ ...running, ...script }));
  if (E.isLeft(dialled)) throw new Error(`a shim that listens cannot be dialled: ${JSON.stringify(dialled.left)}`);
  return dialled.right;
};

const dial = ({ connector }: ShimArea, socket: SocketName) =>
  connector.dial({
    namespace: B.fromText('default'),
    target: { protocol: 'ttrpc', service: 'containerd.task.v2.Task', socket },
    timeoutMs: 10_000,
  })();

const stateOf = (state: E.Either<ShimError, TaskState>): unknown =>
  E.isRight(state) ? [state.right.status, state.right.exit.exitStatus] : outcome(state);

const outcome = (answer: E.Either<ShimError, unknown>): string => {
  if (E.isRight(answer)) return 'answered';
  const error = answer.left;
  switch (error._tag) {
    case 'Answered':
      return `${error.status} ${error.class}`;
    case 'DialFailed':
      return error.code;
    default:
      return error._tag;
  }
};

const allStatuses: ReadonlyArray<TaskStatus> = Object.keys(TaskStatus.keys).filter(TaskStatus.is);

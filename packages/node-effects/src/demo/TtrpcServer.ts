/**
 * A small ttrpc server of unary calls that does as it is told, also when told to misbehave: what a scripted shim is
 * made of. As strict about stream ids and sizes as the reference's (SPEC 16.1).
 */
import { createServer, type Socket } from 'node:net';
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import * as O from 'fp-ts/lib/Option.js';
import type { Task } from 'fp-ts/lib/Task.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import { decode, encode, showMalformedMessage } from '../protobuf/Message.js';
import { Request, Response } from '../protobuf/TtrpcMessages.js';
import { maxSocketNameBytes } from '../shims/UnixSocket.js';
import { encodeFrame, type FrameEvent, FrameType, makeFrameDecoder, maxPayloadBytes } from '../shims/ttrpc/Frame.js';

/**
 * What a server does about a call: `Answer` it, `Fail` it with a status code, let it `Hang`, `Close` the connection, or
 * `Die` with its listener and all connections. With `exits`, it does the last right after answering. With `afterMs`, it
 * takes so long; other calls go on meanwhile.
 */
export type Behaviour = { readonly afterMs?: number } & (
  | { readonly _tag: 'Answer'; readonly payload: Uint8Array; readonly exits: boolean }
  | { readonly _tag: 'Fail'; readonly code: number; readonly message: string; readonly exits: boolean }
  | { readonly _tag: 'Hang' }
  | { readonly _tag: 'Close' }
  | { readonly _tag: 'Die' }
);

export interface TtrpcServer {
  /** Closes the listener and all connections. Stopping twice is harmless. */
  readonly stop: Task<void>;
  /** Ends all connections, and goes on listening. */
  readonly hangUp: IO<void>;
}

/** The socket could not be listened on; `code` is the errno's name. */
export interface ListenError {
  readonly _tag: 'ListenFailed';
  readonly code: string;
}

export interface Serving {
  readonly socketPath: string;
  /** By service and method, as `containerd.task.v2.Task/Connect`. Any other call fails with code 12. */
  readonly handlers: ReadonlyMap<string, (request: Request) => Behaviour>;
}

const invalidArgument = 3;

const resourceExhausted = 8;

const unimplemented = 12;

/** Starts listening. */
export const serve =
  ({ socketPath, handlers }: Serving): TaskEither<ListenError, TtrpcServer> =>
  () =>
    new Promise((resolve) => {
      // Node 20 cuts off a longer path, and listens at another place.
      if (Buffer.byteLength(socketPath) > maxSocketNameBytes)
        return resolve(E.left({ _tag: 'ListenFailed', code: 'EINVAL' }));
      const connections = new Set<Socket>();
      const timers = new Set<NodeJS.Timeout>();

      const onConnection = (socket: Socket): void => {
        const decoder = makeFrameDecoder();
        let lastStreamId = 0;

        const behaviourOn = (event: FrameEvent): Behaviour => {
          if (event._tag === 'Oversized')
            return fail(resourceExhausted, `${event.lengthBytes} bytes are more than the ${maxPayloadBytes} allowed`);
          const { streamId, type, payload } = event.frame;
          if (type !== FrameType.request) return fail(invalidArgument, `a frame of type ${type} is no request`);
          if (streamId % 2 === 0) return fail(invalidArgument, `the stream id ${streamId} is even`);
          if (streamId <= lastStreamId) return fail(invalidArgument, `the stream id ${streamId} comes too late`);
          lastStreamId = streamId;
          return behaviourTowards(handlers, payload);
        };

        const carryOut = (streamId: number, behaviour: Behaviour): void => {
          if (behaviour._tag === 'Close') socket.destroy();
          if (behaviour._tag === 'Die') void stop();
          const response = responseOf(behaviour);
          if (O.isNone(response)) return;
          const payload = encode(Response)(response.value);
          const exits = 'exits' in behaviour && behaviour.exits;
          socket.write(encodeFrame({ streamId, type: FrameType.response, flags: 0, payload }), () => {
            if (exits) void stop();
          });
        };

        const carryOutInTime = (streamId: number, behaviour: Behaviour): void => {
          if (behaviour.afterMs === undefined) return carryOut(streamId, behaviour);
          const timer = setTimeout(() => {
            timers.delete(timer);
            carryOut(streamId, behaviour);
          }, behaviour.afterMs);
          timers.add(timer);
        };

        connections.add(socket);
        socket.on('close', () => connections.delete(socket));
        socket.on('error', () => undefined);
        socket.on('data', (chunk) => {
          for (const event of decoder.push(chunk)) {
            if (socket.destroyed) return;
            carryOutInTime(event._tag === 'Oversized' ? event.streamId : event.frame.streamId, behaviourOn(event));
          }
        });
      };

      const hangUp = (): void => {
        for (const connection of connections) connection.destroy();
      };
      const server = createServer(onConnection);
      const stopped = new Promise<void>((onStopped) => server.once('close', onStopped));
      const stop: Task<void> = () => {
        server.close();
        for (const timer of timers) clearTimeout(timer);
        hangUp();
        return stopped;
      };
      server.on('error', (error) =>
        resolve(E.left({ _tag: 'ListenFailed', code: 'code' in error ? String(error.code) : error.message })),
      );
      server.listen(socketPath, () => resolve(E.right({ stop, hangUp })));
    });

const behaviourTowards = (handlers: Serving['handlers'], payload: Uint8Array): Behaviour => {
  const request = decode(Request)(payload);
  if (E.isLeft(request)) return fail(invalidArgument, showMalformedMessage(request.left));
  const name = `${request.right.service}/${request.right.method}`;
  return handlers.get(name)?.(request.right) ?? fail(unimplemented, `${name} is not served here`);
};

const fail = (code: number, message: string): Behaviour => ({ _tag: 'Fail', code, message, exits: false });

/** The payload of the answer, where there is to be one. */
const responseOf = (behaviour: Behaviour): O.Option<Response> => {
  switch (behaviour._tag) {
    case 'Answer':
      return O.some({ status: O.none, payload: behaviour.payload });
    case 'Fail':
      return O.some({
        status: O.some({ code: behaviour.code, message: behaviour.message, details: [] }),
        payload: new Uint8Array(),
      });
    case 'Hang':
    case 'Close':
    case 'Die':
      return O.none;
  }
};

/** A gRPC server under a test's full control: it answers what the test says, and keeps what it was asked. */
import { rename } from 'node:fs/promises';
import * as http2 from 'node:http2';
import { createServer, type Server as Listener, type Socket } from 'node:net';
import { join } from 'node:path';
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  type Metadata,
  Server,
  ServerCredentials,
} from '@grpc/grpc-js';
import type { IO } from 'fp-ts/lib/IO.js';
import type { Task } from 'fp-ts/lib/Task.js';
import { onTestFinished } from 'vitest';
import { temporaryDirectory } from '../ttrpc/rawShim.js';

/** One call as it arrived: its path, its message, and the namespace in the metadata. */
export interface Asked {
  readonly method: string;
  readonly payload: Uint8Array;
  readonly namespaces: Readonly<Record<string, string>>;
}

/** What a call is answered with: messages, and then an end, an error status, or nothing more at all. */
export interface Reply {
  readonly messages: ReadonlyArray<Uint8Array>;
  readonly end: 'Ok' | 'Never' | { readonly code: number; readonly details: string };
}

export const answers = (...messages: ReadonlyArray<Uint8Array>): Reply => ({ messages, end: 'Ok' });
export const failsWith = (code: number, details: string, ...messages: ReadonlyArray<Uint8Array>): Reply => ({
  messages,
  end: { code, details },
});
export const hangsAfter = (...messages: ReadonlyArray<Uint8Array>): Reply => ({ messages, end: 'Never' });
export const hangs = hangsAfter();

export interface Method {
  readonly kind: 'Unary' | 'Stream';
  readonly reply: (asked: Asked) => Reply;
}
export const unary = (reply: Method['reply']): Method => ({ kind: 'Unary', reply });
export const stream = (reply: Method['reply']): Method => ({ kind: 'Stream', reply });

/** By the path of the call; what is not there is not implemented. */
export type Methods = Readonly<Record<string, Method>>;

export interface GrpcServer {
  readonly path: string;
  readonly asked: ReadonlyArray<Asked>;
  /** How many connections there were so far. */
  readonly accepted: IO<number>;
  /** Ends everything at once, as the death of its process would; the path is free then. */
  readonly die: Task<void>;
  /** Takes no further connection, and completes when the clients have ended all that there are. */
  readonly drained: Task<void>;
}

const freshPath = async (): Promise<string> => join(await temporaryDirectory('s'), 's');

const listen = (listener: Listener, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(path, resolve);
  });

const untilClosed =
  (listener: Listener): Task<void> =>
  () =>
    new Promise((resolve) => listener.close(() => resolve()));

/** Hands every connection on until the test is over, and ends them all when the process is to die. */
const serve = async (path: string, onConnection: (socket: Socket) => void) => {
  const sockets = new Set<Socket>();
  let accepted = 0;
  const listener = createServer((socket) => {
    accepted += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    onConnection(socket);
  });
  const die: Task<void> = () => {
    for (const socket of sockets) socket.destroy();
    return untilClosed(listener)();
  };
  await listen(listener, path);
  onTestFinished(die);
  return { path, accepted: () => accepted, die, drained: untilClosed(listener) };
};

const namespaceKeys = ['containerd-namespace', 'containerd-namespace-ttrpc'];

const namespacesIn = (metadata: Metadata): Asked['namespaces'] =>
  Object.fromEntries(namespaceKeys.map((key) => [key, metadata.get(key).join()]));

const asBuffer = (message: Uint8Array): Buffer => Buffer.from(message);
const asIs = (message: Buffer): Buffer => message;

/** Serves until the test is over, at a path of its own or at a given one. */
export const grpcServer = async (methods: Methods, at?: string): Promise<GrpcServer> => {
  const asked: Array<Asked> = [];
  const server = new Server();
  for (const [method, { kind, reply }] of Object.entries(methods)) {
    const replyTo = (payload: Buffer, metadata: Metadata): Reply => {
      const call = { method, payload: new Uint8Array(payload), namespaces: namespacesIn(metadata) };
      asked.push(call);
      return reply(call);
    };
    const answerOnce: handleUnaryCall<Buffer, Uint8Array> = ({ request, metadata }, respond) => {
      const { messages, end } = replyTo(request, metadata);
      if (end === 'Ok') respond(null, messages[0] ?? new Uint8Array());
      else if (end !== 'Never') respond(end);
    };
    const answerMany: handleServerStreamingCall<Buffer, Uint8Array> = (call) => {
      const { messages, end } = replyTo(call.request, call.metadata);
      for (const message of messages) call.write(message);
      if (end === 'Ok') call.end();
      else if (end !== 'Never') call.emit('error', end);
    };
    if (kind === 'Unary') server.register(method, answerOnce, asBuffer, asIs, 'unary');
    else server.register(method, answerMany, asBuffer, asIs, 'serverStream');
  }
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  onTestFinished(() => injector.destroy());
  const served = await serve(at ?? (await freshPath()), (socket) => injector.injectConnection(socket));
  return { ...served, asked };
};

/** A peer that speaks HTTP/2, and answers a call in whatever way the test likes. */
export const http2Server = async (onCall: (call: http2.ServerHttp2Stream) => void): Promise<string> => {
  const server = http2.createServer();
  server.on('stream', (call) => {
    call.on('error', () => undefined);
    onCall(call);
  });
  server.on('sessionError', () => undefined);
  const { path } = await serve(await freshPath(), (socket) => server.emit('connection', socket));
  return path;
};

/** A socket that nobody listens on any more, as a daemon leaves it that was killed. */
export const abandonedSocket = async (): Promise<string> => {
  const directory = await temporaryDirectory('left');
  const listener = createServer();
  await listen(listener, join(directory, 's'));
  const path = join(directory, 'left');
  // Node removes the path that it listened at, when it stops: under another name the socket stays.
  await rename(join(directory, 's'), path);
  await untilClosed(listener)();
  return path;
};

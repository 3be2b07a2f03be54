/** Unary and streaming calls over gRPC to a unix socket, with our own messages (SPEC 9.7, 16.3). */
import type { Socket } from 'node:net';
import { type ChannelCredentials, Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { ByteString as B } from '@shim-recovery/core';
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';

/** The largest answer that is taken; the daemon's own limit is 16 MiB. */
const maxAnswerBytes = 64 * 1024 * 1024;

/** An error status: the peer's answer, or what the library made up when there was none. */
export interface GrpcError {
  readonly code: number;
  readonly message: string;
}

export interface GrpcCall {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly payload: Uint8Array;
  readonly namespace: B.ByteString;
  readonly timeoutMs: number;
}

export interface GrpcChannel {
  readonly client: Client;
  readonly unary: (call: GrpcCall) => TaskEither<GrpcError, Uint8Array>;
  /** All answers of a server stream, at its end. */
  readonly collect: (call: GrpcCall) => TaskEither<GrpcError, ReadonlyArray<Uint8Array>>;
  readonly close: IO<void>;
}

/** A channel to a socket; it connects when first used. The path is text: gRPC has no other. */
export const openChannel = (socketPath: string): GrpcChannel => {
  const sockets = makeSockets();
  const client = new Client(targetOf(socketPath), sockets.credentials, {
    'grpc.max_receive_message_length': maxAnswerBytes,
    'grpc.use_local_subchannel_pool': 1,
    // A proxy from the environment must not stand between us and a socket of this machine.
    'grpc.enable_http_proxy': 0,
  });
  const optionsOf = ({ timeoutMs }: GrpcCall): { readonly deadline: number } => ({ deadline: Date.now() + timeoutMs });
  return {
    client,
    unary: (call) =>
      started((resolve) => {
        client.makeUnaryRequest(
          call.path,
          toBuffer,
          toBytes,
          call.payload,
          metadataOf(call.namespace),
          optionsOf(call),
          (error, answer) => resolve(error === null ? E.right(answer ?? new Uint8Array()) : E.left(errorOf(error))),
        );
      }),
    collect: (call) =>
      started((resolve) => {
        const answers: Array<Uint8Array> = [];
        const stream = client.makeServerStreamRequest(
          call.path,
          toBuffer,
          toBytes,
          call.payload,
          metadataOf(call.namespace),
          optionsOf(call),
        );
        stream.on('data', (answer: Uint8Array) => answers.push(answer));
        stream.once('error', (error: ServiceError) => resolve(E.left(errorOf(error))));
        stream.once('end', () => resolve(E.right(answers)));
      }),
    close: () => {
      client.close();
      sockets.destroy();
    },
  };
};

/**
 * The library keeps a connection for ever whose peer has not spoken yet when the channel is closed, and may make
 * another one: so its sockets are held here, and destroyed with the channel.
 */
const makeSockets = (): { readonly credentials: ChannelCredentials; readonly destroy: IO<void> } => {
  const sockets = new Set<Socket>();
  let isClosed = false;
  const insecure = credentials.createInsecure();
  const createConnector = insecure._createSecureConnector.bind(insecure);
  insecure._createSecureConnector = (...parameters) => {
    const connector = createConnector(...parameters);
    const connect = connector.connect.bind(connector);
    connector.connect = (socket) => {
      if (isClosed) socket.destroy();
      else sockets.add(socket.once('close', () => sockets.delete(socket)));
      return connect(socket);
    };
    return connector;
  };
  return {
    credentials: insecure,
    destroy: () => {
      isClosed = true;
      for (const socket of sockets) socket.destroy();
    },
  };
};

/** A path that begins with two slashes would otherwise be read as an authority. */
const targetOf = (socketPath: string): string =>
  socketPath.startsWith('/') ? `unix://${socketPath}` : `unix:${socketPath}`;

/** A call, or what was thrown when it was to begin. */
const started =
  <A>(begin: (resolve: (outcome: E.Either<GrpcError, A>) => void) => void): TaskEither<GrpcError, A> =>
  () =>
    new Promise((resolve) => {
      try {
        begin(resolve);
      } catch (cause) {
        resolve(E.left(thrown(cause)));
      }
    });

/** What the library throws where a call cannot even begin: on a closed channel, or for a namespace that is no ASCII. */
const thrown = (cause: unknown): GrpcError => ({
  code: status.UNKNOWN,
  message: cause instanceof Error ? cause.message : String(cause),
});

const toBuffer = (payload: Uint8Array): Buffer => Buffer.from(payload);

const toBytes = (payload: Buffer): Uint8Array => payload;

const metadataOf = (namespace: B.ByteString): Metadata => {
  const metadata = new Metadata();
  metadata.set('containerd-namespace', B.toText(namespace));
  metadata.set('containerd-namespace-ttrpc', B.toText(namespace));
  return metadata;
};

/** The library's types promise code and details, but not all of its errors have them. */
const errorOf = ({ code, details, message }: Partial<ServiceError>): GrpcError => ({
  // A success without a message says nothing about what is implemented, as the library has it.
  code: details === 'No message received' ? status.INTERNAL : (code ?? status.UNKNOWN),
  message: (details || message || 'no reason was given').replace(/\.? ?Resolution note: ?$/, ''),
});

/** Unary and streaming calls over gRPC to a unix socket, with our own messages (SPEC 9.7, 16.3). */
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import * as B from '@shim-recovery/core/ByteString';
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';

/** The largest answer that is taken; the daemon's own limit is 16 MiB. */
const maxAnswerBytes = 64 * 1024 * 1024;

/** An answer with an error status; `isLocal` when no answer came at all and the library made the status up. */
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

const toBuffer = (payload: Uint8Array): Buffer => Buffer.from(payload);
const toBytes = (payload: Buffer): Uint8Array => payload;

const metadataOf = (namespace: B.ByteString): Metadata => {
  const metadata = new Metadata();
  metadata.set('containerd-namespace', B.toText(namespace));
  metadata.set('containerd-namespace-ttrpc', B.toText(namespace));
  return metadata;
};

const errorOf = (error: ServiceError): GrpcError => ({
  code: error.code ?? status.UNKNOWN,
  message: (error.details === '' ? error.message : error.details).replace(/\.? ?Resolution note: ?$/, ''),
});

/** A channel to a socket; it connects when first used. The path is text: gRPC has no other. */
export const openChannel = (socketPath: string): GrpcChannel => {
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': maxAnswerBytes,
    'grpc.use_local_subchannel_pool': 1,
    // A proxy from the environment must not stand between us and a socket of this machine.
    'grpc.enable_http_proxy': 0,
  });
  const optionsOf = ({ timeoutMs }: GrpcCall): { readonly deadline: number } => ({ deadline: Date.now() + timeoutMs });
  return {
    client,
    unary: (call) => () =>
      new Promise((resolve) => {
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
    collect: (call) => () =>
      new Promise((resolve) => {
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
    close: () => client.close(),
  };
};

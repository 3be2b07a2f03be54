/** Containers and sandboxes from a daemon that runs, over its API (SPEC 16.3). */
import { status } from '@grpc/grpc-js';
import { ByteString as B } from '@shim-recovery/core';
import {
  type ContainerRecord,
  type ContainerStore,
  found,
  type Lookup,
  notFound,
  type SandboxStore,
  type StoreError,
  unknown,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import type { IO } from 'fp-ts/lib/IO.js';
import * as O from 'fp-ts/lib/Option.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { type GrpcChannel, type GrpcError, openChannel } from '../shims/GrpcChannel.js';
import { decode, encode, type MalformedMessage, showMalformedMessage } from '../protobuf/Message.js';
import { type Container, ListContainerMessage, ListContainersResponse, StoreGetRequest } from './ApiMessages.js';

const containersService = '/containerd.services.containers.v1.Containers';

const sandboxGet = '/containerd.services.sandbox.v1.Store/Get';

export interface ContainerdStoreOptions {
  readonly socketPath: string;
  /** For each call. */
  readonly timeoutMs: number;
}

export interface ContainerdStore {
  readonly stores: ContainerStore & SandboxStore;
  readonly close: IO<void>;
}

/**
 * Asks the daemon behind a socket. The containers of a namespace are listed once, when the first of them is asked for,
 * and answered from memory then, unless that failed: then whoever asks next has them listed again. Sandboxes are asked for
 * one by one. A daemon without a sandbox store has no sandboxes.
 */
export const openContainerdStore = ({ socketPath, timeoutMs }: ContainerdStoreOptions): ContainerdStore => {
  const channel = openChannel(socketPath);
  const lists = new Map<B.ByteString, Promise<E.Either<GrpcError, Records>>>();
  const listOnce = (namespace: B.ByteString): Promise<E.Either<GrpcError, Records>> => {
    const listed = lists.get(namespace) ?? pipe(listContainers(channel, namespace, timeoutMs), TE.map(recordsOf))();
    lists.set(namespace, listed);
    void listed.then((outcome) => {
      if (E.isLeft(outcome) && lists.get(namespace) === listed) lists.delete(namespace);
    });
    return listed;
  };
  const failed = unavailable(socketPath);
  return {
    stores: {
      container:
        ({ namespace, id }) =>
        async (): Promise<Lookup<ContainerRecord>> => {
          const records = await listOnce(namespace);
          if (E.isLeft(records)) return unknown(failed(records.left));
          const record = records.right.get(id);
          return record === undefined ? notFound : found(record);
        },
      sandbox:
        ({ namespace, id }) =>
        async () => {
          const payload = encode(StoreGetRequest)({ sandboxId: id });
          const answer = await channel.unary({ path: sandboxGet, payload, namespace, timeoutMs })();
          if (E.isRight(answer)) return found({ id });
          if (isCode(answer.left, status.NOT_FOUND)) return notFound;
          // The library says so, too, of what is no answer at all: only a daemon that has containers is believed.
          const isOlder = isCode(answer.left, status.UNIMPLEMENTED) && E.isRight(await listOnce(namespace));
          return isOlder ? notFound : unknown(failed(answer.left));
        },
    },
    close: channel.close,
  };
};

type Records = ReadonlyMap<B.ByteString, ContainerRecord>;

/** All containers of a namespace: as a stream, which has no limit of size, or at once from a daemon without streams. */
const listContainers = (
  channel: GrpcChannel,
  namespace: B.ByteString,
  timeoutMs: number,
): TE.TaskEither<GrpcError, ReadonlyArray<Container>> => {
  const call = { payload: new Uint8Array(), namespace, timeoutMs };
  return pipe(
    channel.collect({ ...call, path: `${containersService}/ListStream` }),
    TE.chainEitherK(E.traverseArray((message) => pipe(decode(ListContainerMessage)(message), E.mapLeft(malformed)))),
    TE.map((messages) => messages.flatMap(({ container }) => (O.isSome(container) ? [container.value] : []))),
    TE.orElse((error) =>
      isCode(error, status.UNIMPLEMENTED)
        ? pipe(
            channel.unary({ ...call, path: `${containersService}/List` }),
            TE.chainEitherK((message) => pipe(decode(ListContainersResponse)(message), E.mapLeft(malformed))),
            TE.map(({ containers }) => containers),
          )
        : TE.left(error),
    ),
  );
};

const malformed = (error: MalformedMessage): GrpcError => ({
  code: status.INTERNAL,
  message: showMalformedMessage(error),
});

const isCode = (error: GrpcError, code: status): boolean => error.code === Number(code);

const recordsOf = (containers: ReadonlyArray<Container>): Records =>
  new Map(
    containers.map(({ id, runtime }) => [
      id,
      {
        runtimeName: pipe(
          runtime,
          O.match(
            () => B.empty,
            ({ name }) => name,
          ),
        ),
      },
    ]),
  );

const unavailable =
  (socketPath: string) =>
  (error: GrpcError): StoreError => {
    const what = isCode(error, status.DEADLINE_EXCEEDED) ? 'it did not answer in time' : error.message;
    return { _tag: 'StoreUnavailable', reason: `containerd at ${socketPath}: ${what}` };
  };

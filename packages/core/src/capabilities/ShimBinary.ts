/** The capability to run a shim's binary with the action `delete`, which cleans up after a shim that died (SPEC 11). */
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import * as t from 'io-ts';
import * as B from '../base/ByteString.js';
import type { Directory } from './FileSystem.js';
import type { TaskExitInfo } from './TaskExit.js';

/**
 * - `CannotStart`: the program could not be executed; `code` is the errno's name.
 * - `Failed`: it ended with another code than 0, or by a signal.
 * - `TimedOut`: it was still running after `afterMs` and was killed.
 * - `Malformed`: it ended well, but it printed something else than a `DeleteResponse`.
 */
export const BinaryError = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('CannotStart'), path: B.ByteString, code: t.string })),
    t.readonly(t.type({ _tag: t.literal('Failed'), path: B.ByteString, status: t.string, stderr: t.string })),
    t.readonly(t.type({ _tag: t.literal('TimedOut'), path: B.ByteString, afterMs: t.number })),
    t.readonly(t.type({ _tag: t.literal('Malformed'), path: B.ByteString, reason: t.string })),
  ],
  'BinaryError',
);

export type BinaryError = t.TypeOf<typeof BinaryError>;

/** One run of the binary. `bundle` is the open bundle: the working directory of the run. */
export interface DeleteInvocation {
  readonly program: B.ByteString;
  readonly namespace: B.ByteString;
  readonly id: B.ByteString;
  readonly bundle: Directory;
  readonly timeoutMs: number;
}

export interface ShimBinary {
  /** Runs it and reads its answer. An empty answer is a valid one: pid 0, status 0, 1970 (SPEC 11.4). */
  readonly delete: (invocation: DeleteInvocation) => TaskEither<BinaryError, TaskExitInfo>;
}

/** The addresses that the daemon hands to the binary: where events go, and the program that publishes them. */
export interface DaemonAddresses {
  /** The daemon's gRPC socket, a bare path. */
  readonly address: B.ByteString;
  /** The daemon's ttrpc socket; the reference appends `.ttrpc` to the gRPC socket by default. */
  readonly ttrpcAddress: B.ByteString;
  /** The program that shims run to publish events. */
  readonly publishBinary: B.ByteString;
  /** Whether the daemon logs at debug level: adds `-debug`. */
  readonly debug: boolean;
}

/** The arguments after the program's name, exactly in the reference's order (SPEC 11.2). */
export const argumentsOf =
  (daemon: DaemonAddresses) =>
  (invocation: DeleteInvocation): ReadonlyArray<B.ByteString> => [
    B.fromText('-namespace'),
    invocation.namespace,
    B.fromText('-address'),
    daemon.address,
    B.fromText('-publish-binary'),
    daemon.publishBinary,
    B.fromText('-id'),
    invocation.id,
    B.fromText('-bundle'),
    invocation.bundle.path,
    ...(daemon.debug ? [B.fromText('-debug')] : []),
    B.fromText('delete'),
  ];

/** The variables added to the daemon's own environment; a later value of the same name wins over an earlier (SPEC 11.2). */
export const environmentOf =
  (daemon: DaemonAddresses) =>
  (invocation: DeleteInvocation): ReadonlyArray<readonly [string, B.ByteString]> => [
    ['GOMAXPROCS', B.fromText('2')],
    ['MAX_SHIM_VERSION', B.fromText('2')],
    ['TTRPC_ADDRESS', daemon.ttrpcAddress],
    ['GRPC_ADDRESS', daemon.address],
    ['NAMESPACE', invocation.namespace],
  ];

/** A sentence for people. */
export const showBinaryError = (error: BinaryError): string => {
  switch (error._tag) {
    case 'CannotStart':
      return `cannot run ${B.show(error.path)}: ${error.code}`;
    case 'Failed':
      return `${B.show(error.path)} delete ended with ${error.status}${error.stderr === '' ? '' : `: ${error.stderr}`}`;
    case 'TimedOut':
      return `${B.show(error.path)} delete did not end within ${error.afterMs} ms and was killed`;
    case 'Malformed':
      return `${B.show(error.path)} delete printed no valid answer: ${error.reason}`;
  }
};

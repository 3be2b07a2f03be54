/** The capabilities to look up what the daemon had recorded: containers and sandboxes (SPEC 18). */
import type { Task } from 'fp-ts/lib/Task.js';
import * as t from 'io-ts';
import * as B from '../base/ByteString.js';

/** Why a store could not answer. It says nothing about whether the record exists. */
export const StoreError = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('StoreUnavailable'), reason: t.string })),
    t.readonly(t.type({ _tag: t.literal('RecordMalformed'), reason: t.string })),
  ],
  'StoreError',
);

export type StoreError = t.TypeOf<typeof StoreError>;

/** Absent is not an error, and an error is not absent. */
export type Lookup<A> =
  | { readonly _tag: 'Found'; readonly value: A }
  | { readonly _tag: 'NotFound' }
  | { readonly _tag: 'Unknown'; readonly error: StoreError };

/** The codec of a look-up's answer, given that of what was looked up. */
export const Lookup = <A, O>(value: t.Type<A, O>): t.Type<Lookup<A>, unknown> =>
  t.union([
    t.readonly(t.type({ _tag: t.literal('Found'), value })),
    t.readonly(t.type({ _tag: t.literal('NotFound') })),
    t.readonly(t.type({ _tag: t.literal('Unknown'), error: StoreError })),
  ]);

/** The part of a container's record that a decision needs: its runtime's name, empty where the record lacks it (SPEC 18.7). */
export const ContainerRecord = t.readonly(t.type({ runtimeName: B.ByteString }), 'ContainerRecord');

export interface ContainerRecord extends t.TypeOf<typeof ContainerRecord> {}

/** That a sandbox is recorded is all a decision needs. */
export const SandboxRecord = t.readonly(t.type({ id: B.ByteString }), 'SandboxRecord');

export interface SandboxRecord extends t.TypeOf<typeof SandboxRecord> {}

/** Whose record is looked up. */
export interface RecordKey {
  readonly namespace: B.ByteString;
  readonly id: B.ByteString;
}

export interface ContainerStore {
  readonly container: (key: RecordKey) => Task<Lookup<ContainerRecord>>;
}

/** Where a daemon keeps its sandboxes in the metadata store: at its root, below `v1`, or in both places (SPEC 18.6). */
export type SandboxRecords = 'root' | 'v1' | 'either';

export interface SandboxStore {
  /** `records` says where in the daemon's own file; absent: wherever one is. Other stores have one place only. */
  readonly sandbox: (key: RecordKey & { readonly records?: SandboxRecords }) => Task<Lookup<SandboxRecord>>;
}

export const found = <A>(value: A): Lookup<A> => ({ _tag: 'Found', value });

export const unknown = (error: StoreError): Lookup<never> => ({ _tag: 'Unknown', error });

/** A sentence for people. */
export const showStoreError = (error: StoreError): string => {
  switch (error._tag) {
    case 'StoreUnavailable':
      return `the store cannot answer: ${error.reason}`;
    case 'RecordMalformed':
      return `the record cannot be read: ${error.reason}`;
  }
};

export const notFound: Lookup<never> = { _tag: 'NotFound' };

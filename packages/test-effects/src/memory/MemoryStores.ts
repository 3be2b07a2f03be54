/** Container and sandbox stores in memory, with scripted failures (SPEC 18). */
import type { ByteString as B } from '@shim-recovery/core';
import {
  type ContainerStore,
  found,
  type Lookup,
  notFound,
  type RecordKey,
  type SandboxStore,
  type StoreError,
  unknown,
} from '@shim-recovery/core/interpreter';

/** What a store answers about one key: a record, or why it cannot answer. */
type Scripted<A> =
  | { readonly _tag: 'Record'; readonly record: A }
  | { readonly _tag: 'Error'; readonly error: StoreError };

export interface MemoryStores {
  readonly containerStore: ContainerStore;
  readonly sandboxStore: SandboxStore;
  readonly putContainer: (key: RecordKey, runtimeName: B.ByteString) => void;
  readonly putSandbox: (key: RecordKey) => void;
  /** From now on the store cannot answer about this container, or this sandbox. */
  readonly failContainer: (key: RecordKey, error: StoreError) => void;
  readonly failSandbox: (key: RecordKey, error: StoreError) => void;
}

export const makeStores = (): MemoryStores => {
  const containers = new Map<string, Scripted<{ readonly runtimeName: B.ByteString }>>();
  const sandboxes = new Map<string, Scripted<{ readonly id: B.ByteString }>>();
  return {
    containerStore: { container: (key) => async () => answer(containers.get(keyText(key))) },
    sandboxStore: { sandbox: (key) => async () => answer(sandboxes.get(keyText(key))) },
    putContainer: (key, runtimeName) => {
      containers.set(keyText(key), { _tag: 'Record', record: { runtimeName } });
    },
    putSandbox: (key) => {
      sandboxes.set(keyText(key), { _tag: 'Record', record: { id: key.id } });
    },
    failContainer: (key, error) => {
      containers.set(keyText(key), { _tag: 'Error', error });
    },
    failSandbox: (key, error) => {
      sandboxes.set(keyText(key), { _tag: 'Error', error });
    },
  };
};

const answer = <A>(scripted: Scripted<A> | undefined): Lookup<A> => {
  if (scripted === undefined) return notFound;
  return scripted._tag === 'Record' ? found(scripted.record) : unknown(scripted.error);
};

// A namespace's name may be anything here, but no name holds a NUL.
const keyText = ({ namespace, id }: RecordKey): string => `${namespace}\0${id}`;

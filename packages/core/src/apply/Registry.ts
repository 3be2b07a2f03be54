/** The tasks that were taken back, by namespace and id (SPEC 14). It lives in memory only. */
import type { IO } from 'fp-ts/lib/IO.js';
import type * as B from '../base/ByteString.js';
import type { BundleEvidence } from '../decide/Evidence.js';
import type { LogPipe } from '../capabilities/LogPipes.js';
import type { ShimSession } from '../capabilities/ShimConnector.js';

/** One live task: what was known when it was taken back, and the connection that keeps watch over it. */
export interface Instance {
  readonly evidence: BundleEvidence;
  readonly session: ShimSession;
  readonly logPipe: LogPipe | undefined;
  /** When it was taken back again after its connection had ended (`Clock.elapsedMs`). */
  readonly againMs?: number;
}

/** Whose instance. */
export interface InstanceKey {
  readonly namespace: B.ByteString;
  readonly id: B.ByteString;
}

export interface Registry {
  /** False, and nothing changes, when one of this id is there already. */
  readonly add: (instance: Instance) => IO<boolean>;
  readonly get: (key: InstanceKey) => IO<Instance | undefined>;
  /** Takes out this very instance; a later one of the same id stays (H27). */
  readonly remove: (instance: Instance) => IO<void>;
  readonly instances: IO<ReadonlyArray<Instance>>;
}

// No namespace that is valid holds a slash, so two different keys never make the same text.
const keyOf = ({ namespace, id }: InstanceKey): string => `${namespace}/${id}`;

export const makeRegistry: IO<Registry> = () => {
  const instances = new Map<string, Instance>();
  return {
    add: (instance) => () => {
      const key = keyOf(instance.evidence);
      if (instances.has(key)) return false;
      instances.set(key, instance);
      return true;
    },
    get: (key) => () => instances.get(keyOf(key)),
    remove: (instance) => () => {
      const key = keyOf(instance.evidence);
      if (instances.get(key) === instance) instances.delete(key);
    },
    instances: () => [...instances.values()],
  };
};

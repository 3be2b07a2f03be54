/** The tasks that were taken back, by namespace and id (SPEC 14). It lives in memory only. */
import type { IO } from 'fp-ts/lib/IO.js';
import type { LogPipe } from '../capabilities/LogPipes.js';
import type { ShimSession } from '../capabilities/ShimConnector.js';
import type { BundleEvidence } from '../decide/Evidence.js';
import { type BundleId, keyOf } from '../policy/Names.js';

/** One live task: what was known when it was taken back, and the connection that keeps watch over it. */
export interface Instance {
  readonly evidence: BundleEvidence;
  readonly session: ShimSession;
  readonly logPipe: LogPipe | undefined;
  /** When it was taken back again after its connection had ended (`Clock.elapsedMs`). */
  readonly againMs?: number;
}

export interface Registry {
  /** False, and nothing changes, when one of this id is there already. */
  readonly add: (instance: Instance) => IO<boolean>;
  readonly get: (key: BundleId) => IO<Instance | undefined>;
  /** Takes out this very instance; a later one of the same id stays (H27). */
  readonly remove: (instance: Instance) => IO<void>;
  readonly instances: IO<ReadonlyArray<Instance>>;
}

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

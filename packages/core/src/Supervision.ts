/** What happens to live shims after they were taken back: each is watched, and its end is acted upon (SPEC 13). */
import type { Task } from 'fp-ts/lib/Task.js';
import type { Instance } from './Registry.js';

/** Keeps watch over open connections: when one ends, its bundle is cleaned up, once. */
export interface Supervisor {
  readonly watch: (instance: Instance) => void;
  readonly settled: Task<void>;
  readonly stop: Task<void>;
}

export const makeSupervisor = (cleanUp: (instance: Instance) => Task<void>): Supervisor => {
  const watched = new Set<Instance>();
  const underWay = new Set<Promise<void>>();
  let stopped = false;
  const settled = async (): Promise<void> => {
    while (underWay.size > 0) await Promise.all(underWay);
  };
  const onDisconnect = (instance: Instance): void => {
    if (stopped) return;
    watched.delete(instance);
    const work: Promise<void> = cleanUp(instance)().finally(() => underWay.delete(work));
    underWay.add(work);
  };
  return {
    watch: (instance) => {
      watched.add(instance);
      void instance.session.disconnected().then(() => onDisconnect(instance));
    },
    settled,
    stop: async () => {
      stopped = true;
      await settled();
      for (const { session, logPipe } of watched) {
        await session.close();
        await logPipe?.close();
      }
      watched.clear();
    },
  };
};

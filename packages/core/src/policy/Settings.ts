/** The settings of a run: its directories and its policy, its budgets and bounds. */
import type * as B from '../base/ByteString.js';
import { containerd17, type Policy } from './Policy.js';
import type { ProgramSearch } from './ShimProgram.js';

/** How long is waited, in milliseconds. Every wait has such a bound, also where the reference waits for ever (H3). */
export interface Timeouts {
  /** For dialling, and for each answer to Connect, Pids and Delete. */
  readonly loadMs: number;
  /** For the shim's binary. */
  readonly cleanUpMs: number;
  /** For the answer to Shutdown. */
  readonly shutdownMs: number;
  /**
   * For a store that cannot answer, where the policy holds a bundle for it: so long it is asked again, in all and not for
   * each bundle, from the first answer that was none. It is asked after 250 ms, 500 ms, and then each second.
   */
  readonly storeMs: number;
}

/** How much goes on at once. */
export interface Bounds {
  /**
   * Bundles that wait for a store or a shim: thousands of silent shims cost one time-out. Each takes some 6 KB meanwhile, and two
   * descriptors, of which an interpreter may have fewer.
   */
  readonly waiting: number;
  /** Of these, those that are begun at once, as long as answers come: quick shims are asked in small portions. */
  readonly busy: number;
  /** Shims' binaries that run: work for the processor. */
  readonly binaries: number;
  /** Bundles that are worked on without asking a shim: each has a few directories open, or waits for an unmount. */
  readonly files: number;
}

export interface Settings {
  /** The two root directories, absolute and clean. */
  readonly state: B.ByteString;
  readonly root: B.ByteString;
  readonly policy: Policy;
  /** The namespaces to look at; empty means all. */
  readonly namespaces: ReadonlyArray<B.ByteString>;
  readonly programSearch: ProgramSearch;
  readonly timeouts: Timeouts;
  readonly bounds: Bounds;
  /**
   * Whether a policy may destroy what lives, as its daemon would. Where it may not, a bundle that would be destroyed though
   * its shim or its container is known to live is held, and one that is adopted is never destroyed because a step failed.
   */
  readonly allowKilling: boolean;
  /**
   * Whether connections and logs of shims that are taken back are kept, so that their end is acted upon. A caller that does not stay
   * to see it lets go of each as soon as it has answered, and needs neither descriptors nor memory for all at once.
   */
  readonly staysAttached: boolean;
}

/** The reference's own time-outs (SPEC 2.5), and for the store, which it asks once, as long as for a shim. */
export const defaultTimeouts: Timeouts = { loadMs: 5_000, cleanUpMs: 5_000, shutdownMs: 3_000, storeMs: 5_000 };

/** Bounds that suit a machine of two cores. */
export const defaultBounds: Bounds = { waiting: 16_384, busy: 32, binaries: 2, files: 32 };

/** Settings with the reference's policy, time-outs and bounds: as its daemon, they allow killing. */
export const settingsFor = (about: Pick<Settings, 'state' | 'root' | 'programSearch'>): Settings => ({
  ...about,
  policy: containerd17,
  namespaces: [],
  timeouts: defaultTimeouts,
  bounds: defaultBounds,
  allowKilling: true,
  staysAttached: true,
});

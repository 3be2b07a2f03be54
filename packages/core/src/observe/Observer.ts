/** The capability to follow a run while it goes on: for a progress bar, for logs, for tests. It changes nothing. */
import type { IO } from 'fp-ts/lib/IO.js';
import type * as B from '../base/ByteString.js';
import type { StepReport } from '../report/Report.js';
import type { BundleFacts, NamespaceFacts } from '../plan/HostFacts.js';
import type { Verdict } from '../decide/Verdict.js';

interface About {
  readonly namespace: B.ByteString;
  readonly id: B.ByteString;
}

/**
 * The consequence of the end of a shim's connection:
 * - `Dead`: it is cleaned up after.
 * - `Alive`: it answered again, and was taken back again.
 * - `Unsure`: it is left as it is, and watched no more; why, and what would act on it, in a sentence each.
 */
export type ShimEnding =
  | { readonly _tag: 'Dead' }
  | { readonly _tag: 'Alive' }
  | { readonly _tag: 'Unsure'; readonly explanation: string; readonly advice: string | undefined };

export type ObserverEvent =
  | { readonly _tag: 'BundlesFound'; readonly bundles: number }
  | ({ readonly _tag: 'BundleDecided'; readonly verdict: Verdict; readonly facts: BundleFacts } & About)
  | ({ readonly _tag: 'StepTaken'; readonly report: StepReport } & About)
  | ({ readonly _tag: 'BundleCarriedOut' } & About)
  | ({ readonly _tag: 'ShimDisconnected'; readonly registered: boolean } & About)
  | ({ readonly _tag: 'DisconnectDecided'; readonly ending: ShimEnding } & About)
  | { readonly _tag: 'NamespaceInspected'; readonly namespace: Omit<NamespaceFacts, 'bundles'> }
  | { readonly _tag: 'NamespaceFailed'; readonly namespace: B.ByteString; readonly error: string };

export interface Observer {
  readonly notify: (event: ObserverEvent) => IO<void>;
}

/** Tells no one. */
export const silent: Observer = { notify: () => () => undefined };

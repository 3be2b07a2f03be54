/** The capability to follow a run while it goes on: for a progress bar, for logs, for tests. It changes nothing. */
import type { IO } from 'fp-ts/lib/IO.js';
import type * as B from './ByteString.js';
import type { StepReport } from './Report.js';
import type { SurveyedBundle, SurveyedNamespace } from './Survey.js';
import type { Verdict } from './Verdict.js';

interface About {
  readonly namespace: B.ByteString;
  readonly id: B.ByteString;
}

export type TraceEvent =
  | { readonly _tag: 'BundlesFound'; readonly bundles: number }
  | ({ readonly _tag: 'BundleSettled'; readonly verdict: Verdict; readonly surveyed: SurveyedBundle } & About)
  | ({ readonly _tag: 'StepTaken'; readonly report: StepReport } & About)
  | ({ readonly _tag: 'BundleCarriedOut' } & About)
  | ({ readonly _tag: 'ShimDisconnected'; readonly registered: boolean } & About)
  | { readonly _tag: 'NamespaceSurveyed'; readonly namespace: Omit<SurveyedNamespace, 'bundles'> }
  | { readonly _tag: 'NamespaceFailed'; readonly namespace: B.ByteString; readonly error: string };

export interface Trace {
  readonly tell: (event: TraceEvent) => IO<void>;
}

/** Tells nobody. */
export const silent: Trace = { tell: () => () => undefined };

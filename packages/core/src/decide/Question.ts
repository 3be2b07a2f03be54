/** A decision, or what it still needs to know. */
import type * as B from '../base/ByteString.js';
import { type FileError, isExhaustionCode } from '../capabilities/FileSystem.js';
import type { ShimError } from '../capabilities/ShimConnector.js';
import type { ShimTarget } from '../capabilities/ShimSocket.js';
import type { SandboxRecords } from '../capabilities/Stores.js';
import type { Policy } from '../policy/Policy.js';
import type { BundleContents } from './Evidence.js';
import type { Reason } from './Reasons.js';
import { because, type Verdict } from './Verdict.js';

/** What a decision still needs to know. It says enough that it can be answered without knowing the policy. */
export type Question =
  | { readonly _tag: 'Container' }
  | { readonly _tag: 'Program'; readonly runtime: B.ByteString; readonly names: Policy['runtimeNames'] }
  /** `fallback` is asked where the shim does not implement what `target` asks. */
  | { readonly _tag: 'Connection'; readonly target: ShimTarget; readonly fallback?: ShimTarget }
  | { readonly _tag: 'Sandbox'; readonly records: SandboxRecords }
  | { readonly _tag: 'Pids' }
  | { readonly _tag: 'State' }
  /** Asks every source whether the shim and the container live. */
  | { readonly _tag: 'Signs' }
  | { readonly _tag: 'Sharers' };

export type Decision =
  | { readonly _tag: 'Ask'; readonly question: Question }
  | { readonly _tag: 'Decided'; readonly verdict: Verdict };

export const ask = (question: Question): Decision => ({ _tag: 'Ask', question });

/** Whether the shim answers where it should listen. */
export const askShim = ({
  target,
  fallback,
}: {
  readonly target: ShimTarget;
  readonly fallback?: ShimTarget;
}): Decision => ask({ _tag: 'Connection', target, ...(fallback === undefined ? {} : { fallback }) });

export const verdict = (reason: Reason): Decision => ({ _tag: 'Decided', verdict: because(reason) });

export type Listed = Extract<BundleContents, { readonly _tag: 'Listed' }>;

/**
 * Whether this process ran out of descriptors or memory. That says nothing about the shim, so that in every policy the
 * bundle is held.
 */
export const isExhaustion = (error: FileError | ShimError): boolean => {
  switch (error._tag) {
    case 'SystemError':
    case 'DialFailed':
      return isExhaustionCode(error.code);
    default:
      return false;
  }
};

/** By a reason, unless the error is one of what this process lacks. */
export const verdictUnlessExhausted = (reason: Reason, error: FileError | ShimError): Decision =>
  verdict(isExhaustion(error) ? 'out-of-resources' : reason);

/** The key of a question's answer. A shim's answers about its task depend on which shim was asked. */
export const questionKey = (question: Question, shim: string): string => {
  switch (question._tag) {
    case 'Pids':
    case 'State':
      return `${question._tag}${shim}`;
    case 'Container':
    case 'Signs':
    case 'Sharers':
      return question._tag;
    case 'Program':
    case 'Connection':
    case 'Sandbox':
      return JSON.stringify(question);
  }
};

/** Computes what a policy would do on a recorded host, from the recording alone, so that any machine will do. */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as O from 'fp-ts/lib/Option.js';
import type * as B from '../base/ByteString.js';
import {
  looksForOrphans,
  policies,
  type Policy,
  type PolicyChoices,
  PolicyName,
  withChoices,
} from '../policy/Policy.js';
import { type Recording, factsOf } from './Recording.js';
import { makeReport, type Report, reportPlannedNamespace } from '../report/Report.js';
import { planOf } from '../plan/HostFacts.js';

/**
 * - `PolicyUnknown`: the recorded one, and this version does not know it.
 * - `PolicyNotSurveyed`: what this policy would ask was not asked.
 * - `OrphansNotLookedFor`: it was to be chosen what becomes of orphans, which this policy does not know.
 */
export type ReplayError =
  | { readonly _tag: 'PolicyUnknown'; readonly name: string; readonly facts: ReadonlyArray<string> }
  | { readonly _tag: 'PolicyNotSurveyed'; readonly name: PolicyName; readonly facts: ReadonlyArray<string> }
  | { readonly _tag: 'OrphansNotLookedFor'; readonly name: PolicyName };

/** A sentence for people. */
export const showReplayError = (error: ReplayError): string => {
  switch (error._tag) {
    case 'PolicyUnknown':
      return `it was recorded under ${error.name}, which this version does not know; name another with --policy, of these: ${error.facts.join(', ')}`;
    case 'PolicyNotSurveyed':
      return `what ${error.name} would ask was not recorded; it can be replayed under ${error.facts.join(', ')}; plan --record asks for every policy`;
    case 'OrphansNotLookedFor':
      return `${error.name} does not look for containers that run without their shim, so that --orphans says nothing to it; name careful with --policy`;
  }
};

/** Which policy is meant: that of a name, or the recorded one; and what is chosen of it other than it was recorded. */
export interface WantedPolicy {
  readonly policy?: PolicyName | undefined;
  readonly choices?: PolicyChoices | undefined;
}

/** The policy that is wanted, as far as its questions were asked. The recorded one is as the run had chosen it. */
export const surveyedPolicy = (
  { head: { policy: recorded, policies: facts, choices: recordedChoices } }: Recording,
  { policy: wanted, choices = {} }: WantedPolicy,
): E.Either<ReplayError, Policy> => {
  const name = wanted ?? recorded;
  if (!PolicyName.is(name)) return E.left({ _tag: 'PolicyUnknown', name, facts });
  if (!facts.includes(name)) return E.left({ _tag: 'PolicyNotSurveyed', name, facts });
  if (choices.orphans !== undefined && !looksForOrphans(policies[name]))
    return E.left({ _tag: 'OrphansNotLookedFor', name });
  return E.right(
    pipe(policies[name], withChoices(name === recorded ? (recordedChoices ?? {}) : {}), withChoices(choices)),
  );
};

/**
 * The report of the plan that a policy makes of what was recorded. `namespaces` are those to look at; empty means all.
 * The times are those of the recorded run.
 */
export const replay =
  ({ namespaces, ...wanted }: WantedPolicy & { readonly namespaces: ReadonlyArray<B.ByteString> }) =>
  (recording: Recording): E.Either<ReplayError, Report> =>
    pipe(
      surveyedPolicy(recording, wanted),
      E.map((chosen) => {
        const facts = factsOf(recording);
        const plan = planOf(chosen)(facts);
        const { understood, programPath } = recording.head;
        const about = {
          ...plan,
          ...(understood === undefined ? {} : { understood }),
          ...(programPath === undefined ? {} : { programPath }),
          command: 'replay' as const,
          startedAt: recording.head.startedAt,
          durationMs: O.isSome(recording.end) ? recording.end.value.durationMs : 0,
          interrupted: facts.interrupted,
        };
        const wanted = plan.namespaces.filter(({ name }) => namespaces.length === 0 || namespaces.includes(name));
        return makeReport(about, wanted.map(reportPlannedNamespace(chosen)));
      }),
    );

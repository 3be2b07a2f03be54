/** What a policy would do on a recorded host: computed from the recording alone, so that any machine will do. */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as O from 'fp-ts/lib/Option.js';
import type * as B from './ByteString.js';
import { policies, type Policy, PolicyName } from './Policy.js';
import { type Recording, surveyOf } from './Recording.js';
import { makeReport, type Report, reportPlannedNamespace } from './Report.js';
import { planOf } from './Survey.js';

/**
 * - `PolicyUnknown`: the recorded one, and this version does not know it.
 * - `PolicyNotSurveyed`: nobody asked what it would ask.
 */
export type ReplayError =
  | { readonly _tag: 'PolicyUnknown'; readonly name: string; readonly surveyed: ReadonlyArray<string> }
  | { readonly _tag: 'PolicyNotSurveyed'; readonly name: PolicyName; readonly surveyed: ReadonlyArray<string> };

/** A sentence for people. */
export const showReplayError = (error: ReplayError): string => {
  const surveyed = error.surveyed.join(', ');
  switch (error._tag) {
    case 'PolicyUnknown':
      return `it was recorded under ${error.name}, which this version does not know; name another with --policy, of these: ${surveyed}`;
    case 'PolicyNotSurveyed':
      return `what ${error.name} would ask was not recorded; it can be replayed under ${surveyed}; plan --record asks for every policy`;
  }
};

/** The policy of a name, or the recorded one, as far as its questions were asked. */
export const surveyedPolicy = (
  { head: { policy: recorded, policies: surveyed } }: Recording,
  wanted?: PolicyName,
): E.Either<ReplayError, Policy> => {
  const name = wanted ?? recorded;
  if (!PolicyName.is(name)) return E.left({ _tag: 'PolicyUnknown', name, surveyed });
  return surveyed.includes(name) ? E.right(policies[name]) : E.left({ _tag: 'PolicyNotSurveyed', name, surveyed });
};

/**
 * The report of the plan that a policy makes of what was recorded; without a name, the policy of the recorded run.
 * `namespaces` are those to look at; empty means all. The times are those of the recorded run.
 */
export const replay =
  ({ policy, namespaces }: { readonly policy?: PolicyName; readonly namespaces: ReadonlyArray<B.ByteString> }) =>
  (recording: Recording): E.Either<ReplayError, Report> =>
    pipe(
      surveyedPolicy(recording, policy),
      E.map((chosen) => {
        const survey = surveyOf(recording);
        const plan = planOf(chosen)(survey);
        const about = {
          ...plan,
          command: 'replay' as const,
          startedAt: recording.head.startedAt,
          durationMs: O.isSome(recording.end) ? recording.end.value.durationMs : 0,
          interrupted: survey.interrupted,
        };
        const wanted = plan.namespaces.filter(({ name }) => namespaces.length === 0 || namespaces.includes(name));
        return makeReport(about, wanted.map(reportPlannedNamespace(chosen)));
      }),
    );

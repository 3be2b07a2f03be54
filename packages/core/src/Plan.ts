/** From verdicts to steps: what carrying out a verdict means, in the reference's order (SPEC 6, 7, 11, 12, 13). */
import { pipe } from 'fp-ts/lib/function.js';
import * as t from 'io-ts';
import * as B from './ByteString.js';
import { BundleEvidence, programOf, workOf } from './Evidence.js';
import { type Policy, PolicyName } from './Policy.js';
import { shimAddress } from './ShimAddress.js';
import { attempt, failed, followedBy, perform, StepTree, succeeded, successPath } from './Step.js';
import { type Reason, Verdict } from './Verdict.js';
import { WorkDirectoryReason } from './WorkDirectory.js';

/** One bundle's part of a plan. */
export const BundlePlan = t.readonly(
  t.type({ evidence: BundleEvidence, verdict: Verdict, steps: StepTree }),
  'BundlePlan',
);
export type BundlePlan = t.TypeOf<typeof BundlePlan>;

/** An entry below the namespace's root directory, and what becomes of it. */
export const WorkDirectoryPlan = t.readonly(
  t.type({ name: B.ByteString, reason: WorkDirectoryReason }),
  'WorkDirectoryPlan',
);
export type WorkDirectoryPlan = t.TypeOf<typeof WorkDirectoryPlan>;

/** One namespace's part. `error` says why nothing in it is touched, or why its working directories are not. */
export const NamespacePlan = t.readonly(
  t.type({
    name: B.ByteString,
    error: t.union([t.string, t.null]),
    bundles: t.readonlyArray(BundlePlan),
    workDirectories: t.readonlyArray(WorkDirectoryPlan),
  }),
  'NamespacePlan',
);
export type NamespacePlan = t.TypeOf<typeof NamespacePlan>;

/** The verdicts and, for each, the steps that would carry it out. */
export const Plan = t.readonly(
  t.type({ policy: PolicyName, state: B.ByteString, root: B.ByteString, namespaces: t.readonlyArray(NamespacePlan) }),
  'Plan',
);
export type Plan = t.TypeOf<typeof Plan>;

/**
 * SPEC 6.2, bundle delete: unmount (D2) and remove `rootfs` (D3), and only then the bundle (D4) and its working
 * directory (D5). When the bundle itself resists, the working directory goes all the same (D6), and it counts as failed.
 */
const removeBundle = (work: B.ByteString | undefined): StepTree => {
  const removeWork = (after: StepTree): StepTree =>
    work === undefined ? after : perform({ _tag: 'RemoveWorkDirectory', path: work }, after, failed);
  return perform(
    { _tag: 'UnmountRootfs' },
    perform({ _tag: 'RemoveRootfs' }, perform({ _tag: 'RemoveBundle' }, removeWork(succeeded), removeWork(failed))),
  );
};

/** SPEC 11.4: the binary first; only when it answered well, the bundle. Either failure makes its answer unknown. */
const cleanUpWithBinary = (program: B.ByteString | undefined, work: B.ByteString | undefined): StepTree =>
  program === undefined ? failed : perform({ _tag: 'RunBinary', program }, removeBundle(work));

/** The same, and the bundle once more whatever failed before (SPEC 12.1; 4.1, step 9 of 2.x). */
const cleanUpAnyway = (program: B.ByteString | undefined, work: B.ByteString | undefined): StepTree => {
  const bundle = removeBundle(work);
  return program === undefined
    ? bundle
    : perform(
        { _tag: 'RunBinary', program },
        pipe(bundle, followedBy({ onSuccess: succeeded, onFailure: bundle })),
        bundle,
      );
};

/** The reasons to give a shim up, in the order in which taking it back meets them. */
const opensLogBefore: Readonly<Record<Policy['logOpened'], ReadonlyArray<Reason>>> = {
  'before-address': ['address-unreadable', 'address-unsupported', 'dial-failed', 'connect-failed'],
  'after-address': ['address-unsupported', 'dial-failed', 'connect-failed'],
  'after-dial': ['connect-failed'],
};

/** What would be written as `bootstrap.json` before the shim is dialled. */
const migrationOf = (policy: Policy, { contents }: BundleEvidence): B.ByteString | undefined => {
  const address = contents?._tag === 'Listed' ? shimAddress(policy)(contents) : undefined;
  return address === undefined || address._tag === 'Unreadable' ? undefined : address.migrated;
};

/**
 * SPEC 12: the task is deleted through the shim, the shim told to end, the connection closed; its end makes the binary
 * run (12.1), and then the bundle is removed, once more where the binary's own removal failed. A shim that refuses the
 * deletion is left running and unregistered (K2, H1).
 */
const reap = (program: B.ByteString | undefined, work: B.ByteString | undefined): StepTree =>
  perform(
    { _tag: 'CallDelete' },
    attempt(
      { _tag: 'CallShutdown' },
      attempt({ _tag: 'CloseConnection' }, attempt({ _tag: 'CloseLogPipe' }, cleanUpAnyway(program, work))),
    ),
  );

/** What carrying out a verdict means, to this policy. */
export const stepsOf =
  (policy: Policy) =>
  (evidence: BundleEvidence) =>
  (verdict: Verdict): StepTree => {
    const work = workOf(evidence);
    const program = programOf(evidence);
    const cleanUp = policy.removesAfterFailedCleanUp ? cleanUpAnyway(program, work) : cleanUpWithBinary(program, work);
    const migration = migrationOf(policy, evidence);
    const migrated = (next: StepTree, onFailure: StepTree): StepTree =>
      migration === undefined ? next : perform({ _tag: 'WriteBootstrap', content: migration }, next, onFailure);
    switch (verdict._tag) {
      case 'Ignore':
      case 'Hold':
        return succeeded;
      case 'Adopt': {
        const giveUp = attempt({ _tag: 'CloseConnection' }, cleanUp);
        return perform({ _tag: 'OpenLogPipe' }, migrated(perform({ _tag: 'Register' }), giveUp), giveUp);
      }
      case 'Reap':
        return attempt({ _tag: 'OpenLogPipe' }, migrated(reap(program, work), reap(program, work)));
      case 'CleanUp': {
        const afterLog = migrated(
          attempt({ _tag: 'CloseLogPipe' }, cleanUp),
          attempt({ _tag: 'CloseLogPipe' }, cleanUp),
        );
        return opensLogBefore[policy.logOpened].includes(verdict.reason)
          ? attempt({ _tag: 'OpenLogPipe' }, afterLog)
          : cleanUp;
      }
      case 'Discard':
        return verdict.reason === 'container-not-found' || verdict.reason === 'container-unknown'
          ? attempt({ _tag: 'UnmountRootfs' }, removeBundle(work)) // step 7a unmounts by itself, before D2 does
          : removeBundle(work);
    }
  };

/**
 * What follows when a live shim disconnects (SPEC 11.1, 13): clean up; for a registered task publish its exit, then its
 * deletion, with what the binary said, or with status 255 and now when it gave nothing; then forget it.
 */
export const stepsAfterDisconnect =
  (evidence: BundleEvidence) =>
  (task: { readonly registered: boolean }): StepTree => {
    const forget = attempt({ _tag: 'CloseLogPipe' });
    const publish = (known: boolean): StepTree =>
      attempt(
        { _tag: 'PublishExit', known },
        attempt({ _tag: 'PublishDelete', known }, attempt({ _tag: 'Unregister' }, forget)),
      );
    return pipe(
      cleanUpWithBinary(programOf(evidence), workOf(evidence)),
      task.registered
        ? followedBy({ onSuccess: publish(true), onFailure: publish(false) })
        : followedBy({ onSuccess: forget, onFailure: forget }),
    );
  };

/** The working directories that the steps of a bundle remove when nothing fails. */
export const workDirectoriesRemovedBy = (steps: StepTree): ReadonlyArray<B.ByteString> =>
  successPath(steps).flatMap((step) => (step._tag === 'RemoveWorkDirectory' ? [step.path] : []));

/** From verdicts to steps: what carrying out a verdict means, in the reference's order (SPEC 6, 7, 11, 12, 13). */
import { pipe } from 'fp-ts/lib/function.js';
import * as t from 'io-ts';
import * as B from '../base/ByteString.js';
import { FileStatus } from '../capabilities/FileSystem.js';
import { BundleEvidence, programOf, workOf } from '../decide/Evidence.js';
import type { Reason } from '../decide/Reasons.js';
import { shimAddress } from '../decide/ShimAddress.js';
import { Verdict } from '../decide/Verdict.js';
import { type Policy, PolicyName } from '../policy/Policy.js';
import { attempt, failed, followedBy, perform, type Step, type StepTree, succeeded, successPath } from './Step.js';
import { StepCodec } from './StepCodec.js';
import { WorkDirectoryReason } from './WorkDirectory.js';

/** One bundle's part of a plan. */
export const BundlePlan = t.readonly(
  t.type({ evidence: BundleEvidence, verdict: Verdict, steps: StepCodec }),
  'BundlePlan',
);

export interface BundlePlan extends t.TypeOf<typeof BundlePlan> {}

/** An entry below the namespace's root directory, and what becomes of it; of one that goes, which one it is, where that was looked at. */
export const WorkDirectoryPlan = t.readonly(
  t.intersection([
    t.type({ name: B.ByteString, reason: WorkDirectoryReason }),
    t.partial({ identity: t.union([FileStatus, t.null]) }),
  ]),
  'WorkDirectoryPlan',
);

export interface WorkDirectoryPlan extends t.TypeOf<typeof WorkDirectoryPlan> {}

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

export interface NamespacePlan extends t.TypeOf<typeof NamespacePlan> {}

/** The verdicts and, for each, the steps that would carry it out. */
export const Plan = t.readonly(
  t.type({ policy: PolicyName, state: B.ByteString, root: B.ByteString, namespaces: t.readonlyArray(NamespacePlan) }),
  'Plan',
);

export interface Plan extends t.TypeOf<typeof Plan> {}

/** The facts that cleaning up and removing need. */
interface Removal {
  readonly policy: Policy;
  readonly program: B.ByteString | undefined;
  readonly work: B.ByteString | undefined;
}

/** The steps that carry out a verdict under this policy. */
export const stepsOf =
  (policy: Policy) =>
  (evidence: BundleEvidence) =>
  (verdict: Verdict): StepTree => {
    const removal = removalOf(policy, evidence);
    const cleanUp = policy.removesAfterFailedCleanUp === 'all' ? cleanUpAnyway(removal) : cleanUpWithBinary(removal);
    const migration = migrationOf(policy, evidence);
    const migrated = (next: StepTree, onFailure: StepTree): StepTree =>
      migration === undefined ? next : perform({ _tag: 'WriteBootstrap', content: migration }, next, onFailure);
    switch (verdict._tag) {
      case 'Ignore':
      case 'Hold':
        return succeeded;
      case 'Adopt': {
        if (policy.logOpened === 'optional') return attempt({ _tag: 'OpenLogPipe' }, perform({ _tag: 'Register' })); // L1
        const giveUp = attempt({ _tag: 'CloseConnection' }, cleanUp);
        return perform({ _tag: 'OpenLogPipe' }, migrated(perform({ _tag: 'Register' }), giveUp), giveUp);
      }
      case 'Reap':
        return attempt({ _tag: 'OpenLogPipe' }, migrated(reap(removal), reap(removal)));
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
        return discard(removal, verdict.reason);
    }
  };

const removalOf = (policy: Policy, evidence: BundleEvidence): Removal => ({
  policy,
  program: programOf(evidence),
  work: policy.workDirectories === 'named' ? workOf(evidence) : undefined,
});

/** Cleans up, and removes the bundle once more whatever failed before (SPEC 12.1; 4.1, step 9 of 2.x). */
const cleanUpAnyway = (removal: Removal): StepTree => {
  const bundle = removeBundle(removal);
  return removal.program === undefined
    ? bundle
    : perform(
        { _tag: 'RunBinary', program: removal.program },
        pipe(bundle, followedBy({ onSuccess: succeeded, onFailure: bundle })),
        bundle,
      );
};

/**
 * SPEC 6.2, bundle delete: unmount (D2) and remove `rootfs` (D3), and only then the bundle (D4) and its working
 * directory (D5). When the bundle itself resists, the working directory goes all the same (D6), and it counts as failed.
 */
const removeBundle = ({ policy, work }: Removal): StepTree => {
  const removeWork = (after: StepTree): StepTree =>
    work === undefined ? after : perform({ _tag: 'RemoveWorkDirectory', path: work }, after, failed);
  if (policy.unmounts === 'bundle') return perform({ _tag: 'UnmountBundle' }, perform({ _tag: 'RemoveBundle' }));
  return perform(
    { _tag: 'UnmountRootfs' },
    perform({ _tag: 'RemoveRootfs' }, perform({ _tag: 'RemoveBundle' }, removeWork(succeeded), removeWork(failed))),
  );
};

/** SPEC 11.4: the binary first; only when it answered well, the bundle. Either failure makes its answer unknown. */
const cleanUpWithBinary = (removal: Removal): StepTree =>
  removal.program === undefined
    ? failed
    : perform({ _tag: 'RunBinary', program: removal.program }, removeBundle(removal));

/** The text that a step will write as `bootstrap.json`; undefined where none is to be written. */
const migrationOf = (policy: Policy, { contents }: BundleEvidence): B.ByteString | undefined => {
  const address = contents?._tag === 'Listed' ? shimAddress(policy)(contents) : undefined;
  return address === undefined || address._tag === 'Unreadable' ? undefined : address.migrated;
};

/**
 * SPEC 12: the task is deleted through the shim, the shim told to end, the connection closed; its end makes the binary
 * run (12.1), and then the bundle is removed, once more where the binary's own removal failed. A shim that refuses the
 * deletion is left running and unregistered (K2, H1).
 */
const reap = (removal: Removal): StepTree => {
  const isStrict = removal.policy.removesAfterFailedCleanUp === 'none';
  const cleanUp = isStrict && removal.program !== undefined ? cleanUpWithBinary(removal) : cleanUpAnyway(removal);
  const close = (next: StepTree): StepTree =>
    attempt({ _tag: 'CloseConnection' }, attempt({ _tag: 'CloseLogPipe' }, next));
  return perform(
    { _tag: 'CallDelete' },
    perform({ _tag: 'CallShutdown' }, close(cleanUp), close(isStrict ? failed : cleanUp)),
  );
};

/** The reasons to give a shim up, in the order in which taking it back meets them. */
const opensLogBefore: Readonly<Record<Policy['logOpened'], ReadonlyArray<Reason>>> = {
  'before-address': ['address-unreadable', 'address-unsupported', 'dial-failed', 'connect-failed'],
  'after-address': ['address-unsupported', 'dial-failed', 'connect-failed'],
  'after-dial': ['connect-failed'],
  optional: [],
};

const discard = (removal: Removal, reason: Reason): StepTree => {
  if (reason === 'leftover') return perform({ _tag: 'RemoveLeftover' });
  return removal.policy.death === 'one-sign' && (reason === 'container-not-found' || reason === 'container-unknown')
    ? attempt({ _tag: 'UnmountRootfs' }, removeBundle(removal)) // step 7a unmounts by itself, before D2 does
    : removeBundle(removal);
};

/**
 * The steps after the end of a live shim (SPEC 11.1, 13): clean up; for a registered task publish its exit, then its deletion;
 * then forget it. The exit is what the binary said, or status 255 and the present time if it said nothing.
 */
export const stepsAfterDisconnect =
  (policy: Policy) =>
  (evidence: BundleEvidence) =>
  (task: { readonly registered: boolean }): StepTree => {
    const forget = attempt({ _tag: 'CloseLogPipe' });
    const publish = (known: boolean): StepTree =>
      attempt(
        { _tag: 'PublishExit', known },
        attempt({ _tag: 'PublishDelete', known }, attempt({ _tag: 'Unregister' }, forget)),
      );
    // Others go with the bundle, or after all bundles: this one's turn is over by then.
    const removeWork = (next: StepTree): StepTree =>
      policy.workDirectories === 'unowned' ? attempt({ _tag: 'RemoveUnownedWorkDirectory' }, next) : next;
    return pipe(
      cleanUpWithBinary(removalOf(policy, evidence)),
      task.registered
        ? followedBy({ onSuccess: removeWork(publish(true)), onFailure: publish(false) })
        : followedBy({ onSuccess: removeWork(forget), onFailure: forget }),
    );
  };

/** The steps of a bundle that remove a working directory when nothing fails. */
export const removedWithBundle = (
  steps: StepTree,
): ReadonlyArray<Extract<Step, { readonly _tag: 'RemoveWorkDirectory' }>> =>
  successPath(steps).flatMap((step) => (step._tag === 'RemoveWorkDirectory' ? [step] : []));

/** The working directories that they remove. */
export const workDirectoriesRemovedBy = (steps: StepTree): ReadonlyArray<B.ByteString> =>
  removedWithBundle(steps).map(({ path }) => path);

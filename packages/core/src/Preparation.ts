/** The first half of the program: look, ask and decide, for every bundle. Nothing is destroyed here. */
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import type * as TE from 'fp-ts/lib/TaskEither.js';
import * as t from 'io-ts';
import type * as B from './ByteString.js';
import type { Capabilities } from './Capabilities.js';
import { traverse } from './Concurrency.js';
import type { BundleEvidence } from './Evidence.js';
import { type Directory, FileError, showFileError } from './FileSystem.js';
import { type Inquirer, nothingOpen, type OpenShim, type Probing, release, settle } from './Inquiry.js';
import { type BundlePlan, stepsOf } from './Plan.js';
import { makeResolver } from './RuntimeName.js';
import type { Settings } from './Settings.js';
import { readSnapshot } from './Snapshot.js';

/** Why nothing at all could be done: one of the two root directories cannot be read. */
export const RecoveryError = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('StateUnreadable'), error: FileError })),
    t.readonly(t.type({ _tag: t.literal('RootUnreadable'), error: FileError })),
  ],
  'RecoveryError',
);
export type RecoveryError = t.TypeOf<typeof RecoveryError>;

/** The two root directories, open. */
export interface Roots {
  readonly state: Directory;
  readonly root: Directory;
}

/** A bundle that was decided on, with what asking left open. */
export interface Prepared {
  readonly plan: BundlePlan;
  readonly open: OpenShim;
}

/** `error` says why nothing in the namespace is touched. */
export interface PreparedNamespace {
  readonly name: B.ByteString;
  readonly error: string | null;
  readonly bundles: ReadonlyArray<Prepared>;
}

/** Opens both root directories, or neither. */
export const openRoots =
  ({ fileSystem }: Capabilities, settings: Settings): TE.TaskEither<RecoveryError, Roots> =>
  async () => {
    const state = await fileSystem.openPath(settings.state)();
    if (E.isLeft(state)) return E.left({ _tag: 'StateUnreadable', error: state.left });
    const root = await fileSystem.openPath(settings.root)();
    if (E.isRight(root)) return E.right({ state: state.right, root: root.right });
    await fileSystem.close(state.right)();
    return E.left({ _tag: 'RootUnreadable', error: root.left });
  };

export const closeRoots =
  ({ fileSystem }: Capabilities, { state, root }: Roots): Task<void> =>
  async () => {
    await fileSystem.close(state)();
    await fileSystem.close(root)();
  };

const prepareBundle =
  (inquirer: Inquirer) =>
  (evidence: BundleEvidence): Task<Prepared> =>
  async () => {
    const open = nothingOpen();
    const settled = await settle(inquirer)(evidence, open)();
    if (inquirer.probing !== 'asked-with-log' || settled.verdict._tag === 'Hold') await release(open)();
    const { namespace, id } = evidence;
    inquirer.capabilities.trace.tell({ _tag: 'BundleSettled', namespace, id, verdict: settled.verdict })();
    return { plan: { ...settled, steps: stepsOf(inquirer.settings.policy)(settled.evidence)(settled.verdict) }, open };
  };

/** Decides on every bundle; those that wait for a shim do not hold up the others. */
export const prepare =
  (capabilities: Capabilities, settings: Settings) =>
  ({ state }: Roots, probing: Probing): TE.TaskEither<RecoveryError, ReadonlyArray<PreparedNamespace>> =>
  async () => {
    const snapshot = await readSnapshot(capabilities.fileSystem)(state, settings.namespaces)();
    if (E.isLeft(snapshot)) return E.left({ _tag: 'StateUnreadable', error: snapshot.left });
    const found = snapshot.right.flatMap(({ bundles }) => bundles);
    capabilities.trace.tell({ _tag: 'BundlesFound', bundles: found.length })();
    const resolve = makeResolver(capabilities.programFiles, settings.programSearch);
    const inquirer: Inquirer = { capabilities, settings, state, resolve, probing };
    const prepared = await traverse(settings.bounds.waiting, prepareBundle(inquirer))(found)();
    const queue = prepared.values();
    return E.right(
      snapshot.right.map(({ name, error, bundles }) => ({
        name,
        error,
        bundles: bundles.flatMap(() => {
          const next = queue.next();
          return next.done === true ? [] : [next.value];
        }),
      })),
    );
  };

/** A sentence for people. */
export const showRecoveryError = (error: RecoveryError): string =>
  error._tag === 'StateUnreadable'
    ? `the state directory cannot be used: ${showFileError(error.error)}`
    : `the root directory cannot be used: ${showFileError(error.error)}`;

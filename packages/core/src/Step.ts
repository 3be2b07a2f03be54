/**
 * What is to be done, as data: a tree of steps with what follows on success and on failure. The dry run prints the
 * tree that the real run walks, and a test can stop between any two steps.
 */
import * as t from 'io-ts';
import * as B from './ByteString.js';

/**
 * - `WriteBootstrap`: `bootstrap.json` is made where there was only an `address`.
 * - `OpenLogPipe`: the log pipe is made where it is missing, opened, and held open.
 * - `Register`: the task becomes known; from now on its shim's end is its death.
 * - `CallDelete`, `CallShutdown`, `CloseConnection`: to the shim. That it has no such task, or hung up, is no failure.
 * - `RunBinary`: the shim's binary, with `delete`, in the bundle.
 * - `UnmountRootfs`: what is mounted on the bundle's `rootfs`, and below it as far as the policy says.
 * - `UnmountBundle`: all that is mounted below the bundle; afterwards nothing must be.
 * - `RemoveRootfs`: the directory itself, which must be empty by now.
 * - `RemoveBundle`, `RemoveWorkDirectory`: moved behind a dot, then removed with all below.
 * - `RemoveUnownedWorkDirectory`: the one of this id in its namespace's own directory, unless another bundle has that id.
 * - `RemoveLeftover`: what stands behind a dot, with all below, unless something is mounted there.
 * - `PublishExit`, `PublishDelete`: events, with what the binary said of the task's end, or with status 255 and now.
 * - `Unregister`, `CloseLogPipe`: the task is no longer known.
 */
export const Step = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('WriteBootstrap'), content: B.ByteString })),
    t.readonly(t.type({ _tag: t.literal('OpenLogPipe') })),
    t.readonly(t.type({ _tag: t.literal('Register') })),
    t.readonly(t.type({ _tag: t.literal('CallDelete') })),
    t.readonly(t.type({ _tag: t.literal('CallShutdown') })),
    t.readonly(t.type({ _tag: t.literal('CloseConnection') })),
    t.readonly(t.type({ _tag: t.literal('RunBinary'), program: B.ByteString })),
    t.readonly(t.type({ _tag: t.literal('UnmountRootfs') })),
    t.readonly(t.type({ _tag: t.literal('UnmountBundle') })),
    t.readonly(t.type({ _tag: t.literal('RemoveRootfs') })),
    t.readonly(t.type({ _tag: t.literal('RemoveBundle') })),
    t.readonly(t.type({ _tag: t.literal('RemoveWorkDirectory'), path: B.ByteString })),
    t.readonly(t.type({ _tag: t.literal('RemoveUnownedWorkDirectory') })),
    t.readonly(t.type({ _tag: t.literal('RemoveLeftover') })),
    t.readonly(t.type({ _tag: t.literal('PublishExit'), known: t.boolean })),
    t.readonly(t.type({ _tag: t.literal('PublishDelete'), known: t.boolean })),
    t.readonly(t.type({ _tag: t.literal('Unregister') })),
    t.readonly(t.type({ _tag: t.literal('CloseLogPipe') })),
  ],
  'Step',
);
export type Step = t.TypeOf<typeof Step>;

/** How it ends, or a step and what follows it. */
export type StepTree =
  | { readonly _tag: 'End'; readonly succeeded: boolean }
  | { readonly _tag: 'Do'; readonly step: Step; readonly onSuccess: StepTree; readonly onFailure: StepTree };

export const StepTree: t.Type<StepTree, unknown> = t.recursion('StepTree', () =>
  t.union([
    t.readonly(t.type({ _tag: t.literal('End'), succeeded: t.boolean })),
    t.readonly(t.type({ _tag: t.literal('Do'), step: Step, onSuccess: StepTree, onFailure: StepTree })),
  ]),
);

export const succeeded: StepTree = { _tag: 'End', succeeded: true };
export const failed: StepTree = { _tag: 'End', succeeded: false };

/** A step; by default its failure is the end. */
export const perform = (step: Step, onSuccess: StepTree = succeeded, onFailure: StepTree = failed): StepTree => ({
  _tag: 'Do',
  step,
  onSuccess,
  onFailure,
});

/** A step whose failure is noted but changes nothing. */
export const attempt = (step: Step, then: StepTree = succeeded): StepTree => perform(step, then, then);

/** Puts what follows behind each end of a tree. */
export const followedBy =
  (next: { readonly onSuccess: StepTree; readonly onFailure: StepTree }) =>
  (tree: StepTree): StepTree => {
    if (tree._tag === 'End') return tree.succeeded ? next.onSuccess : next.onFailure;
    return {
      ...tree,
      onSuccess: followedBy(next)(tree.onSuccess),
      onFailure: followedBy(next)(tree.onFailure),
    };
  };

/** The steps that are taken when nothing fails, in order. */
export const successPath = (tree: StepTree): ReadonlyArray<Step> => {
  const steps: Array<Step> = [];
  for (let at = tree; at._tag === 'Do'; at = at.onSuccess) steps.push(at.step);
  return steps;
};

/** The ways through the tree on which exactly one step fails, and whatever follows succeeds; in order of that step. */
export const pathsWithOneFailure = (tree: StepTree): ReadonlyArray<ReadonlyArray<Step>> => {
  const paths: Array<ReadonlyArray<Step>> = [];
  const before: Array<Step> = [];
  for (let at = tree; at._tag === 'Do'; at = at.onSuccess) {
    before.push(at.step);
    paths.push([...before, ...successPath(at.onFailure)]);
  }
  return paths;
};

/** Whether a program may be run on some way through the tree. */
export const runsBinary = (tree: StepTree): boolean =>
  tree._tag === 'Do' && (tree.step._tag === 'RunBinary' || runsBinary(tree.onSuccess) || runsBinary(tree.onFailure));

/** The kebab-case name by which reports call a step. */
export const nameOf = (step: Step): string => step._tag.replace(/(?<=[a-z])[A-Z]/g, '-$&').toLowerCase();

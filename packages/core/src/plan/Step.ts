/**
 * The steps to take, as data: a tree of steps with those that follow on success and on failure. The dry run prints the
 * tree that the real run walks, and a test can stop between any two steps.
 */
import * as t from 'io-ts';
import * as B from '../base/ByteString.js';
import { FileStatus } from '../capabilities/FileSystem.js';

/**
 * - `WriteBootstrap`: `bootstrap.json` is made where there was only an `address`.
 * - `OpenLogPipe`: the log pipe is made where it is missing, opened, and held open.
 * - `Register`: the task becomes known; from now on its shim's end is its death.
 * - `CallDelete`, `CallShutdown`, `CloseConnection`: to the shim. They succeed, too, if it has no such task or hangs up.
 * - `RunBinary`: the shim's binary, with `delete`, in the bundle.
 * - `UnmountRootfs`: unmounts the bundle's `rootfs`, and mounts below it as far as the policy says.
 * - `UnmountBundle`: unmounts everything below the bundle; a mount that is still there afterwards is a failure.
 * - `RemoveRootfs`: the directory itself, which must be empty by now.
 * - `RemoveBundle`, `RemoveWorkDirectory`: moved behind a dot, then removed with all below. With an `identity`, only the
 *   directory that was found at the path; where it is null, none was.
 * - `RemoveUnownedWorkDirectory`: the one of this id in its namespace's own directory, unless another bundle has that id.
 * - `RemoveLeftover`: a leftover behind a dot, with all below, unless something is mounted there.
 * - `PublishExit`, `PublishDelete`: events, with the task's end as the binary told it, or with status 255 and now.
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
    t.readonly(
      t.intersection([
        t.type({ _tag: t.literal('RemoveWorkDirectory'), path: B.ByteString }),
        t.partial({ identity: t.union([FileStatus, t.null]) }),
      ]),
    ),
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

/**
 * The same steps for a bundle that must not be destroyed: where one fails, what was opened is closed, and nothing more is
 * done. A step whose failure changes nothing goes on changing nothing.
 */
export const stopAtFailure = (tree: StepTree): StepTree => {
  if (tree._tag === 'End') return tree;
  const next = stopAtFailure(tree.onSuccess);
  return tree.onSuccess === tree.onFailure ? attempt(tree.step, next) : perform(tree.step, next, letShimBe);
};

/** The steps that are taken when nothing fails, in order. */
export const successPath = (tree: StepTree): ReadonlyArray<Step> => {
  const steps: Array<Step> = [];
  for (let at = tree; at._tag === 'Do'; at = at.onSuccess) steps.push(at.step);
  return steps;
};

/** The ways through the tree on which exactly one step fails, and all later ones succeed; in order of that step. */
export const pathsWithOneFailure = (tree: StepTree): ReadonlyArray<ReadonlyArray<Step>> => {
  const paths: Array<ReadonlyArray<Step>> = [];
  const before: Array<Step> = [];
  for (let at = tree; at._tag === 'Do'; at = at.onSuccess) {
    before.push(at.step);
    paths.push([...before, ...successPath(at.onFailure)]);
  }
  return paths;
};

/** Whether a shim is asked something on the way on which nothing fails. */
export const asksShim = (tree: StepTree): boolean =>
  tree._tag === 'Do' && (tree.step._tag === 'CallDelete' || asksShim(tree.onSuccess));

/** The kebab-case name by which reports call a step. */
export const nameOf = ({ _tag }: Step): string => {
  const name = names.get(_tag) ?? _tag.replace(/(?<=[a-z])[A-Z]/g, '-$&').toLowerCase();
  names.set(_tag, name);
  return name;
};

const names = new Map<Step['_tag'], string>();

/** Whether two trees do the same, no matter which steps fail; not whether they do it to the same directories. */
export const isSameTree = (first: StepTree, second: StepTree): boolean => {
  if (first === second) return true;
  if (first._tag === 'End' || second._tag === 'End')
    return first._tag === 'End' && second._tag === 'End' && first.succeeded === second.succeeded;
  return (
    isSameStep(first.step, second.step) &&
    isSameTree(first.onSuccess, second.onSuccess) &&
    (first.onSuccess === first.onFailure && second.onSuccess === second.onFailure
      ? true
      : isSameTree(first.onFailure, second.onFailure))
  );
};

const isSameStep = (first: Step, second: Step): boolean =>
  first._tag === second._tag && detailOf(first) === detailOf(second);

/** The object of a step, or its manner, beside its name. */
const detailOf = (step: Step): string => {
  switch (step._tag) {
    case 'WriteBootstrap':
      return step.content;
    case 'RunBinary':
      return step.program;
    case 'RemoveWorkDirectory':
      return step.path;
    case 'PublishExit':
    case 'PublishDelete':
      return String(step.known);
    default:
      return '';
  }
};

/** The same tree with every step changed; what two branches share they go on sharing. */
export const mapSteps =
  (change: (step: Step) => Step) =>
  (tree: StepTree): StepTree => {
    const changed = new Map<StepTree, StepTree>();
    const visit = (at: StepTree): StepTree => {
      if (at._tag === 'End') return at;
      const known = changed.get(at);
      if (known !== undefined) return known;
      const made = perform(change(at.step), visit(at.onSuccess), visit(at.onFailure));
      changed.set(at, made);
      return made;
    };
    return visit(tree);
  };

const letShimBe: StepTree = attempt({ _tag: 'CloseConnection' }, attempt({ _tag: 'CloseLogPipe' }, failed));

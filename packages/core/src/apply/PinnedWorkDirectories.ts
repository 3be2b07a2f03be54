/**
 * Which working directories a plan is about: the identity of each that it would remove, so that a directory that is made
 * there later is not removed in its place. Only plans that are kept ask for it.
 */
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import { withDirectory } from '../observe/BundleHandles.js';
import type * as B from '../base/ByteString.js';
import type { Directory, FileStatus, FileSystem } from '../capabilities/FileSystem.js';
import type { NamespacePlan, Plan, WorkDirectoryPlan } from '../plan/Plan.js';
import { statusOfPath } from './Removal.js';
import { mapSteps, type StepTree } from '../plan/Step.js';

/** The same steps, of which those that remove a working directory remove only what stands there now. */
export const identifySteps =
  (files: FileSystem) =>
  (tree: StepTree): Task<StepTree> =>
  async () => {
    const found = new Map<B.ByteString, FileStatus | null>();
    for (const path of pathsIn(tree)) found.set(path, await statusOfPath(files)(path)());
    if (found.size === 0) return tree;
    return mapSteps((step) =>
      step._tag === 'RemoveWorkDirectory' ? { ...step, identity: found.get(step.path) ?? null } : step,
    )(tree);
  };

const pathsIn = (tree: StepTree): ReadonlySet<B.ByteString> => {
  const paths = new Set<B.ByteString>();
  const seen = new Set<StepTree>();
  const visit = (at: StepTree): void => {
    if (at._tag === 'End' || seen.has(at)) return;
    seen.add(at);
    if (at.step._tag === 'RemoveWorkDirectory') paths.add(at.step.path);
    visit(at.onSuccess);
    visit(at.onFailure);
  };
  visit(tree);
  return paths;
};

/** The same plan, which says of each working directory that it would remove which one it is. */
export const identifyPlan =
  (files: FileSystem, root: Directory) =>
  (plan: Plan): Task<Plan> =>
  async () => {
    const namespaces: Array<NamespacePlan> = [];
    for (const namespace of plan.namespaces) {
      const bundles: Array<NamespacePlan['bundles'][number]> = [];
      for (const bundle of namespace.bundles)
        bundles.push({ ...bundle, steps: await identifySteps(files)(bundle.steps)() });
      const workDirectories = await identifyEntries(files, root)(namespace)();
      namespaces.push({ ...namespace, bundles, workDirectories });
    }
    return { ...plan, namespaces };
  };

const identifyEntries =
  (files: FileSystem, root: Directory) =>
  ({ name: namespace, workDirectories }: NamespacePlan): Task<ReadonlyArray<WorkDirectoryPlan>> =>
  async () => {
    const looked = await withDirectory(files)(
      files.openDirectory({ directory: root, name: namespace }),
      (directory) => async () => {
        const identified: Array<WorkDirectoryPlan> = [];
        for (const entry of workDirectories) {
          if (entry.reason !== 'not-registered') {
            identified.push(entry);
            continue;
          }
          const status = await files.status({ directory, name: entry.name })();
          identified.push({ ...entry, identity: E.isRight(status) ? status.right : null });
        }
        return E.right(identified);
      },
    )();
    return E.isRight(looked) ? looked.right : workDirectories;
  };

/**
 * What keeps a working directory that no bundle owns: a process that may belong to it, or that no bundle of this run names the
 * root directory, which may then be somebody else's.
 */
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import { withDirectory } from '../BundleDirectory.js';
import * as B from '../ByteString.js';
import { showPids } from '../decide/Signs.js';
import { type BundleEvidence, formerIdOf, workOf } from '../Evidence.js';
import { type Directory, type FileSystem, isSameFile, type Location } from '../FileSystem.js';
import { type ProcessInfo, showProcessesError } from '../Processes.js';
import { ownView, shimsOf, type SignNeeds } from './SignsOfLife.js';

type Needs = Pick<SignNeeds, 'capabilities' | 'processes' | 'bundleAt' | 'exists' | 'namespacesBut'>;

/** What may use the working directory at this place, for the middle of a sentence; `undefined` where nothing does. */
export const useOfWork =
  (needs: Needs, namespace: B.ByteString) =>
  (at: Location): Task<string | undefined> =>
  async () => {
    const seen = await needs.processes();
    if (E.isLeft(seen)) return showProcessesError(seen.left);
    const about = { seen: seen.right, bundleAt: await needs.bundleAt(), needs };
    const view = ownView(about);
    if (view.state === 'unknown') return view.says;
    const { name } = at;
    const status = await needs.capabilities.fileSystem.status(at)();
    const identity = E.isRight(status) ? status.right : null;
    const shims = shimsOf(about, { ...nothingOf(namespace, name), identity }, [name]);
    const group = seen.right.table.inGroupOf(name, await needs.namespacesBut(namespace)());
    if (shims.certain.length > 0) return `its shim is there (${show(shims.certain)})`;
    if (group.certain.length > 0)
      return `${show(group.certain)} ${group.certain.length === 1 ? 'is' : 'are'} in its control group`;
    if (shims.possible.length > 0) return `${show(shims.possible)} may belong to it`;
    return group.possible.length > 0 ? `${show(group.possible)} may be in its control group` : undefined;
  };

const show = (processes: ReadonlyArray<ProcessInfo>): string => showPids(processes.map(({ pid }) => pid));

const nothingOf = (namespace: B.ByteString, id: B.ByteString): BundleEvidence => ({
  namespace,
  id,
  kind: 'directory',
  identity: null,
  contents: null,
  answers: {},
});

/** The names of a namespace's bundles, also the former ones: their working directories go or stay with them. */
export const namesWithBundle = (bundles: ReadonlyArray<BundleEvidence>): ReadonlySet<B.ByteString> =>
  new Set(bundles.flatMap((bundle) => [bundle.id, ...formerNameOf(bundle)]));

const formerNameOf = (bundle: BundleEvidence): ReadonlyArray<B.ByteString> => {
  const former = formerIdOf(bundle);
  return former === undefined ? [] : [former];
};

/** The path of the root directory by a bundle's `work` link, which ends in the namespace and the id. */
const rootNamedBy = (bundle: BundleEvidence): B.ByteString | undefined => {
  const work = workOf(bundle);
  const id = formerIdOf(bundle);
  if (work === undefined || id === undefined) return undefined;
  const ending = B.concat(B.fromText('/'), bundle.namespace, B.fromText('/'), id);
  const root = B.slice(work, 0, work.length - ending.length);
  return root.startsWith('/') ? root : undefined;
};

/** Whether the `work` link of one of these bundles leads to this root directory, by whatever path. */
export const isRootNamed =
  (files: FileSystem, root: Directory) =>
  (bundles: ReadonlyArray<BundleEvidence>): Task<boolean> =>
  async () => {
    const others = new Set<B.ByteString>();
    for (const bundle of bundles) {
      const named = rootNamedBy(bundle);
      if (named === root.path) return true;
      if (named !== undefined) others.add(named);
    }
    const own = others.size === 0 ? undefined : await files.identify(root)();
    if (own === undefined || E.isLeft(own)) return false;
    for (const path of others) {
      const other = await withDirectory(files)(files.openPath(path), files.identify)();
      if (E.isRight(other) && isSameFile(own.right, other.right)) return true;
    }
    return false;
  };

/** Whether what stands there is more than an empty directory, as far as that can be told. */
export const isFilled =
  (files: FileSystem) =>
  (at: Location): Task<boolean> =>
  async () => {
    const entries = await withDirectory(files)(files.openDirectory(at), files.list)();
    return E.isLeft(entries) || entries.right.length > 0;
  };

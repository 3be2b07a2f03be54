/** Which processes work, run or have their root somewhere below a bundle, by the paths that the kernel tells. */
import * as E from 'fp-ts/lib/Either.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import type * as B from '../../base/ByteString.js';
import type { Mounts } from '../../capabilities/Mounts.js';
import type { ProcessInfo } from '../../capabilities/Processes.js';
import type { BundleId } from '../../policy/Names.js';
import type { Settings } from '../../policy/Settings.js';
import type { ProcessesSeen } from './ProcessTable.js';

/** Left: why that cannot be told, for the middle of a sentence. */
export type ProcessesBelow = (
  seen: ProcessesSeen,
  evidence: BundleId,
) => TaskEither<string, ReadonlyArray<ProcessInfo>>;

type ByBundle = ReadonlyMap<string, ReadonlySet<ProcessInfo>>;

/** The paths are gone through once for each walk over the processes. */
export const makeProcessesBelow = (
  { mounts }: { readonly mounts: Pick<Mounts, 'resolve'> },
  { state }: Pick<Settings, 'state'>,
): ProcessesBelow => {
  let resolved: Promise<E.Either<string, B.ByteString>> | undefined;
  const known = new WeakMap<ProcessesSeen, ByBundle>();
  const resolve = async (): Promise<E.Either<string, B.ByteString>> =>
    E.mapLeft(() => 'where the state directory stands cannot be told')(await mounts.resolve(state)());
  return (seen, { namespace, id }) =>
    async () => {
      const at = await (resolved ??= resolve());
      if (E.isLeft(at)) return at;
      const found = known.get(seen) ?? indexBelow(at.right, seen);
      known.set(seen, found);
      return E.right([...(found.get(keyOf(namespace, id)) ?? [])]);
    };
};

const indexBelow = (state: B.ByteString, { table, view }: ProcessesSeen): ByBundle => {
  const found = new Map<string, Set<ProcessInfo>>();
  const prefix = `${state}/`;
  for (const process of table.all) {
    if (process.pid === view.pid) continue;
    for (const path of process.paths ?? []) {
      if (!path.startsWith(prefix)) continue;
      const [namespace, id, below] = path.slice(prefix.length).split('/');
      // The bundle's own directory is known by its device and inode.
      if (namespace === undefined || id === undefined || below === undefined) continue;
      const there = found.get(keyOf(namespace, id)) ?? new Set();
      there.add(process);
      found.set(keyOf(namespace, id), there);
    }
  }
  return found;
};

const keyOf = (namespace: string, id: string): string => `${namespace}/${id}`;

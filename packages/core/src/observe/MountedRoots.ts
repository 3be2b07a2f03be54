/** Which directory of its file system is mounted on a bundle's `rootfs`. The mount table is read once a run, and only if it is asked for. */
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import type * as B from '../ByteString.js';
import type { Capabilities } from '../Capabilities.js';
import type { BundleEvidence } from '../Evidence.js';
import * as Layout from '../Layout.js';
import * as MountTable from '../MountTable.js';
import type { Settings } from '../Settings.js';

/** `/` where the whole file system is mounted there; `undefined` where nothing is, or it cannot be told. */
export type MountedRootOf = (evidence: Pick<BundleEvidence, 'namespace' | 'id'>) => Task<B.ByteString | undefined>;

export const makeMountedRootOf = (
  { mounts }: Pick<Capabilities, 'mounts'>,
  { state }: Pick<Settings, 'state'>,
): MountedRootOf => {
  let known: Promise<Mounted> | undefined;
  return ({ namespace, id }) =>
    async () => {
      const { at, roots } = await (known ??= look(mounts, state));
      return roots.get(Layout.below(at, namespace, id, Layout.entry.rootfs));
    };
};

interface Mounted {
  /** The state directory as the mount table calls it. */
  readonly at: B.ByteString;
  readonly roots: ReadonlyMap<B.ByteString, B.ByteString>;
}

/** What was mounted last at a place hides what was mounted there before. */
const look = async (mounts: Capabilities['mounts'], state: B.ByteString): Promise<Mounted> => {
  const resolved = await mounts.resolve(state)();
  const table = await mounts.read();
  const parsed = E.isLeft(table) ? table : MountTable.parse(table.right);
  const roots = E.isLeft(parsed) ? [] : parsed.right.map(({ mountPoint, root }) => [mountPoint, root] as const);
  return { at: E.isLeft(resolved) ? state : resolved.right, roots: new Map(roots) };
};

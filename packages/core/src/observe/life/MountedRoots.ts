/** Which directory of its file system is mounted at a container's root. The mount table is read once a run, and only if it is asked for. */
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import type * as B from '../../base/ByteString.js';
import * as Layout from '../../capabilities/BundleLayout.js';
import { type Mounts, showMountError } from '../../capabilities/Mounts.js';
import type { BundleId } from '../../policy/Names.js';
import type { Settings } from '../../policy/Settings.js';
import * as MountTable from '../MountTable.js';

/**
 * Of the bundle's `rootfs`, or of the path of another root. Right: `/` where the whole file system is mounted there;
 * `undefined` where nothing is. Left: why that cannot be told.
 */
export type MountedRootOf = (
  evidence: BundleId,
  path: B.ByteString | undefined,
) => TaskEither<string, B.ByteString | undefined>;

export const makeMountedRootOf = (
  { mounts }: { readonly mounts: Looks },
  { state }: Pick<Settings, 'state'>,
): MountedRootOf => {
  let known: Promise<E.Either<string, Mounted>> | undefined;
  return ({ namespace, id }, path) =>
    async () => {
      const mounted = await (known ??= look(mounts, state)());
      if (E.isLeft(mounted)) return mounted;
      const { at, roots } = mounted.right;
      return E.right(roots.get(path ?? Layout.below(at, namespace, id, Layout.entry.rootfs)));
    };
};

type Looks = Pick<Mounts, 'read' | 'resolve'>;

interface Mounted {
  /** The state directory as the mount table calls it. */
  readonly at: B.ByteString;
  readonly roots: ReadonlyMap<B.ByteString, B.ByteString>;
}

/** Looks at the mount table once. The last mount at a place hides the earlier ones. */
const look =
  (mounts: Looks, state: B.ByteString): Task<E.Either<string, Mounted>> =>
  async () => {
    const resolved = await mounts.resolve(state)();
    const table = await mounts.read();
    if (E.isLeft(table)) return E.left(showMountError(table.left));
    const parsed = MountTable.parse(table.right);
    if (E.isLeft(parsed) || E.isLeft(resolved)) return E.left('what is mounted cannot be told');
    const roots = parsed.right.map(({ mountPoint, root }) => [mountPoint, root] as const);
    return E.right({ at: resolved.right, roots: new Map(roots) });
  };

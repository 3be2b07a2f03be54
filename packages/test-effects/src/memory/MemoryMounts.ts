/** The mount table of an imaginary machine, printed as the kernel prints it, and changed one `umount2` at a time (SPEC 7). */
import { ByteString as B } from '@shim-recovery/core';
import { type MountError, type Mounts, systemError } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import type { ErrorCode, Mounted, Tree } from './Tree.js';

/** What a test may want to be odd about the mount table. */
export interface MountQuirks {
  /** Lines put before the real ones: one that cannot be understood spoils the whole table (H39). */
  readonly extraLines?: ReadonlyArray<B.ByteString>;
  /** Why neither `fusermount3` nor `fusermount` can unmount anything. Absent: they can. */
  readonly fuseHelperProblem?: string;
}

export const makeMounts = (tree: Tree, quirks: MountQuirks = {}): Mounts => {
  const parentIdOf = ({ point }: Mounted): number =>
    point === undefined ? 0 : (tree.mounts().find(({ root }) => root.vol === point.vol)?.id ?? 0);

  const lineOf = (mounted: Mounted): B.ByteString =>
    B.fromBytes(
      Buffer.from(
        `${mounted.id} ${parentIdOf(mounted)} 0:${mounted.id} / ${escapeField(tree.pathOf(mounted.root))} ` +
          `rw,relatime - ${mounted.fsType} ${mounted.fsType} rw`,
        'latin1',
      ),
    );

  const isFuse = (path: B.ByteString): boolean => {
    const entry = tree.walk(path);
    return (
      E.isRight(entry) &&
      tree.mounts().some(({ root, fsType }) => root.vol === entry.right.vol && fsType.startsWith('fuse'))
    );
  };

  const unmount =
    (path: B.ByteString): TaskEither<MountError, void> =>
    async () =>
      pipe(
        tree.walk(path, { followLast: false, refuseSymlinks: true }),
        E.chain(tree.unmount),
        E.mapLeft((code: ErrorCode) => ({ _tag: 'UnmountRefused', path, code })),
      );

  return {
    read: async () => {
      const lines = [...(quirks.extraLines ?? []), ...tree.mounts().map(lineOf)];
      return E.right(B.concat(...lines.flatMap((line) => [line, B.fromText('\n')])));
    },
    unmount,
    isFuse: (path) => async () => isFuse(path),
    unmountFuse: (path) => async () => {
      const problem = quirks.fuseHelperProblem ?? (isFuse(path) ? undefined : 'no FUSE file system is mounted there');
      if (problem !== undefined) return E.left({ _tag: 'HelperFailed', path, reason: problem });
      return pipe(
        await unmount(path)(),
        E.mapLeft(() => ({ _tag: 'HelperFailed', path, reason: 'it is in use' })),
      );
    },
    resolve: (path) => async () =>
      pipe(
        tree.walk(path),
        E.bimap((code) => systemError('resolve', path, code), tree.pathOf),
      ),
    exists: (path) => async () => {
      const found = tree.walk(path);
      return E.isRight(found) || found.left !== 'ENOENT';
    },
  };
};

/** The kernel writes blanks, line ends and backslashes as octal escapes. */
const escapeField = (field: B.ByteString): string =>
  field.replaceAll(/[ \t\n\\#]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`);

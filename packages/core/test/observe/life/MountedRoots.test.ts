/** What the mount table says of the roots of containers. */
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import * as B from '../../../src/base/ByteString.js';
import type { MountError } from '../../../src/capabilities/Mounts.js';
import { makeMountedRootOf, type MountedRootOf } from '../../../src/observe/life/MountedRoots.js';

const web = { namespace: B.fromText('main'), id: B.fromText('web') };

const over = (table: E.Either<MountError, B.ByteString>): MountedRootOf =>
  makeMountedRootOf(
    { mounts: { read: async () => table, resolve: (path) => async () => E.right(path) } },
    { state: B.fromText('/run/state') },
  );

describe('the mount table', () => {
  it('says which directory is mounted at a rootfs, or at another root', async () => {
    const rootOf = over(E.right(B.fromText('36 35 98:0 /part /run/state/main/web/rootfs rw - ext4 /dev/x rw\n')));
    expect(await rootOf(web, undefined)()).toEqual(E.right('/part'));
    expect(await rootOf(web, B.fromText('/run/state/main/web/rootfs'))()).toEqual(E.right('/part'));
    expect(await rootOf(web, B.fromText('/elsewhere'))()).toEqual(E.right(undefined));
  });

  it('does not say that nothing is mounted where it cannot be read or understood', async () => {
    expect(await over(E.left({ _tag: 'TableUnreadable', reason: 'EIO' }))(web, undefined)()).toEqual(
      E.left('the mount table cannot be used: EIO'),
    );
    expect(E.isLeft(await over(E.right(B.fromText('what is this\n')))(web, undefined)())).toBe(true);
  });
});

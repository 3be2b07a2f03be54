/** A place where something may be mounted, looked at from outside: what is mounted there may belong to nobody who answers. */
import * as fs from 'node:fs';
import * as B from '@shim-recovery/core/ByteString';
import * as E from 'fp-ts/lib/Either.js';
import { kernelName } from './FileSystem.js';
import { AT_FDCWD, close, holdWithinMount, O_PATH, openAt, openWithoutSymlinks } from './Native.js';

const { O_DIRECTORY, O_NOFOLLOW } = fs.constants;

interface Names {
  readonly parents: ReadonlyArray<string>;
  readonly name: string;
}

/** Of an absolute path; undefined where it is none, or climbs. */
const namesIn = (path: B.ByteString): Names | undefined => {
  const parents = path.split('/').filter((name) => name !== '');
  const name = parents.pop();
  return !path.startsWith('/') || name === undefined || parents.includes('..') || name === '..'
    ? undefined
    : { parents, name };
};

const openParent = ({ parents }: Names): E.Either<string, number> =>
  openWithoutSymlinks(kernelName(B.fromLatin1(`/${parents.join('/')}`)), O_PATH | O_DIRECTORY);

/** Takes hold of a directory, one component at a time from the root, following no symlink: as `openat2` does. */
const walkTo = (names: ReadonlyArray<string>): E.Either<string, number> => {
  let held = openAt(AT_FDCWD, '/', O_PATH | O_DIRECTORY);
  for (const name of names) {
    if (E.isLeft(held)) return held;
    const next = openAt(held.right, kernelName(B.fromLatin1(name)), O_PATH | O_DIRECTORY | O_NOFOLLOW);
    close(held.right);
    held = next;
  }
  return held;
};

/** A name in an open directory. */
interface Held {
  readonly descriptor: number;
  readonly name: string;
}

/** Takes hold of a mount point's parent. Where one call cannot, it is walked to, and that tells why. */
export const holdParent = (path: B.ByteString): E.Either<string, Held> => {
  const names = namesIn(path);
  if (names === undefined) return E.left('EINVAL');
  const opened = openParent(names);
  const held = E.isLeft(opened) ? walkTo(names.parents) : opened;
  return E.isLeft(held) ? held : E.right({ descriptor: held.right, name: names.name });
};

/**
 * - `Nothing`: no such file or directory.
 * - `MountPoint`: something is mounted there, whatever it is.
 * - `Plain`: a directory on which nothing is.
 */
export type Standing = 'Nothing' | 'MountPoint' | 'Plain';

/** What stands in a directory; undefined where that cannot be told: before Linux 5.6, and of symlinks and files. */
export const standingIn = ({ descriptor, name }: Held): Standing | undefined => {
  const held = holdWithinMount(descriptor, kernelName(B.fromLatin1(name)), O_DIRECTORY);
  if (E.isRight(held)) {
    close(held.right);
    return 'Plain';
  }
  if (held.left === 'EXDEV') return 'MountPoint';
  return held.left === 'ENOENT' ? 'Nothing' : undefined;
};

/** As the mount table has it: by each name once. */
export const isCanonical = (path: B.ByteString): boolean => {
  const names = namesIn(path);
  if (names === undefined) return false;
  const { parents, name } = names;
  return path === `/${[...parents, name].join('/')}` && !parents.includes('.') && name !== '.';
};

/** What stands at a path; undefined where that cannot be told without entering it, or a symlink is on the way. */
export const standingAt = (path: B.ByteString): Standing | undefined => {
  const names = namesIn(path);
  if (names === undefined) return undefined;
  const parent = openParent(names);
  if (E.isLeft(parent)) return parent.left === 'ENOENT' ? 'Nothing' : undefined;
  const standing = standingIn({ descriptor: parent.right, name: names.name });
  close(parent.right);
  return standing;
};

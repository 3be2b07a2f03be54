/** A place where something may be mounted, looked at from outside: what is mounted there may belong to nobody who answers. */
import * as fs from 'node:fs';
import { ByteString as B } from '@shim-recovery/core';
import * as E from 'fp-ts/lib/Either.js';
import { kernelName } from './LinuxFileSystem.js';
import { AT_FDCWD, close, holdWithinMount, O_PATH, openAt, openWithoutSymlinks } from '../native/Native.js';

const { O_DIRECTORY, O_NOFOLLOW } = fs.constants;

interface Names {
  readonly parents: ReadonlyArray<string>;
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

/** A name in an open directory. */
interface Held {
  readonly descriptor: number;
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

/** Whether a name in a directory is that of another directory on which nothing is mounted; no where that cannot be told. */
export const isPlainIn = (held: Held): boolean => held.name !== '.' && standingIn(held) === 'plain';

/** Without entering what is mounted there; undefined where that cannot be told: before Linux 5.6, and of what is no directory. */
const standingIn = ({ descriptor, name }: Held): 'nothing' | 'mount point' | 'plain' | undefined => {
  const held = holdWithinMount(descriptor, kernelName(B.fromLatin1(name)), O_DIRECTORY);
  if (E.isRight(held)) {
    close(held.right);
    return 'plain';
  }
  if (held.left === 'EXDEV') return 'mount point';
  return held.left === 'ENOENT' ? 'nothing' : undefined;
};

/** Whether the mount table has the same name for a path, as far as its text tells: each name once. */
export const isCanonical = (path: B.ByteString): boolean => {
  const names = namesIn(path);
  if (names === undefined) return false;
  const all = [...names.parents, names.name];
  return path === `/${all.join('/')}` && !all.includes('.');
};

/**
 * Whether there is a directory, whatever is mounted on it, which is not entered. Undefined where that cannot be told: where a symlink
 * is on the way, or it is no directory, and before Linux 5.6.
 */
export const isDirectoryAt = (path: B.ByteString): boolean | undefined => {
  const names = namesIn(path);
  if (names === undefined) return undefined;
  const parent = openParent(names);
  if (E.isLeft(parent)) return parent.left === 'ENOENT' ? false : undefined;
  const standing = standingIn({ descriptor: parent.right, name: names.name });
  close(parent.right);
  return standing && standing !== 'nothing';
};

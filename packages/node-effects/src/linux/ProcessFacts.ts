/** What `/proc` tells of a process, of which each part may be refused by itself. */
import { ByteString as B } from '@shim-recovery/core';
import { type DirectoryKey, hidden, type Look, type ProcessNamespaces, seen } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { identityAt, readLinkAt } from '../native/Native.js';
import { hasEnded, namesAt } from './ProcessDirectory.js';

/** The directory that a link leads to. It is not asked of a server: any process may stand in a directory of a dead one. */
export const directoryAt = (directory: number, name: string): Look<DirectoryKey | undefined> => {
  const identity = identityAt(directory, name);
  if (E.isRight(identity)) return seen(identity.right);
  return hasEnded(identity.left) ? seen(undefined) : hidden(identity.left);
};

/** Where the current directory, the root and the program stand, also where they were removed; the root of all is left out. */
export const pathsAt = (directory: number, through: string): ReadonlyArray<B.ByteString> =>
  ['cwd', 'root', 'exe'].flatMap((name) => {
    const link = readLinkAt(directory, `${through}${name}`);
    if (E.isLeft(link) || !link.right.startsWith('/') || link.right === '/') return [];
    return [B.fromLatin1(link.right.replace(/ \(deleted\)$/, ''))];
  });

/** `through` is the path to a process's directory, or to a thread's, with a slash at its end. */
export const namespacesAt = (directory: number, through: string): Look<ProcessNamespaces> => {
  const pid = readLinkAt(directory, `${through}ns/pid`);
  if (E.isLeft(pid)) return hidden(pid.left);
  const mount = readLinkAt(directory, `${through}ns/mnt`);
  if (E.isLeft(mount)) return hidden(mount.left);
  const network = readLinkAt(directory, `${through}ns/net`);
  if (E.isLeft(network)) return hidden(network.left);
  return seen({ pid: pid.right, mount: mount.right, network: network.right });
};

/** Of `cmdline`: each word ends with a NUL, but the last one where a process wrote over it. A word may be empty. */
export const wordsOf = (commandLine: string): ReadonlyArray<B.ByteString> => {
  const words = B.split(B.fromLatin1(commandLine), '\0');
  return words.at(-1) === '' ? words.slice(0, -1) : words;
};

/** Whether a command line may be that of a shim. */
export const isLikeShim = (words: ReadonlyArray<B.ByteString>): boolean =>
  words.some((word) => /(?:^|\s)--?(?:namespace|workdir)(?:[=\s]|$)/.test(word));

/** The directories in which the threads of a process work, but for one. A thread that ends is left out. */
export const otherDirectoriesOf = (
  directory: number,
  but: Look<DirectoryKey | undefined>,
): ReadonlyArray<DirectoryKey> => {
  const threads = namesAt(directory, 'task');
  if (E.isLeft(threads)) return [];
  const found = new Map<string, DirectoryKey>();
  for (const thread of threads.right) {
    const look = directoryAt(directory, `task/${thread}/cwd`);
    if (look._tag === 'Seen' && look.value !== undefined)
      found.set(`${look.value.device}:${look.value.inode}`, look.value);
  }
  if (but._tag === 'Seen' && but.value !== undefined) found.delete(`${but.value.device}:${but.value.inode}`);
  return [...found.values()];
};

/** The inode of the socket that an open file's link leads to; `undefined` where it leads to something else. */
export const socketInode = (link: string): string | undefined => /^socket:\[(\d+)\]$/.exec(link)?.[1];

/** Of `cgroup`: `12:memory:/default/web` */
export const groupsOf = (cgroup: string): ReadonlyArray<B.ByteString> =>
  B.split(B.fromLatin1(cgroup), '\n').flatMap((line) => {
    const [, , ...path] = B.split(line, ':');
    return path.length === 0 ? [] : [B.fromLatin1(path.join(':'))];
  });

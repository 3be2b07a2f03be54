/**
 * The entries of one file system in memory: memfs's links and nodes, used directly.
 *
 * memfs's own operations take paths, which it resolves without looking at symlinks, and get `rename`, `rm` and several
 * errors wrong; so only its data is used: a link is a name in a directory, its node is the inode. A name is a byte
 * string and reaches memfs as it is, one character a byte. Which operation is allowed when is decided in `Tree`.
 */
import { ByteString as B } from '@shim-recovery/core';
import type { FileKind } from '@shim-recovery/core/interpreter';
import { Volume } from 'memfs';

/** A directory entry with the inode behind it. It stays the same thing when it, or a directory above it, is renamed. */
export type Entry = Volume['_core']['root'];

const typeBits = 0o170000;

const permissionBits = 0o7777;

const typeOf: Readonly<Record<FileKind, number>> = {
  fifo: 0o010000,
  device: 0o020000,
  directory: 0o040000,
  file: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
};

const blockDevice = 0o060000;

const kinds = new Map<number, FileKind>([
  [typeOf.fifo, 'fifo'],
  [typeOf.device, 'device'],
  [blockDevice, 'device'],
  [typeOf.directory, 'directory'],
  [typeOf.symlink, 'symlink'],
  [typeOf.socket, 'socket'],
]);

/** What it is; memfs has no pipes, sockets and devices, but a mode can say so. */
export const kindOf = (entry: Entry): FileKind => kinds.get(entry.getNode().mode & typeBits) ?? 'file';

export const isDirectory = (entry: Entry): boolean => kindOf(entry) === 'directory';

/** Whether any of the three execute bits is set. */
export const isExecutable = (entry: Entry): boolean => (entry.getNode().mode & 0o111) !== 0;

/** The root of a new, empty file system. */
export const makeFileSystem = (): Entry => new Volume()._core.root;

/** Whether two entries are on the same file system. */
export const sameFileSystem = (first: Entry, second: Entry): boolean => first.vol === second.vol;

/** Whether it is the top of its file system. */
export const isRoot = (entry: Entry): boolean => entry.vol.root === entry;

/** The directory that it is in; a root is in itself. */
export const parentOf = (entry: Entry): Entry => (isRoot(entry) ? entry : (entry.parent ?? entry));

/** Whether it still has a name. A directory that was removed while somebody had it open has none. */
export const isAttached = (entry: Entry): boolean => isRoot(entry) || entry.parent?.children.get(entry.name) === entry;

/** What a directory holds under this name. */
export const childOf = (directory: Entry, name: B.ByteString): Entry | undefined =>
  name === '.' || name === '..' ? undefined : directory.children.get(name);

/** The names in a directory, without `.` and `..`, in byte-wise order. */
export const namesIn = (directory: Entry): ReadonlyArray<B.ByteString> =>
  [...directory.children.keys()]
    .filter((name) => name !== '.' && name !== '..')
    .map(nameOf)
    .sort(B.Ord.compare);

// Every name was a byte string when its entry was made; memfs only forgot so.
const nameOf = (name: string): B.ByteString => (B.ByteString.is(name) ? name : B.fromText(name));

/** An entry's own name. */
export const ownName = (entry: Entry): B.ByteString => nameOf(entry.name);

/** What is to be made. `content` is a file's contents, or a symlink's text. */
export interface NewEntry {
  readonly kind: FileKind;
  readonly mode: number;
  readonly content?: B.ByteString;
}

/** Makes it in a directory that has nothing of this name. */
export const makeChild = (directory: Entry, name: B.ByteString, { kind, mode, content = B.empty }: NewEntry): Entry => {
  const node = directory.vol.createNode(typeOf[kind] | (mode & permissionBits));
  if (kind === 'symlink') node.symlink = content;
  if (kind === 'file') node.setBuffer(Buffer.from(content, 'latin1'));
  return directory.createChild(name, node);
};

/** A file's contents, or a symlink's text. */
export const contentOf = (entry: Entry): B.ByteString =>
  kindOf(entry) === 'symlink' ? nameOf(entry.getNode().symlink) : B.fromBytes(entry.getNode().getBuffer());

/** Whom it belongs to: by default the user that this process runs as, as if that user had made it. */
export const uidOf = (entry: Entry): number => entry.getNode().uid;

/** Gives it, and all below it, to another user. */
export const giveTo = (entry: Entry, uid: number): void => {
  entry.getNode().chown(uid, uid);
  if (!isDirectory(entry)) return;
  for (const name of namesIn(entry)) {
    const child = childOf(entry, name);
    if (child !== undefined) giveTo(child, uid);
  }
};

/** How many bytes a file holds. */
export const sizeOf = (entry: Entry): number => entry.getNode().getSize();

/** Takes the name away from its directory. The inode number is free for the next entry only after {@link free}. */
export const detach = (entry: Entry): void => {
  entry.parent?.deleteChild(entry);
};

/** Gives an inode's number back; memfs hands it out again to the next inode, as file systems do. */
export const free = (entry: Entry): void => {
  entry.vol.deleteNode(entry.getNode());
};

/** Moves an entry, with all below it, to a name that is not taken. */
export const move = (entry: Entry, directory: Entry, name: B.ByteString): void => {
  detach(entry);
  entry.name = name;
  entry.steps = [...directory.steps, name];
  directory.setChild(name, entry);
};

/** The kernel's mount table, read as the reference reads it: every line counts, one odd line spoils all (SPEC 7.3, H39). */
import * as E from 'fp-ts/lib/Either.js';
import * as B from '../base/ByteString.js';
import { below } from '../capabilities/BundleLayout.js';
import type { MountError } from '../capabilities/Mounts.js';

/** One mounted file system. */
export interface Mount {
  /** `major:minor` of the file system. */
  readonly device: B.ByteString;
  /** The directory of that file system which is mounted: not its top where a part of it is mounted (`mount --bind`). */
  readonly root: B.ByteString;
  readonly mountPoint: B.ByteString;
  readonly fsType: B.ByteString;
}

const maxLineBytes = 64 * 1024;

const minFields = 10;

const firstOptionalField = 6;

/** The lines of a table, some at a time: each part can be parsed alone. */
export const partsOf = (table: B.ByteString): ReadonlyArray<ReadonlyArray<B.ByteString>> => {
  const lines = B.split(table, '\n');
  const parts: Array<ReadonlyArray<B.ByteString>> = [];
  for (let at = 0; at < lines.length; at += linesAtOnce) parts.push(lines.slice(at, at + linesAtOnce));
  return parts;
};

/** How many lines are read in one go: those of most machines. */
const linesAtOnce = 256;

/** All mounts, in the kernel's order. Left: the table as a whole cannot be relied on. */
export const parse = (table: B.ByteString): E.Either<MountError, ReadonlyArray<Mount>> =>
  parseLines(B.split(table, '\n'));

/** Those of some lines. */
export const parseLines = (lines: ReadonlyArray<B.ByteString>): E.Either<MountError, ReadonlyArray<Mount>> => {
  const mounts: Array<Mount> = [];
  for (const line of lines) {
    if (line === '') continue;
    const mount = parseLine(line);
    if (typeof mount === 'string') return E.left({ _tag: 'TableUnreadable', reason: `${mount}: ${B.show(line)}` });
    mounts.push(mount);
  }
  return E.right(mounts);
};

const parseLine = (line: B.ByteString): Mount | string => {
  if (line.length > maxLineBytes) return 'a line is too long';
  const fields = B.split(line, ' ');
  if (fields.length < minFields) return 'a line has too few fields';
  const separator = separatorOf(fields);
  if (separator < 0) return 'a line has no separator';
  const device = fields[2];
  if (device?.split(':').length !== 2) return 'a line has no device number';
  const [root, mountPoint, fsType, source] = [fields[3], fields[4], fields[separator + 1], fields[separator + 2]].map(
    (field) => (field === undefined ? undefined : unescape(field)),
  );
  if (root === undefined || mountPoint === undefined || fsType === undefined || source === undefined)
    return 'a line has a malformed escape';
  return { device, root, mountPoint, fsType };
};

/** The index of the lone `-` that ends the optional fields, searched from the back; below 6 there is none. */
const separatorOf = (fields: ReadonlyArray<B.ByteString>): number => {
  for (let at = fields.length - 4; at >= firstOptionalField; at--) if (fields[at] === '-') return at;
  return -1;
};

/** Undoes the kernel's escaping: a backslash and three octal digits stand for one byte. Undefined where malformed. */
const unescape = (field: B.ByteString): B.ByteString | undefined => {
  if (!field.includes('\\')) return field;
  const pieces: Array<B.ByteString> = [];
  for (let at = 0; at < field.length; ) {
    const backslash = field.indexOf('\\', at);
    if (backslash < 0) {
      pieces.push(B.slice(field, at));
      break;
    }
    const digits = field.slice(backslash + 1, backslash + 4);
    if (!/^[0-3][0-7]{2}$/.test(digits)) return undefined;
    pieces.push(B.slice(field, at, backslash), B.fromBytes(Uint8Array.of(Number.parseInt(digits, 8))));
    at = backslash + 4;
  }
  return B.concat(...pieces);
};

/** All of them, each place once, in byte-wise order: what stands below a path stands together. */
export type MountPoints = ReadonlyArray<MountPoint>;

export const mountPointsOf = (mounts: ReadonlyArray<Pick<Mount, 'mountPoint'>>): MountPoints =>
  [...new Set(mounts.map(({ mountPoint }) => mountPoint))]
    .map((path, rank): MountPoint => ({ path, rank }))
    .sort((first, second) => B.Ord.compare(first.path, second.path));

/** A place where something is mounted, and its rank in the kernel's order. */
interface MountPoint {
  readonly path: B.ByteString;
  readonly rank: number;
}

/**
 * The mount points at or below a path, longest first, and those of one length in the kernel's order: as the reference
 * unmounts them. The path is compared as it is written; a symlink in it makes it match nothing (H13).
 */
export const mountPointsBelow =
  (path: B.ByteString) =>
  (points: MountPoints): ReadonlyArray<B.ByteString> => {
    const prefix = `${path}/`;
    const start = firstFrom(points, prefix);
    let end = start;
    while (points[end]?.path.startsWith(prefix) === true) end++;
    const itself = points[firstFrom(points, path)];
    return [...points.slice(start, end), ...(itself?.path === path ? [itself] : [])]
      .sort((first, second) => second.path.length - first.path.length || first.rank - second.rank)
      .map((point) => point.path);
  };

/** The first index whose path does not come before `text`. */
const firstFrom = (points: MountPoints, text: string): number => {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((points[middle]?.path ?? '') < text) low = middle + 1;
    else high = middle;
  }
  return low;
};

/** A directory by the file system that it is on and its path there: the same by every path that leads to it. */
export interface Place {
  readonly device: B.ByteString;
  readonly path: B.ByteString;
}

/** Where an absolute path without symlinks leads: what was mounted last at or above it hides what was mounted before. */
export const placeOf =
  (mounts: ReadonlyArray<Mount>) =>
  (path: B.ByteString): Place | undefined => {
    const mount = mounts.findLast(({ mountPoint }) => restBelow(mountPoint, path) !== undefined);
    const rest = mount === undefined ? undefined : restBelow(mount.mountPoint, path);
    if (mount === undefined || rest === undefined) return undefined;
    return { device: mount.device, path: rest === '' ? mount.root : below(mount.root, rest) };
  };

/** The rest of a path below a directory, without the slash between them; undefined where it is not at or below it. */
const restBelow = (directory: B.ByteString, path: B.ByteString): B.ByteString | undefined => {
  if (path === directory) return B.empty;
  const prefix = directory.endsWith('/') ? directory : `${directory}/`;
  return path.startsWith(prefix) ? B.slice(path, prefix.length) : undefined;
};

/** Whether a place is another one, or lies below it. */
export const isAtOrBelow =
  (outer: Place) =>
  (inner: Place): boolean =>
    inner.device === outer.device && restBelow(outer.path, inner.path) !== undefined;

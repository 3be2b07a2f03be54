/** Real directories, files, links, pipes and mounts: made from data, and told as data. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import { type FileKind, MountTable } from '@shim-recovery/core/interpreter';
import type { Making } from '@shim-recovery/test-effects/worlds/Fixture';
import type { Listing, TreeEntry } from '@shim-recovery/test-effects/worlds/Outcome';
import * as E from 'fp-ts/lib/Either.js';
import { mkfifo } from '../src/native/Native.js';

const bytesOf = (text: string): Buffer => Buffer.from(text, 'utf8');

/** Makes one thing, and the directories above it. */
export const makeReal = (making: Making): void => {
  fs.mkdirSync(path.dirname(making.path), { recursive: true, mode: 0o711 });
  switch (making._tag) {
    case 'Directory':
      fs.mkdirSync(making.path, { recursive: true });
      fs.chmodSync(making.path, making.mode);
      return;
    case 'File':
      fs.writeFileSync(making.path, making.text);
      return;
    case 'Symlink':
      fs.symlinkSync(making.target, making.path);
      return;
    case 'Fifo': {
      const made = mkfifo(bytesOf(making.path), making.mode);
      if (E.isLeft(made)) throw new Error(`mkfifo ${making.path}: ${made.left}`);
      return;
    }
    case 'Tmpfs':
      fs.mkdirSync(making.path, { recursive: true });
      execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', making.path]);
      return;
  }
};

const kindOf = (entry: fs.Dirent<Buffer>): FileKind => {
  if (entry.isDirectory()) return 'directory';
  if (entry.isFile()) return 'file';
  if (entry.isSymbolicLink()) return 'symlink';
  if (entry.isFIFO()) return 'fifo';
  return entry.isSocket() ? 'socket' : 'device';
};

const contentOf = (file: Buffer, kind: FileKind): { readonly content?: B.ByteString } => {
  if (kind === 'file') return { content: B.fromBytes(fs.readFileSync(file)) };
  return kind === 'symlink' ? { content: B.fromBytes(fs.readlinkSync(file, { encoding: 'buffer' })) } : {};
};

/** In the order in which they were mounted; one that is mounted over is there twice. */
const mountPoints = (): ReadonlyArray<B.ByteString> => {
  const mounts = MountTable.parse(B.fromBytes(fs.readFileSync('/proc/self/mountinfo')));
  if (E.isLeft(mounts)) throw new Error(JSON.stringify(mounts.left));
  return mounts.right.map(({ mountPoint }) => mountPoint);
};

const listBelow = (directory: Buffer, mounted: ReadonlySet<B.ByteString>): ReadonlyArray<TreeEntry> =>
  fs.readdirSync(directory, { encoding: 'buffer', withFileTypes: true }).flatMap((entry) => {
    const file = Buffer.concat([directory, Buffer.from('/'), entry.name]);
    const kind = kindOf(entry);
    const name = B.fromBytes(file);
    const below = kind === 'directory' ? listBelow(file, mounted) : [];
    return [{ path: name, kind, isMountPoint: mounted.has(name), ...contentOf(file, kind) }, ...below];
  });

/** Takes away every mount below a directory: the last that was made first, until none is left, for they may be stacked. */
export const unmountBelow = (base: string): void => {
  for (const point of [...mountPoints()].map(B.toText).reverse())
    if (point.startsWith(`${base}/`)) execFileSync('umount', ['--lazy', point]);
};

/** Everything below a directory: symlinks not followed, mounts entered. */
export const listReal = (base: string): Listing => listBelow(bytesOf(base), new Set(mountPoints()));

import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import * as B from '@shim-recovery/core/ByteString';
import type { FileKind } from '@shim-recovery/core/FileSystem';
import type { Listing, TreeEntry } from '../src/Outcome.js';

/** What the kernel says of one call: a value, or the errno's name. */
export type Answer = { readonly value: unknown } | { readonly code: string };

const answer = (run: () => unknown): Answer => {
  try {
    return { value: run() };
  } catch (problem) {
    const code = problem instanceof Error && 'code' in problem ? problem.code : undefined;
    if (typeof code !== 'string') throw problem;
    return { code };
  }
};

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

/** An entry of an open directory, by the path that the kernel offers for it. */
const at = (handle: number, name: string): Buffer => Buffer.concat([bytes(`/proc/self/fd/${handle}/`), bytes(name)]);

const kindOf = (entry: fs.Stats | fs.Dirent | fs.Dirent<Buffer>): FileKind => {
  if (entry.isDirectory()) return 'directory';
  if (entry.isSymbolicLink()) return 'symlink';
  if (entry.isFIFO()) return 'fifo';
  if (entry.isSocket()) return 'socket';
  return entry.isFile() ? 'file' : 'device';
};

const O = fs.constants;

/** A pool of pipes: making one takes a program, renaming one into its place does not. */
const makePipes = (directory: string): (() => string) => {
  const batch = 500;
  let made = 0;
  let used = 0;
  return () => {
    if (used === made) {
      const names = Array.from({ length: batch }, (_, index) => path.join(directory, `${made + index}`));
      const { status } = spawnSync('mkfifo', names);
      if (status !== 0) throw new Error('mkfifo failed');
      made += batch;
    }
    used += 1;
    return path.join(directory, `${used - 1}`);
  };
};

/** A directory of the real file system, and the same operations on it as the capability has, one kernel call each. */
export const makeRealDirectories = () => {
  const top = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'shim-recovery-')));
  fs.mkdirSync(path.join(top, 'pipes'));
  const nextPipe = makePipes(path.join(top, 'pipes'));
  let count = 0;
  return {
    clear: (): void => fs.rmSync(top, { recursive: true, force: true }),
    /** A new, empty directory, far enough below the top that no link of a test leads out of it. */
    next: (): string => {
      count += 1;
      const base = path.join(top, String(count), 'up/up/up/up/up/up/up');
      fs.mkdirSync(base, { recursive: true });
      return base;
    },
    discard: (base: string): void => fs.rmSync(path.resolve(base, '../../../../../../..'), { recursive: true }),
    nextPipe,
  };
};

export const openPath = (where: Buffer): Answer => answer(() => fs.openSync(where, O.O_RDONLY | O.O_DIRECTORY));

export const pathOfHandle = (handle: number): string => fs.readlinkSync(`/proc/self/fd/${handle}`, 'latin1');

export const close = (handle: number): void => fs.closeSync(handle);

export const openDirectory = (handle: number, name: string): Answer =>
  answer(() => fs.openSync(at(handle, name), O.O_RDONLY | O.O_DIRECTORY | O.O_NOFOLLOW));

export const list = (handle: number): Answer =>
  answer(() =>
    fs
      .readdirSync(bytes(`/proc/self/fd/${handle}`), { withFileTypes: true, encoding: 'buffer' })
      .map((entry) => ({ name: entry.name.toString('latin1'), kind: kindOf(entry) }))
      .sort((first, second) => (first.name < second.name ? -1 : 1)),
  );

export const readSmallFile = (handle: number, name: string, maxBytes: number): Answer =>
  answer(() => {
    const status = fs.lstatSync(at(handle, name));
    if (!status.isFile()) return { notRegular: kindOf(status) };
    return status.size > maxBytes ? 'too large' : fs.readFileSync(at(handle, name), 'latin1');
  });

export const readLink = (handle: number, name: string): Answer =>
  answer(() => fs.readlinkSync(at(handle, name), 'latin1'));

export const status = (handle: number, name: string): Answer => answer(() => kindOf(fs.lstatSync(at(handle, name))));

export const resolvedStatus = (handle: number, name: string): Answer =>
  answer(() => kindOf(fs.statSync(at(handle, name))));

export const rename = (from: readonly [number, string], to: readonly [number, string]): Answer =>
  answer(() => fs.renameSync(at(...from), at(...to)));

export const unlink = (handle: number, name: string): Answer => answer(() => fs.unlinkSync(at(handle, name)));

export const removeDirectory = (handle: number, name: string): Answer => answer(() => fs.rmdirSync(at(handle, name)));

export const makeDirectory = (handle: number, name: string): Answer => answer(() => fs.mkdirSync(at(handle, name)));

export const makeFile = (handle: number, name: string, content: string): Answer =>
  answer(() => fs.writeFileSync(at(handle, name), bytes(content), { flag: 'wx' }));

export const makeSymlink = (handle: number, name: string, target: string): Answer =>
  answer(() => fs.symlinkSync(bytes(target), at(handle, name)));

/** Moves a pipe to a name that is not taken. */
export const placePipe = (handle: number, name: string, pipe: () => string): Answer =>
  answer(() => {
    // linkSync refuses a name that is taken, which renameSync would replace.
    const made = pipe();
    fs.linkSync(made, at(handle, name));
    fs.unlinkSync(made);
  });

/** Everything below a directory. */
export const listReal = (top: string): Listing => {
  const entries: Array<TreeEntry> = [];
  const visit = (directory: Buffer): void => {
    for (const entry of fs.readdirSync(directory, { withFileTypes: true, encoding: 'buffer' })) {
      const here = Buffer.concat([directory, bytes('/'), entry.name]);
      const kind = kindOf(entry);
      const content = { file: fs.readFileSync, symlink: (link: Buffer) => fs.readlinkSync(link, 'buffer') };
      entries.push({
        path: B.fromBytes(here),
        kind,
        ...(kind === 'file' || kind === 'symlink' ? { content: B.fromBytes(content[kind](here)) } : {}),
        isMountPoint: false,
      });
      if (kind === 'directory') visit(here);
    }
  };
  visit(bytes(top));
  return entries;
};

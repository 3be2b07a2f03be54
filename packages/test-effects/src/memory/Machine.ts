/**
 * An imaginary machine: a directory tree, mounts, shims and their programs, stores and a clock; every capability over
 * them, and everything that happened to it.
 */
import { ByteString as B } from '@shim-recovery/core';
import type { Capabilities } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import type { IO } from 'fp-ts/lib/IO.js';
import { defaultStartMs, makeClock, type VirtualClock } from './MemoryClock.js';
import * as Entry from './Entry.js';
import { makeEventSink, type RecordingEventSink } from './MemoryEventSink.js';
import { makeFileSystem, type MemoryFileSystem } from './MemoryFileSystem.js';
import { makeLogPipes, type MemoryLogPipes } from './MemoryLogPipes.js';
import { makeProcesses, type MemoryProcesses } from './MemoryProcesses.js';
import { makeMounts, type MountQuirks } from './MemoryMounts.js';
import type { Listing, TreeEntry } from '../worlds/Outcome.js';
import { makeProgramFiles } from './MemoryExecutableLookup.js';
import { makeShimBinary, type ScriptedShimBinary } from './MemoryShimBinary.js';
import { makeShimConnector, type ScriptedShimConnector } from './MemoryShimConnector.js';
import { makeStores, type MemoryStores } from './MemoryStores.js';
import { makeMemoryObserver, type MemoryObserver } from './MemoryObserver.js';
import { makeTree, type Tree } from './Tree.js';

export interface Machine {
  readonly capabilities: Capabilities;
  readonly tree: Tree;
  readonly clock: VirtualClock;
  readonly fileSystem: MemoryFileSystem;
  readonly processes: MemoryProcesses;
  readonly shims: ScriptedShimConnector;
  readonly shimBinary: ScriptedShimBinary;
  readonly stores: MemoryStores;
  readonly eventSink: RecordingEventSink;
  readonly logPipes: MemoryLogPipes;
  readonly observer: MemoryObserver;
  /** Asks the run to end, as SIGTERM would. */
  readonly interrupt: IO<void>;
}

/** How long the machine has been running when its story begins, in milliseconds. */
export const bootedBeforeMs = 3_600_000;

export const makeMachine = (quirks: MountQuirks = {}): Machine => {
  const tree = makeTree();
  const clock = makeClock();
  const fileSystem = makeFileSystem(tree, clock);
  const shims = makeShimConnector(tree, clock);
  const processes = makeProcesses({ tree, fileSystem, shims, bootedMs: defaultStartMs - bootedBeforeMs });
  const shimBinary = makeShimBinary(tree, fileSystem, clock);
  const stores = makeStores();
  const eventSink = makeEventSink();
  const logPipes = makeLogPipes(tree, fileSystem);
  const observer = makeMemoryObserver();
  let isInterrupted = false;
  return {
    capabilities: {
      fileSystem,
      mounts: makeMounts(tree, quirks),
      processes,
      programFiles: makeProgramFiles(tree),
      shimConnector: shims,
      shimBinary,
      containerStore: stores.containerStore,
      sandboxStore: stores.sandboxStore,
      eventSink,
      logPipes,
      clock,
      observer,
      interrupted: () => isInterrupted,
    },
    tree,
    clock,
    fileSystem,
    processes,
    shims,
    shimBinary,
    stores,
    eventSink,
    logPipes,
    observer,
    interrupt: () => {
      isInterrupted = true;
    },
  };
};

/** The directory of this path; what is missing of it is made. Symlinks on the way are followed. */
export const makeDirectories = (tree: Tree, path: B.ByteString, mode = 0o755): Entry.Entry => {
  let at = tree.root();
  for (const name of B.split(path, '/').filter((part) => part !== '')) {
    const found = tree.walk(name, { from: at });
    at = orDefect(
      B.show(path),
      E.isLeft(found) && found.left === 'ENOENT'
        ? E.right(Entry.makeChild(at, name, { kind: 'directory', mode }))
        : found,
    );
  }
  return at;
};

/** A test that lays something impossible is wrong itself: that is a defect, not an outcome. */
const orDefect = <A>(what: string, outcome: E.Either<string, A>): A => {
  if (E.isLeft(outcome)) throw new Error(`cannot lay ${what}: ${outcome.left}`);
  return outcome.right;
};

/** Makes one entry at a path at which nothing stands; its parent directories are made where they are missing. */
export const makeEntry = (tree: Tree, path: B.ByteString, entry: Entry.NewEntry): Entry.Entry => {
  const slash = path.lastIndexOf('/');
  const parent = makeDirectories(tree, B.slice(path, 0, slash));
  const name = B.slice(path, slash + 1);
  return orDefect(
    B.show(path),
    pipe(
      tree.lookUp(parent, name),
      E.swap,
      E.mapLeft(() => 'something stands there'),
      E.chain((code) => (code === 'ENOENT' ? E.right(Entry.makeChild(parent, name, entry)) : E.left(code))),
    ),
  );
};

/** Mounts a file system on the directory of this path, which is made where it is missing. */
export const makeMount = (tree: Tree, path: B.ByteString, fsType = 'tmpfs') =>
  tree.mount(makeDirectories(tree, path), fsType);

/** Everything below a path: mounts entered, symlinks not followed. */
export const listTree = (tree: Tree, path: B.ByteString): Listing => {
  const entries: Array<TreeEntry> = [];
  const visit = (directory: Entry.Entry, at: B.ByteString): void => {
    for (const name of Entry.namesIn(directory)) {
      const child = Entry.childOf(directory, name);
      if (child === undefined) continue;
      const childPath = B.concat(at, B.fromText('/'), name);
      const kind = Entry.kindOf(child);
      const hasContent = kind === 'file' || kind === 'symlink';
      entries.push({
        path: childPath,
        kind,
        ...(hasContent ? { content: Entry.contentOf(child) } : {}),
        isMountPoint: tree.isMountPoint(child),
      });
      if (kind === 'directory') visit(orDefect(B.show(childPath), tree.lookUp(directory, name)), childPath);
    }
  };
  const top = tree.walk(path);
  if (E.isRight(top) && Entry.isDirectory(top.right)) visit(top.right, path === '/' ? B.empty : path);
  return entries;
};

/** What somebody else may do to a world while a recovery is under way, as data. */
import { ByteString as B } from '@shim-recovery/core';
import * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import * as Entry from '../memory/Entry.js';
import { type LaidWorld, make } from './LaidWorld.js';
import { directory, fifo, file, type Making, symlink, tmpfs } from '../worlds/Fixture.js';
import { running } from '../worlds/Shim.js';
import type { ScriptedShimConnector } from '../memory/MemoryShimConnector.js';
import type { Tree } from '../memory/Tree.js';
import { ordinary, type Start } from '../worlds/World.js';
import { bundlePath, type Places, resolvePlaceholders, workPath } from '../worlds/WorldTree.js';

/**
 * - `bundle-vanishes`, `work-vanishes`: the bundle, or the working directory, is not there any more.
 * - `bundle-swapped`, `work-swapped`: a symlink to a directory outside stands in its place.
 * - `bundle-recreated`: another one of the same id, with a file `new` in it, and a shim that runs.
 * - `address-swapped`: a FIFO stands where the address was.
 * - `mount-appears`: a file system is mounted on a directory `volume` in the bundle. `mounts-vanish`: none is any more.
 * - `shim-dies`, `shim-appears`: it ends with all its connections; one that runs listens on its socket.
 */
export const Move = t.keyof(
  {
    'bundle-vanishes': null,
    'bundle-swapped': null,
    'bundle-recreated': null,
    'work-vanishes': null,
    'work-swapped': null,
    'address-swapped': null,
    'mount-appears': null,
    'mounts-vanish': null,
    'shim-dies': null,
    'shim-appears': null,
  },
  'Move',
);

export type Move = t.TypeOf<typeof Move>;

export const allMoves: ReadonlyArray<Move> = Object.keys(Move.keys).filter(Move.is);

/** Says whether nothing stands there afterwards. */
const vanish = (tree: Tree, path: string): boolean => {
  const entry = find(tree, path);
  if (entry !== undefined) removeAll(tree, entry);
  return find(tree, path) === undefined;
};

/** As `rm -rf` would: all but what is mounted, and the directories that hold it. */
const removeAll = (tree: Tree, entry: Entry.Entry): void => {
  if (tree.isMountPoint(entry) || Entry.isRoot(entry)) return;
  if (Entry.isDirectory(entry))
    for (const name of Entry.namesIn(entry)) {
      const child = Entry.childOf(entry, name);
      if (child !== undefined) removeAll(tree, child);
    }
  if (!Entry.isDirectory(entry) || Entry.namesIn(entry).length === 0) tree.remove(entry);
};

const find = (tree: Tree, path: string): Entry.Entry | undefined => {
  const found = tree.walk(B.fromText(path), { followLast: false });
  return E.isRight(found) ? found.right : undefined;
};

/** Makes a move about one entry, and says whether it came to something: one that is not possible any more does not. */
export const makeMove =
  ({ machine: { tree, shims }, places }: LaidWorld) =>
  (move: Move, start: Start): boolean => {
    const bundle = bundlePath(places, start);
    const path = places.socketOf(start);
    const socket = { _tag: 'Path', path: B.fromText(path) } as const;
    switch (move) {
      case 'bundle-vanishes':
        return vanish(tree, bundle);
      case 'work-vanishes':
        return vanish(tree, workPath(places, start));
      case 'bundle-swapped':
        return swap(tree, places, bundle);
      case 'work-swapped':
        return swap(tree, places, workPath(places, start));
      case 'bundle-recreated':
        return recreate(tree, places, start);
      case 'address-swapped':
        return vanish(tree, `${bundle}/address`) && makeAll(tree, [fifo(`${bundle}/address`)]);
      case 'mount-appears':
        return makeAll(tree, [directory(`${bundle}/volume`), tmpfs(`${bundle}/volume/mounted`)]);
      case 'mounts-vanish':
        for (const { root } of Array.from(tree.mounts()).reverse())
          if (B.toText(tree.pathOf(root)).startsWith(`${bundle}/`)) tree.unmount(root);
        return true;
      case 'shim-dies':
        shims.kill(socket);
        return true;
      case 'shim-appears':
        // Where there never was a socket, nobody knows of it; and only one listens.
        if (find(tree, path) === undefined || isListening(shims, path)) return false;
        shims.listen(socket, running);
        return true;
    }
  };

const isListening = ({ listening }: ScriptedShimConnector, path: string): boolean =>
  listening().some((socket) => socket._tag === 'Path' && B.toText(socket.path) === path);

/** Makes each thing, as long as nothing stands there and its parent does; says whether it made them all. */
const makeAll = (tree: Tree, makings: ReadonlyArray<Making>): boolean =>
  makings.every((making) => {
    const parent = find(tree, making.path.slice(0, making.path.lastIndexOf('/')));
    if (find(tree, making.path) !== undefined || parent === undefined || !Entry.isDirectory(parent)) return false;
    make(tree)(making);
    return true;
  });

const recreate = (tree: Tree, places: Places, start: Start): boolean => {
  const bundle = bundlePath(places, start);
  return (
    vanish(tree, bundle) &&
    makeAll(tree, [
      directory(bundle),
      ...Object.entries(ordinary.files).map(([name, text]) =>
        file(`${bundle}/${name}`, resolvePlaceholders(places, start)(text)),
      ),
      file(`${bundle}/new`),
      directory(`${bundle}/rootfs`),
      fifo(`${bundle}/log`),
    ])
  );
};

const swap = (tree: Tree, { base }: Places, path: string): boolean => {
  const entry = find(tree, path);
  const aside = tree.walk(B.fromText(`${base}/outside`));
  if (entry === undefined || Entry.isRoot(entry) || E.isLeft(aside)) return false;
  const name = B.fromText(`moved-${Entry.namesIn(aside.right).length}`);
  if (!Entry.sameFileSystem(entry, aside.right) || Entry.childOf(aside.right, name) !== undefined) return false;
  Entry.move(entry, aside.right, name);
  return makeAll(tree, [symlink(path, `${base}/outside/target`)]);
};

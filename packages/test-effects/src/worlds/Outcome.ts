/**
 * What became of a recorded world, told in the words of the recordings, from listings that any interpreter can make.
 */
import { ByteString as B } from '@shim-recovery/core';
import type { FileKind } from '@shim-recovery/core/interpreter';
import type { Daemon, Fate, RecordedCase, RecordedOutcome } from './Recordings.js';
import { type EntryKey, keyOf, sameKey, type Start } from './World.js';
import {
  bundlePath,
  elsewherePath,
  hiddenBundlePath,
  hiddenWorkPath,
  insertPlaceholders,
  type Places,
  workPath,
} from './WorldTree.js';

/**
 * One entry of a tree. `path` is absolute; `content` is a file's contents or a symlink's text, and undefined for
 * everything else; `isMountPoint` says that something is mounted on it, and then the entries below are the mounted ones.
 */
export interface TreeEntry {
  readonly path: B.ByteString;
  readonly kind: FileKind;
  readonly content?: B.ByteString;
  readonly isMountPoint: boolean;
}

/** All that stood below a world's base at one moment, in any order; symlinks not followed, mounts entered. */
export type Listing = ReadonlyArray<TreeEntry>;

/** A call that a scripted shim received: whose shim, and `task.v2.Task/Connect`. */
export interface ShimCall extends EntryKey {
  readonly call: string;
}

/** Whose binary was started. `isIdle`: it ended nothing, as without the record of its runtime. */
export interface StartedBinary extends EntryKey {
  readonly isIdle?: true;
}

/** What was seen of one run over one world. */
export interface Observation {
  readonly before: Listing;
  readonly after: Listing;
  /** In the order in which the shims received them. */
  readonly calls: ReadonlyArray<ShimCall>;
  /** Whose binary was started with `delete`; one that could not be started is not here. */
  readonly binaryRuns: ReadonlyArray<StartedBinary>;
  readonly registered: ReadonlyArray<EntryKey>;
}

/** Whether something was done to a task that ends it, as far as its shim and its shim's program saw. */
export const isEndedBy =
  (key: EntryKey) =>
  ({ calls, binaryRuns }: Pick<Observation, 'calls' | 'binaryRuns'>): boolean =>
    binaryRuns.some((run) => run.isIdle !== true && sameKey(run, key)) ||
    calls.some((call) => sameKey(call, key) && /\/(?:Delete|Shutdown)$/.test(call.call));

/** The name by which recordings call a task service's method: without the leading `containerd.`. */
export const callName = (service: string, method: string): string =>
  `${service.replace(/^containerd\./, '')}/${method}`;

/** What became of one case. */
export const outcomeOf =
  (places: Places) =>
  (observation: Observation) =>
  (start: Start): RecordedOutcome => {
    const { before, after } = observation;
    const generalise = insertPlaceholders(places, start);
    const fate = (path: string): Fate => fateOf(subtree(before, path), subtree(after, path), generalise);
    const key = keyOf(start);
    const hidden = [
      ...hiddenLines('state', start, subtree(after, hiddenBundlePath(places, start))),
      ...hiddenLines('work', start, subtree(after, hiddenWorkPath(places, start))),
    ];
    const mounts = subtree(after, bundlePath(places, start)).filter(({ entry }) => entry.isMountPoint).length;
    const isElsewhere = typeof start.bundle === 'object' && start.bundle.work === 'elsewhere';
    return {
      state: fate(bundlePath(places, start)),
      work: fate(workPath(places, start)),
      registered: observation.registered.some((other) => sameKey(key, other)),
      rpc: observation.calls.filter((call) => sameKey(key, call)).map(({ call }) => call),
      delete: observation.binaryRuns.some((run) => sameKey(key, run)),
      ...(isElsewhere ? { outside: fate(elsewherePath(places, start)) } : {}),
      ...(hidden.length > 0 ? { hidden } : {}),
      ...(mounts > 0 ? { mounts } : {}),
    };
  };

const fateOf = (before: Subtree, after: Subtree, generalise: (text: string) => string): Fate => {
  if (after.length === 0) return before.length === 0 ? 'none' : 'gone';
  return sameTree(before, after) ? 'kept' : { now: after.map(line(generalise)) };
};

/** The entry at a path and those below it, each with its path relative to it; the entry itself is `.`. */
type Subtree = ReadonlyArray<{ readonly name: string; readonly entry: TreeEntry }>;

const sameTree = (first: Subtree, second: Subtree): boolean =>
  first.length === second.length &&
  first.every(({ name, entry }, index) => {
    const other = second[index];
    return (
      other !== undefined &&
      other.name === name &&
      other.entry.kind === entry.kind &&
      other.entry.content === entry.content &&
      other.entry.isMountPoint === entry.isMountPoint
    );
  });

const line =
  (generalise: (text: string) => string) =>
  ({ name, entry }: Subtree[number]): string => {
    const text = generalise(B.toText(entry.content ?? B.empty));
    const mount = entry.isMountPoint ? ' [mount]' : '';
    switch (entry.kind) {
      case 'directory':
        return `${name === '.' ? '.' : `${name}/`}${mount}`;
      case 'file':
        return toldTexts.has(name) ? `${name} =${JSON.stringify(text)}${mount}` : `${name}${mount}`;
      case 'symlink':
        return `${name} -> ${text}`;
      case 'fifo':
      case 'socket':
      case 'device':
        return `${name} |`;
    }
  };

/** The files whose text an outcome tells. */
const toldTexts = new Set(['address', 'bootstrap.json']);

const subtree = (listing: Listing, path: string): Subtree => {
  const top = B.fromText(path);
  const below = `${top}/`;
  return listing
    .flatMap((entry) => {
      if (entry.path === top) return [{ name: '.', entry }];
      return entry.path.startsWith(below) ? [{ name: B.toText(B.slice(entry.path, below.length)), entry }] : [];
    })
    .sort((first, second) => byCodePoint(first.name, second.name));
};

const byCodePoint = (first: string, second: string): number => {
  if (first === second) return 0;
  return first < second ? -1 : 1;
};

/** Whether what was observed is what was recorded. */
export const isSameOutcome =
  (recorded: RecordedOutcome) =>
  (observed: RecordedOutcome): boolean =>
    canonical(recorded) === canonical(observed) &&
    (recorded.delete === 'either' || recorded.delete === observed.delete);

/** The outcome in one form: fields in one order, those that are absent left out. */
const canonical = ({ state, work, registered, rpc, outside, hidden, mounts }: RecordedOutcome): string =>
  JSON.stringify([state, work, registered, rpc, outside ?? null, hidden ?? [], mounts ?? 0]);

/** Whether what was observed is one of the outcomes that were recorded of this daemon. */
export const matches =
  (daemon: Daemon, recorded: RecordedCase) =>
  (observed: RecordedOutcome): boolean =>
    recorded.then[daemon].some((outcome) => isSameOutcome(outcome)(observed));

const hiddenLines = (label: string, { id }: Start, leftover: Subtree): ReadonlyArray<string> =>
  leftover.map(({ name, entry }) =>
    line((text) => text)({ name: name === '.' ? `${label}:.${id}` : `${label}:.${id}/${name}`, entry }),
  );

import { ByteString as B } from '@shim-recovery/core';
import type { FileKind } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { callName, isSameOutcome, type Listing, matches, type Observation, outcomeOf } from '../src/worlds/Outcome.js';
import { loadRecordings, type RecordedOutcome } from '../src/worlds/Recordings.js';
import type { Start } from '../src/worlds/World.js';
import { placesBelow } from '../src/worlds/WorldTree.js';

const start: Start = {
  ns: 'main',
  id: 'wéb',
  bundle: { files: {}, work: 'elsewhere', rootfs: 'empty', log: 'fifo' },
};
const places = placesBelow('/base')({ entries: [] });
const state = '/base/state/io.containerd.runtime.v2.task/main';
const root = '/base/root/io.containerd.runtime.v2.task/main';

const entry = (path: string, kind: FileKind, content?: string, isMountPoint = false): Listing[number] => ({
  path: B.fromText(path),
  kind,
  ...(content === undefined ? {} : { content: B.fromText(content) }),
  isMountPoint,
});

const bundle: Listing = [
  entry(`${state}/wéb`, 'directory'),
  entry(`${state}/wéb/address`, 'file', 'unix:///base/s/none'),
  entry(`${state}/wéb/log`, 'fifo'),
  entry(`${state}/wéb/work`, 'symlink', '/base/outside/elsewhere-wéb'),
  // Another bundle, whose name begins alike.
  entry(`${state}/wéb2`, 'directory'),
];

const seen = (before: Listing, after: Listing, more: Partial<Observation> = {}): RecordedOutcome =>
  outcomeOf(places)({ before, after, calls: [], binaryRuns: [], registered: [], ...more })(start);

describe('the outcome of a case', () => {
  it('is none, gone or kept, by what stood there before and after', () => {
    expect(seen([], []).state).toBe('none');
    expect(seen(bundle, []).state).toBe('gone');
    expect(seen(bundle, [...bundle].reverse()).state).toBe('kept');
  });

  it('is not kept when one text, one kind or one mount changed', () => {
    const changed = (index: number, by: Partial<Listing[number]>): Listing =>
      bundle.map((old, at) => (at === index ? { ...old, ...by } : old));
    for (const after of [
      changed(1, { content: B.fromText('x') }),
      changed(2, { kind: 'file' }),
      changed(0, { isMountPoint: true }),
      bundle.slice(0, 3),
    ])
      expect(seen(bundle, after).state).toHaveProperty('now');
  });

  it('lists what stands there now in the words of the recordings', () => {
    const after = [
      ...bundle,
      entry(`${state}/wéb/rootfs`, 'directory', undefined, true),
      entry(`${state}/wéb/rootfs/inside`, 'file', 'x'),
    ];
    expect(seen(bundle, after)).toMatchObject({
      state: {
        now: [
          '.',
          'address ="unix://$SOCK"',
          'log |',
          'rootfs/ [mount]',
          'rootfs/inside',
          'work -> $BASE/outside/elsewhere-wéb',
        ],
      },
      mounts: 1,
    });
  });

  it('tells leftovers behind a dot on both sides, and what became of a working directory elsewhere', () => {
    const after = [
      entry(`${state}/.wéb`, 'directory'),
      entry(`${state}/.wéb/leftover`, 'file', 'x'),
      entry(`${root}/.wéb`, 'directory'),
    ];
    expect(seen([entry('/base/outside/elsewhere-wéb', 'directory')], after)).toMatchObject({
      outside: 'gone',
      hidden: ['state:.wéb/', 'state:.wéb/leftover', 'work:.wéb/'],
    });
  });

  it('counts calls, runs and tasks of this very id in this very namespace', () => {
    const key = { namespace: B.fromText('main'), id: B.fromText('wéb') };
    const other = { ...key, namespace: B.fromText('other') };
    const call = callName('containerd.task.v2.Task', 'Pids');
    const of = (who: typeof key) => seen([], [], { calls: [{ ...who, call }], binaryRuns: [who], registered: [who] });
    expect(of(key)).toMatchObject({ rpc: ['task.v2.Task/Pids'], delete: true, registered: true });
    expect(of(other)).toMatchObject({ rpc: [], delete: false, registered: false });
  });

  it('matches a recording in every field, but for the run of the binary where that was a race', () => {
    const outcome: RecordedOutcome = { state: 'gone', work: 'gone', registered: false, rpc: ['a'], delete: true };
    expect(isSameOutcome({ ...outcome, delete: 'either' })(outcome)).toBe(true);
    expect(isSameOutcome({ ...outcome, hidden: [] })(outcome)).toBe(true);
    const others: ReadonlyArray<Partial<RecordedOutcome>> = [
      { state: 'kept' },
      { state: { now: ['.'] } },
      { work: 'none' },
      { registered: true },
      { rpc: [] },
      { delete: false },
      { outside: 'gone' },
      { hidden: ['state:.x/'] },
      { mounts: 1 },
    ];
    for (const other of others) expect(isSameOutcome({ ...outcome, ...other })(outcome)).toBe(false);
  });

  it('tells the recorded daemons apart', () => {
    const cases = E.getOrElseW(() => [])(loadRecordings());
    const alike = cases.filter((recorded) =>
      recorded.then['containerd-1.7'].every(matches('containerd-1.6', recorded)),
    );
    expect(cases.length).toBe(306);
    expect(alike.length).toBeLessThan(250);
  });
});

import { readFileSync } from 'node:fs';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { ordinary, world } from '../src/worlds/World.js';
import {
  decodeRecordings,
  loadRecordings,
  recordingsFile,
  toRecordedStarts,
  toWorld,
  worldsOf,
} from '../src/worlds/Recordings.js';

describe('Recordings', () => {
  const document: unknown = JSON.parse(readFileSync(recordingsFile, 'utf8'));

  it('knows every word of the recordings: decoding loses nothing', () => {
    const decoded = loadRecordings();
    expect(decoded).toEqual(E.right(document));
  });

  it('groups the cases into two worlds without losing one', () => {
    const cases = E.getOrElseW(() => [])(loadRecordings());
    const worlds = worldsOf(cases);
    expect(worlds.map(({ set, cases: members }) => [set, members.length])).toEqual([
      ['hand', 106],
      ['random', 200],
    ]);
  });

  it('become worlds, and worlds recordings again, without losing a word', () => {
    for (const { set, cases } of worldsOf(E.getOrElseW(() => [])(loadRecordings())))
      expect(toRecordedStarts(set)(toWorld({ cases }))).toEqual(E.right(cases.map(({ given }) => given)));
  });

  it('have no words for what was never recorded', () => {
    const shared = world(
      { ns: 'a', id: 'b', shim: { of: 'c' } },
      { ns: 'a', id: 'd', bundle: { ...ordinary, rootfs: 'tmpfs-busy' } },
    );
    expect(toRecordedStarts('hand')(shared)).toMatchObject({
      left: { reason: 'no recording has a/b: a shared shim, a/d: rootfs tmpfs-busy' },
    });
  });

  it('says where a recording is malformed', () => {
    const decoded = decodeRecordings([{ given: { set: 'hand', ns: 'main', id: 7 } }]);
    expect(decoded).toMatchObject({ _tag: 'Left', left: { _tag: 'RecordingsMalformed' } });
    expect(E.isLeft(decoded) && decoded.left.reason).toContain('id: string');
  });
});

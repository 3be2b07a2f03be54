import { readFileSync } from 'node:fs';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { decodeRecordings, loadRecordings, recordingsFile, worldsOf } from '../src/World.js';

describe('World', () => {
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

  it('says where a recording is malformed', () => {
    const decoded = decodeRecordings([{ given: { set: 'hand', ns: 'main', id: 7 } }]);
    expect(decoded).toMatchObject({ _tag: 'Left', left: { _tag: 'RecordingsMalformed' } });
    expect(E.isLeft(decoded) && decoded.left.reason).toContain('id: string');
  });
});

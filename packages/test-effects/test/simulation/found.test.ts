/** Worlds in which campaigns found that `careful` destroyed what lives: shrunk, and kept. */
import { readFileSync } from 'node:fs';
import { careful } from '../../../core/src/policy/Policy.js';
import * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { describe, expect, it } from 'vitest';
import { Case, examine } from '../../src/campaign/Case.js';
import { showFound } from '../../src/properties/Properties.js';

const Found = t.readonlyArray(t.intersection([t.type({ name: t.string }), Case]));

const found = Found.decode(
  JSON.parse(readFileSync(new URL('../../corpus/found.json', import.meta.url), 'utf8')) satisfies unknown,
);

describe('careful keeps', () => {
  it.each(E.isRight(found) ? found.right.map((one) => [one.name, one] as const) : [])(
    '%s',
    async (_, { world, schedule }) => {
      const { found: violations } = await examine({ world, schedule }, careful);
      expect(violations.map(showFound)).toEqual([]);
    },
  );

  it('every world that is written down', () => {
    expect(E.isRight(found) && found.right.length).toBe(5);
  });
});

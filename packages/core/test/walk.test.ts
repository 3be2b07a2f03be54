/** The newcomer's walk in `docs/design.md` names files that exist and functions that are in them. */
import * as fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const [, walk = ''] = fs.readFileSync(`${repository}docs/design.md`, 'utf8').split(/^## A newcomer's walk$/m);
const [text = ''] = walk.split(/^## /m);
const stations = [...text.matchAll(/^\d+\. `((?:node:)?[\w/]+\.ts)`(?:, ([^:]*):)?/gm)];

const sourceOf = (file: string): string =>
  fs.readFileSync(
    file.startsWith('node:')
      ? `${repository}packages/node-effects/src/${file.slice('node:'.length)}`
      : `${repository}packages/core/src/${file}`,
    'utf8',
  );

it('the walk has a station for each of its lines, and at most 40 lines', () => {
  expect(stations.length).toBeGreaterThan(15);
  expect(text.split('\n').length).toBeLessThanOrEqual(40);
});

it.each(stations.map(([, file = '', names = '']) => [file, names] as const))('%s has %s', (file, names) => {
  const source = sourceOf(file);
  for (const [, name = ''] of names.matchAll(/`(\w+)`/g)) expect(source).toMatch(new RegExp(`const ${name}\\b`));
});

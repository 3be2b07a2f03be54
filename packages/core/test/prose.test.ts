/** Plain English, as CONTRIBUTING.md has it, in comments and documents. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { flawsOfComments, flawsOfDocument } from './prose.js';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

/** Not read yet, and why. */
const notCovered: Readonly<Record<string, string>> = {
  'CHANGELOG.md': 'what was written stays',
  'docs/careful.md': 'written by a test',
  'docs/hazards.md': 'written by a test, from the words of the reference',
  'docs/properties.md': 'written by a test',
  'docs/reference.md': 'rules of the reference, in long cells',
  'docs/evidence.md': 'has cells with long lists',
  'docs/formats.md': 'to be written again',
  'docs/performance.md': 'to be written again',
  'docs/reliability.md': 'to be written again',
  'docs/runtimes.md': 'to be written again',
  'packages/node-effects/src': 'to be written again, room by room',
  'packages/test-effects/src': 'to be written again, room by room',
  'packages/bench/src': 'to be written again',
};

const sourcesBelow = (directory: string): ReadonlyArray<string> =>
  fs
    .readdirSync(path.join(repository, directory), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => path.relative(repository, path.join(entry.parentPath, entry.name)));

const documents = ['README.md', 'CONTRIBUTING.md', 'packages/test-effects/README.md']
  .concat(fs.readdirSync(path.join(repository, 'docs')).map((name) => `docs/${name}`))
  .filter((name) => !(name in notCovered));

it.each(documents)('%s is plain English', (name) => {
  const flaws = flawsOfDocument(fs.readFileSync(path.join(repository, name), 'utf8'));
  expect(flaws.map(({ line, what }) => `${name}:${line}: ${what}`)).toEqual([]);
});

it.each(
  ['packages/core/src', 'packages/node-effects/src', 'packages/test-effects/src', 'packages/bench/src'].filter(
    (directory) => !(directory in notCovered),
  ),
)('the comments below %s are plain English', (directory) => {
  const flaws = sourcesBelow(directory).flatMap((file) =>
    flawsOfComments(fs.readFileSync(path.join(repository, file), 'utf8')).map(
      ({ line, what }) => `${file}:${line}: ${what}`,
    ),
  );
  expect(flaws).toEqual([]);
});

it.each(Object.entries(notCovered))('%s is not covered: %s', (name) => {
  expect(fs.existsSync(path.join(repository, name))).toBe(true);
});

const whats = (text: string): ReadonlyArray<string> => flawsOfDocument(text).map(({ what }) => what);

it('a word that hides the actor is found, and where it is', () => {
  expect(flawsOfDocument('Fine.\n\nA bundle that nobody owns is removed.')).toEqual([
    { line: 3, what: '"nobody" names no actor' },
  ]);
});

it('"is no" is found, and "there is no" is not', () => {
  expect(whats('It is no bundle.')).toEqual(['"is no bundle" says "is no" for "is not a"']);
  expect(whats('There is no bundle, and it is no longer than that.')).toEqual([]);
});

it('a headless clause is found', () => {
  expect(whats('Then what is empty goes by one call.')).toEqual(['"what is empty goes" begins with a headless clause']);
});

it('a sentence of more than 40 words is found, over several lines, and code does not count', () => {
  const words = (count: number): string => Array.from({ length: count }, () => 'word').join(' ');
  expect(whats(`${words(20)}\n${words(20)}.`)).toEqual([]);
  expect(whats(`${words(20)}\n${words(21)}.`)).toHaveLength(1);
  expect(whats(`${words(39)} \`${words(9)}\`.`)).toEqual([]);
  expect(whats(`\`\`\`\n${words(50)}\n\`\`\``)).toEqual([]);
});

it('comments are read, and code is not', () => {
  expect(flawsOfComments("const nobody = 'nobody';\n/** Tells\n * nobody. */\n// It is no file.\n")).toEqual([
    { line: 2, what: '"nobody" names no actor' },
    { line: 4, what: '"is no file" says "is no" for "is not a"' },
  ]);
});

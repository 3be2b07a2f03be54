/** A store in a JSON file: every id in it is found, and every mistake in it is named. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import * as fc from 'fast-check';
import * as E from 'fp-ts/lib/Either.js';
import { beforeEach, describe, expect, test } from 'vitest';
import { openJsonStore } from '../src/stores/JsonStore.js';
import { right, temporaryDirectory } from './temporary.js';

const directory = temporaryDirectory();
let file = '';
beforeEach(({ task }) => {
  file = path.join(directory.path(), `${task.id}.json`);
});

const schema = 'shim-recovery/store@1';
const key = (namespace: string, id: string) => ({ namespace: B.fromText(namespace), id: B.fromText(id) });
const notFound = { _tag: 'NotFound' };
const foundWith = (runtime: string) => ({ _tag: 'Found', value: { runtimeName: B.fromText(runtime) } });

const stored = (content: string | Uint8Array) => {
  fs.writeFileSync(file, content);
  return right(openJsonStore(file));
};

const sentenceFor = (content: string | Uint8Array): string => {
  fs.writeFileSync(file, content);
  const store = openJsonStore(file);
  return E.isLeft(store) ? store.left : 'it was opened';
};

const sample = JSON.stringify({
  schema,
  namespaces: {
    default: { containers: { web: { runtime: 'io.containerd.runc.v2' } }, sandboxes: ['pod-1'] },
    bare: {},
  },
});

test('containers and sandboxes are found in their own namespace only', async () => {
  const store = stored(sample);
  expect(await store.container(key('default', 'web'))()).toEqual(foundWith('io.containerd.runc.v2'));
  expect(await store.sandbox(key('default', 'pod-1'))()).toEqual({ _tag: 'Found', value: { id: 'pod-1' } });
  expect(await store.container(key('default', 'pod-1'))()).toEqual(notFound);
  expect(await store.sandbox(key('default', 'web'))()).toEqual(notFound);
  for (const namespace of ['bare', 'other']) {
    expect(await store.container(key(namespace, 'web'))()).toEqual(notFound);
    expect(await store.sandbox(key(namespace, 'pod-1'))()).toEqual(notFound);
  }
});

test('ids of every kind are found, and no others', async () => {
  const id = fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length', '') },
    { weight: 3, arbitrary: fc.string({ unit: 'binary' }) },
    { weight: 1, arbitrary: fc.string({ unit: 'grapheme' }) },
  );
  const ids = fc.uniqueArray(id, { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(ids, ids, ids, async (containers, sandboxes, others) => {
      // Written by hand, as assigning to `__proto__` would not make a key of it.
      const members = containers.map((name) => `${JSON.stringify(name)}:{"runtime":${JSON.stringify(`r-${name}`)}}`);
      const store = stored(
        `{"schema":"${schema}","namespaces":{"__proto__":{"containers":{${members.join(',')}},` +
          `"sandboxes":${JSON.stringify(sandboxes)}}}}`,
      );
      for (const name of [...containers, ...sandboxes, ...others]) {
        expect(await store.container(key('__proto__', name))()).toEqual(
          containers.includes(name) ? foundWith(`r-${name}`) : notFound,
        );
        const isSandbox = (await store.sandbox(key('__proto__', name))())._tag === 'Found';
        expect(isSandbox).toBe(sandboxes.includes(name));
        expect(await store.container(key('constructor', name))()).toEqual(notFound);
      }
    }),
    { numRuns: 100 },
  );
});

test('a name is compared byte by byte with that of a directory', async () => {
  const composed = 'caf\u00e9';
  const store = stored(JSON.stringify({ schema, namespaces: { default: { sandboxes: [composed] } } }));
  const inBytes = B.fromBytes(Buffer.from(composed));
  expect(await store.sandbox({ namespace: B.fromText('default'), id: inBytes })()).toMatchObject({ _tag: 'Found' });
  expect(await store.sandbox(key('default', composed.normalize('NFD')))()).toEqual(notFound);
});

describe('a mistake is named with the path to it', () => {
  const withNamespaces = (namespaces: unknown): string => JSON.stringify({ schema, namespaces });
  const withDefault = (namespace: unknown): string => withNamespaces({ default: namespace });

  test.each<readonly [string, string, RegExp]>([
    ['an empty file', '', /JSON/],
    ['half a file', sample.slice(0, 40), /JSON/],
    ['another kind of file', 'schema: shim-recovery/store@1', /JSON/],
    ['null', 'null', /the document is not a valid StoreFile/],
    ['a list', '[]', /\/schema is not a valid|the document is not a valid/],
    ['no schema', '{"namespaces":{}}', /: \/schema is not a valid "shim-recovery\/store@1"/],
    ['another schema', '{"schema":"shim-recovery/store@2","namespaces":{}}', /: \/schema is not/],
    ['no namespaces', JSON.stringify({ schema }), /: \/namespaces is not/],
    ['namespaces in a list', withNamespaces([]), /: \/namespaces is not/],
    ['a namespace that is text', withDefault('web'), /: \/namespaces\/default is not/],
    ['a namespace that is null', withDefault(null), /: \/namespaces\/default is not/],
    ['containers in a list', withDefault({ containers: ['web'] }), /: \/namespaces\/default\/containers is not/],
    [
      'a container that is text',
      withDefault({ containers: { web: 'x' } }),
      /: \/namespaces\/default\/containers\/web is/,
    ],
    [
      'no runtime',
      withDefault({ containers: { web: {} } }),
      /: \/namespaces\/default\/containers\/web\/runtime is not/,
    ],
    [
      'a number for a runtime',
      withDefault({ containers: { web: { runtime: 2 } } }),
      /\/web\/runtime is not a valid string/,
    ],
    ['sandboxes in a record', withDefault({ sandboxes: { pod: {} } }), /: \/namespaces\/default\/sandboxes is not/],
    [
      'a sandbox that is a number',
      withDefault({ sandboxes: ['a', 1] }),
      /: \/namespaces\/default\/sandboxes\/1 is not/,
    ],
    ['a misspelt key', withDefault({ container: {} }), /: \/namespaces\/default is not .* something else than/],
    [
      'a mistake below `__proto__`',
      `{"schema":"${schema}","namespaces":{"__proto__":{"sandboxes":1}}}`,
      /: \/namespaces\/__proto__\/sandboxes is/,
    ],
  ])('%s', (_, content, sentence) => {
    const said = sentenceFor(content);
    expect(said).toMatch(sentence);
    expect(said.startsWith(`the store file ${file} cannot be used: `)).toBe(true);
    expect(said).not.toContain('\n');
  });

  test('bytes that are not UTF-8', () => {
    const content = Buffer.from(sample.replace('web', 'w\u00e9b'), 'latin1');
    expect(sentenceFor(content)).toMatch(/it is not UTF-8$/);
  });
});

test('any JSON at all is either a store or a sentence', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        fc.jsonValue().map((namespaces) => JSON.stringify({ schema, namespaces })),
      ),
      (json) => {
        fs.writeFileSync(file, json);
        const store = openJsonStore(file);
        expect(E.isRight(store) || store.left.startsWith('the store file ')).toBe(true);
      },
    ),
    { numRuns: 200 },
  );
});

test.each<readonly [string, (at: string) => unknown, RegExp]>([
  ['nothing', () => undefined, /ENOENT/],
  ['a directory', (at) => fs.mkdirSync(at), /it is no regular file/],
  ['a FIFO', (at) => execFileSync('mkfifo', [at]), /it is no regular file/],
  ['a device', (at) => fs.symlinkSync('/dev/zero', at), /it is no regular file/],
  ['a dangling link', (at) => fs.symlinkSync(`${at}.nowhere`, at), /ENOENT/],
  [
    'a sparse file of 3 GiB',
    (at) => {
      fs.writeFileSync(at, '');
      fs.truncateSync(at, 3 * 1024 ** 3);
    },
    /it is larger than 67108864 bytes/,
  ],
])('%s in its place is an error, at once', (_, make, sentence) => {
  make(file);
  const before = fs.readdirSync('/proc/self/fd').length;
  const store = openJsonStore(file);
  expect(E.isLeft(store) ? store.left : 'it was opened').toMatch(sentence);
  expect(fs.readdirSync('/proc/self/fd')).toHaveLength(before);
});

test('a store behind a link is used', () => {
  fs.writeFileSync(`${file}.target`, sample);
  fs.symlinkSync(`${file}.target`, file);
  expect(E.isRight(openJsonStore(file))).toBe(true);
});

describe('a name that stands twice', () => {
  const web = '{"containers":{"web":{"runtime":"r"}}}';
  test.each([
    ['a namespace', `{"schema":"${schema}","namespaces":{"default":${web},"default":{}}}`, 'default'],
    [
      'written in another way',
      `{"schema":"${schema}","namespaces":{"d\\u0065fault" :${web}, "default"\n:{}}}`,
      'default',
    ],
    [
      'a container',
      `{"schema":"${schema}","namespaces":{"n":{"containers":{"a":{"runtime":"x"},"a":{"runtime":"y"}}}}}`,
      'a',
    ],
    ['behind an array', `{"namespaces":{"n":{"sandboxes":["{","n"]},"m":{},"n":{}},"schema":"${schema}"}`, 'n'],
    ['the whole', `{"schema":"${schema}","namespaces":{"default":${web}},"namespaces":{}}`, 'namespaces'],
  ])('is refused (%s): of the values that it has, all but one would be lost', (_, content, name) => {
    expect(sentenceFor(content)).toContain(`"${name}" stands in it twice`);
  });

  test('is seen nowhere else, whatever stands in the file', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.dictionary(fc.string(), fc.string())), (names) => {
        const namespaces = Object.fromEntries(
          Object.entries(names).map(([name, ids]) => [
            name,
            {
              containers: Object.fromEntries(Object.entries(ids).map(([id, runtime]) => [id, { runtime }])),
              sandboxes: Object.values(ids),
            },
          ]),
        );
        expect(sentenceFor(JSON.stringify({ schema, namespaces }))).toBe('it was opened');
      }),
    );
  });
});

/** What every `ContainerStore` and `SandboxStore` must do: find what is recorded, and never take a failure for absence. */
import { ByteString as B } from '@shim-recovery/core';
import type { ContainerStore, Lookup, SandboxStore } from '@shim-recovery/core/interpreter';
import * as fc from 'fast-check';
import { type Disposable, expectSame, type Law, law, lawOfAll, type Trials } from './Law.js';

/** What a store is to know. Names are containerd's: letters, digits and some punctuation. */
export interface Records {
  readonly containers: ReadonlyArray<{ readonly namespace: string; readonly id: string; readonly runtimeName: string }>;
  readonly sandboxes: ReadonlyArray<{ readonly namespace: string; readonly id: string }>;
}

/** Stores with something in them. A daemon without sandboxes leaves out `sandboxStore`. */
export interface StoreArea extends Disposable {
  readonly containerStore: ContainerStore;
  readonly sandboxStore?: SandboxStore;
}

/** A store that cannot answer, and why: no file, a daemon that is gone, records that cannot be read. */
export interface BrokenStore {
  readonly why: string;
  readonly open: () => Promise<StoreArea>;
}

/** Names that begin alike, so that one that is put together from two is not taken for another. */
const names = ['a', 'ab', 'b', 'a-b', 'b-a', 'a.b', 'default', 'k8s.io', 'constructor', 'A'];

const name = fc.constantFrom(...names);

/** The laws of stores, given how to open some that know exactly these records, and some that cannot answer. */
export const storeLaws = (
  open: (records: Records) => Promise<StoreArea>,
  broken: ReadonlyArray<BrokenStore> = [],
  trials: Trials = {},
): ReadonlyArray<Law> => [
  lawOfAll(anyRecords, trials)(
    open,
    'each container is found with its runtime, in its namespace, and no other one is',
    async ({ containerStore }, { containers }) => {
      const recorded = new Map(containers.map((container) => [byKey(container), container.runtimeName]));
      const found: Array<string> = [];
      for (const namespace of names)
        for (const id of names) {
          const runtimeName = recorded.get(byKey({ namespace, id }));
          const expected = runtimeName === undefined ? 'not found' : `found ${B.show(B.fromText(runtimeName))}`;
          const lookup = await containerStore.container(keyOf(namespace, id))();
          found.push(
            ...expectSame(
              `${namespace}/${id}`,
              show(lookup, (value) => B.show(value.runtimeName)),
              expected,
            ),
          );
        }
      return found;
    },
  ),

  lawOfAll(anyRecords, trials)(
    open,
    'each sandbox is found, in its namespace, and no other one is',
    async ({ sandboxStore }, { sandboxes }) => {
      if (sandboxStore === undefined) return [];
      const recorded = new Set(sandboxes.map(byKey));
      const found: Array<string> = [];
      for (const namespace of names)
        for (const id of names) {
          const expected = recorded.has(byKey({ namespace, id })) ? `found ${id}` : 'not found';
          const lookup = await sandboxStore.sandbox(keyOf(namespace, id))();
          found.push(
            ...expectSame(
              `${namespace}/${id}`,
              show(lookup, (value) => B.show(value.id)),
              expected,
            ),
          );
        }
      return found;
    },
  ),

  lawOfAll(anyRecords, trials)(
    open,
    'who asks for many at once gets the answer to each',
    async ({ containerStore }, { containers }) => {
      const asked = [...containers, ...containers].map(({ namespace, id }) =>
        containerStore.container(keyOf(namespace, id))(),
      );
      const answers = (await Promise.all(asked)).map((lookup) => show(lookup, (value) => B.show(value.runtimeName)));
      const expected = containers.map(({ runtimeName }) => `found ${B.show(B.fromText(runtimeName))}`);
      return expectSame('the answers', answers, [...expected, ...expected]);
    },
  ),

  law(() => open(someRecords))('what can be no record is not found, and nothing is thrown', async (area) => {
    const found: Array<string> = [];
    for (const odd of oddNames)
      for (const key of [
        keyOf('default', odd),
        keyOf(odd, 'web'),
        { namespace: B.fromText('default'), id: B.fromBytes(Uint8Array.of(0xff, 0xfe)) },
      ]) {
        const lookups = [
          await area.containerStore.container(key)(),
          ...(area.sandboxStore === undefined ? [] : [await area.sandboxStore.sandbox(key)()]),
        ];
        if (lookups.some(({ _tag }) => _tag === 'Found')) found.push(`${JSON.stringify(odd)} was found`);
      }
    return found;
  }),

  ...broken.map(({ why, open: openBroken }) =>
    law(openBroken)(`that it cannot answer is not taken for absence: ${why}`, async (area) => {
      const lookups = [
        await area.containerStore.container(keyOf('default', 'web'))(),
        await area.containerStore.container(keyOf('default', 'none'))(),
        ...(area.sandboxStore === undefined ? [] : [await area.sandboxStore.sandbox(keyOf('default', 'web'))()]),
      ];
      return lookups.flatMap(({ _tag }) => expectSame('a look-up', _tag, 'Unknown'));
    }),
  ),
];

const byKey = ({ namespace, id }: { readonly namespace: string; readonly id: string }): string => `${namespace}/${id}`;

const keyOf = (namespace: string, id: string) => ({ namespace: B.fromText(namespace), id: B.fromText(id) });

const show = <A>(lookup: Lookup<A>, showValue: (value: A) => string): string => {
  switch (lookup._tag) {
    case 'Found':
      return `found ${showValue(lookup.value)}`;
    case 'NotFound':
      return 'not found';
    case 'Unknown':
      return `unknown: ${lookup.error.reason}`;
  }
};

const someRecords: Records = {
  containers: [{ namespace: 'default', id: 'web', runtimeName: 'io.containerd.runc.v2' }],
  sandboxes: [{ namespace: 'default', id: 'web' }],
};

/** What no record is called, and no file or query should be led astray by. */
const oddNames = [
  '',
  '.',
  '..',
  '__proto__',
  'hasOwnProperty',
  '../web',
  'web/',
  'we\0b',
  'web\n',
  '*',
  "' or 1=1",
  'x'.repeat(5_000),
  '\u{1F433}',
];

const anyRecords: fc.Arbitrary<Records> = fc.record({
  containers: fc.uniqueArray(
    fc.record({
      namespace: name,
      id: name,
      runtimeName: fc.oneof(fc.constantFrom('io.containerd.runc.v2', '', '/opt/bin/shim'), fc.string()),
    }),
    { selector: byKey, maxLength: 8 },
  ),
  sandboxes: fc.uniqueArray(fc.record({ namespace: name, id: name }), { selector: byKey, maxLength: 4 }),
});

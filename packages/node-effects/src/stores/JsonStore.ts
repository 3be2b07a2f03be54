/**
 * Containers and sandboxes from a JSON file, for hosts without containerd.
 *
 *     { "schema": "shim-recovery/store@1",
 *       "namespaces": { "default": { "containers": { "web": { "runtime": "io.containerd.runc.v2" } },
 *                                    "sandboxes": ["pod-1"] } } }
 *
 * `containers` and `sandboxes` may be left out, and nothing may stand beside them: a misspelt one would make every
 * container of the namespace unknown; nor may a name stand twice, as all but one of what it stands for would be. Names are text;
 * they are compared as UTF-8.
 */
import { ByteString as B } from '@shim-recovery/core';
import { type ContainerStore, found, notFound, type SandboxStore } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { readTextFile } from '../native/TextFile.js';

const maxFileBytes = 64 * 1024 * 1024;

const namespaceFields = {
  containers: t.record(t.string, t.readonly(t.type({ runtime: t.string }), 'container'), 'record of containers'),
  sandboxes: t.readonlyArray(t.string, 'list of sandboxes'),
};

const Namespace = t.refinement(
  t.readonly(t.partial(namespaceFields), 'namespace'),
  (namespace) => Object.keys(namespace).every((key) => Object.hasOwn(namespaceFields, key)),
  'namespace: it holds something else than containers and sandboxes',
);

export const StoreFile = t.readonly(
  t.type({
    schema: t.literal('shim-recovery/store@1'),
    namespaces: t.record(t.string, Namespace, 'record of namespaces'),
  }),
  'StoreFile',
);

export type StoreFile = t.TypeOf<typeof StoreFile>;

/** Looks names up in maps, so that an id such as `__proto__` is an id like any other. */
export const storesOf = (file: StoreFile): ContainerStore & SandboxStore => {
  const keyOf = (namespace: string, id: string): string => `${namespace}/${id}`;
  const containers = new Map<string, B.ByteString>();
  const sandboxes = new Set<string>();
  for (const [namespace, { containers: listed, sandboxes: named }] of Object.entries(file.namespaces)) {
    for (const [id, { runtime }] of Object.entries(listed ?? {}))
      containers.set(keyOf(B.fromText(namespace), B.fromText(id)), B.fromText(runtime));
    for (const id of named ?? []) sandboxes.add(keyOf(B.fromText(namespace), B.fromText(id)));
  }
  return {
    container:
      ({ namespace, id }) =>
      async () => {
        const runtimeName = containers.get(keyOf(namespace, id));
        return runtimeName === undefined ? notFound : found({ runtimeName });
      },
    sandbox:
      ({ namespace, id }) =>
      async () =>
        sandboxes.has(keyOf(namespace, id)) ? found({ id }) : notFound,
  };
};

/** Reads the file once. Left: a sentence that says what is wrong with it, and where. */
export const openJsonStore = (path: string): E.Either<string, ContainerStore & SandboxStore> => {
  const failed = (reason: string): E.Either<string, never> =>
    E.left(`the store file ${path} cannot be used: ${reason}`);
  const text = readTextFile(path, { maxBytes: maxFileBytes });
  if (E.isLeft(text)) return failed(text.left);
  const json = E.tryCatch((): unknown => JSON.parse(text.right), messageOf);
  if (E.isLeft(json)) return failed(json.left);
  const twice = repeatedName(text.right);
  if (twice !== undefined) return failed(`"${B.show(B.fromText(twice))}" stands in it twice, in one object`);
  const file = StoreFile.decode(json.right);
  return E.isLeft(file) ? failed(showErrors(file.left)) : E.right(storesOf(file.right));
};

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A name that stands twice in one object of valid JSON: of the values that it has, the parser keeps the last. */
const repeatedName = (json: string): string | undefined => {
  // The names of each object that is not closed yet; undefined for an array.
  const open: Array<Set<string> | undefined> = [];
  const tokens = json.matchAll(/("(?:[^"\\]|\\.)*")(?:\s*(:))?|[{}[\]]/gs);
  for (const [token, text, colon] of tokens) {
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(undefined);
    else if (text === undefined) open.pop();
    else if (colon !== undefined) {
      const name = String(JSON.parse(text));
      const names = open.at(-1);
      if (names?.has(name) === true) return name;
      names?.add(name);
    }
  }
  return undefined;
};

/** The path to the first value that is wrong, and what was expected there. */
const showErrors = (errors: t.Errors): string => {
  const [first] = errors;
  if (first === undefined) return 'it is not valid';
  const path = first.context
    .slice(1)
    .map(({ key }) => `/${key}`)
    .join('');
  return `${path === '' ? 'the document' : path} is not a valid ${first.context.at(-1)?.type.name ?? 'value'}`;
};

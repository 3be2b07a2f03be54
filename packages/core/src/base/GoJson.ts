/**
 * The few fields of a JSON object, decoded with the rules of Go's `encoding/json`, where those decide an outcome (SPEC 9.2).
 * Keys match in any case, the last of several wins, and integers are written as integers. A field of the wrong type fails the
 * whole, and the other fields are set all the same.
 */
import * as E from 'fp-ts/lib/Either.js';
import * as B from './ByteString.js';

/** A valid document: the members of its top-level object in order, or, for another kind of value, `mistyped`. */
export interface Document {
  readonly mistyped: boolean;
  readonly members: ReadonlyArray<readonly [key: string, rawValue: string]>;
}

/** A decoded field: the last well-typed value, or the zero value, and whether any of its values had a wrong type. */
export interface Field<A> {
  readonly value: A;
  readonly mistyped: boolean;
}

const maxDepth = 10_000;

const int64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

/** Left: not JSON at all, and nothing of it counts. */
export const parseDocument = (content: B.ByteString): E.Either<'SyntaxError', Document> => {
  const text = B.toText(content);
  if (!jsonStart.test(text) || isTooDeep(text) || E.isLeft(parse(text))) return E.left('SyntaxError');
  const start = text[skipSpace(text, 0)];
  if (start === '{') return E.right({ mistyped: false, members: membersOf(text) });
  return E.right({ mistyped: start !== 'n', members: [] });
};

/** How every JSON text begins. An ordinary address does not, and a look costs less than a parser that throws. */
const jsonStart = /^[ \t\n\r]*[[{"\-0-9tfn]/;

const isTooDeep = (text: string): boolean => {
  let depth = 0;
  for (let at = 0; at < text.length; ) {
    const character = text[at];
    if (character === '"') {
      at = skipString(text, at);
      continue;
    }
    if (character === '{' || character === '[') depth++;
    if (character === '}' || character === ']') depth--;
    if (depth > maxDepth) return true;
    at++;
  }
  return false;
};

const skipString = (text: string, at: number): number => {
  let next = at + 1;
  while (next < text.length && text[next] !== '"') next += text[next] === '\\' ? 2 : 1;
  return next + 1;
};

const parse = E.tryCatchK(
  (text: string): unknown => JSON.parse(text),
  () => undefined,
);

const skipSpace = (text: string, at: number): number => {
  let next = at;
  while (isSpace(text[next])) next++;
  return next;
};

const isSpace = (character: string | undefined): boolean =>
  character === ' ' || character === '\t' || character === '\n' || character === '\r';

const membersOf = (text: string): Document['members'] => {
  const members: Array<readonly [string, string]> = [];
  let at = skipSpace(text, skipSpace(text, 0) + 1);
  while (text[at] === '"') {
    const keyEnd = skipString(text, at);
    const key = parse(text.slice(at, keyEnd));
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = skipValue(text, start);
    if (E.isRight(key) && typeof key.right === 'string') members.push([key.right, text.slice(start, end)]);
    at = skipSpace(text, end);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return members;
};

/** The end of the value that starts at `at`, in a text that is known to be valid JSON. */
const skipValue = (text: string, at: number): number => {
  let depth = 0;
  for (let next = at; next < text.length; ) {
    const character = text[next];
    if (character === '"') next = skipString(text, next);
    else if (character === '{' || character === '[') {
      depth++;
      next++;
    } else if (character === '}' || character === ']') {
      if (depth === 0) return next;
      depth--;
      next++;
    } else if (depth === 0 && (character === ',' || isSpace(character))) return next;
    else next++;
    if (depth === 0 && (character === '"' || character === '}' || character === ']')) return next;
  }
  return text.length;
};

const field =
  <A>(decode: (raw: string) => A | undefined) =>
  (name: string, zero: A) =>
  (document: Document): Field<A> => {
    let value = zero;
    let mistyped = false;
    for (const [key, raw] of document.members) {
      if (folded(key) !== name || raw === 'null') continue;
      const decoded = decode(raw);
      if (decoded === undefined) mistyped = true;
      else value = decoded;
    }
    return { value, mistyped };
  };

/** Case folding as Go's: also the two letters outside ASCII that fold into it. */
const folded = (key: string): string => key.replaceAll('ſ', 's').replaceAll('K', 'k').toLowerCase();

/** An integer as Go takes it: digits only (neither `2.0` nor `2e0`), within 64 bits. `name` in lower case. */
export const integerField = field((raw: string): number | undefined => {
  if (!/^-?[0-9]+$/.test(raw)) return undefined;
  const value = BigInt(raw);
  return value < int64.min || value > int64.max ? undefined : Number(value);
});

/** A string, as UTF-8. `name` in lower case. */
export const stringField = field((raw: string): B.ByteString | undefined => {
  const value = parse(raw);
  return E.isRight(value) && typeof value.right === 'string' ? B.fromText(value.right) : undefined;
});

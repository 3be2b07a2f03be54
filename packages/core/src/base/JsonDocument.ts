/** Documents of this program: JSON in ASCII, versioned by a schema; and what is wrong with any other text. */
import * as O from 'fp-ts/lib/Option.js';
import * as t from 'io-ts';

/** A moment in UTC, as every clock of this program writes it. */
export const Time = t.refinement(
  t.string,
  (text) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(text),
  'time such as 2026-01-31T12:00:00.000Z',
);

const everythingButAscii = /[^\u0020-\u007e]/g;

/** In one line, in ASCII. Wherever an object is cut off, the rest cannot be parsed as JSON. */
export const asciiJson = (value: unknown): string =>
  JSON.stringify(value).replace(
    everythingButAscii,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

export const parseJson = (text: string): O.Option<unknown> => O.tryCatch((): unknown => JSON.parse(text));

/** Any document that names the schema it is written in. */
export const Schema = t.type({ schema: t.string });

/** A value as far as a person cares. */
export const showValue = (value: unknown): string => {
  const text = value === undefined ? 'missing' : JSON.stringify(value);
  return text.length > longestValue ? `${text.slice(0, longestValue)}…` : text;
};

const longestValue = 60;

/** Where the first value is that is wrong, as deep as it is known, and what was expected there. */
export const showErrors = (errors: t.Errors): string => {
  const depth = Math.max(...errors.map(({ context }) => context.length));
  const error = errors.find(({ context }) => context.length === depth);
  if (error === undefined) return 'it is not valid';
  const { context, value } = error;
  const path = context.filter((_, at) => at > 0 && !isChoice(context[at - 1]?.type)).map(({ key }) => `/${key}`);
  return `${path.length === 0 ? 'it' : path.join('')} is ${showValue(value)}, which is no ${context.at(-1)?.type.name ?? 'valid value'}`;
};

/** Whether the next key of a path names a member of this type, which a person does not care about. */
const isChoice = (type: t.Decoder<unknown, unknown> | undefined): boolean =>
  isReadonly(type) ? isChoice(type.type) : type instanceof t.UnionType || type instanceof t.IntersectionType;

const isReadonly = (type: unknown): type is t.ReadonlyType<t.Mixed> => type instanceof t.ReadonlyType;

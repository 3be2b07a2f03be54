/**
 * A plan that is kept, to be carried out later as it is, or not at all (`shim-recovery/plan@1`, docs/formats.md): one JSON
 * document in ASCII. It ends with a checksum, so that one that was cut off or changed is known.
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as O from 'fp-ts/lib/Option.js';
import * as t from 'io-ts';
import * as B from '../base/ByteString.js';
import { asciiJson, parseJson, Schema, showErrors, showValue, Time } from '../base/JsonDocument.js';
import { Plan } from '../plan/Plan.js';
import { choicesOf, type Policy, PolicyChoices, PolicyName, policies, withChoices } from '../policy/Policy.js';
import type { Settings } from '../policy/Settings.js';

/**
 * The second version says more: that what lives may be destroyed, or which orphans alone may be ended. A plan that says
 * neither is written in the first, and one of the first does not allow killing.
 */
const schemas = { first: 'shim-recovery/plan@1', second: 'shim-recovery/plan@2' } as const;

/** A policy, and what the run chose of it. */
const ChosenPolicy = t.intersection([t.readonly(t.type({ name: PolicyName })), PolicyChoices], 'ChosenPolicy');

export const SavedPlan = t.readonly(
  t.intersection([
    t.type({
      schema: t.union([t.literal(schemas.first), t.literal(schemas.second)]),
      madeAt: Time,
      policy: ChosenPolicy,
      /** The namespaces that were asked for; empty means all. */
      namespaces: t.readonlyArray(B.ByteString),
      /** Other options that decide, such as the store, by the names that the maker of the plan gave. */
      options: t.readonly(t.record(t.string, t.string)),
      /** Of each working directory that would be removed it says which one it is. */
      plan: Plan,
    }),
    /** Whether what lives may be destroyed. Absent: no. */
    t.partial({ allowKilling: t.boolean }),
  ]),
  'SavedPlan',
);

export interface SavedPlan extends t.TypeOf<typeof SavedPlan> {}

/**
 * - `NotPlan`: it is something else.
 * - `OtherVersion`: it is a plan, in a schema that this version does not read.
 * - `CutOff`: its end is missing.
 * - `Changed`: it is not what was written.
 * - `Malformed`: it is what was written, and still no plan.
 */
export type SavedPlanError =
  | { readonly _tag: 'NotPlan'; readonly reason: string }
  | { readonly _tag: 'OtherVersion'; readonly schema: string }
  | { readonly _tag: 'CutOff' }
  | { readonly _tag: 'Changed' }
  | { readonly _tag: 'Malformed'; readonly reason: string };

const crcPolynomial = 0xedb88320;

const crcTable = Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? crcPolynomial ^ (crc >>> 1) : crc >>> 1;
  return crc;
});

/** A sentence for people. */
export const showSavedPlanError = (error: SavedPlanError): string => {
  const again = 'make a new one with plan --out FILE';
  switch (error._tag) {
    case 'NotPlan':
      return `it is no saved plan: ${error.reason}; plan --out FILE makes one`;
    case 'OtherVersion':
      return `it is written as ${error.schema}, and this version reads ${schemas.first} and ${schemas.second}; carry it out with the version that made it, or ${again}`;
    case 'CutOff':
      return `its end is missing; ${again}`;
    case 'Changed':
      return `it is not as it was written, and a plan is carried out as it is or not at all; ${again}`;
    case 'Malformed':
      return `it is damaged: ${error.reason}; ${again}`;
  }
};

/** The plan with all that is needed to decide in the same way again. */
export const savedPlanOf =
  ({ policy, namespaces, allowKilling }: Settings, madeAtMs: number, options: SavedPlan['options']) =>
  (plan: Plan): SavedPlan => ({
    schema: allowKilling || policy.reapedOrphans.length > 0 ? schemas.second : schemas.first,
    madeAt: new Date(madeAtMs).toISOString(),
    policy: { name: policy.name, ...choicesOf(policy) },
    namespaces,
    options,
    ...(allowKilling ? { allowKilling } : {}),
    plan,
  });

/** Whose decisions the plan took. */
export const policyOf = ({ policy: { name, ...chosen } }: SavedPlan): Policy => withChoices(chosen)(policies[name]);

/** Whether the plan may destroy what lives. One of the first version never may. */
export const allowsKilling = ({ schema, allowKilling }: SavedPlan): boolean =>
  schema === schemas.second && allowKilling === true;

/** The text of the file. */
export const encodeSavedPlan = (saved: SavedPlan): string => {
  const content = asciiJson(SavedPlan.encode(saved)).slice(0, -1);
  return `${content}${endOf(content)}`;
};

const endOf = (content: string): string => `,"checksum":"${checksum(content)}"}\n`;

/** CRC-32, as of zip: against accidents, not against an attacker who may write to the file and act on the host. */
const checksum = (text: string): string => {
  let crc = ~0;
  for (let at = 0; at < text.length; at++) crc = (crcTable[(crc ^ text.charCodeAt(at)) & 0xff] ?? 0) ^ (crc >>> 8);
  return `crc32:${(~crc >>> 0).toString(16).padStart(8, '0')}`;
};

/** Reads a saved plan, all of it as it was written; anything else is refused. */
export const parseSavedPlan = (text: string): E.Either<SavedPlanError, SavedPlan> =>
  pipe(
    schemaOf(text),
    E.chain((named): E.Either<SavedPlanError, SavedPlan> => {
      if (named !== schemas.first && named !== schemas.second) return E.left({ _tag: 'OtherVersion', schema: named });
      const length = text.length - endOf('').length;
      const [content, end] = [text.slice(0, length), text.slice(length)];
      if (!/^,"checksum":"crc32:[0-9a-f]{8}"\}\n$/.test(end))
        return E.left({ _tag: O.isSome(parseJson(text)) ? 'Changed' : 'CutOff' });
      const json = parseJson(`${content}}`);
      if (end !== endOf(content) || O.isNone(json)) return E.left({ _tag: 'Changed' });
      return pipe(
        SavedPlan.decode(json.value),
        E.mapLeft((errors): SavedPlanError => ({ _tag: 'Malformed', reason: showErrors(errors) })),
      );
    }),
  );

/** The schema that the text begins with, or names anywhere else. */
const schemaOf = (text: string): E.Either<SavedPlanError, string> => {
  const refused = (reason: string): E.Either<SavedPlanError, never> => E.left({ _tag: 'NotPlan', reason });
  const [, first] = /^\{"schema":"(shim-recovery\/plan@\d+)"/.exec(text) ?? [];
  if (first !== undefined) return E.right(first);
  if (text === '') return refused('it is empty');
  const json = parseJson(text);
  if (O.isNone(json)) return refused('it is no JSON');
  if (!Schema.is(json.value)) return refused('it names no schema');
  const named = json.value.schema;
  return /^shim-recovery\/plan@\d+$/.test(named) ? E.right(named) : refused(`its schema is ${showValue(named)}`);
};

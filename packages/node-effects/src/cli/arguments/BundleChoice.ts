/** Which bundle is meant by what was typed. */
import { ByteString as B } from '@shim-recovery/core';
import type { BundleId } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';

/** What was typed: `NAMESPACE/ID` or `ID`. */
export interface TypedBundle {
  readonly namespace: string | undefined;
  readonly id: string;
}

const shownNames = 10;

export const showBundleId = ({ namespace, id }: BundleId): string => `${B.show(namespace)}/${B.show(id)}`;

/** The one bundle of this name. Left: what there is instead, in one line, and what could not be looked at. */
export const chooseBundle = (
  names: ReadonlyArray<BundleId>,
  typed: TypedBundle,
  where: string,
  notSeen: ReadonlyArray<string> = [],
): E.Either<string, BundleId> => {
  const text = typed.namespace === undefined ? typed.id : `${typed.namespace}/${typed.id}`;
  const [found, ...more] = named(names, typed);
  const instead = (): string => {
    if (names.length > 0) return `; there ${names.length === 1 ? 'is' : 'are'} ${list(likelyFirst(names, typed))}`;
    return notSeen.length === 0 ? ', nor any other' : '';
  };
  if (found === undefined) return E.left([`there is no bundle ${text} in ${where}${instead()}`, ...notSeen].join('; '));
  return more.length === 0
    ? E.right(found)
    : E.left(`${text} stands in several namespaces of ${where}; name one of them: ${list([found, ...more])}`);
};

/** A name is typed as it is shown; where none is shown so, as it is. */
const named = (names: ReadonlyArray<BundleId>, { namespace, id }: TypedBundle): ReadonlyArray<BundleId> => {
  const inNamespace = names.filter((name) => namespace === undefined || B.show(name.namespace) === namespace);
  const shown = inNamespace.filter((name) => B.show(name.id) === id);
  return shown.length > 0 ? shown : inNamespace.filter((name) => name.id === B.fromText(id));
};

/** Those that begin with what was typed first, then those of that name in part; most likely one of them is meant. */
const likelyFirst = (names: ReadonlyArray<BundleId>, { id }: TypedBundle): ReadonlyArray<BundleId> => {
  const likeness = (name: BundleId): number => {
    const shown = B.show(name.id);
    if (shown.startsWith(id)) return 0;
    return shown.includes(id) || id.includes(shown) ? 1 : 2;
  };
  return [...names].sort((first, second) => likeness(first) - likeness(second));
};

const list = (names: ReadonlyArray<BundleId>): string => {
  const more = names.length - shownNames;
  const shown = names.slice(0, shownNames).map(showBundleId).join(', ');
  return more > 0 ? `${shown} and ${more} more` : shown;
};

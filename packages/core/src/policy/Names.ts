/** Names that the daemon accepts for namespaces (SPEC 3). Ids of bundles are never validated: any directory name counts. */
import * as B from '../base/ByteString.js';

const maxLength = 76;

const pattern = /^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$/;

/** Whether the reference would look into a namespace directory of this name at all. */
export const isValidNamespace = (name: B.ByteString): boolean => name.length <= maxLength && pattern.test(name);

/** Whether a name starts with a dot, as leftovers of interrupted removals do; such names are passed over (SPEC 1.4). */
export const isHidden = (name: B.ByteString): boolean => name.startsWith('.');

/** The id that a hidden name had before an interrupted removal put a dot before it; any other name as it is. */
export const unhidden = (name: B.ByteString): B.ByteString => B.slice(name, name.search(/[^.]|$/));

/** Which bundle. */
export interface BundleId {
  readonly namespace: B.ByteString;
  readonly id: B.ByteString;
}

/** A key for maps. No valid namespace holds a slash, so that two different bundles never have the same. */
export const keyOf = ({ namespace, id }: BundleId): string => `${namespace}/${id}`;

/** Why a bbolt file could not be read. None of these says anything about whether a key exists. */

/**
 * - `Unreadable`: the file itself could not be read.
 * - `NotBolt`: no valid meta page was found: another kind of file, or one that was cut off.
 * - `Corrupt`: what the page says cannot be.
 */
export type BoltError =
  | { readonly _tag: 'Unreadable'; readonly reason: string }
  | { readonly _tag: 'NotBolt'; readonly reason: string }
  | { readonly _tag: 'Corrupt'; readonly page: number; readonly reason: string };

/** A sentence for people. */
export const showBoltError = (error: BoltError): string => {
  switch (error._tag) {
    case 'Unreadable':
      return `it cannot be read: ${error.reason}`;
    case 'NotBolt':
      return `it is no bbolt database: ${error.reason}`;
    case 'Corrupt':
      return `page ${error.page} is corrupt: ${error.reason}`;
  }
};

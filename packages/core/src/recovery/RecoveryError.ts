/** Why a run did nothing at all. */
import * as t from 'io-ts';
import { FileError, showFileError } from '../capabilities/FileSystem.js';

/** Why nothing at all was done: one of the two root directories cannot be read, or too much would be destroyed. */
export const RecoveryError = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('StateUnreadable'), error: FileError })),
    t.readonly(t.type({ _tag: t.literal('RootUnreadable'), error: FileError })),
    t.readonly(
      t.type({ _tag: t.literal('TooMuchDestroyed'), destroyed: t.number, bundles: t.number, mayDestroy: t.number }),
    ),
  ],
  'RecoveryError',
);

export type RecoveryError = t.TypeOf<typeof RecoveryError>;

/** A sentence for people. */
export const showRecoveryError = (error: RecoveryError): string => {
  switch (error._tag) {
    case 'StateUnreadable':
      return `the state directory cannot be used: ${showFileError(error.error)}`;
    case 'RootUnreadable':
      return `the root directory cannot be used: ${showFileError(error.error)}`;
    case 'TooMuchDestroyed':
      return `${error.destroyed} of ${error.bundles} bundles would be destroyed, more than a share of ${error.mayDestroy}; nothing was done. Look at the plan, and if it is right, allow it with --may-destroy ${passingShare(error)}`;
  }
};

/** The smallest share, in hundredths, that lets this many be destroyed. */
const passingShare = ({ destroyed, bundles }: Extract<RecoveryError, { readonly _tag: 'TooMuchDestroyed' }>): string =>
  String(Math.min(1, Math.ceil((destroyed / bundles) * 100) / 100));

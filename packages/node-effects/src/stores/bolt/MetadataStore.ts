/** The daemon's own database, opened for reading and locked meanwhile (SPEC 2.4, 18.1). */
import * as fs from 'node:fs';
import type { ContainerStore, SandboxStore } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import { pipe } from 'fp-ts/lib/function.js';
import { errnoIn } from '../../native/Errno.js';
import { flock } from '../../native/Native.js';
import { openBolt } from './Bolt.js';
import { showBoltError } from './BoltError.js';
import { checkRecords, metadataStores } from './MetadataRecords.js';
import { fileSource } from './Source.js';

/**
 * - `shared`: nobody may write meanwhile; others may read. For looking.
 * - `exclusive`: a daemon that is started meanwhile waits (H33). For acting.
 * - `none`: whatever anybody does with it meanwhile.
 */
export type Locking = 'shared' | 'exclusive' | 'none';

/**
 * - `CannotOpen`: it cannot be opened or read; `code` is the errno's name.
 * - `Locked`: another process holds it, most likely a daemon; `holder` is its pid, where it could be told.
 * - `Damaged`: it is no database, or one that is broken where its records are.
 */
export type MetadataStoreError =
  | { readonly _tag: 'CannotOpen'; readonly path: string; readonly code: string }
  | { readonly _tag: 'Locked'; readonly path: string; readonly holder: number | undefined }
  | { readonly _tag: 'Damaged'; readonly path: string; readonly reason: string };

export interface MetadataStore {
  readonly stores: ContainerStore & SandboxStore;
  /** Gives the lock and the file back. */
  readonly close: IO<void>;
}

/** Opens the database at a path; never waits for a lock, and never writes. */
export const openMetadataStore = (
  path: string,
  { locking }: { readonly locking: Locking },
): E.Either<MetadataStoreError, MetadataStore> => {
  const { O_RDONLY, O_NONBLOCK } = fs.constants;
  const descriptor = E.tryCatch(() => fs.openSync(path, O_RDONLY | O_NONBLOCK), errnoIn);
  if (E.isLeft(descriptor)) return E.left({ _tag: 'CannotOpen', path, code: descriptor.left });
  const close = (): void => fs.closeSync(descriptor.right);
  const kind = fs.fstatSync(descriptor.right);
  const locked = kind.isFile()
    ? lock(path, descriptor.right, locking)
    : E.left<MetadataStoreError>({ _tag: 'Damaged', path, reason: 'it is no regular file' });
  const stores = E.isLeft(locked) ? locked : read(path, descriptor.right);
  if (E.isRight(stores)) return E.right({ stores: stores.right, close });
  close();
  return stores;
};

const lock = (path: string, descriptor: number, locking: Locking): E.Either<MetadataStoreError, void> => {
  if (locking === 'none') return E.right(undefined);
  const locked = flock(descriptor, locking);
  if (E.isLeft(locked))
    return E.left(
      locked.left === 'EAGAIN'
        ? { _tag: 'Locked', path, holder: holderOf(descriptor) }
        : { _tag: 'CannotOpen', path, code: locked.left },
    );
  return isStill(path, descriptor) ? E.right(undefined) : E.left({ _tag: 'CannotOpen', path, code: 'ESTALE' });
};

/** Who holds a lock on the file, by the kernel's list of locks: `1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> …`. */
const holderOf = (descriptor: number): number | undefined => {
  const lines = E.tryCatch(
    () => {
      const { ino } = fs.fstatSync(descriptor, { bigint: true });
      return fs
        .readFileSync('/proc/locks', 'utf8')
        .split('\n')
        .filter((line) => line.includes(' FLOCK ') && line.includes(`:${ino} `));
    },
    () => undefined,
  );
  const pid = E.isRight(lines) ? Number(lines.right[0]?.trim().split(/\s+/)[4]) : Number.NaN;
  return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
};

/** Whether the path still leads to the file that is open: a lock on one that was replaced keeps nobody out. */
const isStill = (path: string, descriptor: number): boolean => {
  const same = E.tryCatch(
    () => {
      const [named, opened] = [fs.statSync(path, { bigint: true }), fs.fstatSync(descriptor, { bigint: true })];
      return named.ino === opened.ino && named.dev === opened.dev;
    },
    () => false,
  );
  return E.isRight(same) && same.right;
};

/** Reads every record once: no answer is to be that the file is damaged. */
const read = (path: string, descriptor: number): E.Either<MetadataStoreError, ContainerStore & SandboxStore> =>
  pipe(
    fileSource(descriptor),
    E.chain(openBolt),
    E.chainFirst(checkRecords),
    E.bimap((error): MetadataStoreError => ({ _tag: 'Damaged', path, reason: showBoltError(error) }), metadataStores),
  );

/** A sentence for people. */
export const showMetadataStoreError = (error: MetadataStoreError): string => {
  switch (error._tag) {
    case 'CannotOpen':
      return `the metadata store ${error.path} cannot be opened: ${error.code}`;
    case 'Locked':
      return `the metadata store ${error.path} is in use${error.holder === undefined ? '' : ` by process ${error.holder}`}: most likely a daemon is running, or another recovery`;
    case 'Damaged':
      return `the metadata store ${error.path} cannot be used: ${error.reason}`;
  }
};

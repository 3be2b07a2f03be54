/** Log pipes in memory: made where they are missing, and counted while they are open (SPEC 8.3). */
import { ByteString as B } from '@shim-recovery/core';
import { BundleLayout as Layout, type LogPipes, pathOf, systemError } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as Entry from './Entry.js';
import type { MemoryFileSystem } from './MemoryFileSystem.js';
import type { ErrorCode, Tree } from './Tree.js';

export interface MemoryLogPipes extends LogPipes {
  /** How many are open, by `namespace/id`; one that is opened twice counts twice. */
  readonly openNow: () => ReadonlyArray<string>;
}

const fifoMode = 0o700;

export const makeLogPipes = (tree: Tree, files: MemoryFileSystem): MemoryLogPipes => {
  const opened = new Set<{ readonly name: string }>();

  const openIn = (bundle: Entry.Entry, followLast: boolean): E.Either<ErrorCode, void> => {
    const log = tree.lookUp(bundle, Layout.entry.log);
    if (E.isLeft(log) && log.left === 'ENOENT') {
      // A directory that was removed meanwhile takes no new entries.
      if (!Entry.isAttached(bundle)) return E.left('ENOENT');
      Entry.makeChild(bundle, Layout.entry.log, { kind: 'fifo', mode: fifoMode });
      return E.right(undefined);
    }
    return pipe(
      tree.walk(Layout.entry.log, { from: bundle, followLast }),
      E.chain((entry): E.Either<ErrorCode, void> => {
        switch (Entry.kindOf(entry)) {
          case 'directory':
            return E.left('EISDIR');
          case 'socket':
            return E.left('ENXIO');
          case 'fifo':
          case 'file':
          case 'device':
          case 'symlink':
            return E.right(undefined);
        }
      }),
    );
  };

  return {
    open:
      ({ bundle, namespace, id, followsLinks }) =>
      async () =>
        pipe(
          files.entryOf(bundle),
          E.fromNullable<ErrorCode>('EBADF'),
          E.chain((entry) => openIn(entry, followsLinks)),
          E.bimap(
            (code) => systemError('open', pathOf({ directory: bundle, name: Layout.entry.log }), code),
            () => {
              const handle = { name: `${B.show(namespace)}/${B.show(id)}` };
              opened.add(handle);
              return {
                close: async () => {
                  opened.delete(handle);
                },
              };
            },
          ),
        ),
    openNow: () => [...opened].map(({ name }) => name),
  };
};

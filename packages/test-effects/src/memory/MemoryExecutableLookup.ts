/** Programs by path, in the directory tree in memory (SPEC 5). */
import { type ExecutableLookup, systemError } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as Entry from './Entry.js';
import type { Tree } from './Tree.js';

export const makeProgramFiles = (tree: Tree): ExecutableLookup => ({
  look: (path) => async () =>
    pipe(
      tree.walk(path),
      E.bimap(
        (code) => systemError('stat', path, code),
        (entry) => ({ isDirectory: Entry.isDirectory(entry), executable: Entry.isExecutable(entry) }),
      ),
    ),
});

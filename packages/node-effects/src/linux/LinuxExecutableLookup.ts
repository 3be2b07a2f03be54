/** Looking at programs by path, as the search for a shim's binary needs it (SPEC 5). */
import { type ExecutableLookup, systemError } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { kernelName, kindOf } from './LinuxFileSystem.js';
import { AT_FDCWD, mayExecuteAt, statAt } from '../native/Native.js';

export const linuxProgramFiles: ExecutableLookup = {
  look: (path) => async () => {
    const name = kernelName(path);
    const status = path.includes('\0') ? E.left('EINVAL') : statAt(AT_FDCWD, name);
    return E.isLeft(status)
      ? E.left(systemError('stat', path, status.left))
      : E.right({
          isDirectory: kindOf(status.right) === 'directory',
          executable: E.isRight(mayExecuteAt(AT_FDCWD, name)),
        });
  },
};

/** Looking at programs by path, as the search for a shim's binary needs it (SPEC 5). */
import * as fs from 'node:fs';
import * as B from '@shim-recovery/core/ByteString';
import { systemError } from '@shim-recovery/core/FileSystem';
import type { ProgramFiles } from '@shim-recovery/core/ProgramFiles';
import * as E from 'fp-ts/lib/Either.js';
import { errnoIn } from './Errno.js';

export const linuxProgramFiles: ProgramFiles = {
  look: (path) => async () => {
    if (path.includes('\0')) return E.left(systemError('stat', path, 'EINVAL'));
    const bytes = Buffer.from(B.toBytes(path));
    return E.tryCatch(
      () => ({
        isDirectory: fs.statSync(bytes).isDirectory(),
        executable: E.isRight(E.tryCatch(() => fs.accessSync(bytes, fs.constants.X_OK), errnoIn)),
      }),
      (error) => systemError('stat', path, errnoIn(error)),
    );
  },
};

/** The interpreter for Linux, as the laws want it: in directories of its own. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { FileArea } from '@shim-recovery/test-effects/laws/FileSystemLaws';
import { linuxFileSystem } from '../../src/FileSystem.js';
import { listReal, makeReal, unmountBelow } from '../realTree.js';
import { isRoot } from '../temporary.js';

const emptyDirectory = (): string => fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'sr-law-')));

const discard = (base: string): void => {
  unmountBelow(base);
  fs.rmSync(base, { recursive: true, force: true });
};

export const openFileArea = async (): Promise<FileArea> => {
  const base = emptyDirectory();
  return {
    fileSystem: linuxFileSystem,
    base,
    make: async (making) => makeReal(making),
    list: async () => listReal(base),
    canMount: isRoot,
    dispose: async () => discard(base),
  };
};

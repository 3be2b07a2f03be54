/** The interpreter in memory, as the laws want it. */
import * as B from '@shim-recovery/core/ByteString';
import { make } from '../../src/LaidWorld.js';
import type { FileArea } from '../../src/laws/FileSystemLaws.js';
import { listTree, makeDirectories, makeMachine } from '../../src/Machine.js';

export const openFileArea = async (): Promise<FileArea> => {
  const { fileSystem, tree } = makeMachine();
  const base = '/area/base';
  makeDirectories(tree, B.fromText(base));
  return {
    fileSystem,
    base,
    make: async (making) => make(tree)(making),
    list: async () => listTree(tree, B.fromText(base)),
    canMount: true,
    dispose: async () => undefined,
  };
};

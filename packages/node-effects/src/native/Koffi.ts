/** Loading koffi, through which the C library is called (`CLibrary.ts`). */
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import type * as Koffi from 'koffi';

/** Of the command only (`tooling/bundle.js`): where its build found koffi's native file, seen from the command's directory. */
declare const koffiFile: string;

declare const koffiVersion: string;

/** The file beside the command that says where it was built. It is not published. */
declare const builtInFile: string;

/** Throws where there is none. */
export const loadKoffi = (): typeof Koffi => {
  // oxlint-disable-next-line typescript/no-unsafe-return -- loaded at first use only, and require() knows no types
  return koffiAsBuilt() ?? createRequire(import.meta.url)('koffi');
};

/**
 * Koffi as the command's build found it, where the command still stands where it was built: to find it by its name takes six times
 * as long as to load it. Anywhere else that place may be anybody's.
 */
const koffiAsBuilt = (): typeof Koffi | undefined => {
  if (typeof koffiFile !== 'string') return undefined;
  const loaded: { readonly exports: Partial<typeof Koffi> } = { exports: {} };
  try {
    const directory = path.dirname(fileURLToPath(import.meta.url));
    if (fs.readFileSync(path.join(directory, builtInFile), 'utf8') !== directory) return undefined;
    process.dlopen(loaded, path.join(directory, koffiFile));
  } catch {
    return undefined;
  }
  return isKoffi(loaded.exports) ? loaded.exports : undefined;
};

const isKoffi = (exports: Partial<typeof Koffi>): exports is typeof Koffi => exports.version === koffiVersion;

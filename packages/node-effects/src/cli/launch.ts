#!/usr/bin/env node
/**
 * Starts the command, which is one file (`tooling/bundle.js`): with the code that this very Node made of it before, where
 * that was kept beside it. Compiling is most of what a start costs. V8 itself refuses what another version made.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { constants, Script } from 'node:vm';

/** The name of the program's file. */
declare const programFile: string;

const file = join(import.meta.dirname, programFile);

const kept = (): Buffer | undefined => {
  try {
    return readFileSync(`${file}.${process.version}-${process.arch}.cache`);
  } catch {
    return undefined; // It is compiled, then.
  }
};

const script = new Script(readFileSync(file, 'utf8'), {
  filename: file,
  cachedData: kept(),
  importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
});

/** What the file holds: a function of what is different wherever it stands. */
const program: unknown = script.runInThisContext();
if (typeof program === 'function') Reflect.apply(program, undefined, [createRequire(file), pathToFileURL(file).href]);

#!/usr/bin/env node
/**
 * Starts the command, which is one file (`tooling/bundle.js`): with the code that this very Node made of it before, where
 * that was kept beside it. Compiling is most of what a start costs. V8 itself refuses what another version made.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setFlagsFromString } from 'node:v8';
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

/**
 * A recovery makes much that is soon of no use, and is over before long: collected a little sooner and without more room for
 * what is new, ten thousand live shims take two thirds of the memory, in the same time. Other versions may not know these.
 * Only now: code that was kept is refused by a V8 with other switches.
 */
const suitsV8 = ['11', '12', '13'].includes(process.versions.v8.split('.')[0] ?? '');
if (suitsV8)
  for (const flag of ['heap-growing-percent=100', 'semi-space-growth-factor=1']) setFlagsFromString(`--${flag}`);

/** What the file holds: a function of what is different wherever it stands. */
const program: unknown = script.runInThisContext();
if (typeof program === 'function') Reflect.apply(program, undefined, [createRequire(file), pathToFileURL(file).href]);

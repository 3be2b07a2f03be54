/**
 * Keeps the code that V8 makes of the command: of whatever its demonstration runs, which is most of what any run needs.
 *   node tooling/codeCache.js PROGRAM CACHE
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { constants, Script } from 'node:vm';

const [, , program, cache] = process.argv;
const script = new Script(readFileSync(program, 'utf8'), {
  filename: program,
  importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
});
process.argv.splice(1, Infinity, program, 'demo');
process.on('exit', () => {
  if (process.exitCode !== 0) return;
  const kept = `${cache}.${process.pid}`;
  writeFileSync(kept, script.createCachedData());
  renameSync(kept, cache);
});
script.runInThisContext()(createRequire(program), pathToFileURL(program).href);

/**
 * Keeps the code that V8 makes of the command, for the Node that runs this: of whatever its demonstration runs, which is most
 * of what any run needs. Nothing where it was kept before.
 */
import { join } from 'node:path';
import { keepCode, keptCode, run, scriptOf } from './CodeCache.js';

/** The name of the program's file. */
declare const programFile: string;

const program = join(import.meta.dirname, programFile);

if (keptCode(program) === undefined) {
  const script = scriptOf(program);
  process.argv.splice(1, Infinity, program, 'demo');
  process.on('exit', () => {
    if (process.exitCode === 0) keepCode(program, script);
  });
  run(program, script);
}

/**
 * Keeps the code that V8 makes of the command: of whatever its demonstration runs, which is most of what any run needs.
 *   node tooling/codeCache.js PROGRAM
 */
import { keepCode, run, scriptOf } from '../packages/node-effects/dist/cli/CodeCache.js';

const [, , program] = process.argv;
const script = scriptOf(program);
process.argv.splice(1, Infinity, program, 'demo');
process.on('exit', () => {
  if (process.exitCode === 0) keepCode(program, script);
});
run(program, script);

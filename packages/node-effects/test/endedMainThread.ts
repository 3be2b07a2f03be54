/** A process that goes on after its main thread has ended: the kernel shows it as a zombie, though its other threads run. */
import { fileURLToPath } from 'node:url';

/** Ends its main thread only, once it listens at the socket `socket` in its current directory: Node's other threads go on. */
const program = `
const numbers = { x64: 60, arm64: 93, riscv64: 93, loong64: 93 };
const exit = require(process.argv[1]).load(null).func('long syscall(long, long)');
require('node:net').createServer().listen('socket', () => {
  require('node:fs').writeSync(1, 'listens\\n');
  exit(numbers[process.arch], 0);
});`;

/** The arguments with which Node runs that. */
export const argsWithoutMainThread: ReadonlyArray<string> = [
  '-e',
  program,
  fileURLToPath(import.meta.resolve('koffi')),
];

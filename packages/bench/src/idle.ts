/**
 * A process that does nothing: what it had to wait at the most, by the same measure as whoever shares a process with a recovery.
 * So long the machine itself keeps anybody waiting. It says when it is ready, and ends when nobody writes to it any more.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
setTimeout(() => {
  delay.reset();
  process.stdout.write('ready\n');
}, 50);

process.stdin.on('end', () => process.stdout.write(`${JSON.stringify({ loopDelayMs: delay.max / 1e6 })}\n`));

process.stdin.resume();

/** A process that is all the shims of a world: `node shims.js BASE SIZE AFTER_MS|hang`; says `ready`, ends with its stdin. */
import * as fs from 'node:fs';
import { startScriptedShim } from '@shim-recovery/node-effects/ScriptedShim';
import * as E from 'fp-ts/lib/Either.js';
import { placesIn, socketOf } from './Kinds.js';

const [base = '', size = '0', behaviour = '0'] = process.argv.slice(2);
const places = placesIn(base);

const late = <A>(ok: A) => ({ afterMs: Number(behaviour), reply: { ok } });

const script =
  behaviour === 'hang'
    ? ({ mode: 'serve', connect: 'hang', pids: 'hang', del: 'hang', shutdown: 'hang' } as const)
    : ({
        mode: 'serve',
        connect: late({ task: 900 }),
        pids: late({ pids: [900] }),
        del: late({ pid: 900 }),
        shutdown: late({}),
      } as const);

fs.mkdirSync(places.sockets, { recursive: true });
for (let index = 0; index < Number(size); index += 1) {
  const started = await startScriptedShim({ socketPath: socketOf(places, index), script })();
  if (E.isLeft(started)) {
    process.stderr.write(`${JSON.stringify(started.left)}\n`);
    process.exit(1);
  }
}
process.stdin.resume().on('end', () => process.exit(0));
process.stdout.write('ready\n');

/** The bare loop of a kind: `node floor.js KIND BASE SIZE`; prints how long it took. */
import { performance } from 'node:perf_hooks';
import { kinds, placesIn } from './Kinds.js';

const [name = '', base = '', size = '0'] = process.argv.slice(2);
const floor = kinds.find((kind) => kind.name === name)?.floor;
if (floor === undefined) throw new Error(`${name} has no floor`);
const places = placesIn(base);
const started = performance.now();
for (let index = 0; index < Number(size); index += 1) floor(places, index);
process.stdout.write(`${JSON.stringify({ ms: performance.now() - started })}\n`);

/** The bare loop of a kind: `node floor.js KIND BASE SIZE`; prints how long it took. */
import { performance } from 'node:perf_hooks';
import { kinds, placesIn } from './Kinds.js';

const [name = '', base = '', size = '0'] = process.argv.slice(2);

const { floor, floorAtOnce = 1 } = kinds.find((kind) => kind.name === name) ?? {};

if (floor === undefined) throw new Error(`${name} has no floor`);

const places = placesIn(base);

const indices = Array.from({ length: Number(size) }, (_, index) => index).values();

const one = async (): Promise<void> => {
  for (const index of indices) {
    const waiting = floor(places, index);
    if (waiting !== undefined) await waiting;
  }
};

const started = performance.now();

await Promise.all(Array.from({ length: floorAtOnce }, one));

process.stdout.write(`${JSON.stringify({ ms: performance.now() - started })}\n`);

process.exit(0);

/**
 * A process that is many shims of a world: `node shims.js BASE FIRST COUNT AFTER_MS|hang`; says `ready`, ends with its stdin.
 * It answers with bytes that were made beforehand: what is measured is the one who asks.
 */
import * as fs from 'node:fs';
import * as net from 'node:net';
import { placesIn, socketOf } from './Kinds.js';

const [base = '', first = '0', count = '0', behaviour = '0'] = process.argv.slice(2);

const places = placesIn(base);

const afterMs = Number(behaviour);

const headerBytes = 10;

const responseType = 2;

/** A response frame of stream 0 that holds this payload; neither is longer than one byte can say. */
const responseWith = (payload: ReadonlyArray<number>): Buffer => {
  const message = payload.length === 0 ? [] : [0x12, payload.length, ...payload];
  return Buffer.from([0, 0, 0, message.length, 0, 0, 0, 0, responseType, 0, ...message]);
};

const pid = [0x84, 0x07];

/** By the name of the method: shim and task are process 900, and so is the task's only one. */
const responses = new Map([
  ['Connect', responseWith([0x08, ...pid, 0x10, ...pid])],
  ['Pids', responseWith([0x0a, 1 + pid.length, 0x08, ...pid])],
]);

const nothing = responseWith([]);

const serve = (socket: net.Socket): void => {
  let received = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    while (received.length >= headerBytes) {
      const end = headerBytes + received.readUInt32BE(0);
      if (received.length < end) return;
      const response = answer(received.subarray(0, end));
      received = received.subarray(end);
      if (behaviour === 'hang') continue;
      if (afterMs === 0) socket.write(response);
      else setTimeout(() => socket.write(response), afterMs);
    }
  });
};

fs.mkdirSync(places.sockets, { recursive: true });

const answer = (request: Buffer): Buffer => {
  const text = request.toString('latin1', headerBytes);
  const [, response = nothing] = [...responses].find(([method]) => text.includes(method)) ?? [];
  const answered = Buffer.from(response);
  request.copy(answered, 4, 4, 8);
  return answered;
};

const listening = Array.from(
  { length: Number(count) },
  (_, index) =>
    new Promise<void>((resolve, reject) =>
      net
        .createServer(serve)
        .once('error', reject)
        .listen({ path: socketOf(places, Number(first) + index), backlog: 128 }, resolve),
    ),
);

await Promise.all(listening);

process.stdin.resume().on('end', () => process.exit(0));

process.stdout.write('ready\n');

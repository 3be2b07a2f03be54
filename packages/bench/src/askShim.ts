/** Connects to a shim and asks it Connect and Pids, with bytes that were made beforehand and answers that are not read. */
import { connectionOver } from '@shim-recovery/node-effects/shims/Connection';
import { connectTo } from '@shim-recovery/node-effects/native/Native';
import * as E from 'fp-ts/lib/Either.js';

const requestType = 1;

const field = (number: number, text: string): Buffer =>
  Buffer.concat([Buffer.from([(number << 3) | 2, text.length]), Buffer.from(text)]);

const metadata = Buffer.concat([field(1, 'containerd-namespace-ttrpc'), field(2, 'default')]);

const requestOf = (streamId: number, method: string): Buffer => {
  const payload = Buffer.concat([
    field(1, 'containerd.task.v2.Task'),
    field(2, method),
    field(3, field(1, 'b00000').toString('latin1')),
    Buffer.from([(5 << 3) | 2, metadata.length]),
    metadata,
  ]);
  const header = Buffer.alloc(10);
  header.writeUInt32BE(payload.length, 0);
  header.writeUInt32BE(streamId, 4);
  header.writeUInt8(requestType, 8);
  return Buffer.concat([header, payload]);
};

const requests = [requestOf(1, 'Connect'), requestOf(3, 'Pids')];

export const askShim = (path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = connectTo(Buffer.from(`${path}\0`));
    if (E.isLeft(socket)) return reject(new Error(`connect: ${socket.left}`));
    let asked = 0;
    const ask = (): void => {
      if (E.isLeft(connection)) return;
      const request = requests[asked++];
      if (request === undefined) connection.right.close();
      else connection.right.send(request);
    };
    const connection = connectionOver(socket.right, { received: ask, ended: () => resolve() });
    if (E.isLeft(connection)) return reject(new Error(`epoll: ${connection.left}`));
    ask();
  });

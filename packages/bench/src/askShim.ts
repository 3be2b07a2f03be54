/** Connects to a shim and asks it Connect and Pids, with bytes that were made beforehand and answers that are not read. */
import * as net from 'node:net';

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
    const socket = net.connect(path);
    let asked = 0;
    const ask = (): void => {
      const request = requests[asked++];
      if (request !== undefined) socket.write(request);
      else socket.destroy();
    };
    socket
      .once('connect', ask)
      .on('data', ask)
      .once('error', reject)
      .once('close', () => resolve());
  });

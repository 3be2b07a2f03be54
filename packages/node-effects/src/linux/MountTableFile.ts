/**
 * The mount table as the kernel tells it, read again only when it has changed: the kernel says so of the open file. A careful
 * removal looks at the table before each directory, and on most hosts nothing is mounted in between.
 */
import * as fs from 'node:fs';
import { ByteString as B } from '@shim-recovery/core';
import { hasUrgent } from '../native/Native.js';

const mountTable = '/proc/self/mountinfo';

const maxTableBytes = 64 * 1024 * 1024;

/** The file, open, and what it told last. */
interface OpenTable {
  readonly descriptor: number;
  readonly text: B.ByteString;
}

let known: OpenTable | undefined;

/** The table as it is now. The same text, and not only an equal one, as long as nothing is mounted or unmounted. */
export const readMountTable = (): B.ByteString => {
  if (known !== undefined && hasUrgent(known.descriptor) === false) return known.text;
  const descriptor = known?.descriptor ?? fs.openSync(mountTable, 'r');
  known = undefined;
  // Every change from here on is told the next time, also what changes while it is read.
  const isTold = hasUrgent(descriptor) !== undefined;
  try {
    const text = readOpen(descriptor);
    if (isTold) known = { descriptor, text };
    return text;
  } finally {
    if (known === undefined) fs.closeSync(descriptor);
  }
};

/** Throws what Node throws where the table cannot be read, and a `RangeError` where it is too large to be one. */
const readOpen = (descriptor: number): B.ByteString => {
  const parts: Array<Buffer> = [];
  let length = 0;
  for (;;) {
    const part = Buffer.allocUnsafe(64 * 1024);
    const count = fs.readSync(descriptor, part, 0, part.length, length);
    if (count === 0) return B.fromBytes(Buffer.concat(parts));
    parts.push(part.subarray(0, count));
    length += count;
    if (length > maxTableBytes) throw new RangeError(`it is larger than ${maxTableBytes} bytes`);
  }
};

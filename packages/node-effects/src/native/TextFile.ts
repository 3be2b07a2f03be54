/** A whole file of text that a person named: what is no such file is said, and nothing is waited for. */
import { isUtf8 } from 'node:buffer';
import * as fs from 'node:fs';
import * as E from 'fp-ts/lib/Either.js';

/** Reads it once. Left: what is wrong with it. */
export const readTextFile = (path: string, { maxBytes }: { readonly maxBytes: number }): E.Either<string, string> =>
  E.tryCatch(() => {
    const descriptor = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    try {
      const status = fs.fstatSync(descriptor);
      if (!status.isFile()) throw new Error('it is no regular file');
      if (status.size > maxBytes) throw new Error(`it is larger than ${maxBytes} bytes`);
      const bytes = fs.readFileSync(descriptor);
      if (!isUtf8(bytes)) throw new Error('it is not UTF-8');
      return bytes.toString();
    } finally {
      fs.closeSync(descriptor);
    }
  }, messageOf);

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

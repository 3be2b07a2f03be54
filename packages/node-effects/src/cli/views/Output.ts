/**
 * What a command writes to a descriptor that it was started with. Node makes a stream of each when somebody first asks for it, which
 * takes longer than all that most commands have to write; so text is written directly for as long as that can be done.
 */
import { fstatSync, writeSync } from 'node:fs';
import type { Writable } from 'node:stream';
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import { errnoIn } from '../../native/Errno.js';

export interface Output {
  readonly isTerminal: boolean;
  /** Completes when the text is out. Left: the errno why it cannot be. */
  readonly write: (text: string) => Promise<E.Either<string, void>>;
  /** Node's stream; from then on everything goes through it. */
  readonly stream: IO<Writable>;
  /** Completes when that stream takes more again, or never will; undefined where there is none, or it does. */
  readonly drained: IO<Promise<void> | undefined>;
}

const done = E.right(undefined);

/** The output that stands behind a descriptor, of which `open` gives Node's stream. */
export const outputTo = (descriptor: number, open: IO<Writable & { readonly isTTY?: boolean }>): Output => {
  let stream: ReturnType<typeof open> | undefined;
  const opened = (): ReturnType<typeof open> => {
    // Each write is told of its own error; the stream's, without a listener, would end the process.
    stream ??= open().on('error', () => undefined);
    return stream;
  };
  const writeToStream = (bytes: Buffer): Promise<E.Either<string, void>> =>
    new Promise((resolve) => {
      opened().write(bytes, (error) => resolve(error === null || error === undefined ? done : E.left(errnoIn(error))));
    });
  return {
    isTerminal: isDevice(descriptor) && opened().isTTY === true,
    stream: opened,
    drained: () => (stream?.writableNeedDrain === true ? drained(stream) : undefined),
    write: async (text) => {
      const bytes = Buffer.from(text);
      const rest = stream === undefined ? writeNow(descriptor, bytes) : E.right(bytes);
      if (E.isLeft(rest)) return rest;
      return rest.right.length === 0 ? done : writeToStream(rest.right);
    },
  };
};

/**
 * Only what is a device can be a terminal, and whether it is one Node says by its stream. Asked in big numbers: where the others
 * are those of a pipe, Node 20 follows no symlink any more when it resolves a module.
 */
const isDevice = (descriptor: number): boolean =>
  E.getOrElse(() => false)(E.tryCatch(() => fstatSync(descriptor, { bigint: true }).isCharacterDevice(), errnoIn));

/** When a stream takes more again, or never will. */
const drained = (stream: Writable): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      for (const event of drainEvents) stream.off(event, done);
      resolve();
    };
    for (const event of drainEvents) stream.on(event, done);
  });

const drainEvents = ['drain', 'error', 'close'] as const;

/** Writes as much as can be written at once. Right: what is left, as a descriptor that does not wait is full. */
const writeNow = (descriptor: number, bytes: Buffer): E.Either<string, Buffer> => {
  let rest = bytes;
  while (rest.length > 0) {
    const written = E.tryCatch(() => writeSync(descriptor, rest), errnoIn);
    if (E.isLeft(written)) return written.left === 'EAGAIN' ? E.right(rest) : written;
    rest = rest.subarray(written.right);
  }
  return E.right(rest);
};

/** What is written directly, and what goes through a stream because it cannot be. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Writable } from 'node:stream';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, test } from 'vitest';
import { outputTo } from '../../src/cli/views/Output.js';
import { openAt, pipe } from '../../src/native/Native.js';
import { temporaryDirectory } from '../temporary.js';

/** A stream that keeps what it is given, and how often it was asked for. */
const keeping = () => {
  const kept: Array<string> = [];
  let opened = 0;
  const open = (): Writable => {
    opened++;
    return new Writable({
      write: (bytes: Buffer, _, done) => {
        kept.push(bytes.toString());
        done();
      },
    });
  };
  return { kept, open, opened: () => opened };
};

describe('an output', () => {
  const directory = temporaryDirectory();

  test('is written directly, and needs no stream', async () => {
    const file = path.join(directory.path(), 'out');
    const descriptor = fs.openSync(file, 'w');
    const { open, opened } = keeping();
    const output = outputTo(descriptor, open);
    expect(output.isTerminal).toBe(false);
    expect(await output.write('one\n')).toEqual(E.right(undefined));
    expect(await output.write('zwölf\n')).toEqual(E.right(undefined));
    fs.closeSync(descriptor);
    expect(fs.readFileSync(file, 'utf8')).toBe('one\nzwölf\n');
    expect([opened(), output.drained()]).toEqual([0, undefined]);
  });

  test('that does not wait hands what it has no room for to its stream, and all that follows', async () => {
    const ends = pipe();
    if (E.isLeft(ends)) throw new Error(ends.left);
    const { readEnd, writeEnd } = ends.right;
    // Opened anew, as what it is open on: this one does not wait.
    const full = openAt(-1, `/proc/self/fd/${writeEnd}`, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
    if (E.isLeft(full)) throw new Error(full.left);
    const { kept, open, opened } = keeping();
    const output = outputTo(full.right, open);
    const text = 'x'.repeat(200_000);
    expect(await output.write(text)).toEqual(E.right(undefined));
    const direct = fs.readSync(readEnd, Buffer.alloc(text.length));
    expect(direct).toBeGreaterThan(0);
    expect(direct + kept.join('').length).toBe(text.length);
    expect(await output.write('after')).toEqual(E.right(undefined));
    expect([kept.at(-1), opened()]).toEqual(['after', 1]);
    for (const descriptor of [readEnd, writeEnd, full.right]) fs.closeSync(descriptor);
  });

  test('says why nothing can be written', async () => {
    const file = path.join(directory.path(), 'in');
    fs.writeFileSync(file, '');
    const descriptor = fs.openSync(file, 'r');
    const { open, opened } = keeping();
    expect(await outputTo(descriptor, open).write('text')).toEqual(E.left('EBADF'));
    expect(opened()).toBe(0);
    fs.closeSync(descriptor);
  });
});

/** How much is read of files of which another process chooses the length. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readCommandLineAt, readFileAt } from '../../src/linux/ProcessDirectory.js';
import { AT_FDCWD } from '../../src/native/Native.js';
import { temporaryDirectory } from '../temporary.js';

const base = temporaryDirectory();
const fileOf = (content: string): string => {
  const file = path.join(base.path(), 'file');
  fs.writeFileSync(file, content);
  return file;
};

const mebibyte = 1024 * 1024;

describe('readFileAt', () => {
  it('gives a file that is as long as it may be, and EFBIG for one that is longer', () => {
    const [fits, tooLong] = ['x'.repeat(mebibyte), 'x'.repeat(mebibyte + 1)];
    expect(readFileAt(AT_FDCWD, fileOf(fits))).toEqual(E.right(fits));
    expect(readFileAt(AT_FDCWD, fileOf(tooLong))).toEqual(E.left('EFBIG'));
    expect(readFileAt(AT_FDCWD, fileOf(tooLong), tooLong.length)).toEqual(E.right(tooLong));
    expect(readFileAt(AT_FDCWD, fileOf('abc'), 2)).toEqual(E.left('EFBIG'));
  });

  it('stops reading a file without an end', () => {
    expect(readFileAt(AT_FDCWD, '/dev/zero')).toEqual(E.left('EFBIG'));
  });
});

describe('readCommandLineAt', () => {
  it('gives the first words of a long command line, each whole', () => {
    const longWord = fc.integer({ min: 0, max: mebibyte }).map((length) => 'x'.repeat(length));
    fc.assert(
      fc.property(fc.array(longWord, { maxLength: 4 }), (words) => {
        const all = words.map((word) => `${word}\0`).join('');
        const read = readCommandLineAt(AT_FDCWD, fileOf(all));
        const kept = E.isRight(read) ? read.right : expect.fail(read.left);
        expect(kept.length).toBeLessThanOrEqual(mebibyte);
        expect(all.startsWith(kept) && /^$|\0$/.test(kept)).toBe(true);
        // The next word would not have fitted.
        expect(kept === all || all.indexOf('\0', kept.length) >= mebibyte).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('keeps a last word without a NUL where it is not cut, and gives nothing of a word that is too long', () => {
    expect(readCommandLineAt(AT_FDCWD, fileOf('a\0b'))).toEqual(E.right('a\0b'));
    expect(readCommandLineAt(AT_FDCWD, '/dev/zero')).toEqual(E.right('\0'.repeat(mebibyte)));
    expect(readCommandLineAt(AT_FDCWD, fileOf('x'.repeat(2 * mebibyte)))).toEqual(E.right(''));
  });
});

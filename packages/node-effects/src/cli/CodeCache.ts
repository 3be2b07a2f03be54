/**
 * The code that V8 made of a program, kept beside it: compiling is most of what a start costs. It is of one very Node, by
 * its version and by the file that it is, and its checksum stands behind it, as V8 looks at neither before it runs the code.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';
import { crc32 } from 'node:zlib';

/** Where the code for this Node is kept. */
export const cacheOf = (program: string): string => {
  const { size, mtimeMs } = statSync(process.execPath);
  const node = `${process.version}-${process.arch}-${size.toString(36)}-${Math.trunc(mtimeMs).toString(36)}`;
  return `${program}.${node}.cache`;
};

/** The code that was kept for this Node; undefined where there is none, or where it is not whole. */
export const keptCode = (program: string): Buffer | undefined => {
  try {
    const cache = cacheOf(program);
    if (!statSync(cache).isFile()) return undefined;
    const kept = readFileSync(cache);
    const code = kept.subarray(0, -checksumBytes);
    return checksumOf(code).equals(kept.subarray(code.length)) ? code : undefined;
  } catch {
    return undefined; // It is compiled, then.
  }
};

const checksumBytes = 4;

const checksumOf = (code: Buffer): Buffer => {
  const checksum = Buffer.alloc(checksumBytes);
  checksum.writeUInt32LE(crc32(code));
  return checksum;
};

/** Keeps what V8 has made of it by now; whole, or not at all. */
export const keepCode = (program: string, script: Script): void => {
  const code = script.createCachedData();
  const cache = cacheOf(program);
  const aside = `${cache}.${process.pid}`;
  const descriptor = openSync(aside, 'w');
  try {
    writeFileSync(descriptor, Buffer.concat([code, checksumOf(code)]));
    fsyncSync(descriptor);
    renameSync(aside, cache);
  } catch (error) {
    unlinkSync(aside);
    throw error;
  } finally {
    closeSync(descriptor);
  }
};

/** A program, compiled or as it was kept. */
export const scriptOf = (program: string, cachedData?: Buffer): Script =>
  new Script(readFileSync(program, 'utf8'), {
    filename: program,
    ...(cachedData === undefined ? {} : { cachedData }),
  });

/** Starts it. It is a function of what is different wherever it stands. */
export const run = (program: string, script: Script): void => {
  const start: unknown = script.runInThisContext();
  if (typeof start !== 'function') throw new Error(`${program} is not whole; build or install the command again`);
  Reflect.apply(start, undefined, [createRequire(program), pathToFileURL(program).href]);
};

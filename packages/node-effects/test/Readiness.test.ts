import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it, onTestFinished } from 'vitest';
import * as Native from '../src/Native.js';
import { waitToRead, type Waiting } from '../src/Readiness.js';
import { eventually, right, temporaryDirectory } from './temporary.js';

const base = temporaryDirectory();

interface Pipe {
  readonly readEnd: number;
  readonly writeEnd: number;
}

/** A pipe whose ends are closed when the test is over. */
const pipe = (): Pipe => {
  const made = right(Native.pipe());
  onTestFinished(() => Object.values(made).forEach(Native.close));
  return made;
};

const wait = (descriptor: number, ready: () => void): Waiting => {
  const waiting = right(waitToRead(descriptor, { ready, keepsAlive: false }));
  onTestFinished(waiting.end);
  return waiting;
};

/** So many turns of the event loop that whoever is to be told has been told. */
const someTurns = async (): Promise<void> => {
  for (let turns = 0; turns < 10; turns += 1) await new Promise((resolve) => setImmediate(resolve));
};

const readOne = (descriptor: number): void => {
  fs.readSync(descriptor, Buffer.alloc(1));
};

describe('waiting to read', () => {
  it('is told as long as there is something, and not before, and not afterwards', async () => {
    const { readEnd, writeEnd } = pipe();
    let told = 0;
    const waiting = wait(readEnd, () => {
      told += 1;
      readOne(readEnd);
    });
    await someTurns();
    expect(told).toBe(0);
    fs.writeSync(writeEnd, 'abc');
    await eventually('all of it', () => told === 3);
    await someTurns();
    expect(told).toBe(3);
    waiting.end();
    waiting.end();
    fs.writeSync(writeEnd, 'd');
    await someTurns();
    expect(told).toBe(3);
  });

  it('of nothing is not told either that the other side has hung up, until something is waited for again', async () => {
    const { readEnd, writeEnd } = right(Native.pipe());
    onTestFinished(() => Native.close(readEnd));
    let told = 0;
    const waiting = wait(readEnd, () => {
      told += 1;
    });
    waiting.waitFor('nothing');
    Native.close(writeEnd);
    await someTurns();
    expect(told).toBe(0);
    waiting.waitFor('reading');
    await eventually('the end', () => told > 0);
  });

  it('or to write, is told of room', async () => {
    const { writeEnd } = pipe();
    let told = 0;
    const waiting = wait(writeEnd, () => {
      told += 1;
    });
    await someTurns();
    expect(told).toBe(0);
    waiting.waitFor('reading and writing');
    await eventually('room', () => told > 0);
    waiting.waitFor('reading');
    const before = told;
    await someTurns();
    expect(told).toBeLessThanOrEqual(before + 1);
  });

  it('does not take one for the other that had its number before', async () => {
    const [first, second, spare] = [pipe(), right(Native.pipe()), pipe()];
    const told: Array<string> = [];
    const other: { waiting?: Waiting } = {};
    const replace = (): void => {
      other.waiting?.end();
      Native.close(second.readEnd);
      fs.closeSync(second.writeEnd);
      const copy = right(Native.openAt(Native.AT_FDCWD, `/proc/self/fd/${spare.readEnd}`, fs.constants.O_RDONLY));
      onTestFinished(() => Native.close(copy));
      expect(copy).toBe(Math.min(second.readEnd, second.writeEnd));
      wait(copy, () => told.push('the new one'));
    };
    wait(first.readEnd, () => {
      readOne(first.readEnd);
      told.push('first');
      replace();
    });
    other.waiting = wait(second.readEnd, () => told.push('second'));
    fs.writeSync(first.writeEnd, '1');
    fs.writeSync(second.writeEnd, '2');
    await eventually('the first', () => told.includes('first'));
    await someTurns();
    expect(told.filter((one) => one !== 'second')).toEqual(['first']);
  });

  it('is refused where nobody can wait', () => {
    const file = path.join(base.path(), 'file');
    const descriptor = fs.openSync(file, 'w+');
    onTestFinished(() => fs.closeSync(descriptor));
    expect(waitToRead(descriptor, { ready: () => undefined, keepsAlive: true })).toEqual(E.left('EPERM'));
  });
});

describe('a worker thread that waits', () => {
  const modules = new URL('../dist/', import.meta.url).href;
  const worker = `
    import { workerData, parentPort } from 'node:worker_threads';
    import * as Native from '${modules}Native.js';
    import { waitToRead } from '${modules}Readiness.js';
    const waiting = waitToRead(Native.pipe().right.readEnd, { ready: () => undefined, keepsAlive: true }).right;
    // It ends at the earliest when the main thread has seen it.
    parentPort.once('message', () => {
      if (workerData === 'by itself') waiting.end();
      if (workerData === 'exit') process.exit(3);
      if (workerData === 'failure') throw new Error('a failure');
    });
    parentPort.postMessage('waits');`;
  const main = `
    import { Worker } from 'node:worker_threads';
    import { once } from 'node:events';
    const [file, how] = process.argv.slice(1);
    const worker = new Worker(file, { workerData: how, execArgv: [] });
    worker.on('error', () => undefined);
    await once(worker, 'message');
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    if (how === 'terminate') void worker.terminate();
    else worker.postMessage('end');
    console.log(await ended);`;

  it.each([
    ['by itself', '0'],
    ['exit', '3'],
    ['failure', '1'],
    ['terminate', '1'],
  ])('takes nobody along when it ends: %s', (how, code) => {
    const file = path.join(base.path(), 'worker.mjs');
    fs.writeFileSync(file, worker);
    const printed = execFileSync(process.execPath, ['--input-type=module', '-e', main, file, how], {
      encoding: 'utf8',
    });
    expect(printed).toBe(`${code}\n`);
  });
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as B from '@shim-recovery/core/ByteString';
import type { ProcessInfo } from '@shim-recovery/core/Processes';
import * as E from 'fp-ts/lib/Either.js';
import { expect, onTestFinished, test } from 'vitest';
import { linuxProcesses } from '../src/Processes.js';

const list = async (): Promise<ReadonlyArray<ProcessInfo>> => {
  const listed = await linuxProcesses.list();
  return E.isRight(listed) ? listed.right : expect.fail(listed.left.reason);
};

test('a process is seen with its words and its start, and is not seen once it is dead', async () => {
  const child = spawn('sleep', ['1000']);
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child, 'spawn');
  const seen = (await list()).find(({ pid }) => pid === child.pid);
  expect(seen?.commandLine.map(B.toText)).toEqual(['sleep', '1000']);
  expect(Math.abs((seen?.startedMs ?? 0) - Date.now())).toBeLessThan(60_000);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect((await list()).some(({ pid }) => pid === child.pid)).toBe(false);
});

test('a zombie is dead', async () => {
  // The shell starts a child that ends at once, and becomes a program that never asks how.
  const parent = spawn('sh', ['-c', 'sh -c "exit 0" & echo $!; exec sleep 1000'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  onTestFinished(() => void parent.kill('SIGKILL'));
  const printed: ReadonlyArray<unknown> = await once(parent.stdout, 'data');
  const zombie = Number(String(printed[0]).trim());
  const isListed = async (): Promise<boolean> => (await list()).some(({ pid }) => pid === zombie);
  await expect.poll(isListed, { timeout: 5_000 }).toBe(false);
});

test('this process is in its control groups, and younger than the machine', async () => {
  const ours = (await list()).find(({ pid }) => pid === process.pid);
  const booted = await linuxProcesses.bootedMs();
  expect(ours?.cgroups.every((path) => path.startsWith('/'))).toBe(true);
  expect(ours?.cgroups.length).toBeGreaterThan(0);
  expect(E.isRight(booted) && booted.right).toBeLessThanOrEqual(ours?.startedMs ?? 0);
});

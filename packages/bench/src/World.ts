/** A world that is measured: laid anew for every run, and taken away again. */
import { type ChildProcess, type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { bundleOf, type Kind, namespace, type Places } from './Kinds.js';

export const lay = (kind: Kind, places: Places, size: number): void => {
  fs.writeFileSync(places.program, '#!/bin/sh\nexit 0\n', { mode: 0o755 });
  fs.writeFileSync(path.join(places.base, 'store.json'), '{"schema":"shim-recovery/store@1","namespaces":{}}');
  fs.mkdirSync(path.join(places.state, namespace), { recursive: true });
  fs.mkdirSync(path.join(places.root, namespace), { recursive: true });
  const bundles = Array.from({ length: size }, (_, index) => bundleOf(places, index));
  for (const index of bundles.keys()) kind.lay(places, index);
  if (kind.has === 'mounts')
    execFileSync('sh', ['-e'], {
      input: bundles.map((bundle) => `mount -t tmpfs -o size=4k tmpfs ${bundle}/rootfs\n`).join(''),
    });
  if (kind.has === 'logs')
    execFileSync('xargs', ['mkfifo', '-m', '0700'], { input: bundles.map((bundle) => `${bundle}/log\n`).join('') });
};

/** Unmounts what is mounted below, and takes the world away, but for its sockets. */
export const takeAway = ({ base }: Places): void => {
  const points = fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${base}/`));
  if (points.length > 0) execFileSync('xargs', ['umount', '-l'], { input: points.join('\n') });
  for (const name of ['run', 'lib', 'store.json', 'shim'])
    fs.rmSync(path.join(base, name), { recursive: true, force: true });
};

/** A program with as many descriptors as the machine gives it: ten thousand connections need more than most shells have. */
export const withDescriptors = (program: string, args: ReadonlyArray<string>): [string, ReadonlyArray<string>] => [
  'sh',
  ['-c', 'ulimit -n 65536 2>/dev/null; exec "$0" "$@"', program, ...args],
];

const shims = path.join(import.meta.dirname, 'shims.js');

/** Each needs two descriptors of its process, which is not given any number of them. */
const shimsInProcess = 2_500;

/** Completes when a process has begun to print. */
export const untilReady = (child: ChildProcessByStdio<Writable, Readable, null>, what: string): Promise<void> =>
  new Promise((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`${what} ended with ${code}`)));
  });

/** The shims of a kind, once all of them listen: the processes that they are, none where it has none. */
export const startShims = async (kind: Kind, places: Places, size: number): Promise<ReadonlyArray<ChildProcess>> => {
  if (kind.shims === undefined) return [];
  const children: Array<ChildProcess> = [];
  for (let first = 0; first < size; first += shimsInProcess)
    children.push(await startSome(kind, places, first, Math.min(shimsInProcess, size - first)));
  return children;
};

const startSome = async (kind: Kind, { base }: Places, first: number, count: number): Promise<ChildProcess> => {
  const behaviour = kind.shims === 'hang' ? 'hang' : String(kind.shims?.afterMs ?? 0);
  const args = [shims, base, String(first), String(count), behaviour];
  const child = spawn(...withDescriptors(process.execPath, args), { stdio: ['pipe', 'pipe', 'inherit'] });
  await untilReady(child, 'the shims');
  return child;
};

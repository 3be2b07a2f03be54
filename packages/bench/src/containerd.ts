/** What a real containerd takes to load the tasks of a world: the time between two lines of its own log. */
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { Places } from './Kinds.js';

const configuration = (base: string): string => `version = 2
root = "${base}/lib"
state = "${base}/run"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.restart"]
[grpc]
  address = "${base}/c.sock"
[ttrpc]
  address = "${base}/c.sock.ttrpc"
`;

/** Its version, or undefined where none is installed. */
export const containerdVersion = (): string | undefined => {
  const { status, stdout } = spawnSync('containerd', ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim().split(' ')[2] : undefined;
};

const timeOf = (line: string): number => Date.parse(/time="([^"]+)"/.exec(line)?.[1] ?? '');
/** The fraction of a second, which `Date` cuts to milliseconds. */
const millisecondsOf = (line: string): number => {
  const fraction = Number(`0.${/\.(\d+)/.exec(/time="([^"]+)"/.exec(line)?.[1] ?? '')?.[1] ?? '0'}`);
  return Math.floor(timeOf(line) / 1_000) * 1_000 + fraction * 1_000;
};

/** Milliseconds of its load phase; it is ended as soon as it says that it has started. */
export const loadPhase = async (places: Places): Promise<number> => {
  const file = path.join(places.base, 'config.toml');
  fs.writeFileSync(file, configuration(places.base));
  const daemon = spawn('containerd', ['--config', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise<void>((resolve) => daemon.once('close', () => resolve()));
  let log = '';
  const booted = new Promise<void>((resolve) => {
    daemon.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text;
      if (log.includes('successfully booted')) resolve();
    });
  });
  await Promise.race([booted, ended]);
  daemon.kill('SIGKILL');
  await ended;
  const lines = log.split('\n').filter((line) => line.includes('loading plugin'));
  const at = lines.findIndex((line) => line.includes('io.containerd.runtime.v2.task'));
  const [from, to] = [lines[at], lines[at + 1]];
  if (from === undefined || to === undefined) throw new Error(`containerd loaded no tasks: ${log.slice(-2_000)}`);
  return millisecondsOf(to) - millisecondsOf(from);
};

/** What a real containerd takes to load the tasks of a world: the time between two lines of its own log. */
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { Places } from './Kinds.js';

export interface Containerd {
  readonly program: string;
  readonly version: string;
}

/** The program, or undefined where it cannot be run. */
export const findContainerd = (program: string): Containerd | undefined => {
  const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  const version = /\b\d+\.\d+\.\d+/.exec(stdout)?.[0];
  return status !== 0 || version === undefined ? undefined : { program, version };
};

/** The plugins that load the tasks: 1.x has one, 2.x loads shims first. */
const loading = /io\.containerd\.(runtime\.v2\.(task|shim)|shim\.v1\.manager)/;

const maxLoadMs = 120_000;

/** Milliseconds of its load phase; it is ended as soon as it says that it has started. */
export const loadPhase = async ({ program }: Containerd, places: Places): Promise<number> => {
  const file = path.join(places.base, 'config.toml');
  fs.writeFileSync(file, configuration(places.base));
  const daemon = spawn(program, ['--config', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise<void>((resolve) => daemon.once('close', () => resolve()));
  let log = '';
  const booted = new Promise<void>((resolve) => {
    daemon.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text;
      if (log.includes('successfully booted')) resolve();
    });
  });
  const tooLate = setTimeout(() => daemon.kill('SIGKILL'), maxLoadMs);
  await Promise.race([booted, ended]);
  clearTimeout(tooLate);
  daemon.kill('SIGKILL');
  await ended;
  const lines = log.split('\n').filter((line) => line.includes('loading plugin'));
  let total: number | undefined;
  for (const [at, line] of lines.entries()) {
    const next = lines[at + 1];
    if (loading.test(line) && next !== undefined) total = (total ?? 0) + momentOf(next) - momentOf(line);
  }
  if (total === undefined) throw new Error(`containerd loaded no tasks: ${log.slice(-2_000)}`);
  return total;
};

/** The moment that a line of its log tells, in milliseconds, with the fraction that `Date` cuts off. */
const momentOf = (line: string): number => {
  const [, seconds = '', fraction = '0'] = /time="([^".]+)(?:\.(\d+))?[^"]*"/.exec(line) ?? [];
  return Date.parse(`${seconds}Z`) + Number(`0.${fraction}`) * 1_000;
};

const configuration = (base: string): string => `version = 2
root = "${base}/lib"
state = "${base}/run"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.restart"]
[grpc]
  address = "${base}/c.sock"
[ttrpc]
  address = "${base}/c.sock.ttrpc"
`;

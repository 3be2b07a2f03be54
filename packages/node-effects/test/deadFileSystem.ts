/** File systems that never answer whoever asks them anything: here of FUSE, with nobody behind them. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { expect } from 'vitest';
import { eventually, isRoot } from './temporary.js';

/** Why there are none here, or undefined where there can be. */
export const needsFuse = isRoot && fs.existsSync('/dev/fuse') ? undefined : 'needs root, and FUSE';

/** Nobody who removes what is below is kept waiting any more. */
export const takeAway = (behind: ChildProcess, directories: ReadonlyArray<string>): void => {
  behind.kill();
  for (const directory of directories) spawnSync('umount', ['--lazy', directory]);
};

/** Mounts one on each directory; they stay silent until it ends, and then they answer that nobody is there. */
export const mountDead = async (directories: ReadonlyArray<string>): Promise<ChildProcess> => {
  const script = `
import ctypes, os, sys
library = ctypes.CDLL(None, use_errno=True)
for directory in sys.argv[1:]:
    options = 'fd=%d,rootmode=40000,user_id=0,group_id=0' % os.open('/dev/fuse', os.O_RDWR)
    if library.mount(b'dead', os.fsencode(directory), b'fuse.dead', 0, options.encode()):
        sys.exit(os.strerror(ctypes.get_errno()))
print('mounted', flush=True)
sys.stdin.read()`;
  const child = spawn('python3', ['-c', script, ...directories], { stdio: ['pipe', 'pipe', 'inherit'] });
  let told = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (told += text));
  child.once('error', (error) => (told = `${error.message}\n`));
  child.once('exit', (code) => (told ||= `ended with ${String(code)}\n`));
  try {
    await eventually('them to be mounted', () => told.endsWith('\n'));
    expect(told).toBe('mounted\n');
  } catch (error) {
    takeAway(child, directories);
    throw error;
  }
  return child;
};

/** Another process that holds the lock of a file, as a daemon does. */
import { spawn } from 'node:child_process';

export interface LockHolder {
  readonly pid: number;
  /** Gives the lock back; completes when the process is gone. */
  readonly release: () => Promise<void>;
}

/** Completes when the lock is held. Needs `flock` of util-linux. */
export const holdLock = (file: string, kind: 'exclusive' | 'shared'): Promise<LockHolder> =>
  new Promise((resolve, reject) => {
    // It says when it has the lock, and keeps it until its stdin ends: at the latest when this process does.
    const child = spawn('flock', [`--${kind}`, '--no-fork', file, 'sh', '-c', 'echo held; exec cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const ended = new Promise<void>((end) => child.once('close', () => end()));
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`flock did not lock ${file}`)));
    child.stdout.once('data', () =>
      resolve({
        pid: child.pid ?? 0,
        release: () => {
          child.stdin.end();
          return ended;
        },
      }),
    );
  });

/** The command on a host whose daemon was killed, and what it says. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Report } from '@shim-recovery/core/documents';
import type { Host } from './containerd.js';

export const command = fileURLToPath(new URL('../../dist/command/main.cjs', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** With nothing but what is given: a plan settles where. */
export const run = (...args: ReadonlyArray<string>): Promise<Ended> =>
  new Promise((resolve) => {
    const child = execFile(process.execPath, [command, ...args], (_, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr }),
    );
  });

export const shimRecovery = (
  host: Pick<Host, 'state' | 'root' | 'socket'>,
  ...args: ReadonlyArray<string>
): Promise<Ended> => run(...args, '--state', host.state, '--root', host.root, '--address', host.socket);

/** By id, as `adopt task-running`. */
export const verdicts = (report: Report): Readonly<Record<string, string>> =>
  Object.fromEntries(
    report.namespaces.flatMap(({ bundles }) => bundles.map(({ id, verdict, reason }) => [id, `${verdict} ${reason}`])),
  );

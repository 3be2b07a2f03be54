/** Processes like those of shims and containers; each is started for a test, and ended by it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as B from '@shim-recovery/core/ByteString';
import type { StartedProcess } from '@shim-recovery/test-effects/laws/ProcessesLaws';
import type { EntryKey } from '@shim-recovery/test-effects/World';

/** One that was started here, and may have been ended already. */
export interface RealProcess extends StartedProcess {
  readonly pid: number;
}

/** Any hierarchy does: its processes say that they are in it. */
const hierarchy = ['/sys/fs/cgroup/pids', '/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find((directory) =>
  fs.existsSync(path.join(directory, 'cgroup.procs')),
);

const groupPrefix = 'shim-recovery-';

const makeGroup = (): string | undefined => {
  if (hierarchy === undefined) return undefined;
  try {
    return fs.mkdtempSync(path.join(hierarchy, groupPrefix));
  } catch {
    return undefined;
  }
};

/** Why containers cannot be imitated here; undefined where they can. */
export const withoutControlGroups = ((): string | undefined => {
  const group = makeGroup();
  if (group === undefined) return 'needs root, and control groups that can be made';
  fs.rmdirSync(group);
  return undefined;
})();

/** Reads what never comes, so that its command line stays as it is, and ends with this process at the latest. */
const startReader = async (...words: ReadonlyArray<string>): Promise<ChildProcess> => {
  const child = spawn('sh', ['-c', 'read nothing', ...words], { stdio: ['pipe', 'ignore', 'ignore'] });
  await once(child, 'spawn');
  return child;
};

const processOf = (child: ChildProcess, afterwards: () => void = () => undefined): RealProcess => {
  let ending: Promise<void> | undefined;
  const end = async (): Promise<void> => {
    const exited = once(child, 'exit');
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await exited;
    }
    afterwards();
  };
  return { pid: child.pid ?? 0, end: () => (ending ??= end()) };
};

export const startShimProcess = async ({ namespace, id }: EntryKey): Promise<RealProcess> =>
  processOf(await startReader('shim', '-namespace', B.toText(namespace), '-id', B.toText(id)));

export const startContainerProcess = async ({ id }: EntryKey): Promise<RealProcess> => {
  const group = makeGroup();
  if (group === undefined) throw new Error(withoutControlGroups);
  const own = path.join(group, B.toText(id));
  fs.mkdirSync(own);
  const child = await startReader('container');
  fs.writeFileSync(path.join(own, 'cgroup.procs'), String(child.pid));
  return processOf(child, () => [own, group].forEach((directory) => fs.rmdirSync(directory)));
};

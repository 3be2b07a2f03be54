/** Control groups of a test, in a hierarchy of their own where the kernel has such (version 1), or else in the common one. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { eventually } from '../temporary.js';
import type { World } from './world.js';

export interface ControlGroups {
  /** Puts a process into the group of this path, which is made where it is missing. */
  readonly add: (group: string, pid: number) => void;
  /** The directory of the group of this path, which is made where it is missing. */
  readonly path: (group: string) => string;
}

/** Below this, the kernel gives each control group a path that a test chooses. */
const commonHierarchies = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'];

const mountOwn = (at: string, name: string): boolean => {
  fs.mkdirSync(at);
  try {
    execFileSync('mount', ['-t', 'cgroup', '-o', `none,name=${name}`, 'cgroup', at], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

const groupsBelow = (directory: string): ReadonlyArray<string> =>
  fs
    .readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => {
      const group = path.join(directory, entry.name);
      return [...groupsBelow(group), group];
    });

/** The kernel keeps a group busy for a moment after its last process has ended. */
const remove = (group: string): Promise<void> =>
  eventually(`${group} to be empty`, () => {
    try {
      fs.rmdirSync(group);
      return true;
    } catch {
      return !fs.existsSync(group);
    }
  });

/** Control groups that go with a world, after its processes that are started later. */
export const makeControlGroups = (world: World): ControlGroups => {
  const name = `shim-recovery-${path.basename(world.base)}`;
  const own = path.join(world.base, 'cgroup');
  const isOwn = mountOwn(own, name);
  const common = commonHierarchies.find((directory) => fs.existsSync(path.join(directory, 'cgroup.procs'))) ?? '';
  const hierarchy = isOwn ? own : path.join(common, name);
  if (!isOwn) fs.mkdirSync(hierarchy);
  world.afterwards(async () => {
    for (const group of groupsBelow(hierarchy)) await remove(group);
    if (isOwn) execFileSync('umount', [own]);
    else await remove(hierarchy);
  });
  const directoryOf = (group: string): string => {
    const directory = path.join(hierarchy, group);
    fs.mkdirSync(directory, { recursive: true });
    return directory;
  };
  return {
    add: (group, pid) => fs.writeFileSync(path.join(directoryOf(group), 'cgroup.procs'), String(pid)),
    path: directoryOf,
  };
};

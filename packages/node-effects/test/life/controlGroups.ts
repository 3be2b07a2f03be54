/** Control groups of a test, in a hierarchy without controllers where there is one: its processes say that they are in it. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { TestContext } from 'vitest';
import { eventually } from '../temporary.js';
import type { World } from './world.js';

export interface ControlGroups {
  /** Puts a process into the group of this path, which is made where it is missing. */
  readonly add: (group: string, pid: number) => void;
  /** The directory of the group of this path, which is made where it is missing. */
  readonly path: (group: string) => string;
}

/** The named one of version 1, or that of version 2. One that a test mounts itself may outlive it in the kernel. */
const hierarchy = ['/sys/fs/cgroup/systemd', '/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find((directory) =>
  fs.existsSync(path.join(directory, 'cgroup.procs')),
);

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

/** Control groups that go with a world, once its processes that are started later have ended. */
export const makeControlGroups = (world: World, context: TestContext): ControlGroups => {
  if (hierarchy === undefined) context.skip('needs a hierarchy of control groups');
  const own = path.join(hierarchy ?? '', `shim-recovery-${path.basename(world.base)}`);
  fs.mkdirSync(own);
  world.afterwards(async () => {
    for (const group of [...groupsBelow(own), own]) await remove(group);
  });
  const directoryOf = (group: string): string => {
    const directory = path.join(own, group);
    fs.mkdirSync(directory, { recursive: true });
    return directory;
  };
  return {
    add: (group, pid) => fs.writeFileSync(path.join(directoryOf(group), 'cgroup.procs'), String(pid)),
    path: directoryOf,
  };
};

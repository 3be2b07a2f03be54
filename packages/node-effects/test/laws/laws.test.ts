/** The laws, held against this interpreter: with a real kernel, real sockets, real stores. */
import { policies } from '@shim-recovery/core/interpreter';
import { allDaemons } from '@shim-recovery/test-effects/worlds/Recordings';
import { fileSystemLaws } from '@shim-recovery/test-effects/laws/FileSystemLaws';
import type { Law } from '@shim-recovery/test-effects/laws/Law';
import { mountLaws } from '@shim-recovery/test-effects/laws/MountLaws';
import { processesLaws } from '@shim-recovery/test-effects/laws/ProcessesLaws';
import { recoveryLaws } from '@shim-recovery/test-effects/laws/RecoveryLaws';
import { shimConnectorLaws } from '@shim-recovery/test-effects/laws/ShimConnectorLaws';
import { storeLaws } from '@shim-recovery/test-effects/laws/StoreLaws';
import { describe, expect, it } from 'vitest';
import { withoutControlGroups } from '../realProcesses.js';
import { isRoot } from '../temporary.js';
import {
  brokenDaemons,
  layOnLinux,
  openDaemon,
  openFileArea,
  openJson,
  openMetadata,
  openMountArea,
  openProcessesArea,
  openShimArea,
} from './linux.js';

const hold = (laws: ReadonlyArray<Law>, skipped?: string): void => {
  it.for(laws.map((law) => [law.name, law] as const))('%s', { timeout: 300_000 }, async ([, law], context) => {
    if (skipped !== undefined) return context.skip(skipped);
    expect(await law.violations()).toEqual([]);
  });
};

const withoutRoot = isRoot ? undefined : 'needs root, for mounts';

describe('the file system of Linux', () => hold(fileSystemLaws(openFileArea, { numRuns: 10_000 })));
describe('the mounts of Linux', () => hold(mountLaws(openMountArea, { numRuns: 50 }), withoutRoot));
describe("containerd 1.7's database", () => hold(storeLaws(openMetadata('root'))));
describe("containerd 2.x's database", () => hold(storeLaws(openMetadata('v1'))));
describe('a store in a JSON file', () => hold(storeLaws(openJson)));
describe('a daemon that is asked', () => hold(storeLaws(openDaemon, brokenDaemons, { numRuns: 10 })));
describe('the processes of Linux', () => hold(processesLaws(openProcessesArea), withoutControlGroups));
describe('shims on real sockets', () => hold(shimConnectorLaws(openShimArea)));
for (const daemon of allDaemons)
  describe(`recovery on Linux, as ${daemon}`, () =>
    hold(recoveryLaws(layOnLinux(policies[daemon]), daemon, { numRuns: 40 }), withoutRoot));
describe('careful recovery on Linux', () =>
  hold(recoveryLaws(layOnLinux(policies.careful), undefined, { numRuns: 40 }), withoutRoot ?? withoutControlGroups));

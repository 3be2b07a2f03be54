import { careful } from '../../../core/src/policy/Policy.js';
import { describe, expect, it } from 'vitest';
import { fileSystemLaws } from '../../src/laws/FileSystemLaws.js';
import type { Law } from '../../src/laws/Law.js';
import { mountLaws } from '../../src/laws/MountLaws.js';
import { processesLaws } from '../../src/laws/ProcessesLaws.js';
import { layInMemory, type RecoveryArea, recoveryLaws } from '../../src/laws/RecoveryLaws.js';
import { shimConnectorLaws } from '../../src/laws/ShimConnectorLaws.js';
import { storeLaws } from '../../src/laws/StoreLaws.js';
import type { World } from '../../src/worlds/World.js';
import { openFileArea, openMountArea, openProcessesArea, openShimArea, openStores } from './memory.js';

const hold = (laws: ReadonlyArray<Law>): void => {
  it.each(laws.map((law) => [law.name, law] as const))('%s', { timeout: 60_000 }, async (_, law) => {
    expect(await law.violations()).toEqual([]);
  });
};

describe('the file system in memory', () => hold(fileSystemLaws(openFileArea)));
describe('the mounts in memory', () => hold(mountLaws(openMountArea)));
describe('the stores in memory', () => hold(storeLaws(openStores)));
describe('the processes in memory', () => hold(processesLaws(openProcessesArea)));
describe('the shims in memory', () => hold(shimConnectorLaws(openShimArea)));
describe('recovery in memory', () => hold(recoveryLaws(layInMemory, 'containerd-1.7')));
describe('careful recovery in memory', () => {
  const layCarefully = async (world: World): Promise<RecoveryArea> => {
    const area = await layInMemory(world);
    return { ...area, settings: { ...area.settings, policy: careful } };
  };
  hold(recoveryLaws(layCarefully, undefined));
});

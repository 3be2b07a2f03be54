import { describe, expect, it } from 'vitest';
import { fileSystemLaws } from '../../src/laws/FileSystemLaws.js';
import type { Law } from '../../src/laws/Law.js';
import { mountLaws } from '../../src/laws/MountLaws.js';
import { layInMemory, recoveryLaws } from '../../src/laws/RecoveryLaws.js';
import { shimConnectorLaws } from '../../src/laws/ShimConnectorLaws.js';
import { storeLaws } from '../../src/laws/StoreLaws.js';
import { openFileArea, openMountArea, openShimArea, openStores } from './memory.js';

const hold = (laws: ReadonlyArray<Law>): void => {
  it.each(laws.map((law) => [law.name, law] as const))('%s', { timeout: 60_000 }, async (_, law) => {
    expect(await law.violations()).toEqual([]);
  });
};

describe('the file system in memory', () => hold(fileSystemLaws(openFileArea)));
describe('the mounts in memory', () => hold(mountLaws(openMountArea)));
describe('the stores in memory', () => hold(storeLaws(openStores)));
describe('the shims in memory', () => hold(shimConnectorLaws(openShimArea)));
describe('recovery in memory', () => hold(recoveryLaws(layInMemory, 'containerd-1.7')));

import { fileSystemLaws } from '@shim-recovery/test-effects/laws/FileSystemLaws';
import type { Law } from '@shim-recovery/test-effects/laws/Law';
import { describe, expect, it } from 'vitest';
import { openFileArea } from './linux.js';

const hold = (laws: ReadonlyArray<Law>): void => {
  it.each(laws.map((law) => [law.name, law] as const))('%s', { timeout: 120_000 }, async (_, law) => {
    expect(await law.violations()).toEqual([]);
  });
};

describe('the file system of Linux', () => {
  hold(fileSystemLaws(openFileArea, { numRuns: 10_000 }));
});

import { describe, expect, it } from 'vitest';
import { fileSystemLaws } from '../../src/laws/FileSystemLaws.js';
import { openFileArea } from './memory.js';

describe('the file system in memory', () => {
  it.each(fileSystemLaws(openFileArea).map((law) => [law.name, law] as const))('%s', async (_, law) => {
    expect(await law.violations()).toEqual([]);
  });
});

/** The worked examples: what the laws say of each, before and after it was mended. The README shows them as they are. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ByteString as B } from '@shim-recovery/core';
import type { ContainerStore, FileSystem } from '@shim-recovery/core/interpreter';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fileNameOf, fileStore, firstFileStore } from '../examples/fileStore.js';
import { byDescriptor, byPath, ownFileSystem } from '../examples/ownFileSystem.js';
import { host, isBounded, verdicts } from '../examples/properties.js';
import { type FileArea, fileSystemLaws } from '../src/laws/FileSystemLaws.js';
import type { Law } from '../src/laws/Law.js';
import { type Records, type StoreArea, storeLaws } from '../src/laws/StoreLaws.js';
import type { Making } from '../src/worlds/Fixture.js';
import type { Listing } from '../src/worlds/Outcome.js';

/** The names of the laws that are broken, each with its first violation. */
const broken = async (laws: ReadonlyArray<Law>): Promise<ReadonlyMap<string, string>> => {
  const found = await Promise.all(laws.map(async (law) => [law.name, await law.violations()] as const));
  return new Map(found.flatMap(([name, [first]]) => (first === undefined ? [] : [[name, first]])));
};

type MakeStore = (directory: string) => ContainerStore;

const openStore =
  (make: MakeStore, nameFile: (namespace: string, id: string) => string) =>
  async ({ containers }: Records): Promise<StoreArea> => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sr-example-'));
    for (const { namespace, id, runtimeName } of containers)
      fs.writeFileSync(path.join(directory, nameFile(namespace, id)), runtimeName);
    return {
      containerStore: make(directory),
      dispose: async () => fs.rmSync(directory, { recursive: true, force: true }),
    };
  };

/** A store whose directory is a file. */
const unreadable = (make: MakeStore) => ({
  why: 'its directory cannot be read',
  open: async (): Promise<StoreArea> => ({
    containerStore: make(fileURLToPath(import.meta.url)),
    dispose: async () => undefined,
  }),
});

describe('the store of an author', () => {
  it('confused containers and took failures for absence, as it was first written', async () => {
    const open = openStore(firstFileStore, (namespace, id) => `${namespace}-${id}`);
    const found = await broken(storeLaws(open, [unreadable(firstFileStore)], { numRuns: 200, seed: 1 }));
    expect([...found.keys()]).toEqual([
      'each container is found with its runtime, in its namespace, and no other one is',
      'that it cannot answer is not taken for absence: its directory cannot be read',
    ]);
  }, 30_000);

  it('keeps every law as it is now', async () => {
    const open = openStore(fileStore, fileNameOf);
    expect(await broken(storeLaws(open, [unreadable(fileStore)]))).toEqual(new Map());
  }, 30_000);
});

const makeThing = (making: Making): void => {
  fs.mkdirSync(path.dirname(making.path), { recursive: true });
  switch (making._tag) {
    case 'Directory':
      return fs.mkdirSync(making.path, making.mode);
    case 'File':
      return fs.writeFileSync(making.path, making.text);
    case 'Symlink':
      return fs.symlinkSync(making.target, making.path);
    case 'Fifo':
      return void execFileSync('mkfifo', [making.path]);
    case 'Tmpfs':
      throw new Error('this area has no mounts');
  }
};

/** Everything below, as far as these laws look at it. */
const listBelow = (directory: Buffer): Listing =>
  fs.readdirSync(directory, { withFileTypes: true, encoding: 'buffer' }).flatMap((entry) => {
    const at = Buffer.concat([directory, Buffer.from('/'), entry.name]);
    const isMountPoint = false;
    if (entry.isFile())
      return [{ path: B.fromBytes(at), kind: 'file', content: B.fromBytes(fs.readFileSync(at)), isMountPoint }];
    if (entry.isSymbolicLink()) {
      const content = B.fromBytes(fs.readlinkSync(at, { encoding: 'buffer' }));
      return [{ path: B.fromBytes(at), kind: 'symlink', content, isMountPoint }];
    }
    if (entry.isFIFO()) return [{ path: B.fromBytes(at), kind: 'fifo', isMountPoint }];
    return [{ path: B.fromBytes(at), kind: 'directory', isMountPoint }, ...listBelow(at)];
  });

const openArea = (fileSystem: FileSystem) => async (): Promise<FileArea> => {
  const base = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'sr-example-')));
  return {
    fileSystem,
    base,
    make: async (making) => makeThing(making),
    list: async () => listBelow(Buffer.from(base)),
    canMount: false,
    dispose: async () => fs.rmSync(base, { recursive: true, force: true }),
  };
};

describe('the file system of an author', () => {
  it('could be led elsewhere, as it was first written', async () => {
    const found = await broken(fileSystemLaws(openArea(ownFileSystem(byPath)), { numRuns: 500, seed: 1 }));
    expect([...found.keys()]).toEqual([
      'any sequence of operations answers as on Linux, with the same errors, and leaves the same tree',
      'nothing new comes into a directory that was removed while it was open',
      'an open directory stays the same one, wherever it is moved and whatever takes its place',
    ]);
  }, 60_000);

  it('keeps every law as it is now', async () => {
    expect(await broken(fileSystemLaws(openArea(ownFileSystem(byDescriptor)), { numRuns: 500 }))).toEqual(new Map());
  }, 60_000);
});

describe('a property of an author', () => {
  it('is about worlds that one can describe', async () => {
    expect(await verdicts(host)).toEqual(['db: adopt (task-running)', 'web: cleanUp (dial-failed)']);
  });

  it('and about any other', async () => {
    await fc.assert(isBounded, { numRuns: 100 });
  }, 30_000);
});

describe('the README of this package', () => {
  const readme = fs.readFileSync(new URL('../README.md', import.meta.url), 'utf8');

  it.each(['properties.ts', 'fileStore.ts'])('shows %s as it stands', (file) => {
    const example = fs.readFileSync(new URL(`../examples/${file}`, import.meta.url), 'utf8');
    expect(readme).toContain(`\`\`\`ts\n${example}\`\`\``);
  });
});

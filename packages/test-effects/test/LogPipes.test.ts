import { ByteString as B } from '@shim-recovery/core';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import type * as Entry from '../src/memory/Entry.js';
import { listTree, makeDirectories, makeEntry, makeMachine } from '../src/memory/Machine.js';

const text = B.fromText;

const opening = async (log: Entry.NewEntry | undefined, followsLinks = true) => {
  const { tree, capabilities, logPipes } = makeMachine();
  makeDirectories(tree, text('/b'));
  if (log !== undefined) makeEntry(tree, text('/b/log'), log);
  const bundle = await capabilities.fileSystem.openPath(text('/b'))();
  if (E.isLeft(bundle)) throw new Error('the bundle does not open');
  const about = { bundle: bundle.right, namespace: text('main'), id: text('web'), followsLinks };
  const opened = await capabilities.logPipes.open(about)();
  return { opened, tree, logPipes };
};

describe('log pipes in memory', () => {
  it('are made where they are missing, and counted until they are closed', async () => {
    const { opened, tree, logPipes } = await opening(undefined);
    expect(listTree(tree, text('/b'))).toEqual([{ path: '/b/log', kind: 'fifo', isMountPoint: false }]);
    expect(logPipes.openNow()).toEqual(['main/web']);
    if (E.isRight(opened)) await opened.right.close();
    expect(logPipes.openNow()).toEqual([]);
    if (E.isRight(opened)) await opened.right.close();
  });

  it.each([
    ['fifo', undefined, undefined],
    ['file', undefined, undefined],
    ['directory', undefined, 'EISDIR'],
    ['socket', undefined, 'ENXIO'],
    ['symlink', '/nowhere', 'ENOENT'],
    ['symlink', '/b', 'EISDIR'],
    ['symlink', 'log', 'ELOOP'],
  ] as const)('a %s (%s): %s', async (kind, content, code) => {
    const { opened, logPipes } = await opening({
      kind,
      mode: 0o700,
      ...(content === undefined ? {} : { content: text(content) }),
    });
    expect(E.isLeft(opened) && opened.left._tag === 'SystemError' ? opened.left.code : undefined).toBe(code);
    expect(logPipes.openNow()).toHaveLength(code === undefined ? 1 : 0);
  });

  it('are held where a symlink leads nowhere, if links are not followed', async () => {
    const { opened, logPipes } = await opening({ kind: 'symlink', mode: 0o700, content: text('/nowhere') }, false);
    expect(E.isRight(opened)).toBe(true);
    expect(logPipes.openNow()).toEqual(['main/web']);
  });
});

import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import { expect, onTestFinished, test, vi } from 'vitest';
import { lockDatabase, lockState } from '../../src/cli/commands/StateLock.js';
import { databaseOf } from '../../src/cli/arguments/Options.js';
import { native } from '../../src/native/CLibrary.js';
import { right, temporaryDirectory } from '../temporary.js';

const base = temporaryDirectory();

const database = (): string => {
  const file = databaseOf(path.join(base.path(), 'io.containerd.runtime.v2.task'));
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, '');
  return file;
};

const failing = (code: keyof typeof os.constants.errno): void => {
  const locking = vi.spyOn(native(), 'flock').mockReturnValue(-1);
  const told = vi.spyOn(native(), 'errno').mockReturnValue(os.constants.errno[code]);
  onTestFinished(() => {
    locking.mockRestore();
    told.mockRestore();
  });
};

test('only one has it at a time', () => {
  const first = right(lockState(base.path()));
  expect(lockState(base.path())).toMatchObject({ left: expect.stringContaining('another recovery works on') });
  first();
  right(lockState(base.path()))();
});

test.each(['EOPNOTSUPP', 'ENOLCK', 'ENOSYS'] as const)('where there are no locks (%s), there is none', (code) => {
  failing(code);
  right(lockState(base.path()))();
});

test.each(['ENOMEM', 'ENOBUFS'] as const)('what this process lacks (%s) is not taken for there being none', (code) => {
  failing(code);
  expect(lockState(base.path())).toMatchObject({ left: expect.stringContaining(code) });
});

test('a directory that is not there is somebody else’s to refuse', () => {
  expect(E.isRight(lockState(path.join(base.path(), 'nothing')))).toBe(true);
});

test('the database of the daemon is locked, whatever other store is asked', () => {
  const root = path.join(base.path(), 'io.containerd.runtime.v2.task');
  expect(E.isRight(lockDatabase({ root: '/nonexistent/root', store: { _tag: 'None' } }))).toBe(true);
  const file = database();
  const copy = path.join(base.path(), 'copy.db');
  fs.writeFileSync(copy, '');
  fs.symlinkSync(file, path.join(base.path(), 'link.db'));
  const first = right(lockDatabase({ root, store: { _tag: 'Json', path: copy } }));
  for (const store of [{ _tag: 'Json', path: copy }, { _tag: 'Bolt', path: copy }, { _tag: 'None' }] as const)
    expect(lockDatabase({ root, store })).toMatchObject({ left: expect.stringContaining('most likely a daemon') });
  for (const name of [file, path.join(base.path(), 'link.db')])
    right(lockDatabase({ root, store: { _tag: 'Bolt', path: name } }))();
  first();
  right(lockDatabase({ root, store: { _tag: 'None' } }))();
});

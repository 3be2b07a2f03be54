import * as os from 'node:os';
import * as path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import { expect, onTestFinished, test, vi } from 'vitest';
import { lockState } from '../../src/cli/StateLock.js';
import { native } from '../../src/CLibrary.js';
import { right, temporaryDirectory } from '../temporary.js';

const base = temporaryDirectory();

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

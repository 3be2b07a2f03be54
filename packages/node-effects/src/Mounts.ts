/** The kernel's mount table, and unmounting without following symlinks (SPEC 7). */
import * as fs from 'node:fs';
import * as B from '@shim-recovery/core/ByteString';
import { atMost } from '@shim-recovery/core/Concurrency';
import { type FileError, systemError } from '@shim-recovery/core/FileSystem';
import type { MountError, Mounts } from '@shim-recovery/core/Mounts';
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import { errnoIn } from './Errno.js';
import { kernelName } from './FileSystem.js';
import { allFreed, heldNow } from './Freeing.js';
import {
  AT_FDCWD,
  close,
  type KernelName,
  O_PATH,
  openAt,
  openWithoutSymlinks,
  UMOUNT_NOFOLLOW,
  umount2,
  unavailable,
} from './Native.js';

const mountTable = '/proc/self/mountinfo';
const maxTableBytes = 64 * 1024 * 1024;
const fuseMagic = 0x65735546;
const helperTimeoutMs = 5_000;

const { O_DIRECTORY, O_NOFOLLOW } = fs.constants;

const bytesOf = (path: B.ByteString): Buffer => Buffer.from(B.toBytes(path));

const read: TaskEither<MountError, B.ByteString> = async () =>
  E.tryCatch(
    () => {
      const table = fs.readFileSync(mountTable);
      if (table.length > maxTableBytes) throw new RangeError(`it is larger than ${maxTableBytes} bytes`);
      return B.fromBytes(table);
    },
    (error) => ({
      _tag: 'TableUnreadable',
      reason: `${mountTable}: ${error instanceof RangeError ? error.message : errnoIn(error)}`,
    }),
  );

/** Takes hold of a directory, one component at a time from the root, following no symlink: as `openat2` does. */
const walkTo = (names: ReadonlyArray<string>): E.Either<string, number> => {
  let held = openAt(AT_FDCWD, '/', O_PATH | O_DIRECTORY);
  for (const name of names) {
    if (E.isLeft(held)) return held;
    const next = openAt(held.right, kernelName(B.fromLatin1(name)), O_PATH | O_DIRECTORY | O_NOFOLLOW);
    close(held.right);
    held = next;
  }
  return held;
};

/** Takes hold of a mount point's parent. Where one call cannot, it is walked to, and that tells why. */
const holdParent = (path: B.ByteString): E.Either<string, { readonly descriptor: number; readonly name: string }> => {
  const names = path.split('/').filter((name) => name !== '');
  const name = names.pop();
  if (!path.startsWith('/') || name === undefined || names.includes('..') || name === '..') return E.left('EINVAL');
  const opened = openWithoutSymlinks(kernelName(B.fromLatin1(`/${names.join('/')}`)), O_PATH | O_DIRECTORY);
  const held = E.isLeft(opened) ? walkTo(names) : opened;
  return E.isLeft(held) ? held : E.right({ descriptor: held.right, name });
};

/**
 * How many unmounts are under way at once, each with a descriptor and a thread. The native library takes up to 256; one
 * that hangs takes up a place for as long.
 */
const maxUnmounts = 32;

const inTurn = atMost(maxUnmounts);

/** One that is busy may be so by what was removed on it, and is freed a moment later. */
const unmountOnceFreed = async (point: KernelName): Promise<E.Either<string, void>> => {
  const heldBefore = heldNow();
  const outcome = await umount2(point, UMOUNT_NOFOLLOW)();
  // Meanwhile all may have been freed, and others held.
  if (E.isRight(outcome) || outcome.left !== 'EBUSY' || heldBefore + heldNow() === 0) return outcome;
  await allFreed();
  return umount2(point, UMOUNT_NOFOLLOW)();
};

const unmount = (path: B.ByteString): TaskEither<MountError, void> =>
  inTurn(async () => {
    const reason = unavailable();
    if (reason !== undefined) return E.left({ _tag: 'Unsupported', reason });
    const parent = holdParent(path);
    if (E.isLeft(parent)) return E.left({ _tag: 'UnmountRefused', path, code: parent.left });
    const { descriptor, name } = parent.right;
    const point = B.fromLatin1(`/proc/self/fd/${descriptor}/${name}`);
    const outcome = await unmountOnceFreed(kernelName(point));
    close(descriptor);
    return E.isLeft(outcome) ? E.left({ _tag: 'UnmountRefused', path, code: outcome.left }) : outcome;
  });

const isFuse =
  (path: B.ByteString): Task<boolean> =>
  () =>
    new Promise((resolve) =>
      fs.statfs(bytesOf(path), (error, status) => resolve(error === null && status.type === fuseMagic)),
    );

const exists =
  (path: B.ByteString): Task<boolean> =>
  () =>
    new Promise((resolve) => fs.stat(bytesOf(path), (error) => resolve(error === null || error.code !== 'ENOENT')));

const resolve =
  (path: B.ByteString): TaskEither<FileError, B.ByteString> =>
  () =>
    new Promise((done) =>
      fs.realpath.native(bytesOf(path), { encoding: 'buffer' }, (error, resolved) =>
        done(error === null ? E.right(B.fromBytes(resolved)) : E.left(systemError('resolve', path, errnoIn(error)))),
      ),
    );

const runHelper = async (helper: string, path: B.ByteString): Promise<string | undefined> => {
  if (!B.isText(path)) return 'its path is not valid UTF-8';
  // Seldom needed, and the start of every command is waited for.
  const { execFile } = await import('node:child_process');
  return new Promise((resolve) =>
    execFile(
      helper,
      ['-u', B.toText(path)],
      { timeout: helperTimeoutMs, killSignal: 'SIGKILL' },
      (error, _, stderr) => {
        if (error === null) resolve(undefined);
        else resolve(`${helper}: ${stderr.trim() === '' ? error.message : stderr.trim()}`);
      },
    ),
  );
};

const unmountFuse =
  (path: B.ByteString): TaskEither<MountError, void> =>
  async () => {
    const first = await runHelper('fusermount3', path);
    if (first === undefined) return E.right(undefined);
    const second = await runHelper('fusermount', path);
    return second === undefined
      ? E.right(undefined)
      : E.left({ _tag: 'HelperFailed', path, reason: `${first}; ${second}` });
  };

export const linuxMounts: Mounts = { read, unmount, isFuse, unmountFuse, resolve, exists };

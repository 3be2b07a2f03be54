/** The kernel's mount table, and unmounting without following symlinks (SPEC 7). */
import * as fs from 'node:fs';
import { ByteString as B } from '@shim-recovery/core';
import { type FileError, type MountError, type Mounts, semaphore, systemError } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import { answeredWithin } from '../native/Deadline.js';
import { errnoIn } from '../native/Errno.js';
import { kernelName } from './LinuxFileSystem.js';
import { allFreed, heldNow } from '../native/DeferredFree.js';
import { readMountTable } from './MountTableFile.js';
import { makeMountedTypes, type Mounted } from './MountedTypes.js';
import { holdParent, isDirectoryAt, isPlainIn } from './MountPoint.js';
import { close, type KernelName, UMOUNT_NOFOLLOW, umount2, unavailable } from '../native/Native.js';

const mountTable = '/proc/self/mountinfo';

const fuseMagic = 0x65735546;

const helperTimeoutMs = 5_000;

const helperDyingMs = 1_000;

/** All whose `f_type` says so. */
const fuseTypes = /^(fuse|fuseblk|virtiofs)(\.|$)/;

/** How long a file system may take to answer a look at it, in milliseconds. */
const mostLookingMs = 5_000;

/** How long it may take to be unmounted, as it may have much to write, in milliseconds. */
const mostUnmountingMs = 30_000;

const timedOut = 'ETIMEDOUT';

const isRoot = process.geteuid?.() === 0;

const tooLate: E.Either<string, void> = E.left(timedOut);

/** How many unmounts are under way at once, each with a descriptor. */
const maxUnmounts = 32;

const inTurn = semaphore(maxUnmounts);

const read: TaskEither<MountError, B.ByteString> = async () =>
  E.tryCatch(readMountTable, (error) => ({
    _tag: 'TableUnreadable',
    reason: `${mountTable}: ${error instanceof RangeError ? error.message : errnoIn(error)}`,
  }));

const unmount = (path: B.ByteString): TaskEither<MountError, void> =>
  inTurn(async () => {
    const reason = unavailable();
    if (reason !== undefined) return E.left({ _tag: 'Unsupported', reason });
    const refuse = (code: string): E.Either<MountError, never> => E.left({ _tag: 'UnmountRefused', path, code });
    const { type, isWayLocal } = await mountedTypes.at(path)();
    if (!isWayLocal && !(await isWayOpen(path)())) return refuse(timedOut);
    const parent = holdParent(path);
    if (E.isLeft(parent)) return refuse(parent.left);
    const { descriptor, name } = parent.right;
    // So says the kernel to root, but in a thread, and those may be kept by others.
    if (type === undefined && isWayLocal && isRoot && isPlainIn(parent.right)) {
      close(descriptor);
      return refuse('EINVAL');
    }
    const point = kernelName(B.fromLatin1(`/proc/self/fd/${descriptor}/${name}`));
    // The descriptor is its own until then, also where nobody waits any more: another would lead to another directory.
    const unmountInTime = answeredWithin(mostUnmountingMs, tooLate, unmountOnceFreed(point), () => close(descriptor));
    const outcome = await unmountInTime();
    if (E.isLeft(outcome)) return refuse(outcome.left);
    mountedTypes.forget(path)();
    return outcome;
  });

/** Whether the file systems on the way to a mount point answer, whatever that is. */
const isWayOpen = (path: B.ByteString): Task<boolean> =>
  answeredWithin(
    mostLookingMs,
    false,
    () => new Promise((resolve) => fs.lstat(bytesOf(B.slice(path, 0, path.lastIndexOf('/') + 1)), () => resolve(true))),
  );

const resolve =
  (path: B.ByteString): TaskEither<FileError, B.ByteString> =>
  async () => {
    const isDirectory = isThere(path, await mountedTypes.at(path)());
    if (isDirectory === undefined) return askWhereItLeads(path)();
    return isDirectory ? E.right(path) : E.left(systemError('resolve', path, 'ENOENT'));
  };

/**
 * Whether there is a directory; undefined where others than the kernel would have to tell. Of what the table says is mounted there,
 * nothing follows: what is mounted further up may hide it.
 */
const isThere = (path: B.ByteString, { isWayLocal }: Mounted): boolean | undefined =>
  isWayLocal ? isDirectoryAt(path) : undefined;

/** By asking every file system on the way, in a thread. */
const askWhereItLeads = (path: B.ByteString): TaskEither<FileError, B.ByteString> =>
  answeredWithin(
    mostLookingMs,
    E.left(systemError('resolve', path, timedOut)),
    () =>
      new Promise((done) =>
        fs.realpath.native(bytesOf(path), { encoding: 'buffer' }, (error, resolved) =>
          done(error === null ? E.right(B.fromBytes(resolved)) : E.left(systemError('resolve', path, errnoIn(error)))),
        ),
      ),
  );

const bytesOf = (path: B.ByteString): Buffer => Buffer.from(B.toBytes(path));

/** One that is busy may be so by what was removed on it, and is freed a moment later. */
const unmountOnceFreed =
  (point: KernelName): TaskEither<string, void> =>
  async () => {
    const heldBefore = heldNow();
    const outcome = await umount2(point, UMOUNT_NOFOLLOW)();
    // Meanwhile all may have been freed, and others held.
    if (E.isRight(outcome) || outcome.left !== 'EBUSY' || heldBefore + heldNow() === 0) return outcome;
    await allFreed();
    return umount2(point, UMOUNT_NOFOLLOW)();
  };

const isFuse =
  (path: B.ByteString): Task<boolean> =>
  async () => {
    const mounted = await mountedTypes.at(path)();
    if (mounted.type !== undefined) return fuseTypes.test(mounted.type);
    // What was mounted a moment ago is not asked: a question without an answer would keep it mounted.
    return isThere(path, mounted) === undefined ? askWhetherFuse(path)() : false;
  };

/** By asking the file system, in a thread. */
const askWhetherFuse = (path: B.ByteString): Task<boolean> =>
  answeredWithin(
    mostLookingMs,
    false,
    () =>
      new Promise((resolve) =>
        fs.statfs(bytesOf(path), (error, status) => resolve(error === null && status.type === fuseMagic)),
      ),
  );

const exists =
  (path: B.ByteString): Task<boolean> =>
  async () => {
    const isDirectory = isThere(path, await mountedTypes.at(path)());
    return isDirectory ?? askWhetherThere(path)();
  };

/** By asking the file system, in a thread. One that does not answer is there. */
const askWhetherThere = (path: B.ByteString): Task<boolean> =>
  answeredWithin(
    mostLookingMs,
    true,
    () =>
      new Promise((resolve) => fs.stat(bytesOf(path), (error) => resolve(error === null || error.code !== 'ENOENT'))),
  );

const unmountFuse =
  (path: B.ByteString): TaskEither<MountError, void> =>
  async () => {
    const first = await runHelper('fusermount3', path);
    const second = first === undefined ? undefined : await runHelper('fusermount', path);
    if (first !== undefined && second !== undefined)
      return E.left({ _tag: 'HelperFailed', path, reason: `${first}; ${second}` });
    mountedTypes.forget(path)();
    return E.right(undefined);
  };

const runHelper = async (helper: string, path: B.ByteString): Promise<string | undefined> => {
  if (!B.isText(path)) return 'its path is not valid UTF-8';
  // Seldom needed, and the start of every command is waited for.
  const { execFile } = await import('node:child_process');
  return new Promise((resolve) => {
    const child = execFile(
      helper,
      ['-u', B.toText(path)],
      { timeout: helperTimeoutMs, killSignal: 'SIGKILL' },
      (error, _, stderr) => {
        clearTimeout(timer);
        if (error === null) resolve(undefined);
        else resolve(`${helper}: ${stderr.trim() === '' ? error.message : stderr.trim()}`);
      },
    );
    // What waits for a file system in the kernel may not even be killed.
    const timer = setTimeout(() => {
      child.unref();
      child.stdout?.destroy();
      child.stderr?.destroy();
      resolve(`${helper}: it did not end within ${helperTimeoutMs} ms`);
    }, helperTimeoutMs + helperDyingMs);
  });
};

const mountedTypes = makeMountedTypes(read);

export const linuxMounts: Mounts = { read, unmount, isFuse, unmountFuse, resolve, exists };

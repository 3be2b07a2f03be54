/** How much of this machine's processes `/proc` shows to this one. */
import * as os from 'node:os';
import { type OwnView, type ProcessesError, valueOf } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { isProcMounted } from './LinuxFileSystem.js';
import { AT_FDCWD, deviceOf, identityAt, readLinkAt } from '../native/Native.js';
import { directoryAt, namespacesAt } from './ProcessFacts.js';
import { maxTableBytes, readFileAt, unreadable, withProcess } from './ProcessDirectory.js';

/** `PROC_PID_INIT_INO` and the like: the kernel's names for the namespaces that it starts with. */
const firstPidNamespace = 'pid:[4026531836]';

const firstUserNamespace = 'user:[4026531837]';

const firstTimeNamespace = 'time:[4026531834]';

const firstMountNamespace = 'mnt:[4026531832]';

/** Kernels before 6.17 number it as they number later ones, from 4026531840 on. It is the first or the second of all. */
const olderFirstMountNamespaces = ['mnt:[4026531840]', 'mnt:[4026531841]'];

/** A newer kernel may give those numbers to another one. */
export const isFirstMountNamespace = (mount: string, kernel: string): boolean => {
  const [, major = 0, minor = 0] = (/^(\d+)\.(\d+)/.exec(kernel) ?? []).map(Number);
  const isOld = major < 6 || (major === 6 && minor < 17);
  return mount === firstMountNamespace || (isOld && olderFirstMountNamespaces.includes(mount));
};

export const readOwnView = (): E.Either<ProcessesError, OwnView> => {
  const limitedBy = readLimit();
  if (E.isLeft(limitedBy)) return limitedBy;
  const namespaces = namespacesAt(AT_FDCWD, '/proc/self/');
  const own = isProcOurs() ? valueOf(namespaces) : undefined;
  return E.right({
    pid: process.pid,
    limitedBy: limitedBy.right,
    isFirstPidNamespace: own?.pid === firstPidNamespace,
    isFirstMountNamespace: own !== undefined && isFirstMountNamespace(own.mount, os.release()),
    namespaces,
    rootDirectory: directoryAt(AT_FDCWD, '/'),
  });
};

/**
 * Whether the processes that `/proc` shows have the numbers that this process knows them by. The one of an outer pid namespace
 * shows this process under another number; that of an inner one does not show it.
 */
const isProcOurs = (): boolean => {
  const self = readLinkAt(AT_FDCWD, '/proc/self');
  return E.isRight(self) && self.right === String(process.pid) && !isNumberedTwice();
};

/** By chance, two namespaces may have given it the same number. */
const isNumberedTwice = (): boolean => {
  const status = readFileAt(AT_FDCWD, '/proc/self/status');
  return E.isRight(status) && /^NSpid:\t\d+\t/m.test(status.right);
};

/**
 * Why `/proc` may not show every process of this pid namespace, or not as it is; `undefined` where it does. Left: there is no
 * `/proc`.
 */
export const readLimit = (): E.Either<ProcessesError, string | undefined> => {
  if (!isProcMounted()) return E.left(unreadable('/proc is not mounted'));
  if (!isProcOurs()) return E.right('the /proc that is mounted here belongs to another pid namespace');
  const status = readFileAt(AT_FDCWD, '/proc/self/status');
  const mounts = readFileAt(AT_FDCWD, '/proc/self/mountinfo', maxTableBytes);
  if (E.isLeft(status)) return E.left(unreadable(`cannot read /proc/self/status: ${status.left}`));
  if (E.isLeft(mounts)) return E.left(unreadable(`cannot read /proc/self/mountinfo: ${mounts.left}`));
  return E.right(hidingBy(mounts.right, status.right) ?? firstProcessHidden() ?? otherClock());
};

const hidingBy = (mounts: string, status: string): string | undefined => {
  const mayTrace = isInFirstUserNamespace() && hasTraceCapability(status);
  if (mayTrace) return undefined;
  const options = procOptions(mounts);
  if (options === undefined) return 'how /proc is mounted cannot be told';
  const hidepid = /(?:^|,)hidepid=([^,]*)/.exec(options)?.[1];
  if (hidepid === undefined || hidesNothing.includes(hidepid)) return undefined;
  // The kernel's default: it lets the group of root see all.
  const gid = Number(/(?:^|,)gid=(\d+)/.exec(options)?.[1] ?? 0);
  const mounted = `/proc is mounted with hidepid=${hidepid}, and this process `;
  if (!isInFirstUserNamespace()) return `${mounted}is in a user namespace`;
  if (exemptsNoGroup.includes(hidepid)) return `${mounted}lacks CAP_SYS_PTRACE`;
  return isInGroup(gid) ? undefined : `${mounted}lacks CAP_SYS_PTRACE and is not in group ${gid}`;
};

/** In another one, capabilities and numbers of groups count for its own processes only. */
const isInFirstUserNamespace = (): boolean => {
  const namespace = readLinkAt(AT_FDCWD, '/proc/self/ns/user');
  // Kernels without user namespaces have no such file.
  return E.isLeft(namespace) ? namespace.left === 'ENOENT' : namespace.right === firstUserNamespace;
};

const hasTraceCapability = (status: string): boolean => {
  const effective = /^CapEff:\t([0-9a-f]+)$/m.exec(status)?.[1];
  return effective !== undefined && ((BigInt(`0x${effective}`) >> CAP_SYS_PTRACE) & 1n) === 1n;
};

const CAP_SYS_PTRACE = 19n;

/** `22 28 0:21 / /proc rw,nosuid - proc proc rw,hidepid=invisible`: the last field, of the mount that is on this device. */
const procOptions = (mounts: string): string | undefined => {
  const proc = identityAt(AT_FDCWD, '/proc');
  if (E.isLeft(proc)) return undefined;
  return mounts
    .split('\n')
    .map((line) => ({ device: / (\d+):(\d+) /.exec(line), options: / - proc .* (\S+)$/.exec(line)?.[1] }))
    .find(({ device }) => device !== null && deviceOf(Number(device[1]), Number(device[2])) === proc.right.device)
    ?.options;
};

/** Values of `hidepid` that hide nothing, and those that exempt no group. */
const hidesNothing = ['0', 'off'];

const exemptsNoGroup = ['4', 'ptraceable'];

const isInGroup = (gid: number): boolean => process.getegid?.() === gid || (process.getgroups?.() ?? []).includes(gid);

const firstProcessHidden = (): string | undefined => {
  const first = withProcess(1, (directory) => readFileAt(directory, 'stat'));
  return E.isRight(first) ? undefined : `process 1 cannot be seen (${first.left})`;
};

/** The kernel shifts the start of every process by what the time namespace of its reader says: no record matches it. */
const otherClock = (): string | undefined => {
  const namespace = readLinkAt(AT_FDCWD, '/proc/self/ns/time');
  // Kernels without time namespaces have no such file.
  if (E.isLeft(namespace))
    return namespace.left === 'ENOENT'
      ? undefined
      : `in which time namespace this program is cannot be seen (${namespace.left})`;
  return namespace.right === firstTimeNamespace
    ? undefined
    : 'this program is in a time namespace of its own, in which processes may seem to begin at other times';
};

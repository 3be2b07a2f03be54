/** Which directories of this host are meant, whether a run may work on them, and along which PATH its daemon looks. */
import * as fs from 'node:fs';
import { ByteString as B } from '@shim-recovery/core';
import type { HostFacts, Understanding } from '@shim-recovery/core/documents';
import {
  type DirectoriesError,
  showDirectoriesError,
  understandDirectories,
  type UnderstoodDirectories,
  type UnderstoodDirectory,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { checkMachine, linuxFileSystem } from '../../linux/LinuxFileSystem.js';
import { findDaemonPath, type ProgramPath } from '../../daemon/DaemonPath.js';
import { linuxMounts } from '../../linux/LinuxMounts.js';
import { exitCode } from '../ExitCode.js';
import { type HostOptions, inDirectories } from '../arguments/Options.js';
import type { Terminal } from '../views/Terminal.js';

/** A host whose directories were understood and checked: `state` and `root` are where namespaces are. */
export interface UnderstoodHost extends HostOptions {
  readonly understood: UnderstoodDirectories;
  readonly programPath: ProgramPath;
}

/** Understands and checks the directories, before anything is opened, locked or written. Left: the exit code, and why was said. */
export const understandHost = async (
  options: HostOptions,
  terminal: Terminal,
): Promise<E.Either<number, UnderstoodHost>> => {
  const machine = checkMachine();
  if (E.isLeft(machine)) {
    terminal.say(`shim-recovery: ${machine.left}`);
    return E.left(exitCode.couldNotRun);
  }
  const understood = await understandDirectories({ fileSystem: linuxFileSystem, mounts: linuxMounts })({
    state: B.fromText(options.state),
    root: B.fromText(options.root),
    uid: process.geteuid?.() ?? 0,
  })();
  if (E.isLeft(understood)) return E.left(sayRefused(terminal, understood.left));
  for (const [option, directory] of [
    ['state', understood.right.state],
    ['root', understood.right.root],
  ] as const)
    if (directory.meaning === 'daemon') terminal.say(`shim-recovery: ${showMeaning(option, directory)}`);
  const { state, root } = understood.right;
  const host = inDirectories({ state: B.toText(state.path), root: B.toText(root.path) })(options);
  const programPath =
    host.programPath ??
    findDaemonPath({
      address: host.address,
      publishBinary: host.publishBinary,
      directories: [host.state, host.root],
    })();
  return E.right({ ...host, understood: understood.right, programPath });
};

const sayRefused = (terminal: Terminal, error: DirectoriesError): number => {
  const { problem, hint } = showDirectoriesError(userName)(error);
  terminal.clearProgress();
  terminal.say(`shim-recovery: ${problem}`);
  if (hint !== undefined) terminal.say(`hint: ${hint}`);
  const isUsage = error._tag !== 'Unusable' && error._tag !== 'RootMissing';
  return isUsage ? exitCode.badUsage : exitCode.couldNotRun;
};

/** What `/etc/passwd` calls a user. */
const userName = (uid: number): string | undefined => {
  const users = E.tryCatch(
    () => fs.readFileSync('/etc/passwd', 'utf8').split('\n'),
    () => undefined,
  );
  if (E.isLeft(users)) return undefined;
  return users.right.map((line) => line.split(':')).find((fields) => fields[2] === String(uid))?.[0];
};

const showMeaning = (option: 'state' | 'root', { given, path }: UnderstoodDirectory): string =>
  `--${option} ${B.show(given)} is the daemon's directory: looking at ${B.show(path)}`;

/** Why there is nothing to do on this host, as a sentence; undefined where there may be something. */
export const nothingToDo = ({ understood: { state, nothingIn } }: UnderstoodHost): string | undefined => {
  switch (nothingIn) {
    case 'missing':
      return `there is no state directory ${B.show(state.path)}: nothing to do`;
    case 'empty':
      return `the state directory ${B.show(state.path)} is empty: nothing to do`;
    case null:
      return undefined;
  }
};

/** What is learnt of a host on which there is nothing to do. */
export const surveyOfNothing = ({ understood: { state, root } }: UnderstoodHost): HostFacts => ({
  state: state.path,
  root: root.path,
  interrupted: false,
  namespaces: [],
});

/** How this host was understood, for reports and recordings. */
export const understandingOf = ({ understood: { state, root }, programPath }: UnderstoodHost): Understanding => ({
  understood: { state: state.meaning, root: root.meaning },
  programPath,
});

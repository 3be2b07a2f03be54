/** Shim programs in memory: files whose contents say what running them with `delete` does (SPEC 11). */
import type { ByteString as B } from '@shim-recovery/core';
import type { BinaryError, DeleteInvocation, ShimBinary, TaskExitInfo } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import type { VirtualClock } from './MemoryClock.js';
import * as Entry from './Entry.js';
import type { MemoryFileSystem } from './MemoryFileSystem.js';
import type { StartedBinary } from '../worlds/Outcome.js';
import type { Tree } from './Tree.js';

/** One run that was started. */
export interface BinaryRun extends StartedBinary {
  readonly program: B.ByteString;
  readonly bundle: B.ByteString;
}

export interface ScriptedShimBinary extends ShimBinary {
  readonly runs: () => ReadonlyArray<BinaryRun>;
}

/** What the programs of the recordings answer, where they answer. */
export const scriptedExit: TaskExitInfo = {
  pid: 900,
  exitStatus: 137,
  exitedAt: { seconds: '1700000000', nanos: 0 },
};

/** How long a program that hangs would take in the end. */
const hangMs = 30_000;

export const makeShimBinary = (tree: Tree, files: MemoryFileSystem, clock: VirtualClock): ScriptedShimBinary => {
  const runs: Array<BinaryRun> = [];

  const behave = async (
    behaviour: B.ByteString,
    { program: path, timeoutMs }: DeleteInvocation,
  ): Promise<E.Either<BinaryError, TaskExitInfo>> => {
    switch (behaviour) {
      case 'fail':
        return E.left({ _tag: 'Failed', path, status: 'exit code 7', stderr: 'it does not work' });
      case 'garbage':
        return E.left({ _tag: 'Malformed', path, reason: 'the answer is no message' });
      case 'hang':
        await clock.sleep(Math.min(hangMs, timeoutMs))();
        return timeoutMs < hangMs ? E.left({ _tag: 'TimedOut', path, afterMs: timeoutMs }) : E.right(scriptedExit);
      default:
        return E.right(scriptedExit); // ok; idle, which ends nothing; and warn, which only prints a line more
    }
  };

  return {
    delete:
      (invocation): TaskEither<BinaryError, TaskExitInfo> =>
      async () => {
        const { program, namespace, id } = invocation;
        const cannotStart = (code: string): E.Either<BinaryError, never> =>
          E.left({ _tag: 'CannotStart', path: program, code });
        const bundle = files.entryOf(invocation.bundle);
        if (bundle === undefined) return cannotStart('EBADF');
        if (!Entry.isAttached(bundle)) return cannotStart('ENOENT');
        const behaviour = behaviourOf(tree, program);
        if (E.isLeft(behaviour)) return cannotStart(behaviour.left);
        const isIdle = behaviour.right === 'idle';
        runs.push({ namespace, id, program, bundle: invocation.bundle.path, ...(isIdle ? { isIdle } : {}) });
        return behave(behaviour.right, invocation);
      },
    runs: () => [...runs],
  };
};

/** Why it cannot be executed, as `execve(2)` would say; or else what it does. */
const behaviourOf = (tree: Tree, program: B.ByteString): E.Either<string, B.ByteString> => {
  const found = tree.walk(program);
  if (E.isLeft(found)) return found;
  if (Entry.kindOf(found.right) !== 'file' || !Entry.isExecutable(found.right)) return E.left('EACCES');
  return E.right(Entry.contentOf(found.right));
};

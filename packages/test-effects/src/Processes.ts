/** The processes of an imaginary machine: those of its shims, and those of the tasks that were not ended. */
import * as B from '@shim-recovery/core/ByteString';
import type { Processes, ProcessInfo } from '@shim-recovery/core/Processes';
import * as E from 'fp-ts/lib/Either.js';
import type { EntryKey } from './World.js';

export interface MemoryProcesses extends Processes {
  /** From now on, as many processes as it says run in the container of this bundle. */
  readonly put: (key: EntryKey, running: () => number) => void;
  /** From now on there is a shim of this bundle, for as long as it says so. */
  readonly putShim: (key: EntryKey, isRunning: () => boolean) => void;
}

const firstPid = 1_000;

export const makeProcesses = (startMs: number): MemoryProcesses => {
  const found: Array<() => ReadonlyArray<Omit<ProcessInfo, 'pid' | 'startedMs'>>> = [];
  return {
    put: ({ namespace, id }, running) => {
      const cgroup = B.concat(B.fromText('/'), namespace, B.fromText('/'), id);
      found.push(() => Array.from({ length: running() }, () => ({ commandLine: [], cgroups: [cgroup] })));
    },
    putShim: ({ namespace, id }, isRunning) => {
      const commandLine = [...['shim', '-namespace'].map(B.fromText), namespace, B.fromText('-id'), id];
      found.push(() => (isRunning() ? [{ commandLine, cgroups: [] }] : []));
    },
    list: async () =>
      E.right(
        found
          .flatMap((some) => some())
          .map((process, index) => ({ ...process, pid: firstPid + index, startedMs: startMs })),
      ),
    bootedMs: async () => E.right(startMs),
  };
};

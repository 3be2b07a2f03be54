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

/** A group of like processes, of which the first so many run. */
interface Group {
  readonly process: Pick<ProcessInfo, 'commandLine' | 'cgroups'>;
  readonly running: () => number;
  /** Of each that ever ran, those that run from the beginning first: a number is never another's, whoever is looked at. */
  readonly pids: Array<number>;
}

export const makeProcesses = (startMs: number): MemoryProcesses => {
  const groups: Array<Group> = [];
  let nextPid = firstPid;
  const membersOf = ({ process, running, pids }: Group): ReadonlyArray<ProcessInfo> => {
    const count = running();
    while (pids.length < count) pids.push(nextPid++);
    return pids.slice(0, count).map((pid) => ({ ...process, pid, startedMs: startMs }));
  };
  const add = (group: Omit<Group, 'pids'>): void => {
    const begun: Group = { ...group, pids: [] };
    membersOf(begun);
    groups.push(begun);
  };
  return {
    put: ({ namespace, id }, running) => {
      const cgroup = B.concat(B.fromText('/'), namespace, B.fromText('/'), id);
      add({ process: { commandLine: [], cgroups: [cgroup] }, running });
    },
    putShim: ({ namespace, id }, isRunning) => {
      const commandLine = [...['shim', '-namespace'].map(B.fromText), namespace, B.fromText('-id'), id];
      add({ process: { commandLine, cgroups: [] }, running: () => (isRunning() ? 1 : 0) });
    },
    list: async () => E.right(groups.flatMap(membersOf)),
    bootedMs: async () => E.right(startMs),
  };
};

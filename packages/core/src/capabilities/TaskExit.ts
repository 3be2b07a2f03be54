/** The end of a task, as its runtime reports it: the answer of a shim, or of its binary, to `delete`. */
import * as t from 'io-ts';

/** A moment, as protobuf's `Timestamp` carries it. `seconds` is a decimal int64 since the epoch. */
export const Timestamp = t.readonly(t.type({ seconds: t.string, nanos: t.number }), 'Timestamp');

export interface Timestamp extends t.TypeOf<typeof Timestamp> {}

/**
 * How a task ended. `pid` and `exitStatus` are unsigned 32-bit as on the wire: a shim binary that could not read its
 * pid file says 4294967295 (H29).
 */
export const TaskExitInfo = t.readonly(
  t.type({ pid: t.number, exitStatus: t.number, exitedAt: Timestamp }),
  'TaskExitInfo',
);

export interface TaskExitInfo extends t.TypeOf<typeof TaskExitInfo> {}

/** From milliseconds since the epoch. */
export const timestampFromMs = (ms: number): Timestamp => ({
  seconds: String(Math.floor(ms / 1000)),
  nanos: Math.floor((ms - Math.floor(ms / 1000) * 1000) * 1_000_000),
});

/** As ISO 8601, to the second; its seconds as they stand where they are no time that has a name. */
export const showTimestamp = ({ seconds }: Timestamp): string => {
  const date = new Date(Number(seconds) * 1_000);
  return Number.isNaN(date.getTime()) ? seconds : date.toISOString().replace('.000Z', 'Z');
};

/** Whether a number that a shim gave is that of a process. */
export const isPid = (pid: number): boolean => pid > 0 && pid < unknownPid;

/** The pid that a shim writes for a process that it does not know: minus one, as an unsigned number. */
const unknownPid = 0xffff_ffff;

/** The numbers of processes that a shim gave, each once. */
export const processesAmong = (pids: ReadonlyArray<number>): ReadonlyArray<number> => [...new Set(pids.filter(isPid))];

/** What every `Processes` must do: see each process for as long as it lives, and tell whose it is. */
import * as B from '@shim-recovery/core/ByteString';
import type { Clock } from '@shim-recovery/core/Clock';
import { type Processes, type ProcessInfo, processTable } from '@shim-recovery/core/Processes';
import * as E from 'fp-ts/lib/Either.js';
import type { EntryKey } from '../World.js';
import { type Disposable, expectSame, type Law, law } from './Law.js';

/** A process that was started; `end` completes once it is dead, be it that nobody has noticed yet. */
export interface StartedProcess {
  readonly end: () => Promise<void>;
}

/** Where processes can be started, and seen. */
export interface ProcessesArea extends Disposable {
  readonly processes: Processes;
  /** The time by which processes begin. */
  readonly clock: Clock;
  /** Starts what a daemon starts for a bundle: `shim -namespace NS -id ID`. */
  readonly startShim: (key: EntryKey) => Promise<StartedProcess>;
  /** Starts what runs in a container: in a control group that is named after it. */
  readonly startInContainer: (key: EntryKey) => Promise<StartedProcess>;
}

/** What clocks, and counting in whole seconds, may make of a moment. */
const slackMs = 2_000;

/** Names that nobody else has on this machine, as laws may be tried beside each other; each begins like the next. */
const makeKeys = () => {
  const id = `law-${Math.random().toString(36).slice(2)}`;
  const key = (namespace: string, name: string): EntryKey => ({
    namespace: B.fromText(namespace),
    id: B.fromText(name),
  });
  return { web: key('default', id), sidecar: key('default', `${id}-2`), elsewhere: key('k8s.io', id) };
};

const list = async ({ processes }: ProcessesArea): Promise<ReadonlyArray<ProcessInfo>> => {
  const listed = await processes.list();
  if (E.isLeft(listed)) throw new Error(`processes cannot be listed: ${listed.left.reason}`);
  return listed.right;
};

const counts = async (area: ProcessesArea, keys: ReadonlyArray<EntryKey>): Promise<ReadonlyArray<string>> => {
  const all = await list(area);
  return keys.map((key) => {
    const { shims, workload } = processTable(all).belongingTo({ ...key, init: undefined });
    return `${shims.length} and ${workload.length}`;
  });
};

/** The laws of seeing processes. */
export const processesLaws = (open: () => Promise<ProcessesArea>): ReadonlyArray<Law> => {
  const one = law(open);
  return [
    one('a shim belongs to its own bundle, from its start to its end', async (area) => {
      const { web, sidecar, elsewhere } = makeKeys();
      const all = [web, sidecar, elsewhere];
      const before = await counts(area, all);
      const shim = await area.startShim(web);
      const during = await counts(area, all);
      await shim.end();
      return [
        ...expectSame('before', before, ['0 and 0', '0 and 0', '0 and 0']),
        ...expectSame('while it runs', during, ['1 and 0', '0 and 0', '0 and 0']),
        ...expectSame('afterwards', await counts(area, all), ['0 and 0', '0 and 0', '0 and 0']),
      ];
    }),

    one('what runs in a container belongs to its bundle, from its start to its end', async (area) => {
      const { web, sidecar } = makeKeys();
      const both = [web, sidecar];
      const first = await area.startInContainer(web);
      const second = await area.startInContainer(sidecar);
      const during = await counts(area, both);
      await first.end();
      const after = await counts(area, both);
      await second.end();
      return [
        ...expectSame('while both run', during, ['0 and 1', '0 and 1']),
        ...expectSame('when one has ended', after, ['0 and 0', '0 and 1']),
      ];
    }),

    one('a process keeps its number and its start, whoever ends meanwhile', async (area) => {
      const { web, sidecar } = makeKeys();
      const first = await area.startShim(web);
      const second = await area.startShim(sidecar);
      const find = async (): Promise<unknown> => {
        const all = await list(area);
        const { shims } = processTable(all).belongingTo({ ...sidecar, init: undefined });
        return all.filter(({ pid }) => shims.includes(pid)).map(({ pid, startedMs }) => [pid, startedMs]);
      };
      const before = await find();
      await first.end();
      const after = await find();
      await second.end();
      return expectSame('the other one', after, before);
    }),

    one('no number is that of two', async (area) => {
      const { web, sidecar } = makeKeys();
      const started = [await area.startShim(web), await area.startInContainer(sidecar)];
      const pids = (await list(area)).map(({ pid }) => pid);
      for (const { end } of started) await end();
      return expectSame('the numbers', new Set(pids).size, pids.length);
    }),

    one('nothing is older than the machine, or younger than now', async (area) => {
      const shim = await area.startShim(makeKeys().web);
      const booted = await area.processes.bootedMs();
      const all = await list(area);
      const nowMs = area.clock.nowMs();
      await shim.end();
      if (E.isLeft(booted)) return [`when it was started cannot be told: ${booted.left.reason}`];
      return all
        .filter(({ startedMs }) => startedMs < booted.right - slackMs || startedMs > nowMs + slackMs)
        .map(({ pid, startedMs }) => `${pid} began at ${startedMs}, not from ${booted.right} to ${nowMs}`);
    }),

    one('when the machine was started is the same each time', async (area) => {
      const [first, second] = [await area.processes.bootedMs(), await area.processes.bootedMs()];
      return expectSame('the second time', second, first);
    }),
  ];
};

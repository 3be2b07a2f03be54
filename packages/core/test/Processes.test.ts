import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as B from '../src/ByteString.js';
import { isOlderThanBoot, makeProcessesSince, mayBeHidden, type ProcessInfo, processTable } from '../src/Processes.js';

const text = B.fromText;

const name = fc.constantFrom('web', 'a-web', 'db', 'b', 'web.scope').map(text);
const part = fc.oneof(
  name,
  name.map((id) => text(`cri-containerd-${id}.scope`)),
  fc.constantFrom('default', '', '.scope', '-.scope').map(text),
);
const word = fc.oneof(name, fc.constantFrom('-namespace', '-id', 'default', 'other').map(text));

const anyProcesses = fc
  .array(
    fc.record({
      startedMs: fc.constantFrom(0, 200_000),
      commandLine: fc.oneof(
        fc.array(word, { maxLength: 6 }),
        name.map((id) => ['/shim', '-namespace', 'default', '-id', id].map(text)),
      ),
      cgroups: fc.array(
        fc.array(part, { maxLength: 3 }).map((parts) => text(`/${parts.join('/')}`)),
        { maxLength: 2 },
      ),
    }),
    { maxLength: 8 },
  )
  .map((processes) => processes.map((process, index): ProcessInfo => ({ ...process, pid: index + 1 })));

const follows = (words: ReadonlyArray<string>, option: string, value: string): boolean =>
  words.some((each, at) => each === option && words[at + 1] === value);

describe('belongingTo', () => {
  it('finds the shim by its options, and the rest by a control group of the name or by init.pid', () => {
    fc.assert(
      fc.property(anyProcesses, name, fc.option(fc.integer({ min: 1, max: 9 })), (processes, id, initPid) => {
        const init = initPid === null ? undefined : { pid: initPid, writtenMs: 100_000 };
        const isShim = ({ commandLine }: ProcessInfo): boolean =>
          follows(commandLine, '-namespace', 'default') && follows(commandLine, '-id', id);
        const isWorkload = ({ pid, startedMs, cgroups }: ProcessInfo): boolean =>
          (pid === init?.pid && startedMs <= 160_000) ||
          cgroups.some((cgroup) => cgroup.split('/').some((each) => each === id || each.endsWith(`-${id}.scope`)));
        const pids = (some: ReadonlyArray<ProcessInfo>) => some.map(({ pid }) => pid);
        expect(processTable(processes).belongingTo({ namespace: text('default'), id, init })).toEqual({
          shims: pids(processes.filter(isShim)),
          workload: pids(processes.filter((process) => !isShim(process) && isWorkload(process))),
        });
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('makeProcessesSince', () => {
  it('reads once for all who are content with it, and again for who needs a newer one', async () => {
    let nowMs = 0;
    let reads = 0;
    const list = async () => {
      reads++;
      return E.right([]);
    };
    const since = makeProcessesSince({ list, bootedMs: async () => E.right(0) }, { elapsedMs: () => nowMs });
    await since(Number.NEGATIVE_INFINITY)();
    nowMs = 1_000;
    await since(0)();
    expect(reads).toBe(1);
    await Promise.all([since(500)(), since(900)(), since(1_000)()]);
    expect(reads).toBe(2);
  });
});

describe('mayBeHidden', () => {
  const minuteMs = 60_000;
  const bootedMs = 1_000 * minuteMs;
  const bornAt = (bornMs: number) =>
    ({ kind: 'directory', device: '1', inode: '1', bornNs: `${BigInt(bornMs) * 1_000_000n}` }) as const;
  const answerOf = async (bornMs: number | undefined, firstStartedMs: number | undefined) =>
    mayBeHidden({ bootedMs: async () => E.right(bootedMs) })(bornMs === undefined ? null : bornAt(bornMs), {
      firstStartedMs,
    })();
  const moment = fc.integer({ min: bootedMs - 10 * minuteMs, max: bootedMs + 10 * minuteMs });

  it('says so of what is older than a namespace that was made long after the machine was started, and younger than that', () =>
    fc.assert(
      fc.asyncProperty(moment, moment, async (bornMs, firstStartedMs) => {
        const isNamespaceYoung = firstStartedMs > bootedMs + minuteMs;
        const isOld = isOlderThanBoot(bornAt(bornMs), bootedMs);
        expect(await answerOf(bornMs, firstStartedMs)).toEqual(
          E.right(bornMs < firstStartedMs && isNamespaceYoung && !isOld),
        );
      }),
    ));

  it('says nothing of what nobody knows', async () => {
    expect(await answerOf(undefined, bootedMs + 5 * minuteMs)).toEqual(E.right(false));
    expect(await answerOf(bootedMs, undefined)).toEqual(E.right(false));
    expect(await answerOf(0, bootedMs + 5 * minuteMs)).toEqual(E.right(false));
  });
});

/**
 * What deciding and planning cost without any effect: `node --expose-gc pure.js`, with room enough that nothing is collected
 * meanwhile; prints decisions a second and the bytes that each makes the program allocate, as JSON.
 */
import { performance } from 'node:perf_hooks';
import { ByteString as B } from '@shim-recovery/core';
import { type BundleEvidence, containerd17, decide, stepsOf } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';

const text = B.fromText;

const decideOne = decide(containerd17);

const planOne = stepsOf(containerd17);

let steps = 0;

const settle = (count: number): void => {
  for (let index = 0; index < count; index += 1) {
    const evidence = evidences[index % evidences.length];
    const decision = evidence === undefined ? undefined : decideOne(evidence);
    if (evidence === undefined || decision?._tag !== 'Decided') throw new Error('not settled');
    if (planOne(evidence)(decision.verdict)._tag === 'Do') steps += 1;
  }
};

/** A live shim, a dead one, and a bundle without a container. */
const evidences: ReadonlyArray<BundleEvidence> = (
  [
    { pids: E.right([900]), connection: { _tag: 'Connected', answer: { shimPid: 899, taskPid: 900, version: '' } } },
    { connection: { _tag: 'DialFailed', error: { _tag: 'DialFailed', code: 'ECONNREFUSED', message: 'x' } } },
    { container: { _tag: 'NotFound' } },
  ] as const
).map(
  (answers, index): BundleEvidence => ({
    namespace: text('default'),
    id: text(`b${index}`),
    kind: 'directory',
    identity: { kind: 'directory', device: '1', inode: String(index), bornNs: '1' },
    contents: {
      _tag: 'Listed',
      shimBinaryPath: index === 2 ? { _tag: 'Absent' } : read('/usr/bin/containerd-shim-runc-v2'),
      address: read('unix:///run/containerd/s/0123456789abcdef'),
      bootstrap: { _tag: 'Absent' },
      log: { _tag: 'Usable', kind: 'fifo' },
      work: read(`/var/lib/containerd/io.containerd.runtime.v2.task/default/b${index}`),
    },
    answers: { program: E.right(text('/usr/bin/containerd-shim-runc-v2')), sandbox: { _tag: 'NotFound' }, ...answers },
  }),
);

const read = (content: string) => ({ _tag: 'Read' as const, content: text(content) });

const warmUp = 20_000;

const counted = 300_000;

settle(warmUp);
globalThis.gc?.();

const before = process.memoryUsage().heapUsed;

const started = performance.now();
settle(counted);

const ms = performance.now() - started;

const allocatedBytes = (process.memoryUsage().heapUsed - before) / counted;

if (steps === 0) throw new Error('nothing was planned');

process.stdout.write(`${JSON.stringify({ decisionsPerSecond: (counted / ms) * 1_000, allocatedBytes })}\n`);

import * as fs from 'node:fs';
import * as path from 'node:path';
import * as B from '@shim-recovery/core/ByteString';
import type { BinaryError } from '@shim-recovery/core/ShimBinary';
import type { TaskExitInfo } from '@shim-recovery/core/TaskExit';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { makeShimBinary } from '../src/ShimBinary.js';
import { eventually, right, temporaryDirectory, withOpen } from './temporary.js';

const base = temporaryDirectory();
let next = 0;

interface Run {
  readonly outcome: E.Either<BinaryError, TaskExitInfo>;
  readonly warnings: ReadonlyArray<string>;
  readonly bundle: string;
  readonly tookMs: number;
}

const runScript = async (
  script: string | undefined,
  more: {
    readonly timeoutMs?: number;
    readonly id?: B.ByteString;
    readonly program?: string;
    readonly mode?: number;
  } = {},
): Promise<Run> => {
  const directory = path.join(base.path(), String(next++));
  const bundle = path.join(directory, 'bundle');
  fs.mkdirSync(bundle, { recursive: true });
  const program = more.program ?? path.join(directory, 'shim');
  if (script !== undefined) fs.writeFileSync(program, `#!/bin/sh\n${script}\n`, { mode: more.mode ?? 0o755 });
  const warnings: Array<string> = [];
  const binary = makeShimBinary({
    daemon: {
      address: B.fromText('/run/d.sock'),
      ttrpcAddress: B.fromText('/run/d.sock.ttrpc'),
      publishBinary: B.fromText('/usr/bin/daemon'),
      debug: true,
    },
    environment: { PATH: process.env['PATH'] ?? '', GOMAXPROCS: '64', KEPT: 'yes' },
    warn: (warning) => warnings.push(warning),
  });
  const startedMs = performance.now();
  const outcome = await withOpen(bundle, (open) =>
    binary.delete({
      program: B.fromText(program),
      namespace: B.fromText('ns'),
      id: more.id ?? B.fromText('web 1'),
      bundle: open,
      timeoutMs: more.timeoutMs ?? 5_000,
    })(),
  );
  return { outcome, warnings, bundle, tookMs: performance.now() - startedMs };
};

const left = ({ outcome }: Run): BinaryError => {
  if (E.isRight(outcome)) throw new Error('it succeeded');
  return outcome.left;
};

const isGone = (pidFile: string): boolean => {
  const pid = Number(fs.readFileSync(pidFile, 'utf8'));
  try {
    return /^\d+ \(.*\) Z/s.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
};

describe('the shim binary (SPEC 11)', () => {
  it('is run with these arguments, in the bundle, with this environment', async () => {
    const { bundle, outcome } = await runScript(
      'printf "%s\\n" "$@" "$(pwd)" "$GOMAXPROCS $MAX_SHIM_VERSION $TTRPC_ADDRESS $GRPC_ADDRESS $NAMESPACE $KEPT" "$(cat)" > told',
    );
    right(outcome);
    expect(fs.readFileSync(path.join(bundle, 'told'), 'utf8').split('\n')).toEqual([
      ...'-namespace ns -address /run/d.sock -publish-binary /usr/bin/daemon -id'.split(' '),
      'web 1',
      '-bundle',
      bundle,
      '-debug',
      'delete',
      bundle,
      '2 2 /run/d.sock.ttrpc /run/d.sock ns yes',
      '',
      '',
    ]);
  });

  it('answers with what it prints; nothing is a valid answer (H29)', async () => {
    const answered = await runScript("printf '\\010\\204\\007\\020\\211\\001\\032\\006\\010\\200\\342\\317\\252\\006'");
    expect(right(answered.outcome)).toEqual({
      pid: 900,
      exitStatus: 137,
      exitedAt: { seconds: '1700000000', nanos: 0 },
    });
    const silent = await runScript('true');
    expect(right(silent.outcome)).toEqual({ pid: 0, exitStatus: 0, exitedAt: { seconds: '0', nanos: 0 } });
  });

  it('may complain and still succeed', async () => {
    const { outcome, warnings } = await runScript('echo "a bad\tthing" >&2; echo another >&2');
    right(outcome);
    expect(warnings.map((warning) => warning.replace(/^.* delete: /, ''))).toEqual(['a bad\\x09thing', 'another']);
  });

  it.each([
    ['a code', 'echo why >&2; exit 7', { _tag: 'Failed', status: 'exit code 7', stderr: 'why' }],
    ['a signal', 'kill -9 $$', { _tag: 'Failed', status: 'signal SIGKILL' }],
    ['garbage', "printf '\\377\\377\\377'", { _tag: 'Malformed' }],
    ['a flood', 'head -c 2000000 /dev/zero', { _tag: 'Malformed' }],
  ])('fails with %s', async (_, script, expected) => {
    expect(left(await runScript(script))).toMatchObject(expected);
  });

  it('cannot be started when it is missing, not executable, or a directory', async () => {
    expect(left(await runScript(undefined))).toMatchObject({ _tag: 'CannotStart', code: 'ENOENT' });
    expect(left(await runScript('true', { mode: 0o644 }))).toMatchObject({ _tag: 'CannotStart', code: 'EACCES' });
    expect(left(await runScript(undefined, { program: '/' }))).toMatchObject({ _tag: 'CannotStart', code: 'EACCES' });
  });

  it('is not given an id that Node cannot pass on unchanged', async () => {
    const id = B.fromBytes(Uint8Array.of(0xff));
    expect(left(await runScript('touch ran', { id }))).toMatchObject({ _tag: 'CannotStart', code: 'EILSEQ' });
  });

  it('is killed at its deadline, with all that it started', async () => {
    const run = await runScript('echo $$ > pid; sleep 30 & echo $! > child; wait', { timeoutMs: 300 });
    expect(left(run)).toMatchObject({ _tag: 'TimedOut', afterMs: 300 });
    expect(run.tookMs).toBeLessThan(3_000);
    for (const name of ['pid', 'child']) await eventually(`${name} to end`, () => isGone(path.join(run.bundle, name)));
  });

  it('is not waited for longer because a grandchild holds its pipes (H16)', async () => {
    const run = await runScript("sleep 30 & printf '\\010\\204\\007'", { timeoutMs: 300 });
    expect(right(run.outcome).pid).toBe(900);
    expect(run.tookMs).toBeLessThan(3_000);
  });

  it('runs on in a bundle that vanishes under it', async () => {
    const run = await runScript('rmdir "$(pwd)"');
    right(run.outcome);
  });
});

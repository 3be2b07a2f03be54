import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import type { BinaryError, TaskExitInfo } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { native } from '../src/native/CLibrary.js';
import { close, pipe, reapChild } from '../src/native/Native.js';
import { encode } from '../src/protobuf/Message.js';
import { DeleteResponse } from '../src/protobuf/TaskMessages.js';
import { waitToRead } from '../src/native/Epoll.js';
import { killRunningBinaries, makeShimBinary } from '../src/linux/LinuxShimBinary.js';
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
    readonly namespace?: B.ByteString;
    readonly id?: B.ByteString;
    readonly program?: string;
    readonly mode?: number;
    /** Called with the path of the bundle, which is open by then. */
    readonly before?: (bundle: string) => void;
    readonly meanwhile?: (bundle: string) => void | Promise<void>;
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
  const outcome = await withOpen(bundle, async (open) => {
    more.before?.(bundle);
    const run = binary.delete({
      program: B.fromText(program),
      namespace: more.namespace ?? B.fromText('ns'),
      id: more.id ?? B.fromText('web 1'),
      bundle: open,
      timeoutMs: more.timeoutMs ?? 5_000,
    })();
    await more.meanwhile?.(bundle);
    return run;
  });
  return { outcome, warnings, bundle, tookMs: performance.now() - startedMs };
};

const left = ({ outcome }: Run): BinaryError => {
  if (E.isRight(outcome)) throw new Error('it succeeded');
  return outcome.left;
};

const pidIn = (pidFile: string): number => Number(fs.readFileSync(pidFile, 'utf8'));

const isGone = (pid: number): boolean => {
  try {
    return /^\d+ \(.*\) Z/s.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
};

/** In a script: tells a pid in a file that has its whole content as soon as it is there. */
const tell = (pid: string, file: string): string => `echo ${pid} > ${file}.new; mv ${file}.new ${file}`;

const appears = (bundle: string, file: string): Promise<void> =>
  eventually(`${file} to appear`, () => fs.existsSync(path.join(bundle, file)));

const octal = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');

/** A script that prints a valid answer of so many bytes, an even number: the same pid over and over. */
const validAnswer = (bytes: number): string => `head -c ${bytes} /dev/zero | tr '\\0' '\\010'`;

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });

describe('the shim binary, whatever is told and answered', () => {
  it('gets namespace and id byte for byte', async () => {
    const name = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }).filter((text) => !text.includes('\0'));
    await fc.assert(
      fc.asyncProperty(name, name, async (namespace, id) => {
        const more = { namespace: B.fromText(namespace), id: B.fromText(id) };
        const { bundle, outcome } = await runScript('printf "%s\\0" "$NAMESPACE" "$@" > told', more);
        right(outcome);
        const told = B.fromBytes(fs.readFileSync(path.join(bundle, 'told'))).split('\0');
        expect([told[0], told[2], told[8]]).toEqual([more.namespace, more.namespace, more.id]);
      }),
      { numRuns: 20 },
    );
  });

  it('is understood in every answer it can give', async () => {
    const seconds = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
    const exitedAt = fc.record({ seconds, nanos: fc.nat(999_999_999) });
    await fc.assert(
      fc.asyncProperty(fc.record({ pid: uint32, exitStatus: uint32, exitedAt }), async (exit) => {
        const { outcome } = await runScript(`printf '${octal(encode(DeleteResponse)(exit))}'`);
        expect(right(outcome)).toEqual(exit);
      }),
      { numRuns: 20 },
    );
  });
});

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

  it('may say much, up to a limit', async () => {
    const { outcome } = await runScript(validAnswer(1024 * 1024));
    expect(right(outcome).pid).toBe(8);
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
    ['a flood', validAnswer(1024 * 1024 + 2), { _tag: 'Malformed', reason: 'more than 1048576 bytes' }],
  ])('fails with %s', async (_, script, expected) => {
    expect(left(await runScript(script))).toMatchObject(expected);
  });

  it('cannot be started when it is missing, not executable, or a directory', async () => {
    expect(left(await runScript(undefined))).toMatchObject({ _tag: 'CannotStart', code: 'ENOENT' });
    expect(left(await runScript('true', { mode: 0o644 }))).toMatchObject({ _tag: 'CannotStart', code: 'EACCES' });
    expect(left(await runScript(undefined, { program: '/' }))).toMatchObject({ _tag: 'CannotStart', code: 'EACCES' });
  });

  it('is not run in a bundle that is gone, and is not blamed for it', async () => {
    const more = { before: fs.rmdirSync, program: path.join(base.path(), 'runs') };
    const run = await runScript(`touch ${base.path()}/ran`, more);
    expect(left(run)).toMatchObject({ _tag: 'CannotStart', path: run.bundle, code: 'ENOENT' });
    expect(fs.existsSync(path.join(base.path(), 'ran'))).toBe(false);
  });

  it('is run in the bundle that was opened, wherever that was moved to', async () => {
    const run = await runScript('touch here', {
      before: (bundle) => {
        fs.renameSync(bundle, `${bundle}.moved`);
        fs.mkdirSync(bundle);
      },
    });
    right(run.outcome);
    expect(fs.readdirSync(run.bundle)).toEqual([]);
    expect(fs.readdirSync(`${run.bundle}.moved`)).toEqual(['here']);
  });

  it('inherits no descriptor of ours', async () => {
    const run = await runScript('ls -l /proc/$$/fd > descriptors');
    right(run.outcome);
    const targets = fs.readFileSync(path.join(run.bundle, 'descriptors'), 'utf8');
    expect(targets).toContain(' 0 -> /dev/null');
    expect(targets.split('\n').filter((line) => line.endsWith(`-> ${run.bundle}`))).toEqual([]);
  });

  it('is quoted with the end of what it complained, and no more', async () => {
    const error = left(await runScript('yes noise | head -n 20000 >&2; echo why >&2; exit 7'));
    expect(error).toMatchObject({ _tag: 'Failed', status: 'exit code 7' });
    const stderr = error._tag === 'Failed' ? error.stderr : '';
    expect(stderr.endsWith('noise; why')).toBe(true);
    expect(stderr.length).toBeLessThan(8 * 1024);
  });

  it('is not given an id that cannot be passed on unchanged', async () => {
    const id = B.fromBytes(Uint8Array.of(0xff));
    expect(left(await runScript('touch ran', { id }))).toMatchObject({ _tag: 'CannotStart', code: 'EILSEQ' });
  });

  it('is killed at its deadline, with all that it started', async () => {
    const run = await runScript(`${tell('$$', 'pid')}; sleep 30 & ${tell('$!', 'child')}; wait`, { timeoutMs: 300 });
    expect(left(run)).toMatchObject({ _tag: 'TimedOut', afterMs: 300 });
    expect(run.tookMs).toBeLessThan(3_000);
    for (const name of ['pid', 'child']) {
      const pid = pidIn(path.join(run.bundle, name));
      await eventually(`${name} to end`, () => isGone(pid));
    }
  });

  it('is killed at its deadline also while it floods us', async () => {
    const run = await runScript(`${tell('$$', 'pid')}; exec cat /dev/zero`, { timeoutMs: 300 });
    expect(left(run)).toMatchObject({ _tag: 'TimedOut' });
    expect(run.tookMs).toBeLessThan(3_000);
    const pid = pidIn(path.join(run.bundle, 'pid'));
    await eventually('it to end', () => isGone(pid));
  });

  it('has ended in time when it did, though we were too busy to notice', async () => {
    const run = await runScript(`printf '\\010\\204\\007'; ${tell('$$', 'pid')}`, {
      timeoutMs: 100,
      meanwhile: (bundle) => {
        const file = path.join(bundle, 'pid');
        const busyUntilMs = performance.now() + 200;
        while (performance.now() < busyUntilMs || !fs.existsSync(file) || !isGone(pidIn(file)));
      },
    });
    expect(right(run.outcome).pid).toBe(900);
  });

  it('is heard also where many others have something to tell at that moment', async () => {
    const others = Array.from({ length: 100 }, () => right(pipe()));
    onTestFinished(() => others.flatMap(Object.values).forEach(close));
    const run = await runScript(`printf '\\010\\204\\007'; ${tell('$$', 'pid')}`, {
      timeoutMs: 100,
      meanwhile: (bundle) => {
        for (const { readEnd, writeEnd } of others) {
          const waiting = right(waitToRead(readEnd, { ready: () => undefined, keepsAlive: false }));
          onTestFinished(() => waiting.end());
          fs.writeSync(writeEnd, 'x');
        }
        const file = path.join(bundle, 'pid');
        const busyUntilMs = performance.now() + 200;
        while (performance.now() < busyUntilMs || !fs.existsSync(file) || !isGone(pidIn(file)));
      },
    });
    expect(right(run.outcome).pid).toBe(900);
  });

  it('is heard also where nobody can be told of its pipes', async () => {
    const refused = vi.spyOn(native(), 'epoll_ctl').mockReturnValue(-1);
    onTestFinished(() => refused.mockRestore());
    const run = await runScript(`sleep 0.05; printf '\\010\\204\\007'`);
    expect(right(run.outcome).pid).toBe(900);
    expect(run.tookMs).toBeLessThan(3_000);
    expect(refused).toHaveBeenCalled();
  });

  it('is not waited for longer because a grandchild holds its pipes, which is killed (H16)', async () => {
    const run = await runScript(`sleep 30 & ${tell('$!', 'child')}; printf '\\010\\204\\007'`, { timeoutMs: 300 });
    expect(right(run.outcome).pid).toBe(900);
    expect(run.tookMs).toBeLessThan(3_000);
    const pid = pidIn(path.join(run.bundle, 'child'));
    await eventually('the grandchild to end', () => isGone(pid));
  });

  it('leaves nothing behind that would keep a command from ending', () => {
    const bundle = path.join(base.path(), String(next++));
    fs.mkdirSync(bundle);
    const program = path.join(bundle, 'shim');
    fs.writeFileSync(program, `#!/bin/sh\nsleep 30 &\nprintf '\\010\\204\\007'\n`, { mode: 0o755 });
    const module = (name: string): string => JSON.stringify(new URL(`../dist/${name}.js`, import.meta.url).href);
    const script = `
      const { makeShimBinary } = await import(${module('linux/LinuxShimBinary')});
      const { linuxFileSystem } = await import(${module('linux/LinuxFileSystem')});
      const [bundle, program] = process.argv.slice(1);
      const opened = await linuxFileSystem.openPath(bundle)();
      const daemon = { address: '', ttrpcAddress: '', publishBinary: '', debug: false };
      const binary = makeShimBinary({ daemon, environment: process.env, warn: () => undefined });
      const outcome = await binary.delete({ program, namespace: 'ns', id: 'a', bundle: opened.right, timeoutMs: 300 })();
      await new Promise((resolve) => setImmediate(resolve));
      console.log(outcome._tag, process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length);`;
    const args = ['--input-type=module', '-e', script, bundle, program];
    expect(execFileSync(process.execPath, args, { encoding: 'utf8' })).toBe('Right 0\n');
  });

  it('is not waited for when somebody else in this process reaped it, and its number is not killed', async () => {
    const kill = vi.spyOn(process, 'kill');
    onTestFinished(() => kill.mockRestore());
    const run = await runScript(`${tell('$$', 'pid')}; while [ ! -e end ]; do :; done`, {
      timeoutMs: 1_000,
      meanwhile: async (bundle) => {
        await appears(bundle, 'pid');
        const pid = pidIn(path.join(bundle, 'pid'));
        fs.writeFileSync(path.join(bundle, 'end'), '');
        while (reapChild(pid)._tag === 'Running');
      },
    });
    expect(left(run)).toMatchObject({ _tag: 'Failed', status: 'an end that somebody else in this process waited for' });
    expect(run.tookMs).toBeLessThan(1_000);
    expect(kill).not.toHaveBeenCalled();
  });

  it('runs on in a bundle that vanishes under it', async () => {
    const run = await runScript('rmdir "$(pwd)"');
    right(run.outcome);
  });
});

describe('processes of ours', () => {
  const started: Array<number> = [];
  afterEach(() => {
    vi.restoreAllMocks();
    for (const pid of started.splice(0)) if (!isGone(pid)) process.kill(pid, 'SIGKILL');
  });

  it('do not outlive us', async () => {
    const run = await runScript(`${tell('$$', 'pid')}; sleep 30 & ${tell('$!', 'child')}; wait`, {
      meanwhile: async (bundle) => {
        await appears(bundle, 'child');
        expect(process.listeners('exit')).toContain(killRunningBinaries);
        killRunningBinaries();
      },
    });
    expect(left(run)).toMatchObject({ _tag: 'Failed', status: 'signal SIGKILL' });
    const pid = pidIn(path.join(run.bundle, 'child'));
    await eventually('the grandchild to end', () => isGone(pid));
    expect(process.listeners('exit')).not.toContain(killRunningBinaries);
  });

  it('leave nothing to be killed once they have ended', async () => {
    await runScript('exit 0');
    await runScript(undefined);
    expect(process.listeners('exit')).not.toContain(killRunningBinaries);
  });

  it('are killed only while their numbers are their own', async () => {
    const killed: Array<{ readonly pid: number; readonly isThere: boolean }> = [];
    vi.spyOn(process, 'kill').mockImplementation((pid) => {
      killed.push({ pid, isThere: fs.existsSync(`/proc/${-pid}`) });
      return true;
    });
    const run = await runScript(`${tell('$$', 'pid')}; sleep 30 & ${tell('$!', 'child')}; exit 0`, { timeoutMs: 300 });
    started.push(pidIn(path.join(run.bundle, 'child')));
    right(run.outcome);
    const pid = pidIn(path.join(run.bundle, 'pid'));
    expect(killed).toEqual([{ pid: -pid, isThere: true }]);
    expect(fs.existsSync(`/proc/${pid}`)).toBe(false);
  });

  it('are reaped, in time or not', async () => {
    const inTime = await runScript(tell('$$', 'pid'));
    const late = await runScript(`${tell('$$', 'pid')}; exec sleep 30`, { timeoutMs: 200 });
    for (const { bundle } of [inTime, late])
      await eventually('it to be gone', () => !fs.existsSync(`/proc/${pidIn(path.join(bundle, 'pid'))}`));
  });

  it('do what they do by default with signals, whatever we do with them', async () => {
    const run = await runScript('grep -E "^Sig(Blk|Ign)" /proc/self/status > told');
    right(run.outcome);
    const masks = fs.readFileSync(path.join(run.bundle, 'told'), 'utf8').match(/[0-9a-f]{16}/g) ?? [];
    // Of those from 32 on, the C library keeps some to itself.
    expect(masks.map((mask) => Number.parseInt(mask, 16) % 2 ** 31)).toEqual([0, 0]);
  });
});

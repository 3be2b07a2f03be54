/** What `recover --watch` says, on which stream and in which order. */
import { execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { ByteString as B } from '@shim-recovery/core';
import { eventNotPublished, type EventSink, type TaskEvent } from '@shim-recovery/core/interpreter';
import * as fc from 'fast-check';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, test } from 'vitest';
import { holdBack } from '../../src/cli/commands/Watch.js';
import { writeMetadata } from '../bolt/writer.js';
import { eventually } from '../temporary.js';
import { dead, goodBinary, reportOf, run, runInShell, running, start, withHost } from './host.js';

/** Generous: other tests run at the same time. */
const timeout = 30_000;

const eventOf = (nth: number): TaskEvent => {
  const time = { seconds: '0', nanos: 0 };
  const exit = { pid: nth, exitStatus: 0, exitedAt: time };
  return { _tag: 'TaskExit', namespace: B.fromText('default'), id: B.fromText('web'), exit, publishedAt: time };
};

describe('events held back', () => {
  /** Takes its time, and remembers; fails on the events that it is told to. */
  const slowSink = (isRefused: (event: TaskEvent) => boolean) => {
    const taken: Array<number> = [];
    const sink: EventSink = {
      publish: (event) => async () => {
        await new Promise((resolve) => setImmediate(resolve));
        if (isRefused(event)) return E.left(eventNotPublished('full'));
        taken.push(event.exit.pid);
        return E.right(undefined);
      },
    };
    return { sink, taken };
  };

  test('come out once each, none before the release, in the order in which they came', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 6 }), fc.nat({ max: 6 }), fc.nat({ max: 6 }), async (before, during, after) => {
        const { sink, taken } = slowSink(() => false);
        const held = holdBack(sink, () => expect.fail('none is lost'));
        const numbers = Array.from({ length: before + during + after }, (_, nth) => nth);
        for (const nth of numbers.slice(0, before)) await held.sink.publish(eventOf(nth))();
        expect(taken).toEqual([]);
        const released = held.release();
        for (const nth of numbers.slice(before, before + during)) await held.sink.publish(eventOf(nth))();
        await released;
        for (const nth of numbers.slice(before + during)) await held.sink.publish(eventOf(nth))();
        expect(taken).toEqual(numbers);
      }),
    );
  });

  test('that cannot be handed over then are told, and hold up no other', async () => {
    const { sink, taken } = slowSink(({ exit }) => exit.pid === 1);
    const lost: Array<readonly [number, string]> = [];
    const held = holdBack(sink, ({ exit }, reason) => lost.push([exit.pid, reason]));
    for (const nth of [0, 1, 2]) expect(await held.sink.publish(eventOf(nth))()).toEqual(E.right(undefined));
    await held.release();
    expect([taken, lost]).toEqual([[0, 2], [[1, 'full']]]);
    expect(E.isLeft(await held.sink.publish(eventOf(1))())).toBe(true);
  });
});

describe.concurrent('recover --watch', { timeout }, () => {
  test('prints the report before the events of shims that ended meanwhile, and then those', async () => {
    await withHost(async (host) => {
      const [started, mayEnd] = ['started', 'may-end'].map((name) => path.join(host.base, name));
      host.setBinary(
        `case "$(pwd -P)" in */slow) touch '${started}'; until [ -e '${mayEnd}' ]; do sleep 0.02; done;; esac\n${goodBinary}`,
      );
      await host.addBundle('ending', { shim: running });
      await host.addBundle('slow', { shim: dead });
      const watching = start(['recover', '--json', '--watch', '--cleanup-timeout', '15s', ...host.args]);
      await eventually('the slow clean-up to begin', () => fs.existsSync(started ?? ''));
      await host.stopShim('ending');
      await eventually('the bundle to go', () => !host.bundles().includes('ending'));
      expect(watching.stdout()).toBe('');
      fs.writeFileSync(mayEnd ?? '', '');
      await eventually('it to watch', () => watching.stderr().includes('watching'));
      await eventually('both events', () => watching.stdout().split('\n').length > 3);
      watching.child.kill('SIGINT');
      const ended = await watching.ended;
      expect(ended.code).toBe(0);
      const lines = ended.stdout
        .trimEnd()
        .split('\n')
        .map((line): unknown => JSON.parse(line));
      expect(lines).toMatchObject([
        { schema: 'shim-recovery/report@1' },
        { topic: '/tasks/exit', containerId: 'ending' },
        { topic: '/tasks/delete', containerId: 'ending' },
      ]);
      expect(lines).toHaveLength(3);
    });
  });

  test('says which shim ended, and which step of its clean-up failed', async () => {
    await withHost(async (host) => {
      await host.addBundle('web', { shim: running });
      const watching = start(['recover', '--json', '--watch', ...host.args]);
      await eventually('it to watch', () => watching.stderr().includes('watching 1 shim;'));
      host.setBinary('echo no such runtime >&2; exit 7');
      await host.stopShim('web');
      await eventually('both events', () => watching.stdout().split('\n').length > 3);
      watching.child.kill('SIGTERM');
      const ended = await watching.ended;
      expect(ended.code).toBe(0);
      expect(ended.stderr.split('\n').slice(1, 3)).toEqual([
        `shim-recovery: ${host.namespace}/web: the shim's connection ended; cleaning up`,
        `shim-recovery: ${host.namespace}/web: run-binary ${host.binary} failed: ${host.binary} delete ended with exit code 7: no such runtime`,
      ]);
    });
  });

  test('under careful, asks a shim that hangs up, takes it back, and cleans up after it when it is dead', async () => {
    await withHost(async (host) => {
      await host.addBundle('web', { shim: running });
      const watching = start(['recover', '--json', '--watch', '--policy', 'careful', ...host.args]);
      await eventually('it to watch', () => watching.stderr().includes('watching 1 shim;'));
      for (const times of [1, 2]) {
        host.hangUpShim('web');
        await eventually('it to be taken back', () => watching.stderr().split('taken back again').length === times + 1);
      }
      expect(host.bundles()).toEqual(['web']);
      await host.stopShim('web');
      await eventually('both events', () => watching.stdout().split('\n').length > 3);
      await eventually('the bundle to go', () => host.bundles().length === 0);
      watching.child.kill('SIGTERM');
      const ended = await watching.ended;
      expect(ended.code).toBe(0);
      expect(ended.stderr.split('\n').slice(1, 4)).toEqual([
        `shim-recovery: ${host.namespace}/web: the shim's connection ended, but the shim answers: taken back again`,
        `shim-recovery: ${host.namespace}/web: the shim's connection ended, but the shim answers: taken back again`,
        `shim-recovery: ${host.namespace}/web: the shim's connection ended; cleaning up`,
      ]);
      expect(host.workDirectories()).toEqual([]);
    });
  });

  test('under careful, holds what runs on without its shim, and says so', async () => {
    await withHost(async (host) => {
      const container = spawn('sleep', ['1000']);
      try {
        await host.addBundle('web', { shim: running, files: { 'init.pid': String(container.pid) } });
        const watching = start(['recover', '--json', '--watch', '--policy', 'careful', ...host.args]);
        await eventually('it to watch', () => watching.stderr().includes('watching 1 shim;'));
        await host.stopShim('web');
        await eventually('it to be said', () => watching.stderr().includes('held'));
        watching.child.kill('SIGTERM');
        const ended = await watching.ended;
        expect(ended.code).toBe(0);
        expect(ended.stdout.split('\n')).toHaveLength(2);
        expect(ended.stderr.split('\n')[1]).toBe(
          `shim-recovery: ${host.namespace}/web: the shim's connection ended; held, and watched no more: the shim is dead, but its container still runs: process ${container.pid} (init.pid); to end this container and clean up: shim-recovery recover --policy careful --orphans reap=${host.namespace}/web, with the other options as they were`,
        );
        expect(host.bundles()).toEqual(['web']);
        expect(host.workDirectories()).toEqual(['web']);
      } finally {
        container.kill('SIGKILL');
      }
    });
  });

  test('copies what shims write to stderr, line by line, also the last line without an end', async () => {
    await withHost(async (host) => {
      await host.addBundle('web', { shim: running });
      const watching = start(['recover', '--watch', ...host.args]);
      await eventually('it to watch', () => watching.stderr().includes('watching'));
      fs.writeFileSync(
        path.join(host.bundlePath('web'), 'log'),
        'msg="a \\"b\\" ü\u001b[2J"\n\tgoroutine 1\nunfinished',
      );
      await eventually('the lines', () => watching.stderr().includes('goroutine'));
      watching.child.kill('SIGTERM');
      const ended = await watching.ended;
      expect(ended.stderr.split('\n').filter((line) => line.startsWith(`${host.namespace}/`))).toEqual([
        `${host.namespace}/web: msg="a \\"b\\" ü\\x1b[2J"`,
        `${host.namespace}/web:     goroutine 1`,
        `${host.namespace}/web: unfinished`,
      ]);
    });
  });

  test('keeps whoever floods its log waiting while nobody reads, instead of filling the memory', async () => {
    await withHost(async (host) => {
      await host.addBundle('web', { shim: running });
      const watching = start(['recover', '--watch', ...host.args]);
      await eventually('it to watch', () => watching.stderr().includes('watching'));
      watching.child.stderr?.pause();
      const writer = spawn('sh', ['-c', 'exec yes > log'], { cwd: host.bundlePath('web'), stdio: 'ignore' });
      const writtenBytes = (): number =>
        Number(/^wchar: (\d+)/m.exec(fs.readFileSync(`/proc/${writer.pid}/io`, 'utf8'))?.[1]);
      const waits = (): boolean => /pipe_w/.test(fs.readFileSync(`/proc/${writer.pid}/wchan`, 'utf8'));
      try {
        let before = -1;
        let looks = 0;
        await eventually('it to wait', () => {
          const now = writtenBytes();
          looks = waits() && now === before && now > 0 ? looks + 1 : 0;
          before = now;
          return looks > 200;
        });
        watching.child.stderr?.resume();
        await eventually('it to go on', () => writtenBytes() > before + 200_000);
      } finally {
        writer.kill('SIGKILL');
      }
      watching.child.kill('SIGTERM');
      expect((await watching.ended).code).toBe(0);
    });
  });

  test('keeps a daemon waiting until it ends', async () => {
    await withHost(async (host) => {
      const database = path.join(host.base, 'meta.db');
      fs.writeFileSync(database, writeMetadata({ containers: [], sandboxes: [] }));
      const isLocked = (): boolean => {
        try {
          execFileSync('flock', ['--nonblock', database, 'true'], { stdio: 'ignore' });
          return false;
        } catch {
          return true;
        }
      };
      const watching = start(['recover', '--watch', ...host.args, '--store', `bolt:${database}`]);
      await eventually('it to watch', () => watching.stderr().includes('watching 0 shims'));
      expect(isLocked()).toBe(true);
      watching.child.kill('SIGTERM');
      expect((await watching.ended).code).toBe(0);
      expect(isLocked()).toBe(false);
    });
  });
});

describe.concurrent('recover', { timeout }, () => {
  test('asks also the socket beside the state directory, whatever address shim binaries are told', async () => {
    await withHost(async (host) => {
      await host.addBundle('left');
      const daemon = net.createServer((connection) => connection.destroy());
      await new Promise<void>((resolve) => daemon.listen(path.join(host.base, 'containerd.sock'), resolve));
      try {
        const args = [...host.args, '--address', path.join(host.base, 'another.sock')];
        const refused = await run(['recover', ...args]);
        expect(refused).toMatchObject({ code: 1, stdout: '' });
        expect(refused.stderr).toMatch(/^shim-recovery: a daemon serves \S+\/containerd\.sock[^\n]*--force\n$/);
        expect(host.bundles()).toEqual(['left']);
        expect(reportOf(await run(['recover', '--json', '--force', ...args])).summary.discard).toBe(1);
      } finally {
        await new Promise((resolve) => daemon.close(resolve));
      }
    });
  });

  test('says what it has to say in place of the bar', async () => {
    await withHost(async (host) => {
      host.setBinary(`echo 'a warning' >&2; ${goodBinary}`);
      // It is asked for so long that the bar is there, which whoever is quicker never sees, when its binary warns.
      await host.addBundle('web', { shim: { ...running, connect: 'hang' } });
      const line = `command=""; for word in "$@"; do command="$command '$word'"; done; script --quiet --return --command "$command" /dev/null`;
      const ended = await runInShell(line, ['recover', ...host.as17, '--allow-killing', '--load-timeout', '300ms']);
      expect(ended.code).toBe(4);
      expect(ended.stdout).toMatch(/asking \[#* *\] \d\/1/);
      expect(ended.stdout).toMatch(/\r\u001b\[Kshim-recovery: \S+ delete: a warning\r\n/);
      expect(ended.stdout).not.toMatch(/\d+\/\d+shim-recovery/);
    });
  });
});

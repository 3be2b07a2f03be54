/** `explain`: one bundle's way through the decisions, on this host and on a recorded one. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Explanation } from '@shim-recovery/core/documents';
import { allSignSources } from '../../../core/src/decide/Signs.js';
import { describe, expect, test } from 'vitest';
import { right } from '../temporary.js';
import { dead, type Host, type Run, run, running, withHost } from './host.js';

/** Generous: other tests run at the same time. */
const timeout = 30_000;

const explanationOf = ({ stdout, stderr }: Run): Explanation => {
  expect(stderr).toBe('');
  return right(Explanation.decode(JSON.parse(stdout)));
};

const addNamespace = ({ state, root }: Host, namespace: string): void => {
  for (const directory of [state, root]) fs.mkdirSync(path.join(directory, namespace));
};

describe.concurrent('explain', { timeout }, () => {
  test('asks the shim of that bundle and no other, and changes nothing', async () => {
    await withHost(async (host) => {
      for (const id of ['web', 'db', 'cache']) await host.addBundle(id, { shim: running });
      const before = host.fingerprint();
      const explanation = explanationOf(await run(['explain', 'web', '--json', ...host.args]));
      expect(host.fingerprint()).toEqual(before);
      expect(['web', 'db', 'cache'].map(host.callsTo)).toEqual([2, 0, 0]);
      expect(explanation).toMatchObject({
        namespace: host.namespace,
        id: 'web',
        verdict: 'adopt',
        reason: 'task-running',
      });
    });
  });

  test('says for people each question with its answer and the rule, then the steps', async () => {
    await withHost(async (host) => {
      await host.addBundle('cache', { shim: dead });
      const { stdout, stderr, code } = await run(['explain', `${host.namespace}/cache`, ...host.as17]);
      expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
      const lines = stdout.split('\n');
      expect(lines.slice(0, 3)).toEqual([
        `${host.namespace}/cache, as containerd-1.7 decides`,
        '  what stands there? a directory → step 2: its name decides next',
        '  is it hidden? no → step 4: it is listed',
      ]);
      expect(stdout).toMatch(
        /\n {2}does the shim answer at .*cache\.sock\? no: .*\(ECONNREFUSED\) → step 9: .* counts as dead: its binary cleans up\n\nwhat each source says of its life\n {2}shim-answer +dead +no: the shim cannot be reached: /,
      );
      const sources = [...stdout.matchAll(/^ {2}(\S+) +(alive|dead|unknown|-) {2,}/gm)].map(([, source]) => source);
      expect(sources).toEqual(['shim-answer', ...allSignSources]);
      expect(stdout).toMatch(
        /\n {2}root-file-system {2}dead .*\n\nclean up \(dial-failed\): the shim cannot be reached: /,
      );
      expect(stdout).toMatch(
        /\n {2}run-binary .*\/shim\n {4}if it fails: nothing more, and it is reported\n {2}unmount-rootfs\n/,
      );
    });
  });

  test('says without a policy that every source was asked, and which of them keeps a bundle', async () => {
    await withHost(async (host) => {
      await host.addBundle('cache', { shim: dead });
      await host.addBundle('orphan', { shim: dead, files: { 'init.pid': String(process.pid) } });
      const gone = await run(['explain', 'cache', ...host.args]);
      expect(gone.stdout).toMatch(
        /^sr-\w+\/cache, as careful decides\n[^]*\n {2}what do the other sources say of its life\? every source says that it is dead → every source says that it is dead: its binary cleans up\n[^]*\nclean up \(dial-failed\): /,
      );
      const kept = await run(['explain', 'orphan', ...host.args]);
      expect(kept.stdout).toMatch(
        new RegExp(
          `\\n {2}what do the other sources say of its life\\? it lives: its container runs: process ${process.pid} \\(init\\.pid\\) → `,
        ),
      );
      expect(kept.stdout).toMatch(/\n {2}init-pid +alive +process \d+, which init\.pid names, runs\n/);
      expect(kept.stdout).toMatch(/\nhold \(orphan-workload\): .*\n {2}nothing is done\n$/);
    });
  });

  test('takes another policy', async () => {
    await withHost(async (host) => {
      await host.addBundle('leaked', { shim: { ...running, pids: { ok: { pids: [] } } } });
      const verdictOf = async (...args: ReadonlyArray<string>): Promise<string> =>
        explanationOf(await run(['explain', 'leaked', '--json', ...args, ...host.args])).verdict;
      expect(await verdictOf()).toBe('reap');
      expect(await verdictOf('--policy', 'containerd-1.6')).toBe('adopt');
      expect(await verdictOf('--no-probe')).toBe('hold');
    });
  });

  test('explains what is no bundle, and what has a name of any bytes', async () => {
    await withHost(async (host) => {
      fs.writeFileSync(path.join(host.state, host.namespace, 'file'), 'x');
      host.addRawBundle(Buffer.from([0x77, 0xff, 0x0a]), { address: 'unix:///nonexistent' });
      expect(explanationOf(await run(['explain', 'file', '--json', ...host.args])).reason).toBe('not-a-directory');
      const strange = explanationOf(await run(['explain', 'w\\xff\\x0a', '--json', ...host.args]));
      expect(strange).toMatchObject({ id: 'w\\xff\\x0a', reason: 'container-not-found' });
    });
  });

  test('names what there is when the bundle is not there', async () => {
    await withHost(async (host) => {
      expect(await run(['explain', 'web', ...host.args])).toMatchObject({
        code: 1,
        stdout: '',
        stderr: `shim-recovery: there is no bundle web in ${host.state}, nor any other\n`,
      });
      for (let nth = 10; nth < 22; nth++) await host.addBundle(`left-${nth}`);
      await host.addBundle('web-1', { shim: running });
      const { stderr, code } = await run(['explain', 'web', ...host.args]);
      expect(code).toBe(1);
      expect(stderr).toBe(
        `shim-recovery: there is no bundle web in ${host.state}; there are ${host.namespace}/web-1, ${Array.from({ length: 9 }, (_, nth) => `${host.namespace}/left-${10 + nth}`).join(', ')} and 3 more\n`,
      );
      expect(host.callsTo('web-1')).toBe(0);
    });
  });

  test('says what it could not look at when the bundle is not there', async () => {
    await withHost(async (host) => {
      fs.mkdirSync(path.join(host.state, 'not valid', 'web'), { recursive: true });
      const notSeen =
        'the namespace not valid could not be looked at: the name is not valid for a namespace; nothing in it is touched';
      expect((await run(['explain', 'web', ...host.args])).stderr).toBe(
        `shim-recovery: there is no bundle web in ${host.state}; ${notSeen}\n`,
      );
      await host.addBundle('batch');
      expect((await run(['explain', 'web', ...host.args])).stderr).toBe(
        `shim-recovery: there is no bundle web in ${host.state}; there is ${host.namespace}/batch; ${notSeen}\n`,
      );
    });
  });

  test('wants the namespace where several have such a bundle', async () => {
    await withHost(async (host) => {
      await host.addBundle('web', { shim: running });
      addNamespace(host, 'elsewhere');
      fs.mkdirSync(path.join(host.state, 'elsewhere', 'web'));
      expect(await run(['explain', 'web', ...host.args])).toMatchObject({
        code: 1,
        stderr: `shim-recovery: web stands in several namespaces of ${host.state}; name one of them: ${[`${host.namespace}/web`, 'elsewhere/web'].sort().join(', ')}\n`,
      });
      expect(host.callsTo('web')).toBe(0);
      for (const args of [['elsewhere/web'], ['web', '--namespace', 'elsewhere']])
        expect(explanationOf(await run(['explain', ...args, '--json', ...host.args])).reason).toBe('empty');
    });
  });
});

describe.concurrent('explain --recording', { timeout }, () => {
  test('explains as on the host itself, by default as the recorded run decided', async () => {
    await withHost(async (host) => {
      await host.addBundle('web', { shim: { ...running, pids: { ok: { pids: [] } } } });
      const file = path.join(host.base, 'recording');
      await run(['plan', '--record', file, '--policy', 'containerd-1.6', ...host.args]);
      const there = explanationOf(await run(['explain', 'web', '--json', '--policy', 'containerd-1.6', ...host.args]));
      const other = await run(['explain', 'web', '--policy', 'containerd-2.1', ...host.args]);
      fs.rmSync(host.state, { recursive: true });
      // 1.6 takes the shim back, for which only the shim was asked.
      const [answer, ...others] = there.sources;
      expect(answer).toMatchObject({ source: 'shim-answer', state: 'alive' });
      expect(others.map(({ state }) => state)).toEqual([
        'none',
        'alive',
        'dead',
        'none',
        'none',
        'dead',
        'none',
        'dead',
      ]);
      expect(explanationOf(await run(['explain', 'web', '--json', '--recording', file]))).toEqual({
        ...there,
        sources: [answer, ...others.map(({ source }) => ({ source, state: 'unknown', says: 'it was not recorded' }))],
      });
      // 2.1 reaps it, for which every source was asked.
      expect(await run(['explain', 'web', '--recording', file, '--policy', 'containerd-2.1'])).toEqual(other);
      const missing = await run(['explain', 'wbe', '--recording', file]);
      expect(missing).toMatchObject({
        code: 1,
        stdout: '',
        stderr: `shim-recovery: there is no bundle wbe in ${file}; there is ${host.namespace}/web\n`,
      });
    });
  });

  test('refuses what is no recording', async () => {
    await withHost(async (host) => {
      const ended = await run(['explain', 'web', '--recording', host.store]);
      expect(ended).toMatchObject({ code: 1, stdout: '' });
      expect(ended.stderr).toMatch(
        /^shim-recovery: the recording .* cannot be explained: it is no recording: [^\n]*\n$/,
      );
    });
  });
});

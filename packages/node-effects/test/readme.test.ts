/** The README shows code that runs, and a table that is whole. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Recovery } from '@shim-recovery/core';
import { allReasons, containerd17, type Settings } from '@shim-recovery/core/interpreter';
import { ruleUnder } from '../../core/src/decide/Reasons.js';
import { because } from '../../core/src/decide/Verdict.js';
import { allPolicyNames, containerd21 } from '../../core/src/policy/Policy.js';
import { layWorld } from '@shim-recovery/test-effects/simulation/LaidWorld';
import { dead, running } from '@shim-recovery/test-effects/worlds/Shim';
import * as World from '@shim-recovery/test-effects/worlds/World';
import { describe, expect, it } from 'vitest';
import { takeBackShims } from '../examples/embed.js';
import { sparingly } from '../examples/ownPolicy.js';
import { noStore } from '../src/stores/NoStore.js';
import { startScriptedShim } from '../src/demo/ScriptedShim.js';
import { eventually, right, temporaryDirectory } from './temporary.js';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const readme = fs.readFileSync(path.join(repository, 'README.md'), 'utf8');

const base = temporaryDirectory();

describe('the README', () => {
  it.each(['embed.ts', 'ownPolicy.ts'])('shows the example %s as it stands', (name) => {
    const example = fs.readFileSync(path.join(repository, 'packages/node-effects/examples', name), 'utf8');
    expect(readme).toContain(`\`\`\`ts\n${example}\`\`\``);
  });

  it('has a row for every reason', () => {
    expect(allReasons.filter((reason) => !readme.includes(`| \`${reason}\` |`))).toEqual([]);
  });

  it('says the step and the verdict of each reason as the table of reasons does', () => {
    const words = {
      Ignore: 'ignore',
      Adopt: 'adopt',
      Reap: 'reap',
      CleanUp: 'clean up',
      Discard: 'discard',
      Hold: 'hold',
    };
    for (const reason of allReasons) {
      const rows = [...readme.matchAll(new RegExp(`^\\| ([^|]*) \\|[^|]*\\| ([a-z ]+) \\| \`${reason}\` \\|`, 'gm'))];
      const step = ruleUnder(containerd17)(reason).step ?? '–';
      for (const row of rows) expect([row[1], row[2], reason]).toEqual([step, words[because(reason)._tag], reason]);
    }
  });

  it('has a row for every part of a policy, and names every policy', () => {
    const parts = Object.keys(containerd17).filter((part) => part !== 'name');
    expect(parts.filter((part) => !readme.includes(`| \`${part}\``))).toEqual([]);
    expect(allPolicyNames.filter((name) => !readme.includes(`\`${name}\``))).toEqual([]);
  });

  it('names files that exist', () => {
    for (const [, file = ''] of readme.matchAll(/`((?:packages|docs)\/[^`*]+|[A-Z]+\.md)`/g))
      expect(fs.existsSync(path.join(repository, file)), file).toBe(true);
  });
});

describe('the example of an own policy', () => {
  const verdictsOf = async (
    of: World.World,
    change: (settings: Settings) => Settings,
  ): Promise<ReadonlyArray<string>> => {
    const { machine, settings, list } = layWorld(of);
    const recovered = right(await Recovery.recover(change(settings), machine.capabilities)());
    await recovered.stop();
    const isLeft = (id: string): boolean => list().some(({ path: left }) => left.endsWith(`/default/${id}/address`));
    return recovered.report.namespaces.flatMap(({ bundles }) =>
      bundles.map(({ id, verdict }) => `${id}: ${verdict}, ${isLeft(id) ? 'kept' : 'removed'}`),
    );
  };

  it('keeps what containerd 2.1 loses', async () => {
    const internal = 13;
    const programFails = { ...World.ordinary.files, 'shim-binary-path': '$BIN/shim-fail' };
    const failing = { ...running, pids: { error: internal } };
    const host = World.world(
      { ns: 'default', id: 'db', bundle: World.ordinary, shim: failing },
      { ns: 'default', id: 'web', bundle: { ...World.ordinary, files: programFails }, shim: dead },
    );
    const asDaemon = (settings: Settings): Settings => ({ ...settings, policy: containerd21 });
    expect(await verdictsOf(host, asDaemon)).toEqual(['db: reap, removed', 'web: cleanUp, removed']);
    expect(await verdictsOf(host, sparingly)).toEqual(['db: adopt, kept', 'web: cleanUp, kept']);
  });
});

describe('the example of embedding', () => {
  it('takes a live shim back, and tells of its end', async () => {
    const state = path.join(base.path(), 'state');
    const bundle = path.join(state, 'default', 'web');
    const root = path.join(base.path(), 'root');
    const program = path.join(base.path(), 'shim');
    const socketPath = path.join(base.path(), 's');
    fs.mkdirSync(bundle, { recursive: true });
    fs.mkdirSync(path.join(root, 'default'), { recursive: true });
    fs.writeFileSync(program, "#!/bin/sh\nprintf '\\020\\007'\n", { mode: 0o755 });
    fs.writeFileSync(path.join(bundle, 'shim-binary-path'), program);
    fs.writeFileSync(path.join(bundle, 'address'), `unix://${socketPath}`);
    execFileSync('mkfifo', [path.join(bundle, 'log')]);
    const ok = { ok: {} };
    const script = { connect: { ok: { task: 1 } }, pids: { ok: { pids: [1] } }, del: { ok: { pid: 1 } }, shutdown: ok };
    const shim = right(await startScriptedShim({ socketPath, script: { mode: 'serve', ...script } })());
    const exits: Array<readonly [string, number]> = [];
    const recovered = await takeBackShims({
      directories: { state, root },
      containers: noStore,
      socket: path.join(base.path(), 'daemon.sock'),
      program: '/usr/bin/daemon',
      onExit: ({ namespace, id }, status) => exits.push([`${namespace}/${id}`, status]),
    });
    try {
      expect(recovered.registry.instances()).toHaveLength(1);
      expect(recovered.report.summary.adopt).toBe(1);
      await shim.stop();
      await eventually('the exit', () => exits.length > 0);
      await recovered.settled();
      expect(exits).toEqual([['default/web', 7]]);
      expect(recovered.registry.instances()).toEqual([]);
      expect(fs.existsSync(bundle)).toBe(false);
    } finally {
      await shim.stop();
      await recovered.stop();
    }
  });
});

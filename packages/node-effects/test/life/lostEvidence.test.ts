/** Files whose content was lost, and processes that this program may not see: what is not known is never taken for death. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import { describe, expect, test } from 'vitest';
import { inWorld, type World } from './world.js';

const soon = ['--load-timeout', '100ms'];

const nuls = new Uint8Array(64);

describe.concurrent('a file that holds only NULs', () => {
  const lost: ReadonlyArray<readonly [string, Parameters<World['addBundle']>[1], string, string]> = [
    [
      'address',
      { address: nuls },
      'address-unknown',
      'where the shim listens is not known: what says where the shim listens holds only NUL bytes: its content was lost',
    ],
    [
      'bootstrap.json',
      { address: null, files: { 'bootstrap.json': nuls } },
      'address-unknown',
      'where the shim listens is not known: what says where the shim listens holds only NUL bytes: its content was lost',
    ],
    [
      'init.pid',
      { files: { 'init.pid': nuls } },
      'processes-unknown',
      'whether it lives cannot be told: init.pid holds no number of a process',
    ],
    [
      'shim-binary-path',
      { files: { 'shim-binary-path': nuls } },
      'bundle-unreadable',
      'shim-binary-path holds NUL bytes: its content was lost',
    ],
    [
      'config.json',
      { files: { 'config.json': nuls } },
      'processes-unknown',
      'whether it lives cannot be told: config.json cannot be understood',
    ],
    [
      'options.json',
      { files: { 'options.json': nuls } },
      'processes-unknown',
      'whether it lives cannot be told: options.json cannot be understood',
    ],
    [
      'sandbox',
      { address: null, files: { sandbox: nuls } },
      'processes-unknown',
      'whether it lives cannot be told: its file sandbox holds no id: which pod it belongs to is not known',
    ],
  ];

  for (const [file, options, reason, explanation] of lost)
    test(
      `holds its bundle, and is named: ${file}`,
      inWorld(async (world) => {
        const bundle = world.addBundle('nuls', options);
        const witness = world.witness();
        const outcome = await world.recover('careful', ...soon);
        expect(outcome.of(bundle)).toMatchObject({ verdict: 'hold', reason, explanation });
        witness.expectNothingChanged();
      }),
    );

  test(
    'does not hide an answering shim: bootstrap.json beside a good address',
    inWorld(async (world) => {
      const bundle = world.addBundle('answers', { files: { 'bootstrap.json': nuls } });
      await world.startShimOf(bundle);
      expect((await world.recover('careful')).of(bundle)).toMatchObject({ verdict: 'adopt', outcome: 'adopted' });
    }),
  );

  test(
    'is not forgotten where no shim listens at the address beside it: bootstrap.json',
    inWorld(async (world) => {
      const bundle = world.addBundle('stale', { files: { 'bootstrap.json': nuls } });
      expect((await world.recover('careful', ...soon)).of(bundle)).toMatchObject({
        verdict: 'hold',
        reason: 'address-unknown',
        explanation: `where the shim listens is not known: nothing listens at ${bundle.socket}, and what bootstrap.json said is lost`,
      });
    }),
  );
});

describe.concurrent('a program that may not see every process', () => {
  /** Since Linux 5.8 each mount of `/proc` has options of its own; before, one would hide processes from the whole machine. */
  const hasOwnOptions = (): boolean => {
    const [major = 0, minor = 0] = os.release().split('.').map(Number);
    return major > 5 || (major === 5 && minor >= 8);
  };

  const untraced = 'setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace --regid 1000 --clear-groups';
  const hiding = `unshare --mount sh -ec 'mount -t proc -o hidepid=2 proc /proc; exec ${untraced} "$@"' sh "$@"`;

  test(
    'holds every bundle whose shim does not answer, and says what hides processes from it',
    inWorld(async (world, context) => {
      if (!hasOwnOptions()) return context.skip('needs a kernel whose mounts of /proc have options of their own (5.8)');
      const [live, lost, dead] = [world.addBundle('live'), world.addBundle('lost'), world.addBundle('dead')];
      const early = world.addBundle('early', { address: null });
      const shims = [await world.startShimOf(live), await world.startShimOf(lost), await world.startShimOf(early)];
      fs.unlinkSync(lost.socket);
      const witness = world.witness(...shims);
      const outcome = await world.inShell(hiding, 'recover', '--policy', 'careful', ...soon);
      expect(outcome.verdicts).toEqual({
        dead: 'hold processes-unknown',
        early: 'hold processes-unknown',
        live: 'adopt task-running',
        lost: 'hold shim-unreachable',
      });
      expect(outcome.of(lost).explanation).toMatch(/, but the shim lives: a process listens at /);
      for (const bundle of [early, dead])
        expect(outcome.of(bundle)).toMatchObject({
          explanation: expect.stringMatching(
            /whether it lives cannot be told: \/proc is mounted with hidepid=(2|invisible), and this process lacks CAP_SYS_PTRACE and is not in group 0/,
          ),
          advice: expect.stringContaining('again with CAP_SYS_PTRACE, in the pid and mount namespaces of the shims'),
        });
      witness.expectNothingChanged();
    }),
  );

  const namespaces: ReadonlyArray<readonly [string, string, RegExp]> = [
    ['pid', '--pid --fork --mount-proc', /in another mount namespace|in a pid namespace of its own, and no shim/],
    ['mount', '--mount', /shims of this tree \(process(?:es)? .*\) are in another mount namespace than this program/],
  ];
  for (const [which, options, why] of namespaces)
    test(
      `holds what does not answer from a ${which} namespace of its own, and says so`,
      inWorld(async (world) => {
        const [live, dead] = [world.addBundle('live'), world.addBundle('dead')];
        const shim = await world.startShimOf(live);
        const witness = world.witness(shim);
        const outcome = await world.inShell(`unshare ${options} "$@"`, 'recover', '--policy', 'careful', ...soon);
        expect(outcome.verdicts).toEqual({ dead: 'hold processes-unknown', live: 'adopt task-running' });
        expect(outcome.of(dead).explanation).toMatch(why);
        witness.expectNothingChanged();
      }),
    );
});

/** Shims that cannot be reached where they should listen: they are known by other signs, or may be. */
import * as fs from 'node:fs';
import * as net from 'node:net';
import { describe, expect, test } from 'vitest';
import { running } from '../cli/host.js';
import { inWorld, runscWords, type World } from './world.js';

/** For a shim that does not answer, so that nothing is gained by waiting longer. */
const soon = ['--load-timeout', '100ms'];

const addBundleOfRunsc = (world: World, name: string, options: Parameters<World['addBundle']>[1] = {}) =>
  world.addBundle(name, { program: world.programNamed('containerd-shim-runsc-v1'), ...options });

describe.concurrent('a shim whose command line names no bundle', () => {
  test(
    'is told by its socket after the name of that was lost, and its bundle is held',
    inWorld(async (world) => {
      const bundle = addBundleOfRunsc(world, 'sb');
      const shim = await world.startShimOf(bundle, { words: runscWords(world.namespace) });
      expect(fs.readFileSync(`/proc/${shim.pid}/cmdline`, 'utf8')).toBe(`${runscWords(world.namespace).join('\0')}\0`);
      fs.unlinkSync(bundle.socket);
      const witness = world.witness(shim);
      const outcome = await world.recover('careful', ...soon);
      expect(outcome.of(bundle)).toMatchObject({
        verdict: 'hold',
        reason: 'shim-unreachable',
        outcome: 'held',
        explanation: `the shim cannot be reached: cannot connect to ${bundle.socket} (ENOENT), but the shim lives: process ${shim.pid} listens at ${bundle.socket}`,
        pids: [shim.pid],
      });
      expect(outcome.code).toBe(3);
      witness.expectNothingChanged();
    }),
  );

  test(
    'holds its bundle when it accepts a connection and never answers',
    inWorld(async (world) => {
      const bundle = addBundleOfRunsc(world, 'hung');
      const shim = await world.startShimOf(bundle, {
        words: runscWords(world.namespace),
        script: { ...running, connect: 'hang' },
      });
      const witness = world.witness(shim);
      const outcome = await world.recover('careful', ...soon);
      expect(outcome.of(bundle)).toMatchObject({
        verdict: 'hold',
        reason: 'shim-unresponsive',
        explanation: 'the shim did not confirm that it lives: the shim did not answer within 100 ms',
      });
      witness.expectNothingChanged();
    }),
  );

  test(
    'is told by its current directory before its address was written',
    inWorld(async (world) => {
      const bundle = addBundleOfRunsc(world, 'early', { address: null });
      const shim = await world.startShimOf(bundle, { words: runscWords(world.namespace) });
      const witness = world.witness(shim);
      const outcome = await world.recover('careful', ...soon);
      expect(outcome.of(bundle)).toMatchObject({
        verdict: 'hold',
        reason: 'shim-unreachable',
        explanation: `address is missing, but the shim lives: its shim is there (process ${shim.pid})`,
      });
      witness.expectNothingChanged();
    }),
  );

  test(
    'may belong to any bundle of its namespace and program while its current directory is no bundle',
    inWorld(async (world) => {
      const bundle = addBundleOfRunsc(world, 'lost');
      const elsewhere = addBundleOfRunsc(world, 'elsewhere', { namespace: `${world.namespace}-b` });
      const ofRunc = world.addBundle('of-runc');
      const shim = await world.startShimOf(bundle, {
        words: runscWords(world.namespace),
        cwd: '/',
        socket: `${bundle.socket}-of-another`,
      });
      const outcome = await world.recover('careful', ...soon);
      expect(outcome.verdicts).toEqual({
        lost: 'hold processes-unknown',
        'of-runc': 'cleanUp dial-failed',
        elsewhere: 'cleanUp dial-failed',
      });
      expect(outcome.of(bundle)).toMatchObject({
        explanation: `whether it lives cannot be told: process ${shim.pid} (containerd-shim-runsc-v1) may belong to it`,
        advice: `see what each source says: shim-recovery explain --policy careful ${bundle.name}`,
        pids: [shim.pid],
      });
      expect([bundle, elsewhere, ofRunc].map(({ exists }) => exists())).toEqual([true, false, false]);
      expect(shim.isRunning()).toBe(true);
    }),
  );

  test(
    'does not hold a bundle while its current directory is another one',
    inWorld(async (world) => {
      const [live, dead] = [addBundleOfRunsc(world, 'live'), addBundleOfRunsc(world, 'dead')];
      const shim = await world.startShimOf(live, { words: runscWords(world.namespace) });
      const outcome = await world.recover('careful', ...soon);
      expect(outcome.verdicts).toEqual({ dead: 'cleanUp dial-failed', live: 'adopt task-running' });
      expect(outcome.outcomes).toEqual({ dead: 'removed', live: 'adopted' });
      expect([live.exists(), dead.exists(), shim.isRunning()]).toEqual([true, false, true]);
      expect(outcome.code).toBe(0);
    }),
  );
});

describe.concurrent('an address that is not that of a unix socket', () => {
  const bootstrap = (address: string, protocol = 'ttrpc'): Readonly<Record<string, string>> => ({
    'bootstrap.json': JSON.stringify({ version: 3, address, protocol }),
  });
  const notDialled = (scheme: string, address: string): string =>
    `its shim listens at an address of the scheme ${scheme}, which this program does not dial: "${address}"`;
  const noSocket = (text: string): string =>
    `what says where the shim listens is not the address of a unix socket: "${text}"`;
  const cases: ReadonlyArray<readonly [string, Parameters<World['addBundle']>[1], string]> = [
    ['vsock', { address: null, files: bootstrap('vsock://3:10240') }, notDialled('vsock', 'vsock://3:10240')],
    ['vsock-grpc', { address: null, files: bootstrap('vsock://3:1', 'grpc') }, notDialled('vsock', 'vsock://3:1')],
    ['vsock-text', { address: 'vsock://3:1024' }, notDialled('vsock', 'vsock://3:1024')],
    [
      'hvsock',
      { address: null, files: bootstrap('hvsock:///x/hv.sock:1') },
      notDialled('hvsock', 'hvsock:///x/hv.sock:1'),
    ],
    ['npipe', { address: 'npipe:////./pipe/shim' }, notDialled('npipe', 'npipe:////./pipe/shim')],
    ['tcp', { address: 'tcp://10.0.0.5:7777' }, notDialled('tcp', 'tcp://10.0.0.5:7777')],
    ['text', { address: 'no address at all' }, noSocket('no address at all')],
    ['relative', { address: 'unix://run/shim.sock' }, noSocket('unix://run/shim.sock')],
    ['path', { address: '/run/shim.sock' }, noSocket('/run/shim.sock')],
  ];

  test(
    'holds its bundle with the scheme named, and no abstract socket of that name is dialled',
    inWorld(async (world) => {
      const bundles = cases.map(([id, options]) => world.addBundle(id, options));
      const dialled: Array<string> = [];
      const named = net.createServer((socket) => {
        dialled.push('no address at all');
        socket.destroy();
      });
      await new Promise<void>((resolve) => void named.listen('\0no address at all', resolve));
      try {
        const witness = world.witness();
        const outcome = await world.recover('careful', '--may-destroy', '1', ...soon);
        for (const [at, bundle] of bundles.entries())
          expect(outcome.of(bundle)).toMatchObject({
            verdict: 'hold',
            reason: 'address-unknown',
            explanation: `where the shim listens is not known: ${cases[at]?.[2]}`,
          });
        expect(dialled).toEqual([]);
        witness.expectNothingChanged();
      } finally {
        named.close();
      }
    }),
  );
});

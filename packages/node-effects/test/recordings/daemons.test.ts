/** Every recorded world on this machine: the same tree, mounts, tasks, calls and runs as each daemon left behind. */
import { Recovery } from '@shim-recovery/core';
import { policies, type Policy } from '@shim-recovery/core/interpreter';
import { registeredBy } from '@shim-recovery/test-effects/simulation/LaidWorld';
import { matches, outcomeOf } from '@shim-recovery/test-effects/worlds/Outcome';
import {
  allDaemons,
  type Daemon,
  loadRecordings,
  type RecordedOutcome,
  type RecordedWorld,
  toWorld,
  worldsOf,
} from '@shim-recovery/test-effects/worlds/Recordings';
import type { Start, World } from '@shim-recovery/test-effects/worlds/World';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { openMetadataStore } from '../../src/stores/bolt/MetadataStore.js';
import { openDirectories } from '../../src/linux/LinuxFileSystem.js';
import { linuxCapabilities } from '../../src/interpreter.js';
import { hurriedClock, layRealWorld, realSettings, type RealWorld } from './layRealWorld.js';

const orFail = <L, A>(outcome: E.Either<L, A>): A => {
  if (E.isLeft(outcome)) throw new Error(JSON.stringify(outcome.left));
  return outcome.right;
};

const because = process.getuid?.() === 0 ? undefined : 'needs root, for mounts';

const daemon = {
  address: '/nowhere/containerd.sock',
  publishBinary: '/usr/bin/containerd',
};

/** What a dry run asks of shims: nothing but this. */
const askedBy: Readonly<Record<Daemon, ReadonlyArray<string>>> = {
  'containerd-1.6': ['Connect'],
  'containerd-1.7': ['Connect', 'Pids'],
  'containerd-2.1': ['Connect', 'Pids'],
};

interface Run {
  readonly laid: RealWorld;
  readonly outcome: (start: Start) => RecordedOutcome;
  readonly runs: ReturnType<RealWorld['runs']>;
  /** What `plan`, run before on a world of its own, sent to shims. */
  readonly asked: ReadonlyArray<string>;
}

const recovered = async (world: World, policy: Policy): Promise<Run> => {
  const laid = await layRealWorld(world, policy);
  try {
    const before = laid.list();
    const store = orFail(openMetadataStore(laid.store, { locking: 'exclusive' }));
    const capabilities = { ...linuxCapabilities({ store: store.stores, daemon }), clock: hurriedClock };
    const run = orFail(await Recovery.recover(realSettings(laid, policy), capabilities)());
    await run.settled();
    const observation = laid.observe(before, registeredBy(run));
    await run.stop();
    store.close();
    return {
      laid,
      outcome: outcomeOf(laid.places)(observation),
      runs: laid.runs(),
      asked: await asked(world, policy),
    };
  } finally {
    await laid.cleanUp();
  }
};

const asked = async (world: World, policy: Policy): Promise<Run['asked']> => {
  const laid = await layRealWorld(world, policy);
  try {
    const before = laid.list();
    const store = orFail(openMetadataStore(laid.store, { locking: 'shared' }));
    orFail(await Recovery.plan(realSettings(laid, policy), linuxCapabilities({ store: store.stores, daemon }))());
    store.close();
    const { after, calls, binaryRuns } = laid.observe(before, []);
    expect(after).toEqual(before);
    expect(binaryRuns).toEqual([]);
    return [...new Set(calls.map(({ call }) => call.replace(/^.*\//, '')))].sort();
  } finally {
    await laid.cleanUp();
  }
};

/** Every daemon's run over one world, all at once, since they mostly wait; and what they left open together. */
const recoveredByAll = async (recorded: RecordedWorld) => {
  const world = toWorld(recorded);
  const runs = await Promise.all(
    allDaemons.map(async (name) => [name, await recovered(world, policies[name])] as const),
  );
  return { runs: new Map(runs), leftOpen: openDirectories() };
};

for (const recordedWorld of worldsOf(orFail(loadRecordings()))) {
  let once: ReturnType<typeof recoveredByAll> | undefined;
  const all = (): ReturnType<typeof recoveredByAll> => (once ??= recoveredByAll(recordedWorld));

  for (const name of allDaemons)
    describe(`what ${name} left behind of the ${recordedWorld.set} world, with real mounts, sockets and FIFOs`, () => {
      const run = async (): Promise<Run> => (await all()).runs.get(name) ?? expect.fail('it did not run');

      it.for(recordedWorld.cases.map((recorded) => [`${recorded.given.ns}/${recorded.given.id}`, recorded] as const))(
        '%s',
        { timeout: 60_000 },
        async ([, recorded], context) => {
          if (because !== undefined) return context.skip(because);
          const observed = (await run()).outcome(recorded.given);
          if (matches(name, recorded)(observed)) return;
          expect(observed).toEqual(recorded.then[name][0]);
          expect.fail('the outcome is another one');
        },
      );

      it('runs binaries as the reference does, and leaves nothing open', async (context) => {
        if (because !== undefined) return context.skip(because);
        const { runs, laid } = await run();
        expect((await all()).leftOpen).toBe(0);
        expect(runs.length).toBeGreaterThan(0);
        for (const recorded of runs) {
          const [, namespace = '', , , , , , id = ''] = recorded;
          const bundle = `${laid.state}/${namespace}/${id}`;
          const address = '/nowhere/containerd.sock';
          const told = [bundle, namespace, address, `${address}.ttrpc`, '2', '2'];
          const args = `-namespace ${namespace} -address ${address} -publish-binary /usr/bin/containerd`.split(' ');
          expect(recorded).toEqual(args.concat('-id', id, '-bundle', bundle, 'delete', told));
        }
      });

      it('is planned without a change, and with no call but Connect and Pids', async (context) => {
        if (because !== undefined) return context.skip(because);
        expect((await run()).asked).toEqual(askedBy[name]);
      });
    });
}

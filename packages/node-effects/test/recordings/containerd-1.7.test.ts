/** Every recorded world on this machine: the same tree, mounts, tasks, calls and runs as containerd 1.7 left behind. */
import * as B from '@shim-recovery/core/ByteString';
import * as Recovery from '@shim-recovery/core/Recovery';
import type { Settings } from '@shim-recovery/core/Settings';
import { registeredBy } from '@shim-recovery/test-effects/LaidWorld';
import { matches, outcomeOf } from '@shim-recovery/test-effects/Outcome';
import { loadRecordings, type RecordedOutcome, toWorld, worldsOf } from '@shim-recovery/test-effects/Recordings';
import type { Start, World } from '@shim-recovery/test-effects/World';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { openMetadataStore } from '../../src/bolt/MetadataStore.js';
import { openDirectories } from '../../src/FileSystem.js';
import { linuxCapabilities, linuxSettings } from '../../src/interpreter.js';
import { layRealWorld, type RealWorld } from './layRealWorld.js';

const orFail = <L, A>(outcome: E.Either<L, A>): A => {
  if (E.isLeft(outcome)) throw new Error(JSON.stringify(outcome.left));
  return outcome.right;
};

const because = process.getuid?.() === 0 ? undefined : 'needs root, for mounts';

const daemon = {
  address: B.fromText('/nowhere/containerd.sock'),
  ttrpcAddress: B.fromText('/nowhere/containerd.sock.ttrpc'),
  publishBinary: B.fromText('/usr/bin/containerd'),
  debug: false,
};

/** The recordings' daemon had its programs first on its PATH; it waited five seconds for those that never answer. */
const settingsFor = (laid: RealWorld): Settings => ({
  ...linuxSettings({
    state: laid.state,
    root: laid.root,
    programSearch: {
      workingDirectory: B.fromText('/'),
      path: B.fromText(`${laid.places.programs}:${process.env['PATH'] ?? ''}`),
      executableDirectory: B.fromText('/usr/bin'),
    },
  }),
  timeouts: { loadMs: 1_500, cleanUpMs: 1_500, shutdownMs: 1_500 },
});

interface Run {
  readonly laid: RealWorld;
  readonly outcome: (start: Start) => RecordedOutcome;
  readonly leftOpen: number;
  readonly runs: ReturnType<RealWorld['runs']>;
  /** Whether `plan`, run before, changed anything, and what it sent to shims. */
  readonly planned: { readonly isUnchanged: boolean; readonly calls: ReadonlyArray<string> };
}

const recovered = async (world: World): Promise<Run> => {
  const laid = await layRealWorld(world);
  try {
    const before = laid.list();
    const store = orFail(openMetadataStore(laid.store, { locking: 'exclusive' }));
    const capabilities = linuxCapabilities({ store: store.stores, daemon });
    const run = orFail(await Recovery.recover(settingsFor(laid))(capabilities)());
    await run.settled();
    const observation = laid.observe(before, registeredBy(run));
    await run.stop();
    store.close();
    return {
      laid,
      outcome: outcomeOf(laid.places)(observation),
      leftOpen: openDirectories(),
      runs: laid.runs(),
      planned: await planned(world),
    };
  } finally {
    await laid.cleanUp();
  }
};

const planned = async (world: World): Promise<Run['planned']> => {
  const laid = await layRealWorld(world);
  try {
    const before = laid.list();
    const store = orFail(openMetadataStore(laid.store, { locking: 'shared' }));
    orFail(await Recovery.plan(settingsFor(laid))(linuxCapabilities({ store: store.stores, daemon }))());
    store.close();
    const { after, calls, binaryRuns } = laid.observe(before, []);
    expect(after).toEqual(before);
    expect(binaryRuns).toEqual([]);
    return { isUnchanged: true, calls: [...new Set(calls.map(({ call }) => call))].sort() };
  } finally {
    await laid.cleanUp();
  }
};

for (const recordedWorld of worldsOf(orFail(loadRecordings()))) {
  const world = toWorld(recordedWorld);
  describe(`what containerd 1.7 left behind of the ${recordedWorld.set} world, with real mounts, sockets and FIFOs`, () => {
    let once: Promise<Run> | undefined;
    const run = (): Promise<Run> => (once ??= recovered(world));

    it.for(recordedWorld.cases.map((recorded) => [`${recorded.given.ns}/${recorded.given.id}`, recorded] as const))(
      '%s',
      { timeout: 60_000 },
      async ([, recorded], context) => {
        if (because !== undefined) return context.skip(because);
        const observed = (await run()).outcome(recorded.given);
        if (matches('containerd-1.7', recorded)(observed)) return;
        expect(observed).toEqual(recorded.then['containerd-1.7'][0]);
        expect.fail('the outcome is another one');
      },
    );

    it('runs binaries as the reference does, and leaves nothing open', async (context) => {
      if (because !== undefined) return context.skip(because);
      const { runs, laid, leftOpen } = await run();
      expect(leftOpen).toBe(0);
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
      const { isUnchanged, calls } = (await run()).planned;
      expect(isUnchanged).toBe(true);
      expect(calls).toEqual(['task.v2.Task/Connect', 'task.v2.Task/Pids']);
    });
  });
}

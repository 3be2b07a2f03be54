/** What careful does that no decision says: the brake, the order of things, and the looks before something is removed. */
import { ByteString as B, Recovery } from '@shim-recovery/core';
import type { Report } from '@shim-recovery/core/documents';
import { type Capabilities, type Policy, withChoices } from '@shim-recovery/core/interpreter';
import { careful } from '../../core/src/policy/Policy.js';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { type Effect, intercept, proceed } from '../src/simulation/FaultInjection.js';
import { type LaidWorld, layWorld, socketOf } from '../src/simulation/LaidWorld.js';
import { makeEntry, makeMount } from '../src/memory/Machine.js';
import { calm } from '../src/simulation/Schedule.js';
import { dead, leaked, running } from '../src/worlds/Shim.js';
import { mutations, simulate } from '../src/simulation/Simulation.js';
import { ordinary, type Start, world } from '../src/worlds/World.js';
import { bundlePath, workPath } from '../src/worlds/WorldTree.js';

const lost: Omit<Start, 'ns' | 'id'> = { bundle: ordinary, shim: dead };
const many = (count: number, start: Omit<Start, 'ns' | 'id'>, prefix: string): ReadonlyArray<Start> =>
  Array.from({ length: count }, (_, index) => ({ ns: 'main', id: `${prefix}${index}`, ...start }));

const run = async (
  laid: LaidWorld,
  policy: Policy = careful,
  capabilities: Capabilities = laid.machine.capabilities,
): Promise<Report | 'refused'> => {
  const recovered = await Recovery.recover({ ...laid.settings, policy }, capabilities)();
  if (E.isLeft(recovered)) {
    expect(recovered.left._tag).toBe('TooMuchDestroyed');
    return 'refused';
  }
  await recovered.right.stop();
  return recovered.right.report;
};

const failedSteps = (report: Report | 'refused'): ReadonlyArray<string> =>
  report === 'refused'
    ? ['refused']
    : report.namespaces.flatMap(({ bundles }) =>
        bundles.flatMap(({ id, steps }) =>
          steps.flatMap(({ step, outcome }) => (outcome === 'failed' ? [`${id} ${step}`] : [])),
        ),
      );

const standing = (laid: LaidWorld): ReadonlyArray<string> => laid.list().map(({ path }) => B.toText(path));

describe('the brake', () => {
  it('stops before the first step, and lets go of everything', async () => {
    const laid = layWorld(world(...many(5, lost, 'dead'), ...many(4, { bundle: ordinary, shim: running }, 'alive')));
    const { shims, fileSystem, logPipes, shimBinary } = laid.machine;
    const before = standing(laid);
    expect(await run(laid)).toBe('refused');
    expect(standing(laid)).toEqual(before);
    expect(shimBinary.runs()).toEqual([]);
    expect([shims.openConnections(), fileSystem.openDirectories(), logPipes.openNow()]).toEqual([0, 0, []]);
  });

  it.each<readonly [string, ReadonlyArray<Start>, Policy]>([
    ['half of all', [...many(5, lost, 'dead'), ...many(5, { bundle: ordinary, shim: running }, 'alive')], careful],
    ['few, though they are all', many(4, lost, 'dead'), careful],
    ['as many as was allowed', many(6, lost, 'dead'), withChoices({ mayDestroy: 1 })(careful)],
    ['leftovers, which were decided on before', many(6, { bundle: 'empty' }, '.left'), careful],
  ])('lets go what is no more than %s', async (_, starts, policy) => {
    const laid = layWorld(world(...starts));
    const gone = starts.filter(({ shim }) => shim !== running).map((start) => bundlePath(laid.places, start));
    expect(failedSteps(await run(laid, policy))).toEqual([]);
    expect(standing(laid).filter((path) => gone.includes(path))).toEqual([]);
  });
});

describe('leftovers', () => {
  /** One behind each other's dot, and a bundle whose removal needs the first dot: all of them may go. */
  const chain: ReadonlyArray<Start> = ['web', '.web', '..web', '...web'].map((id) => ({
    ns: 'main',
    id,
    bundle: 'empty',
  }));

  it.each(['.web', '..web', '...web'])(
    'go one by one and before everything else, however slowly %s goes',
    async (slow) => {
      const laid = layWorld(world(...chain));
      const { capabilities, clock } = laid.machine;
      const { fileSystem } = capabilities;
      const slowly: Capabilities = {
        ...capabilities,
        fileSystem: {
          ...fileSystem,
          renameNoReplace: (from, to) => async () => {
            if (from.name === slow) await clock.sleep(1_000)();
            return fileSystem.renameNoReplace(from, to)();
          },
        },
      };
      expect(failedSteps(await run(laid, careful, slowly))).toEqual([]);
      expect(standing(laid).filter((path) => path.includes('web'))).toEqual([]);
    },
  );
});

it('a leftover that goes anyway needs no shim: whoever else has it is reaped in the same run', async () => {
  const laid = layWorld(
    world(
      { ns: 'main', id: '.pod', bundle: ordinary, shim: leaked },
      { ns: 'main', id: 'web', bundle: ordinary, shim: { of: '.pod' } },
    ),
  );
  const report = await run(laid);
  expect(report === 'refused' ? [] : report.namespaces[0]?.bundles.map(({ id, reason }) => `${id} ${reason}`)).toEqual([
    '.pod leftover',
    'web no-processes',
  ]);
  expect(failedSteps(report)).toEqual([]);
});

describe('a leftover of the shim of another bundle', () => {
  /** The shim says of both that it has no task; a process of the leftover's container runs by a sign that no group shows. */
  const pod: Start = {
    ns: 'main',
    id: '.pod',
    bundle: { ...ordinary, files: { ...ordinary.files, 'init.pid': '$INIT' } },
    shim: leaked,
    processes: 1,
    cgroup: 'none',
  };

  it('keeps the shim while its own container runs', async () => {
    const laid = layWorld(world(pod, { ns: 'main', id: 'web', bundle: ordinary, shim: { of: '.pod' } }));
    const report = await run(laid);
    expect(
      report === 'refused' ? [] : report.namespaces[0]?.bundles.map(({ id, reason }) => `${id} ${reason}`),
    ).toEqual(['.pod leftover-in-use', 'web shim-shared']);
    expect(laid.livingShim(pod)).toBe(true);
  });
});

describe('a shim without a task, that listens', () => {
  const start: Start = { ns: 'main', id: 'web', bundle: ordinary, shim: leaked };
  const holders = (found: E.Either<string, ReadonlyArray<number>>) => {
    const laid = layWorld(world(start));
    const { capabilities } = laid.machine;
    const answer = E.mapLeft((reason: string) => ({ _tag: 'ProcessesUnreadable' as const, reason }))(found);
    const processes = { ...capabilities.processes, holders: () => async () => answer };
    return { laid, capabilities: { ...capabilities, processes } };
  };

  it.each([
    ['that process may not be seen', E.left('a process that this program may not see listens there')],
    ['no process is found', E.right([])],
    ['a process is found that is in no table', E.right([123_456])],
  ])('is not told to end where the process that listens is not known: %s', async (_, found) => {
    const { laid, capabilities } = holders(found);
    const report = await run(laid, careful, capabilities);
    expect(report === 'refused' ? [] : report.namespaces[0]?.bundles).toMatchObject([
      { id: 'web', verdict: 'hold', reason: 'shim-shared', outcome: 'held' },
    ]);
    expect(laid.livingShim(start)).toBe(true);
  });

  it('is told to end where that process works for no other bundle', async () => {
    const laid = layWorld(world(start));
    await run(laid);
    expect(laid.livingShim(start)).toBe(false);
  });
});

describe('a bundle with an entry that no bundle has', () => {
  const start: Start = {
    ns: 'main',
    id: 'web',
    bundle: { ...ordinary, files: { ...ordinary.files, 'sub/dir/file': 'x', 'a-file': 'x', zzz: 'x' } },
    shim: dead,
  };

  it('is removed by the next run, wherever a crash comes between', async () => {
    const [calmly] = (await simulate(world(start), calm, careful, 1)).runs;
    for (const at of calmly === undefined ? [] : mutations(calmly)) {
      const crashes = [{ run: 0, at, when: 'after' as const }];
      const { end } = await simulate(world(start), { ...calm, crashes }, careful, 1);
      expect(end.entries.filter((line) => /web|zzz/.test(line))).toEqual([]);
    }
  });

  it('is left alone where nothing shows that it is one, whatever container is recorded', async () => {
    const own: Start = {
      ns: 'main',
      id: 'web',
      bundle: { files: { 'thesis.txt': 'x' }, work: 'none', rootfs: 'none', log: 'none' },
      userOwned: true,
    };
    for (const container of [{}, { container: '$BIN/shim-ok' }, { container: 'io.containerd.nosuch.v1' }]) {
      const laid = layWorld(world({ ...own, ...container }));
      const before = standing(laid);
      const report = await run(laid);
      expect(report === 'refused' ? '' : report.namespaces[0]?.bundles[0]?.reason).toBe('not-a-bundle');
      expect(standing(laid)).toEqual(before);
    }
  });
});

describe('what resists', () => {
  it('keeps its working directory, though nobody has it (H20)', async () => {
    const start: Start = {
      ns: 'main',
      id: 'web',
      bundle: { ...ordinary, files: { ...ordinary.files, 'shim-binary-path': '$BIN/shim-fail' } },
      shim: dead,
    };
    const laid = layWorld(world(start));
    expect(failedSteps(await run(laid))).toEqual(['web run-binary']);
    expect(standing(laid)).toEqual(
      expect.arrayContaining([bundlePath(laid.places, start), workPath(laid.places, start)]),
    );
  });

  it('being mounted still is seen before it is claimed', async () => {
    const start: Start = { ns: 'main', id: 'web', bundle: { ...ordinary, rootfs: 'tmpfs-busy' }, shim: dead };
    const laid = layWorld(world(start));
    const before = standing(laid);
    expect(failedSteps(await run(laid))).toEqual(['web unmount-bundle']);
    expect(standing(laid)).toEqual(before);
  });
});

describe('what is mounted in a bundle meanwhile', () => {
  const start: Start = { ns: 'main', id: 'web', bundle: ordinary, shim: dead };

  /** Mounts something with a file in it, once, just before the first such call. */
  const recoverWith = async (
    laid: LaidWorld,
    isMoment: (effect: Effect) => boolean,
  ): Promise<ReadonlyArray<string>> => {
    const { tree, capabilities } = laid.machine;
    let isMounted = false;
    const { capabilities: watched } = intercept(capabilities, (effect) => {
      if (!isMounted && isMoment(effect)) {
        isMounted = true;
        const stands = standing(laid);
        const bundle = ['web', '.web']
          .map((id) => bundlePath(laid.places, { ns: 'main', id }))
          .find((path) => stands.includes(path));
        const volume = B.fromText(`${bundle}/volume`);
        makeMount(tree, volume);
        makeEntry(tree, B.concat(volume, B.fromText('/data')), { kind: 'file', mode: 0o644 });
      }
      return proceed;
    });
    const failures = failedSteps(await run(laid, careful, watched));
    expect(isMounted).toBe(true);
    return failures;
  };

  it('before it is claimed: it stays whole, under its name', async () => {
    const laid = layWorld(world(start));
    const bundle = bundlePath(laid.places, start);
    const failures = await recoverWith(laid, ({ operation, subject }) => operation === 'rename' && subject === bundle);
    expect(failures).toEqual(['web remove-bundle']);
    expect(standing(laid)).toEqual(expect.arrayContaining([`${bundle}/address`, `${bundle}/volume/data`]));
  });

  it('while it is drained: nothing in the mount is touched', async () => {
    const laid = layWorld(world(start));
    const failures = await recoverWith(laid, ({ operation }) => operation === 'unlink');
    expect(failures).toEqual(['web remove-bundle']);
    expect(standing(laid).filter((path) => path.endsWith('/volume/data'))).toHaveLength(1);
  });
});

describe('an orphan that is to be reaped', () => {
  const orphan = (program: string): Start => ({
    ns: 'main',
    id: 'web',
    bundle: { ...ordinary, files: { ...ordinary.files, 'shim-binary-path': `$BIN/${program}` } },
    shim: dead,
    processes: 2,
  });
  const reaping = withChoices({ orphans: 'reaped', reapedOrphans: ['main/web'] })(careful);

  it('stays whole, and is not said to be destroyed, where its program ends nothing', async () => {
    const start = orphan('shim-idle');
    const laid = layWorld(world(start));
    const before = standing(laid);
    const report = await run(laid, reaping);
    if (report === 'refused') return expect(report).toBe('run');
    const first = laid.places.firstProcessOf(start).pid;
    expect(report.namespaces[0]?.bundles).toMatchObject([
      {
        reason: 'orphan-reaped',
        outcome: 'failed',
        steps: [
          {
            step: 'run-binary',
            outcome: 'failed',
            error: `processes ${first}, ${first + 1} of the container still live`,
            living: [first, first + 1],
          },
        ],
      },
    ]);
    expect(report.summary).toMatchObject({ aliveDestroyed: 0, failedSteps: 1 });
    expect([laid.livingProcesses(start), standing(laid)]).toEqual([2, before]);
  });

  it('is removed as soon as its processes have ended', async () => {
    const start = orphan('shim-ok');
    const laid = layWorld(world(start));
    const report = await run(laid, reaping);
    expect(failedSteps(report)).toEqual([]);
    expect(standing(laid)).not.toContain(bundlePath(laid.places, start));
    expect(laid.machine.clock.elapsedMs()).toBeLessThan(2_000);
  });

  it('has no end published where it outlives its shim and what is to end it', async () => {
    const start: Start = { ...orphan('shim-idle'), shim: running, processes: 1 };
    const laid = layWorld(world(start));
    const { capabilities, shims, eventSink } = laid.machine;
    const recovered = await Recovery.recover({ ...laid.settings, policy: reaping }, capabilities)();
    if (E.isLeft(recovered)) return expect(recovered).toBe('recovered');
    expect(recovered.right.registry.instances()).toHaveLength(1);
    shims.kill(socketOf(laid.places, laid.world, start));
    await laid.machine.clock.sleep(1)();
    await recovered.right.settled();
    expect([eventSink.published(), recovered.right.registry.instances()]).toEqual([[], []]);
    expect(standing(laid)).toContain(bundlePath(laid.places, start));
    expect(laid.machine.shimBinary.runs()).toHaveLength(1);
    await recovered.right.stop();
  });
});

import { ByteString as B, Recovery } from '@shim-recovery/core';
import type { BundleReport } from '@shim-recovery/core/documents';
import { type Capabilities, containerd17, type Policy, systemError } from '@shim-recovery/core/interpreter';
import { careful, containerd21 } from '../../core/src/policy/Policy.js';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { intercept, proceed } from '../src/simulation/FaultInjection.js';
import { layWorld } from '../src/simulation/LaidWorld.js';
import { symlink } from '../src/worlds/Fixture.js';
import { makeMove } from '../src/simulation/Interference.js';
import { dead, leaked, running } from '../src/worlds/Shim.js';
import { ordinary, type Start, world } from '../src/worlds/World.js';
import { bundlePath, workPath } from '../src/worlds/WorldTree.js';

const reasonOf = async (start: Omit<Start, 'ns' | 'id'>): Promise<unknown> => {
  const laid = layWorld(world({ ns: 'main', id: 'web', ...start }));
  const planned = await Recovery.plan(laid.settings, laid.machine.capabilities)();
  return E.isRight(planned) ? planned.right.report.namespaces[0]?.bundles[0]?.reason : planned.left;
};

describe('a bundle', () => {
  it('that is empty is discarded, whatever is recorded of it (SPEC 4, step 5)', async () => {
    expect(await reasonOf({ bundle: 'empty', container: '$BIN/shim-ok' })).toBe('empty');
  });

  it('that holds only a hidden entry is not empty', async () => {
    const bundle = { files: { '.x': '' }, work: 'none', rootfs: 'none', log: 'none' } as const;
    expect(await reasonOf({ bundle })).toBe('container-not-found');
  });
});

describe('a leaked shim', () => {
  it('that hangs up when it is told to delete its task is reaped all the same (SPEC 12, K2)', async () => {
    const shim = { ...leaked, del: 'close', shutdown: { ok: {} } } as const;
    const laid = layWorld(world({ ns: 'main', id: 'web', bundle: ordinary, shim }));
    const recovered = await Recovery.recover(laid.settings, laid.machine.capabilities)();
    if (E.isLeft(recovered)) throw new Error(recovered.left._tag);
    await recovered.right.stop();
    const { steps } = recovered.right.report.namespaces[0]?.bundles[0] ?? { steps: [] };
    expect(steps.map(({ step, outcome }) => `${step} ${outcome}`)).toEqual([
      'open-log-pipe done',
      'call-delete done',
      'call-shutdown done',
      'close-connection done',
      'close-log-pipe done',
      'run-binary done',
      'unmount-rootfs done',
      'remove-rootfs done',
      'remove-bundle done',
      'remove-work-directory done',
    ]);
  });
});

describe('a bundle whose working directory is gone already', () => {
  it('is removed without a failure (SPEC 6.3)', async () => {
    const bundle = { files: { 'config.json': '' }, work: 'dangling', rootfs: 'empty', log: 'none' } as const;
    const laid = layWorld(world({ ns: 'main', id: 'web', bundle }, { ns: 'main', id: 'neighbour', workdir: true }));
    const recovered = await Recovery.recover(laid.settings, laid.machine.capabilities)();
    if (E.isLeft(recovered)) throw new Error(recovered.left._tag);
    await recovered.right.stop();
    expect(recovered.right.report.summary).toMatchObject({ discard: 1, failedSteps: 0 });
  });
});

interface Recovered {
  readonly bundle: BundleReport | undefined;
  /** What stands below the state directory, relative to the bundle. */
  readonly left: ReadonlyArray<string>;
  readonly calls: ReadonlyArray<string>;
  /** The working directories that nobody owned any more. */
  readonly swept: ReadonlyArray<string>;
}

/** One bundle, recovered with a policy; `state` is by which path, `change` by which capabilities. */
const recoverWith =
  (policy: Policy, change: (capabilities: Capabilities) => Capabilities = (same) => same) =>
  async (start: Omit<Start, 'ns' | 'id'>, state?: string): Promise<Recovered> => {
    const laid = layWorld(world({ ns: 'main', id: 'web', ...start }));
    const settings = { ...laid.settings, policy, ...(state === undefined ? {} : { state: B.fromText(state) }) };
    const recovered = await Recovery.recover(settings, change(laid.machine.capabilities))();
    if (E.isLeft(recovered)) throw new Error(recovered.left._tag);
    await recovered.right.stop();
    const prefix = `${laid.settings.state}/main/web/`;
    return {
      bundle: recovered.right.report.namespaces[0]?.bundles[0],
      left: laid.list().flatMap(({ path }) => (path.startsWith(prefix) ? [path.slice(prefix.length)] : [])),
      calls: laid.machine.shims.calls().map(({ call }) => call),
      swept: recovered.right.report.namespaces.flatMap(({ workDirs }) =>
        workDirs.flatMap(({ name, removed }) => (removed ? [name] : [])),
      ),
    };
  };

const as21 = recoverWith(containerd21);

/** No file can be made. */
const unwritable =
  (code: string) =>
  (capabilities: Capabilities): Capabilities => ({
    ...capabilities,
    fileSystem: {
      ...capabilities.fileSystem,
      createFile:
        ({ directory }) =>
        async () =>
          E.left(systemError('write', directory.path, code)),
    },
  });

describe('a state directory that is reached through a symlink', () => {
  const start: Omit<Start, 'ns' | 'id'> = {
    bundle: { ...ordinary, rootfs: 'tmpfs' },
    shim: dead,
    extras: [symlink('$BASE/run', 'state')],
  };
  const state = '/world/run/io.containerd.runtime.v2.task';

  it('keeps 1.7 from unmounting, so that its bundles stay (H13)', async () => {
    const { left } = await recoverWith(containerd17)(start, state);
    expect(left).toContain('rootfs');
  });

  it('is nothing to 2.1', async () => {
    const { bundle, left } = await as21(start, state);
    expect(bundle?.steps.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
    expect(left).toEqual([]);
  });
});

describe('a shim of version 3, to 2.1', () => {
  const files = {
    ...ordinary.files,
    'bootstrap.json': '{"version":3,"address":"unix://$SOCK","protocol":"ttrpc"}',
  };
  const unimplemented = 12;
  const internal = 13;

  it('is asked as one of version 2 when it does not know version 3 (SPEC 9.6)', async () => {
    const shim = { ...running, connect: { turns: [{ error: unimplemented }, { ok: { task: 900 } }] } } as const;
    const { bundle, calls } = await as21({ bundle: { ...ordinary, files }, shim });
    expect(bundle?.reason).toBe('task-running');
    expect(calls).toEqual(['task.v3.Task/Connect', 'task.v2.Task/Connect', 'task.v2.Task/Pids']);
  });

  it('is not asked again when it fails otherwise', async () => {
    const shim = { ...running, connect: { error: internal } };
    const { bundle, calls } = await as21({ bundle: { ...ordinary, files }, shim });
    expect(bundle?.reason).toBe('connect-failed');
    expect(calls).toEqual(['task.v3.Task/Connect']);
  });
});

describe('a bundle with nothing but an address, to 2.1 (H23)', () => {
  it('is given a bootstrap.json, whatever a crash left of one', async () => {
    const files = { ...ordinary.files, '.bootstrap.json': '{"vers' };
    const { bundle, left } = await as21({ bundle: { ...ordinary, files }, shim: running });
    expect(bundle).toMatchObject({ verdict: 'adopt', registered: true });
    expect(left).toContain('bootstrap.json');
    expect(left).not.toContain('.bootstrap.json');
  });

  it('loses its shim when that cannot be written', async () => {
    const { bundle, left } = await recoverWith(containerd21, unwritable('ENOSPC'))({ bundle: ordinary, shim: running });
    expect(bundle).toMatchObject({ verdict: 'adopt', registered: false });
    expect(bundle?.steps.map(({ step, outcome }) => `${step} ${outcome}`)).toEqual([
      'open-log-pipe done',
      'write-bootstrap failed',
      'close-connection done',
      'run-binary done',
      'unmount-rootfs done',
      'remove-rootfs done',
      'remove-bundle done',
      'remove-work-directory done',
    ]);
    expect(left).toEqual([]);
  });
});

describe('where this process itself lacks something in the middle of the steps, to 2.1', () => {
  const cannotRun =
    (code: string) =>
    (capabilities: Capabilities): Capabilities => ({
      ...capabilities,
      shimBinary: {
        delete:
          ({ program }) =>
          async () =>
            E.left({ _tag: 'CannotStart', path: program, code }),
      },
    });

  it('a shim that lives goes on, and nothing of its bundle is taken away', async () => {
    const start = { bundle: ordinary, shim: running } as const;
    const { bundle, left, calls } = await recoverWith(containerd21, unwritable('EMFILE'))(start);
    expect(bundle).toMatchObject({ verdict: 'adopt', registered: false });
    expect(bundle?.steps.map(({ step, outcome }) => `${step} ${outcome}`)).toEqual([
      'open-log-pipe done',
      'write-bootstrap failed',
      'register left',
    ]);
    expect(left).toContain('address');
    expect(calls.filter((call) => !/Connect|Pids/.test(call))).toEqual([]);
    const again = await as21(start);
    expect(again.bundle).toMatchObject({ verdict: 'adopt', registered: true });
  });

  // `EAGAIN`: this process may have no more processes; `E2BIG`: its environment is too large.
  it.each(['EMFILE', 'EAGAIN', 'E2BIG'])(
    'a bundle whose binary could not be started (%s) stays, with its working directory',
    async (code) => {
      const { bundle, left, swept } = await recoverWith(containerd21, cannotRun(code))({ bundle: ordinary });
      expect(bundle?.verdict).toBe('cleanUp');
      const outcomes = bundle?.steps.map(({ outcome }) => outcome) ?? [];
      expect(outcomes.slice(outcomes.indexOf('failed') + 1)).toEqual(
        outcomes.slice(outcomes.indexOf('failed') + 1).map(() => 'left'),
      );
      expect(left).toContain('address');
      expect(swept).toEqual([]);
    },
  );
});

describe('a bundle of which the look failed that says which one it is', () => {
  it.each<readonly [string, Policy, string, string]>([
    ['containerd-1.7', containerd17, 'EIO', 'cleanUp'],
    ['containerd-2.1', containerd21, 'EIO', 'cleanUp'],
    ['careful', careful, 'EIO', 'hold'], // nor are its processes known
    // What this process lacks says nothing of the bundle.
    ['containerd-1.7', containerd17, 'ENOMEM', 'hold'],
    ['containerd-2.1', containerd21, 'ENOMEM', 'hold'],
    ['careful', careful, 'ENOMEM', 'hold'],
  ])('is not touched (%s, %3$s)', async (_, policy, code, verdict) => {
    const start: Omit<Start, 'ns' | 'id'> = { bundle: ordinary, shim: dead };
    let looks = 0;
    const failOnce = (capabilities: Capabilities): Capabilities => ({
      ...capabilities,
      fileSystem: {
        ...capabilities.fileSystem,
        identify: (directory) =>
          directory.path.endsWith('/web') && looks++ === 0
            ? async () => E.left(systemError('stat', directory.path, code))
            : capabilities.fileSystem.identify(directory),
      },
    });
    const { bundle, left, swept } = await recoverWith(policy, failOnce)(start);
    expect(bundle?.verdict).toBe(verdict);
    if (verdict === 'hold') expect(swept).toEqual([]);
    expect(bundle?.steps.some(({ outcome }) => outcome === 'failed')).toBe(verdict !== 'hold');
    expect(left).toEqual(expect.arrayContaining(['address', 'log', 'rootfs']));
  });
});

describe('a shim that ends after it was taken back, under careful', () => {
  const ending: Start = { ns: 'main', id: 'web', bundle: ordinary, shim: { ...running, diesAfterMs: 1_000 } };

  /** What is left of the bundle and of its working directory once its end was acted upon. */
  const left = async (
    start: Start,
    { isRemade = false }: { readonly isRemade?: boolean } = {},
  ): Promise<{ readonly paths: ReadonlyArray<string>; readonly steps: ReadonlyArray<string> }> => {
    const laid = layWorld(world(start));
    const { clock, capabilities, observer } = laid.machine;
    const bundle = bundlePath(laid.places, start);
    const stands = (): boolean => laid.list().some(({ path }) => B.toText(path) === bundle);
    const { capabilities: watched } = intercept(capabilities, ({ operation, subject }) => {
      // When it is looked at again after it was removed, somebody has made another one.
      if (isRemade && operation === 'stat' && subject === bundle && !stands())
        makeMove(laid)('bundle-recreated', start);
      return proceed;
    });
    const recovered = await Recovery.recover({ ...laid.settings, policy: careful }, watched)();
    if (E.isLeft(recovered)) throw new Error(recovered.left._tag);
    await clock.sleep(60_000)();
    await recovered.right.settled();
    const steps = observer
      .told()
      .flatMap((event) => (event._tag === 'StepTaken' ? [`${event.report.step} ${event.report.outcome}`] : []));
    await recovered.right.stop();
    const all = laid.list().map(({ path }) => B.toText(path));
    return { paths: [bundle, workPath(laid.places, start)].filter((path) => all.includes(path)), steps };
  };

  it('leaves neither its bundle nor its working directory', async () => {
    const { paths, steps } = await left(ending);
    expect(paths).toEqual([]);
    expect(steps).toContain('remove-unowned-work-directory done');
  });

  it('leaves the working directory of a bundle that was made anew meanwhile', async () => {
    const { paths } = await left(ending, { isRemade: true });
    expect(paths).toHaveLength(2);
  });

  it('leaves both where its container runs on', async () => {
    const { paths, steps } = await left({ ...ending, processes: 1 });
    expect(paths).toHaveLength(2);
    expect(steps.filter((step) => /^(?:run-binary|remove|publish)/.test(step))).toEqual([]);
  });
});

describe('a shim that hangs up again and again, under careful', () => {
  it('is asked once a second at the most', async () => {
    const laid = layWorld(world({ ns: 'main', id: 'web', bundle: ordinary, shim: running }));
    const { clock, capabilities } = laid.machine;
    let dials = 0;
    const hangingUp: Capabilities = {
      ...capabilities,
      shimConnector: {
        dial: (dialling) => async () => {
          dials++;
          const session = await capabilities.shimConnector.dial(dialling)();
          return E.isLeft(session) ? session : E.right({ ...session.right, disconnected: clock.sleep(1) });
        },
      },
    };
    const recovered = await Recovery.recover({ ...laid.settings, policy: careful }, hangingUp)();
    if (E.isLeft(recovered)) throw new Error(recovered.left._tag);
    await clock.sleep(10_000)();
    await recovered.right.stop();
    expect(dials).toBeGreaterThan(8);
    expect(dials).toBeLessThan(14);
  });
});

describe('whoever does not stay attached', () => {
  const starts: ReadonlyArray<Start> = [
    { ns: 'main', id: 'web', bundle: ordinary, shim: running },
    { ns: 'main', id: 'batch', bundle: ordinary, shim: leaked },
    { ns: 'main', id: 'cache', bundle: ordinary },
  ];

  it('lets go of each shim that was taken back, and reports the same', async () => {
    const [stays, leaves] = [layWorld(world(...starts)), layWorld(world(...starts))];
    const reportOf = async ({ settings, machine }: typeof stays, staysAttached: boolean) => {
      const done = await Recovery.recover({ ...settings, staysAttached }, machine.capabilities)();
      if (E.isLeft(done)) throw new Error(done.left._tag);
      const open = machine.shims.openConnections();
      await done.right.stop();
      return { namespaces: done.right.report.namespaces, open };
    };
    const [attached, detached] = [await reportOf(stays, true), await reportOf(leaves, false)];
    expect(detached.namespaces).toEqual(attached.namespaces);
    expect([attached.open, detached.open]).toEqual([1, 0]);
    expect(leaves.list()).toEqual(stays.list());
    expect(leaves.machine.logPipes.openNow()).toEqual([]);
  });
});

describe('a shim that was told to end for the sake of another bundle, and is dialled again', () => {
  const pod: ReadonlyArray<Start> = [
    { ns: 'main', id: 'web', bundle: ordinary, shim: { ...running, shutdown: { ok: {} } } },
    { ns: 'main', id: 'pause', bundle: ordinary, shim: { of: 'web', noTask: true } },
  ];

  it.each([
    ['EMFILE', 'adopted'],
    ['EACCES', 'adopted'],
    ['EAGAIN', 'adopted'],
    ['ENOENT', 'removed'],
    ['ECONNREFUSED', 'removed'],
  ])('counts as dead only where no process listens: after %s its task is %s', async (code, outcome) => {
    const laid = layWorld(world(...pod));
    const { capabilities, shims } = laid.machine;
    const isTold = (): boolean => shims.calls().some(({ call }) => call.endsWith('/Shutdown'));
    const failing: Capabilities = {
      ...capabilities,
      shimConnector: {
        dial: (dialling) =>
          isTold()
            ? async () => E.left({ _tag: 'DialFailed', code, message: 'it cannot be dialled' })
            : capabilities.shimConnector.dial(dialling),
      },
    };
    const settings = { ...laid.settings, policy: containerd17, staysAttached: false };
    const recovered = await Recovery.recover(settings, failing)();
    if (E.isLeft(recovered)) throw new Error(recovered.left._tag);
    await recovered.right.stop();
    expect(isTold()).toBe(true);
    expect(recovered.right.report.namespaces[0]?.bundles.map((bundle) => [bundle.id, bundle.outcome])).toEqual([
      ['pause', 'removed'],
      ['web', outcome],
    ]);
  });
});

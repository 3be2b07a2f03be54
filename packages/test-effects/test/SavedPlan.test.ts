/** A plan that was saved is carried out as it is in a world that is as it was, and elsewhere only ever does less. */
import { ByteString as B, Recovery } from '@shim-recovery/core';
import {
  asPlanned,
  type BundleReport,
  encodeSavedPlan,
  parseSavedPlan,
  policyOf,
  type Report,
  type SavedPlan,
  savedPlanOf,
  showSavedPlanError,
} from '@shim-recovery/core/documents';
import { type BundlePlan, policies, type Policy } from '@shim-recovery/core/interpreter';
import type { StepTree } from '../../core/src/plan/Step.js';
import { isDestructive } from '../../core/src/decide/Verdict.js';
import * as fc from 'fast-check';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import * as anyOf from '../src/arbitraries/World.js';
import { type LaidWorld, layWorld, registeredBy } from '../src/simulation/LaidWorld.js';
import { allMoves, makeMove, type Move } from '../src/simulation/Interference.js';
import { isForetellable } from '../src/properties/DryRun.js';
import { loadRecordings, toWorld, worldsOf } from '../src/worlds/Recordings.js';
import { dead, leaked, running } from '../src/worlds/Shim.js';
import { hasSteadyShim, ordinary, type World, world } from '../src/worlds/World.js';
import { bundlePath, workPath, rootDirectory, volumePath } from '../src/worlds/WorldTree.js';
import { recordedWorlds } from './simulation/recorded.js';

const orFail = <L, A>(outcome: E.Either<L, A>, show: (error: L) => string = JSON.stringify): A => {
  if (E.isLeft(outcome)) throw new Error(show(outcome.left));
  return outcome.right;
};

const allPolicies = Object.values(policies);

/** Plans a world, and takes the plan through its file, as `plan --out` and `recover --plan` do. */
const save = async (laid: LaidWorld, policy: Policy): Promise<SavedPlan> => {
  const settings = { ...laid.settings, policy };
  const { capabilities } = laid.machine;
  const { plan } = orFail(await Recovery.plan(settings, capabilities)());
  const identified = orFail(await Recovery.identify(settings, capabilities, plan)());
  const text = encodeSavedPlan(savedPlanOf(settings, capabilities.clock.nowMs(), {})(identified));
  const saved = orFail(parseSavedPlan(text), showSavedPlanError);
  expect(encodeSavedPlan(saved)).toBe(text);
  return saved;
};

interface Done {
  readonly report: Report | undefined;
  readonly refused: unknown;
  readonly registered: ReadonlyArray<string>;
}

const recover = async ({ settings, machine }: LaidWorld, policy: Policy, saved?: SavedPlan): Promise<Done> => {
  const recovering =
    saved === undefined
      ? Recovery.recover({ ...settings, policy }, machine.capabilities)
      : Recovery.recover(
          { ...settings, policy: policyOf(saved) },
          machine.capabilities,
          asPlanned(policyOf(saved), saved),
        );
  const recovered = await recovering();
  if (E.isLeft(recovered)) return { report: undefined, refused: recovered.left, registered: [] };
  const registered = registeredBy(recovered.right).map(({ namespace, id }) => `${namespace}/${id}`);
  await recovered.right.stop();
  return { report: recovered.right.report, refused: undefined, registered };
};

const sorted = (items: ReadonlyArray<unknown>): ReadonlyArray<string> =>
  items.map((item) => JSON.stringify(item)).sort();

const endOf = ({ list, machine, settings }: LaidWorld, { report, ...done }: Done) => {
  const { startedAt: _, durationMs: __, plannedAt: ___, ...lasting } = report ?? {};
  const logsOfHeld = (report?.namespaces ?? []).flatMap(({ name, bundles }) =>
    bundles.filter(({ verdict }) => verdict === 'hold').map(({ id }) => `${B.show(settings.state)}/${name}/${id}/log`),
  );
  return {
    ...done,
    report: lasting,
    // Whoever follows a plan makes no log where nothing is to be done; others do before they ask.
    entries: list().filter(({ path }) => !logsOfHeld.includes(B.show(path))),
    listening: machine.shims.listening(),
    calls: sorted(machine.shims.calls()),
    binaryRuns: sorted(machine.shimBinary.runs()),
    events: machine.eventSink.published(),
  };
};

/** A shim that hangs up when it is asked is taken back and lost at once; what its end then leads to is no part of a plan. */
const lostAny = ({ machine }: LaidWorld): boolean =>
  machine.observer.told().some((event) => event._tag === 'ShimDisconnected' && event.registered);

/** The same world recovered with the plan that was just made of it, and without; says whether that could be compared. */
const expectSameEnd = async (of: World, policy: Policy): Promise<boolean> => {
  const [first, second] = [layWorld(of), layWorld(of)];
  const saved = await save(first, policy);
  await save(second, policy);
  const done = await recover(first, policy, saved);
  expect(done.report?.plannedAt).toBe(done.report === undefined ? undefined : saved.madeAt);
  const free = await recover(second, policy);
  if (lostAny(second)) return false;
  expect(endOf(first, done)).toEqual(endOf(second, free));
  return true;
};

const smallWorlds = recordedWorlds.map((small) => small.world);
const wholeWorlds = worldsOf(orFail(loadRecordings())).map(toWorld);

describe.each(allPolicies.map((policy) => [policy.name, policy] as const))('under %s', (_, policy) => {
  it('a plan that was just made recovers as no plan does, every recorded world', async () => {
    const foretellable = [...wholeWorlds, ...smallWorlds].filter(isForetellable);
    expect(foretellable.length).toBeGreaterThan(290);
    let compared = 0;
    for (const of of foretellable) compared += (await expectSameEnd(of, policy)) ? 1 : 0;
    expect(compared).toBeGreaterThan(280);
  }, 300_000);

  it('the same holds of random worlds', async () => {
    await fc.assert(
      fc.asyncProperty(anyOf.world({ maxEntries: 6 }), async (of) => {
        fc.pre(isForetellable(of));
        fc.pre(await expectSameEnd(of, policy));
      }),
      { numRuns: 150 },
    );
  }, 300_000);
});

/** What somebody does to the entries of a world, counted round and round. */
type Meddling = ReadonlyArray<readonly [number, Move]>;

const meddle = (laid: LaidWorld, moves: Meddling): void => {
  const { entries } = laid.world;
  for (const [number, move] of moves) {
    const start = entries[number % entries.length];
    if (start !== undefined) makeMove(laid)(move, start);
  }
};

const pathsOf = (laid: LaidWorld): ReadonlyArray<string> =>
  laid.list().map(({ path, kind, isMountPoint }) => `${B.show(path)} ${kind}${isMountPoint ? ' [mount]' : ''}`);

const without = (all: ReadonlyArray<string>, left: ReadonlyArray<string>): ReadonlyArray<string> => {
  const known = new Set(left);
  return all.filter((one) => !known.has(one));
};

const isBelow = (directory: string, line: string): boolean =>
  line.startsWith(`${directory} `) || line.startsWith(`${directory}/`);

const workNamedIn = (tree: StepTree): ReadonlyArray<string> =>
  tree._tag === 'End'
    ? []
    : [
        ...(tree.step._tag === 'RemoveWorkDirectory' ? [B.show(tree.step.path)] : []),
        ...workNamedIn(tree.onSuccess),
        ...workNamedIn(tree.onFailure),
      ];

/** Everything that a plan names for destruction. What it takes back goes only when it is lost meanwhile. */
const namedBy = (laid: LaidWorld, { plan }: SavedPlan, mayBeLost: (bundle: string) => boolean): ReadonlyArray<string> =>
  plan.namespaces.flatMap(({ name, bundles, workDirectories }) => [
    ...workDirectories
      .filter(({ reason }) => reason === 'not-registered')
      .map((entry) => `${rootDirectory(laid.places)}/${B.show(name)}/${B.show(entry.name)}`),
    ...bundles
      .filter(({ evidence, verdict }: BundlePlan) => {
        const key = `${B.show(evidence.namespace)}/${B.show(evidence.id)}`;
        return isDestructive(verdict) || (verdict._tag === 'Adopt' && mayBeLost(key));
      })
      .flatMap(({ evidence, steps }) => {
        const start = { ns: B.show(evidence.namespace), id: B.show(evidence.id) };
        // A shim that is lost after it was taken back is cleaned up after, and careful takes its working directory then, too.
        const lostWork = mayBeLost(`${start.ns}/${start.id}`) ? [workPath(laid.places, start)] : [];
        return [bundlePath(laid.places, start), volumePath(laid.places, start), ...workNamedIn(steps), ...lostWork];
      }),
  ]);

const bundlesOf = (report: Report | undefined): ReadonlyMap<string, BundleReport> =>
  new Map(
    (report?.namespaces ?? []).flatMap(({ name, bundles }) =>
      bundles.map((bundle) => [`${name}/${bundle.id}`, bundle] as const),
    ),
  );

interface Meddled {
  readonly of: World;
  readonly before: Meddling;
  readonly between: Meddling;
}

const run = async ({ of, before, between }: Meddled, policy: Policy, isPlanned: boolean) => {
  const laid = layWorld(of);
  meddle(laid, before);
  const saved = await save(laid, policy);
  meddle(laid, between);
  const paths = pathsOf(laid);
  const told = laid.machine.observer.told().length;
  const calls = laid.machine.shims.calls().length;
  const done = await recover(laid, policy, isPlanned ? saved : undefined);
  const lost = new Set(
    laid.machine.observer
      .told()
      .slice(told)
      .flatMap((event) =>
        event._tag === 'ShimDisconnected' ? [`${B.show(event.namespace)}/${B.show(event.id)}`] : [],
      ),
  );
  const after = pathsOf(laid);
  return {
    laid,
    saved,
    done,
    lost,
    destroyed: without(paths, after),
    added: without(after, paths),
    ended: laid.machine.shims
      .calls()
      .slice(calls)
      .filter(({ call }) => /\/(?:Delete|Shutdown)$/.test(call))
      .map(({ namespace, id }) => `${B.show(namespace)}/${B.show(id)}`),
  };
};

/**
 * Whether a shim tells a run that asks about fewer bundles what it tells one that asks about all: one that several of them share,
 * and that changes with every question, does not.
 */
const tellsAlike = (all: World): boolean =>
  all.entries.every((start) => {
    const isShared = start.shim !== undefined && 'of' in start.shim;
    return !isShared || hasSteadyShim(all)(start);
  });

const leaving = ['plan-stale', 'not-planned', 'gone'];

describe.each(allPolicies.map((policy) => [policy.name, policy] as const))(
  'after anything happened, under %s',
  (_, of) => {
    // The brake would stop the one run, and not the other, which does less.
    const policy = { ...of, mayDestroy: 1 };
    const met = new Map<string, number>();
    const meet = (what: string): void => void met.set(what, (met.get(what) ?? 0) + 1);

    const meddling = (mostly: Move): fc.Arbitrary<Meddling> =>
      fc.array(fc.tuple(fc.nat(5), fc.constantFrom(mostly, mostly, mostly, ...allMoves)), { maxLength: 5 });
    const cases = fc.record({
      of: anyOf.world({ maxEntries: 5 }),
      before: meddling('bundle-vanishes'),
      between: meddling('bundle-recreated'),
    });

    it('nothing is destroyed that the plan does not name, or that would not be destroyed without it', async () => {
      await fc.assert(
        fc.asyncProperty(cases, async (meddled) => {
          const planned = await run(meddled, policy, true);
          const free = await run(meddled, policy, false);
          const { laid, saved, done, lost, destroyed, added, ended } = planned;
          const reports = bundlesOf(done.report);
          const failed = (key: string): boolean =>
            reports.get(key)?.steps.some(({ outcome }) => outcome === 'failed') === true;
          const named = namedBy(laid, saved, (key) => lost.has(key) || failed(key));
          expect(destroyed.filter((line) => !named.some((path) => isBelow(path, line)))).toEqual([]);
          const isComparable = tellsAlike(meddled.of);
          if (isComparable) expect(without(destroyed, free.destroyed)).toEqual([]);
          // Where it shares its shim, another one may have ended that before.
          const reaped = (of: Done): ReadonlyArray<string> =>
            Array.from(bundlesOf(of.report)).flatMap(([key, { verdict }]) => (verdict === 'reap' ? [key] : []));
          if (isComparable) expect(without(ended, reaped(free.done))).toEqual([]);
          expect(without(ended, reaped(done))).toEqual([]);
          for (const [key, { reason, steps, registered }] of reports) {
            meet(reason);
            if (!leaving.includes(reason)) continue;
            expect({ key, steps, registered }).toEqual({ key, steps: [], registered: false });
            expect(ended).not.toContain(key);
            const bundle = `${bundlePath(laid.places, { ns: '', id: '' }).slice(0, -2)}/${key}`;
            expect(destroyed.filter((line) => isBelow(bundle, line))).toEqual([]);
            expect(added.filter((line) => isBelow(bundle, line) && !line.startsWith(`${bundle}/log `))).toEqual([]);
            if (reason === 'not-planned') expect(added.filter((line) => isBelow(bundle, line))).toEqual([]);
          }
          meet(isComparable ? 'comparable' : 'not comparable');
          if (destroyed.length > 0) meet('destroyed');
          if (destroyed.length < free.destroyed.length) meet('spared');
        }),
        { numRuns: 250 },
      );
      for (const what of [...leaving, 'destroyed', 'spared', 'comparable'])
        expect(met.get(what) ?? 0, what).toBeGreaterThan(5);
    }, 300_000);
  },
);

describe('a plan that is carried out', () => {
  const { 'containerd-1.7': reference, 'containerd-2.1': migrating, careful } = policies;
  const alive = { ns: 'default', id: 'alive', bundle: ordinary, shim: running };
  const gone = { ns: 'default', id: 'dead', bundle: ordinary, shim: dead };
  const leaking = { ns: 'default', id: 'leaked', bundle: ordinary, shim: leaked };

  const outcomes = ({ report }: Done): Readonly<Record<string, string>> =>
    Object.fromEntries(
      Array.from(bundlesOf(report)).map(([key, { verdict, reason, steps }]) => [
        key,
        [verdict, reason, ...new Set(steps.map(({ outcome }) => outcome))].join(' '),
      ]),
    );

  it('goes on where an earlier run of it was interrupted, after any step', async () => {
    for (const policy of allPolicies)
      for (let steps = 0; steps < 25; steps++) {
        const laid = layWorld(world(alive, gone));
        const { machine } = laid;
        const saved = await save(laid, policy);
        let taken = 0;
        const observer = {
          notify: (event: Parameters<typeof machine.observer.notify>[0]) => () => {
            if (event._tag === 'StepTaken' && ++taken === steps) machine.interrupt();
          },
        };
        const approval = asPlanned(policyOf(saved), saved);
        const settings = { ...laid.settings, policy };
        const first = orFail(await Recovery.recover(settings, { ...machine.capabilities, observer }, approval)());
        await first.stop();
        const again = { ...machine.capabilities, interrupted: () => false };
        const second = orFail(await Recovery.recover(settings, again, approval)());
        await second.stop();
        expect(second.report.summary, `${policy.name} ${steps}`).toMatchObject({ adopt: 1, hold: 0, failedSteps: 0 });
        expect(laid.list().some(({ path }) => path.endsWith('/default/dead'))).toBe(false);
      }
  });

  it('says interrupted, not stale, of what it did not come to decide', async () => {
    const laid = layWorld(world(alive, gone));
    const saved = await save(laid, reference);
    laid.machine.interrupt();
    const done = await recover(laid, reference, saved);
    expect(outcomes(done)).toEqual({ 'default/alive': 'hold interrupted', 'default/dead': 'hold interrupted' });
  });

  it('touches nothing of a bundle that came later: not even a log is made in it', async () => {
    for (const policy of allPolicies) {
      const laid = layWorld(world({ ...alive, bundle: { ...ordinary, log: 'none' } }, leaking));
      const { capabilities } = laid.machine;
      const settings = { ...laid.settings, policy };
      const { plan } = orFail(await Recovery.plan(settings, capabilities)());
      const [namespace = expect.fail('no namespace')] = plan.namespaces;
      const bundles = namespace.bundles.filter(({ evidence }) => evidence.id !== 'alive');
      const identified = orFail(
        await Recovery.identify(settings, capabilities, {
          ...plan,
          namespaces: [{ ...namespace, bundles, workDirectories: [] }],
        })(),
      );
      const done = await recover(laid, policy, savedPlanOf(settings, 0, {})(identified));
      const { explanation } = bundlesOf(done.report).get('default/alive') ?? expect.fail('it is not there');
      expect(outcomes(done)['default/alive']).toBe('hold not-planned');
      expect(explanation).toMatch(/^the plan does not name it; a new one would say: adopt, as the shim answers/);
      expect(laid.list().some(({ path }) => path.endsWith('/alive/log'))).toBe(false);
      expect(laid.list().some(({ path }) => path.endsWith('/root/io.containerd.runtime.v2.task/default/alive'))).toBe(
        true,
      );
    }
  });

  it('leaves a working directory that nobody owns, unless the plan names that very one', async () => {
    for (const policy of allPolicies) {
      const old = { ns: 'default', id: 'old', workdir: true } as const;
      const laid = layWorld(world(alive, old));
      const saved = await save(laid, policy);
      makeMove(laid)('work-swapped', old);
      const places = rootDirectory(laid.places);
      const { fileSystem } = laid.machine.capabilities;
      const directory = orFail(await fileSystem.openPath(B.fromText(`${places}/default`))());
      orFail(await fileSystem.createFile({ directory, name: B.fromText('younger') }, B.empty)());
      await fileSystem.close(directory)();
      const { report } = await recover(laid, policy, saved);
      expect(report?.namespaces[0]?.workDirs).toEqual([
        { name: 'alive', removed: false, reason: 'registered' },
        {
          name: 'old',
          removed: false,
          reason: 'not-registered',
          error: expect.stringMatching(/another one than when it was looked at; it was not touched$/),
        },
        { name: 'younger', removed: false, reason: 'not-planned' },
      ]);
      expect(report?.summary.failedSteps).toBe(1);
    }
  });

  it('says which bundles and namespaces are gone, and does nothing for them', async () => {
    const laid = layWorld(world(alive, gone, { ...gone, ns: 'other' }));
    const saved = await save(laid, reference);
    makeMove(laid)('bundle-vanishes', gone);
    makeMove(laid)('bundle-vanishes', { ...gone, ns: 'other' });
    const files = laid.machine.capabilities.fileSystem;
    const state = orFail(await files.openPath(laid.settings.state)());
    orFail(await files.removeDirectory({ directory: state, name: B.fromText('other') })());
    await files.close(state)();
    const done = await recover(laid, reference, saved);
    expect(outcomes(done)).toEqual({
      'default/alive': 'adopt task-running done',
      'default/dead': 'ignore gone',
      'other/dead': 'ignore gone',
    });
    const { explanation } = bundlesOf(done.report).get('default/dead') ?? expect.fail('it is not there');
    expect(explanation).toMatch(/^it is not there any more; planned was clean up, as the shim cannot be reached/);
    expect(done.report?.namespaces.map(({ name, error }) => [name, error])).toEqual([
      ['default', null],
      ['other', 'the plan names it, but it is not there any more: nothing was done'],
    ]);
    // Its working directory goes as planned where the namespace is still there, and stays where it is not.
    expect(laid.list().filter(({ path }) => path.endsWith('/dead'))).toMatchObject([
      { path: `${rootDirectory(laid.places)}/other/dead` },
    ]);
  });

  it('is stopped by the brake as any other run is', async () => {
    const many = Array.from({ length: 6 }, (_, nth) => ({ ...gone, id: `dead-${nth}` }));
    const laid = layWorld(world(...many));
    const saved = await save(laid, careful);
    const before = laid.list();
    expect(await recover(laid, careful, saved)).toMatchObject({ refused: { _tag: 'TooMuchDestroyed', destroyed: 6 } });
    expect(laid.list()).toEqual(before);
    const allowed = { ...careful, mayDestroy: 1 };
    expect((await recover(laid, allowed, await save(laid, allowed))).report?.summary.cleanUp).toBe(6);
  });

  it('does not remove a working directory that is swapped between two of its steps', async () => {
    const laid = layWorld(world(gone));
    const { machine } = laid;
    const saved = await save(laid, reference);
    const observer = {
      notify: (event: Parameters<typeof machine.observer.notify>[0]) => () => {
        if (event._tag === 'StepTaken' && event.report.step === 'remove-bundle') makeMove(laid)('work-swapped', gone);
      },
    };
    const settings = { ...laid.settings, policy: reference };
    const recovered = orFail(
      await Recovery.recover(settings, { ...machine.capabilities, observer }, asPlanned(reference, saved))(),
    );
    await recovered.stop();
    const [namespace] = recovered.report.namespaces;
    expect(namespace?.bundles[0]?.steps.at(-1)).toMatchObject({
      step: 'remove-work-directory',
      outcome: 'failed',
      error: expect.stringMatching(/another one than when it was looked at; it was not touched$/),
    });
    expect(namespace?.workDirs).toMatchObject([{ name: 'dead', removed: false, error: expect.anything() }]);
    expect(laid.list().some(({ path }) => path.endsWith('/default/dead'))).toBe(true);
  });

  it('writes bootstrap.json where the plan says so', async () => {
    const laid = layWorld(world(alive));
    const done = await recover(laid, migrating, await save(laid, migrating));
    const steps = bundlesOf(done.report)
      .get('default/alive')
      ?.steps.map(({ step }) => step);
    expect(steps).toEqual(['open-log-pipe', 'write-bootstrap', 'register']);
  });
});

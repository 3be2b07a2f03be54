/** What a run records gives its verdicts again, and what every policy would have decided in its place. */
import { Recovery } from '@shim-recovery/core';
import {
  headOf,
  type NamespaceReport,
  parseRecording,
  type Recording,
  replay,
  type Report,
  showRecordingError,
  showReplayError,
  startRecording,
} from '@shim-recovery/core/documents';
import { containerd17, type Observer, policies, type Policy, withChoices } from '@shim-recovery/core/interpreter';
import { careful } from '../../core/src/policy/Policy.js';
import type { WantedPolicy } from '../../core/src/documents/Replay.js';
import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as anyOf from '../src/arbitraries/World.js';
import { layWorld } from '../src/simulation/LaidWorld.js';
import { loadRecordings, toWorld, worldsOf } from '../src/worlds/Recordings.js';
import { dead } from '../src/worlds/Shim.js';
import { ordinary, type World, world } from '../src/worlds/World.js';
import { recordedWorlds } from './simulation/recorded.js';

const orFail = <L, A>(outcome: E.Either<L, A>, show: (error: L) => string = JSON.stringify): A => {
  if (E.isLeft(outcome)) throw new Error(show(outcome.left));
  return outcome.right;
};

const allPolicies = Object.values(policies);
const calmly = { interruptAfter: Infinity };

interface Recorded {
  readonly report: Report;
  readonly recording: Recording;
}

/** Runs a command on a world, as the command line does with `--record`; a signal may come after so many bundles. */
const record = async (
  command: 'plan' | 'recover',
  world: World,
  policy: Policy,
  { interruptAfter }: { readonly interruptAfter: number } = calmly,
): Promise<Recorded> => {
  const laid = layWorld(world);
  const { machine } = laid;
  const settings = { ...laid.settings, policy };
  const others = command === 'plan' ? allPolicies.filter(({ name }) => name !== policy.name) : [];
  const lines: Array<string> = [];
  const recorder = startRecording((line) => () => void lines.push(line))(
    headOf(command, settings, others, machine.clock.nowMs()),
  )();
  let settled = 0;
  const observer: Observer = {
    notify: (event) => () => {
      recorder.observer.notify(event)();
      if (event._tag === 'BundleDecided' && ++settled === interruptAfter) machine.interrupt();
    },
  };
  const capabilities = { ...machine.capabilities, observer };
  if (interruptAfter === 0) machine.interrupt();
  const run = async (): Promise<Report> => {
    if (command === 'plan')
      return orFail(await Recovery.plan(settings, capabilities, { probe: true, others })()).report;
    const recovered = orFail(await Recovery.recover(settings, capabilities)());
    await recovered.stop();
    return recovered.report;
  };
  const report = await run();
  recorder.end(report)();
  return { report, recording: orFail(parseRecording(lines.join('')), showRecordingError) };
};

const replayed = (recording: Recording, { name }: Policy): Report =>
  orFail(replay({ policy: name, namespaces: [] })(recording), showReplayError);

/** What was decided, without what then became of it. */
const decisions = ({ namespaces, interrupted }: Report) => ({
  interrupted,
  namespaces: namespaces.map(({ name, bundles }) => ({
    name,
    bundles: bundles.map(({ id, verdict, reason, explanation }) => ({ id, verdict, reason, explanation })),
  })),
});

const fateOfWorkDirectories = ({ workDirs }: NamespaceReport): ReadonlyArray<string> =>
  workDirs.map(({ name, reason }) => `${name} ${reason}`);

const planned = async (world: World, policy: Policy): Promise<Report> => {
  const laid = layWorld(world);
  return orFail(await Recovery.plan({ ...laid.settings, policy }, laid.machine.capabilities)()).report;
};

const expectPlanReplayed = async (world: World, policy: Policy, more = calmly): Promise<Recording> => {
  const { report, recording } = await record('plan', world, policy, more);
  expect(recording.isComplete).toBe(true);
  expect(replayed(recording, policy)).toEqual({ ...report, command: 'replay' });
  return recording;
};

const expectRecoveryReplayed = async (world: World, policy: Policy, more = calmly): Promise<void> => {
  const { report, recording } = await record('recover', world, policy, more);
  expect(recording).toMatchObject({ isComplete: true, head: { policies: [policy.name] } });
  expect(decisions(replayed(recording, policy))).toEqual(decisions(report));
};

/** Those that share a host, and each by itself. */
const wholeWorlds = worldsOf(orFail(loadRecordings())).map(toWorld);
const smallWorlds = recordedWorlds.map(({ world }) => world);
const allWorlds = [...wholeWorlds, ...smallWorlds];

it('there are as many recorded worlds as ever', () => {
  expect(smallWorlds).toHaveLength(306);
});

const reaping = withChoices({ orphans: 'reaped' })(careful);

/** Every policy as it is, and one of which a run chose something. */
const chosenPolicies = [
  ...allPolicies.map((policy) => [policy.name, policy] as const),
  ['careful with --orphans reap', reaping] as const,
  // Random worlds may lose more than the brake allows, and then nothing is done.
].map(([name, policy]) => [name, withChoices({ mayDestroy: 1 })(policy)] as const);

describe.each(chosenPolicies)('under %s', (_, policy) => {
  it('the replay of a plan is the plan, of every recorded world', async () => {
    for (const world of allWorlds) await expectPlanReplayed(world, policy);
  });

  it('the replay of a recovery decides as it did, of every recorded world', async () => {
    for (const world of allWorlds) await expectRecoveryReplayed(world, policy);
  });

  it('the same holds of random worlds, and of runs that are interrupted', async () => {
    const interruptions = fc.oneof(fc.constant(Infinity), fc.nat({ max: 6 }));
    await fc.assert(
      fc.asyncProperty(anyOf.world({ maxEntries: 6 }), interruptions, async (world, interruptAfter) => {
        const recording = await expectPlanReplayed(world, policy, { interruptAfter });
        expect(recording.head.policies.toSorted()).toEqual(Object.keys(policies).toSorted());
        await expectRecoveryReplayed(world, policy, { interruptAfter });
      }),
      { numRuns: 150 },
    );
  });
});

it('a replay takes what the run chose, unless it is told otherwise, or follows another policy', async () => {
  const orphan = world({ ns: 'default', id: 'db', bundle: ordinary, shim: dead, processes: 1 });
  const reasons = (report: Report): ReadonlyArray<string> =>
    report.namespaces.flatMap(({ bundles }) => bundles.map(({ reason }) => reason));
  const { report, recording } = await record('plan', orphan, reaping);
  expect(reasons(report)).toEqual(['orphan-reaped']);
  const replayedWith = (wanted: WantedPolicy): ReadonlyArray<string> =>
    reasons(orFail(replay({ ...wanted, namespaces: [] })(recording), showReplayError));
  expect(replayedWith({})).toEqual(['orphan-reaped']);
  expect(replayedWith({ policy: 'careful' })).toEqual(['orphan-reaped']);
  expect(replayedWith({ choices: { orphans: 'held' } })).toEqual(['orphan-workload']);
  const byReference = await record('plan', orphan, withChoices({ orphans: 'reaped' })(containerd17));
  const other = (wanted: WantedPolicy): ReadonlyArray<string> =>
    reasons(orFail(replay({ ...wanted, namespaces: [] })(byReference.recording), showReplayError));
  expect(other({ policy: 'careful' })).toEqual(['orphan-workload']);
  expect(other({ policy: 'careful', choices: { orphans: 'reaped' } })).toEqual(['orphan-reaped']);
  const refused = replay({ choices: { orphans: 'reaped' }, namespaces: [] })(byReference.recording);
  expect(E.isLeft(refused) ? showReplayError(refused.left) : '').toMatch(
    /^containerd-1.7 does not look for containers .*--orphans says nothing to it; name careful with --policy$/,
  );
});

it('the replay of a plan that another policy made is the plan that this one would have made', async () => {
  for (const world of allWorlds) {
    const { recording } = await record('plan', world, containerd17);
    for (const policy of allPolicies) {
      const { startedAt: _startedAt, durationMs: _durationMs, ...expected } = await planned(world, policy);
      expect(replayed(recording, policy)).toMatchObject({ ...expected, command: 'replay' });
    }
  }
});

it('the working directories of a recovery that went well are those of its replay', async () => {
  for (const world of wholeWorlds) {
    const { report, recording } = await record('recover', world, containerd17);
    const again = replayed(recording, containerd17);
    for (const [index, namespace] of report.namespaces.entries()) {
      const kept = fateOfWorkDirectories(namespace).filter((line) => !line.endsWith('not-registered'));
      expect(fateOfWorkDirectories(again.namespaces[index] ?? namespace)).toEqual(expect.arrayContaining(kept));
    }
  }
});

describe('a replay', () => {
  const first = wholeWorlds[0] ?? expect.fail('there is no recorded world');

  it('is the same each time, and looks at the namespaces that were asked for', async () => {
    const { recording } = await record('plan', first, containerd17);
    const whole = replayed(recording, containerd17);
    expect(replayed(recording, containerd17)).toEqual(whole);
    const [namespace = expect.fail('no namespace'), ...rest] = recording.namespaces;
    expect(rest.length).toBeGreaterThan(0);
    const one = orFail(replay({ namespaces: [namespace.name] })(recording));
    expect(one.namespaces).toEqual(whole.namespaces.filter(({ name }) => name === namespace.name));
  });

  it('under a policy that nobody asked for is refused with those that were', async () => {
    const { recording } = await record('recover', first, containerd17);
    const refused = replay({ policy: 'containerd-2.1', namespaces: [] })(recording);
    expect(E.isLeft(refused) ? showReplayError(refused.left) : '').toMatch(
      /^what containerd-2.1 would ask was not recorded; it can be replayed under containerd-1.7;/,
    );
  });

  it('of a policy that is not known here names the others', async () => {
    const { recording } = await record('plan', first, containerd17);
    const newer = { ...recording, head: { ...recording.head, policy: 'later', policies: ['later', 'containerd-1.6'] } };
    const refused = replay({ namespaces: [] })(newer);
    expect(E.isLeft(refused) ? showReplayError(refused.left) : '').toMatch(
      /^it was recorded under later, which .*--policy, of these: later, containerd-1.6$/,
    );
    expect(orFail(replay({ policy: 'containerd-1.6', namespaces: [] })(newer)).policy).toBe('containerd-1.6');
  });
});

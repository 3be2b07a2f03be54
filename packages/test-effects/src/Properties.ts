/**
 * What must be true of a recovery, whatever world it meets and whatever goes wrong. Each property gives the violations
 * that it finds, as sentences; none is good news.
 */
import * as B from '@shim-recovery/core/ByteString';
import { decide } from '@shim-recovery/core/Decision';
import { BundleEvidence } from '@shim-recovery/core/Evidence';
import type { BundlePlan, Plan } from '@shim-recovery/core/Plan';
import * as Recovery from '@shim-recovery/core/Recovery';
import type { Report } from '@shim-recovery/core/Report';
import type { Settings } from '@shim-recovery/core/Settings';
import * as E from 'fp-ts/lib/Either.js';
import { layWorld, registeredBy } from './LaidWorld.js';
import { outcomeOf } from './Outcome.js';
import type { EndState, Simulated } from './Simulation.js';
import { type RecordedCase, type RecordedOutcome, type RecordedWorld, unrecorded } from './World.js';

export type Violations = ReadonlyArray<string>;

const planOf = async (
  world: RecordedWorld,
  change: (settings: Settings) => Settings = (settings) => settings,
): Promise<{ readonly plan: Plan; readonly report: Report } | undefined> => {
  const laid = layWorld(world);
  const planned = await Recovery.plan(change(laid.settings))(laid.machine.capabilities)();
  return E.isRight(planned) ? planned.right : undefined;
};

const bundlesOf = (plan: Plan | undefined): ReadonlyArray<BundlePlan> =>
  plan?.namespaces.flatMap(({ bundles }) => bundles) ?? [];

const nameOf = ({ evidence: { namespace, id } }: BundlePlan): string => `${B.show(namespace)}/${B.show(id)}`;

/** The same evidence gives the same verdict: asked one after the other or all at once, and after a journey as JSON. */
export const replays = async (world: RecordedWorld): Promise<Violations> => {
  const together = bundlesOf((await planOf(world))?.plan);
  const inTurn = bundlesOf(
    (await planOf(world, (settings) => ({ ...settings, bounds: { waiting: 1, binaries: 1 } })))?.plan,
  );
  const reordered = together.flatMap((bundle, index) =>
    JSON.stringify(bundle) === JSON.stringify(inTurn[index]) ? [] : [`${nameOf(bundle)} depends on the order`],
  );
  const replayed = together.flatMap((bundle) => {
    const travelled = BundleEvidence.decode(JSON.parse(JSON.stringify(BundleEvidence.encode(bundle.evidence))));
    const { policy } = layWorld(world).settings;
    const decision = E.isRight(travelled) ? decide(policy)(travelled.right) : undefined;
    return decision?._tag === 'Settle' && decision.verdict.reason === bundle.verdict.reason
      ? []
      : [`${nameOf(bundle)} is decided otherwise from its evidence alone`];
  });
  return [...reordered, ...replayed];
};

/** A dry run says what is done when nothing fails, step for step as far as each step succeeds; and changes nothing. */
export const planForetells = async (world: RecordedWorld): Promise<Violations> => {
  const laid = layWorld(world);
  const before = JSON.stringify(laid.list());
  const planned = await Recovery.plan(laid.settings)(laid.machine.capabilities)();
  const isUntouched = JSON.stringify(laid.list()) === before;
  const asked = laid.machine.shims.calls().filter(({ call }) => !/\/(?:Connect|Pids)$/.test(call));
  const recovered = await Recovery.recover(laid.settings)(laid.machine.capabilities)();
  if (E.isLeft(planned) || E.isLeft(recovered)) return ['it could not run'];
  await recovered.right.stop();
  const done = recovered.right.report.namespaces.flatMap(({ bundles }) => bundles);
  const differences = planned.right.report.namespaces
    .flatMap(({ bundles }) => bundles)
    .flatMap((bundle, index) => {
      const real = done[index];
      if (real?.id !== bundle.id || real.reason !== bundle.reason) return [`${bundle.id} was decided otherwise`];
      // What follows a disconnect is no part of the plan: a shim that dies later is none that the plan was about.
      const taken = real.steps.slice(0, bundle.steps.length);
      const firstFailure = taken.findIndex(({ outcome }) => outcome === 'failed');
      const smooth = firstFailure < 0 ? taken : taken.slice(0, firstFailure);
      const isForetold = smooth.every(({ step }, at) => bundle.steps[at]?.step === step);
      const isWhole = firstFailure >= 0 || taken.length === bundle.steps.length;
      return isForetold && isWhole ? [] : [`${bundle.id} took other steps than planned`];
    });
  return [
    ...differences,
    ...(isUntouched ? [] : ['the dry run changed the tree']),
    ...asked.map(({ call }) => `the dry run sent ${call}`),
  ];
};

const recoverOnce = async (world: RecordedWorld): Promise<ReadonlyArray<RecordedOutcome>> => {
  const laid = layWorld(world);
  const recovered = await Recovery.recover(laid.settings)(laid.machine.capabilities)();
  if (E.isLeft(recovered)) return [];
  const observation = laid.observe(registeredBy(recovered.right));
  await recovered.right.stop();
  return world.cases.map(({ given }) => outcomeOf(laid.places)(observation)(given));
};

/** Something in a namespace that nothing depends on: it makes sure that both of its directories are there (H19). */
const makeWeight = (ns: string): RecordedCase =>
  unrecorded({ set: 'random', ns, id: 'weight', bundle: 'file', workfile: true });

/** What becomes of an entry does not depend on the others beside it. */
export const bundlesAreIndependent = async (world: RecordedWorld): Promise<Violations> => {
  const weights = [...new Set(world.cases.map(({ given }) => given.ns))].map(makeWeight);
  const together = await recoverOnce({ ...world, cases: [...world.cases, ...weights] });
  const violations: Array<string> = [];
  for (const [index, recorded] of world.cases.entries()) {
    const [alone] = await recoverOnce({ set: world.set, cases: [recorded, ...weights] });
    if (JSON.stringify(alone) !== JSON.stringify(together[index])) violations.push(recorded.given.id);
  }
  return violations.map((id) => `${id} ends otherwise when it is alone`);
};

const endOf = ({ entries, registered, shims }: EndState): string => JSON.stringify([entries, registered, shims]);

/** After everything that went wrong, and a run that was left alone, another run changes nothing. */
export const settlesDown = ({ end, endAgain }: Simulated): Violations =>
  endOf(end) === endOf(endAgain) ? [] : ['another run changed something'];

const refusedDeletions = (report: Report): number =>
  report.namespaces
    .flatMap(({ bundles }) => bundles)
    .filter(({ steps }) => steps.some(({ step, outcome }) => step === 'call-delete' && outcome === 'failed')).length;

/**
 * Registered exactly when connected: every task that was taken back has its connection, and every other connection is
 * one to a shim that would not be reaped. Once the program lets go, nothing stays open.
 */
export const staysConnected = ({ runs }: Simulated): Violations =>
  runs.flatMap(({ ending }, index) => {
    if (ending._tag !== 'Ended') return [];
    const { registered, connections, leaked } = ending.hold;
    const expected = registered + refusedDeletions(ending.report);
    return [
      ...(connections > expected ? [`run ${index} has ${connections} connections for ${expected} shims`] : []),
      ...Object.entries(leaked)
        .filter(([, count]) => count !== 0)
        .map(([what, count]) => `run ${index} did not close ${count} ${what}`),
    ];
  });

/** At most one exit and one deletion for each death, in that order. */
export const tellsDeathsOnce = ({ runs }: Simulated): Violations =>
  runs.flatMap(({ events }, index) => {
    const told = new Map<string, string>();
    for (const { _tag, namespace, id } of events) {
      const key = `${B.show(namespace)}/${B.show(id)}`;
      told.set(key, `${told.get(key) ?? ''}${_tag} `);
    }
    return [...told]
      .filter(([, sequence]) => !['TaskExit ', 'TaskDelete ', 'TaskExit TaskDelete '].includes(sequence))
      .map(([key, sequence]) => `run ${index} told of ${key}: ${sequence}`);
  });

/** A run never fails as a whole, but for a root directory that cannot be read. */
export const neverGivesUp = ({ runs }: Simulated): Violations =>
  runs.flatMap(({ ending, injected }, index) =>
    ending._tag === 'Refused' && injected.length === 0 ? [`run ${index} could not run: ${ending.error._tag}`] : [],
  );

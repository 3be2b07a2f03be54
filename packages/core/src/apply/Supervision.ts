/** Watches the live shims after they were taken back, and acts upon the end of each (SPEC 13). */
import type { Task } from 'fp-ts/lib/Task.js';
import type { BundleEvidence } from '../decide/Evidence.js';
import { explain, hintFor } from '../decide/Reasons.js';
import { livingContainer, livingShim, showLiving } from '../decide/Signs.js';
import type { ShimEnding } from '../observe/Observer.js';
import { makeProber } from '../observe/Prober.js';
import { noHandles, type OpenShim } from '../observe/Probing.js';
import { probeWithRetry } from '../observe/Retry.js';
import { signsOfLife } from '../observe/life/SignsOfLife.js';
import { stepsAfterDisconnect } from '../plan/Plan.js';
import { inOneLine, type StepReport } from '../report/Report.js';
import type { Instance } from './Registry.js';
import { type Executor, type Subject, walk } from './StepRunner.js';

/** Keeps watch over open connections: when one ends, its bundle is cleaned up, once. */
export interface Supervisor {
  readonly watch: (instance: Instance) => void;
  readonly settled: Task<void>;
  readonly stop: Task<void>;
}

export const makeSupervisor = (cleanUp: (instance: Instance) => Task<void>): Supervisor => {
  const watched = new Set<Instance>();
  const underWay = new Set<Promise<void>>();
  let stopped = false;
  const settled = async (): Promise<void> => {
    while (underWay.size > 0) await Promise.all(underWay);
  };
  const onDisconnect = (instance: Instance): void => {
    if (stopped) return;
    watched.delete(instance);
    const work: Promise<void> = cleanUp(instance)().finally(() => underWay.delete(work));
    underWay.add(work);
  };
  return {
    watch: (instance) => {
      watched.add(instance);
      void instance.session.disconnected().then(() => onDisconnect(instance));
    },
    settled,
    stop: async () => {
      stopped = true;
      await settled();
      for (const { session, logPipe } of watched) {
        await session.close();
        await logPipe?.close();
      }
      watched.clear();
    },
  };
};

/**
 * Acts on the end of a live shim's connection: all the steps that follow are taken, so that no event is lost. Where the
 * policy asks first, a shim that lives is taken back, and one of which nothing is known is left alone.
 */
export const carryOutDisconnect =
  (executor: Executor) =>
  (instance: Instance, records: Array<StepReport>): Task<void> =>
  async () => {
    const { capabilities, settings, registry } = executor;
    const { namespace, id } = instance.evidence;
    const registered = registry.get(instance.evidence)() === instance;
    capabilities.observer.notify({ _tag: 'ShimDisconnected', namespace, id, registered })();
    const open: OpenShim = { ...noHandles(), logPipe: instance.logPipe };
    const { ending, evidence } = await endingOf(executor)(instance, open)();
    capabilities.observer.notify({ _tag: 'DisconnectDecided', namespace, id, ending })();
    switch (ending._tag) {
      case 'Dead': {
        const subject: Subject = { evidence, open, instance, exit: undefined };
        const steps = stepsAfterDisconnect(settings.policy)(evidence)({ registered });
        return walk(executor, subject, { mayStop: false })(steps, records)();
      }
      case 'Alive':
        return takeBackAgain(executor, instance, open);
      case 'Unsure':
        registry.remove(instance)();
        return open.logPipe?.close();
    }
  };

/** Asks again, where the policy does not take the end of a connection for the shim's death (H26). */
const endingOf =
  (executor: Executor) =>
  (instance: Instance, open: OpenShim): Task<{ readonly ending: ShimEnding; readonly evidence: BundleEvidence }> =>
  async () => {
    const { capabilities, settings, namespaces } = executor;
    const { policy } = settings;
    const { evidence } = instance;
    const { clock } = capabilities;
    const asking = makeProber(capabilities, settings, namespaces, 'asked-with-log', executor.found, executor.pods);
    if (policy.disconnect === 'death') {
      const signs = settings.allowKilling ? [] : await signsOfLife(asking)(evidence)();
      const living = [...livingShim(signs), ...livingContainer(signs)];
      if (living.length === 0) return { ending: { _tag: 'Dead' }, evidence };
      const explanation = `its shim hung up, and ${policy.name} would clean up after it; but it is alive: ${showLiving(living)}`;
      const advice = hintFor('would-kill', policy.name, { ...evidence, answers: { signs } });
      return { ending: { _tag: 'Unsure', explanation, advice }, evidence };
    }
    const tooSoonMs = (instance.againMs ?? -Infinity) + askAgainAfterMs - clock.elapsedMs();
    if (tooSoonMs > 0) await clock.sleep(tooSoonMs)();
    const settled = await probeWithRetry(asking)({ ...evidence, answers: {} }, open)();
    const { reason, _tag } = settled.verdict;
    // Only a shim that says more than that it is there: one that hangs up at every question would be asked for ever.
    const isAlive = _tag === 'Adopt' && reason !== 'pids-unanswered' && open.session !== undefined;
    if (isAlive) return { ending: { _tag: 'Alive' }, evidence };
    await open.session?.close();
    open.session = undefined;
    if (_tag === 'CleanUp') return { ending: { _tag: 'Dead' }, evidence: settled.evidence };
    const explanation = inOneLine(explain(policy)(settled.evidence)(settled.verdict));
    const advice = hintFor(reason, policy.name, settled.evidence);
    return { ending: { _tag: 'Unsure', explanation, advice }, evidence: settled.evidence };
  };

/** A shim that hangs up again and again is asked so often at the most, in milliseconds. */
const askAgainAfterMs = 1_000;

/** Registers a task again behind its new connection. Only a task that was known is known again. */
const takeBackAgain = (executor: Executor, instance: Instance, { session, logPipe }: OpenShim): void => {
  if (session === undefined) return;
  const againMs = executor.capabilities.clock.elapsedMs();
  const again: Instance = { ...instance, session, logPipe, againMs };
  if (executor.registry.get(instance.evidence)() === instance) {
    executor.registry.remove(instance)();
    executor.registry.add(again)();
  }
  executor.watch(again);
};

/** Tells an operator before a bundle is touched whether something of it lives, and which steps will fail. */
import type * as T from 'fp-ts/lib/Task.js';
import { withAnswers } from '../decide/Evidence.js';
import type { OpenShim, Decided } from './Probing.js';
import { stepsOf } from '../plan/Plan.js';
import type { Prober } from './Prober.js';
import { foresee } from './Foresight.js';
import { signsOfLife } from './life/SignsOfLife.js';

/**
 * Adds to a decision what every source says of the bundle's life, and what will go wrong with its steps. Under every policy an
 * operator is told whether a bundle lives that will be destroyed. The decision itself is not changed.
 */
export const withLife =
  (prober: Prober, open: OpenShim) =>
  (decided: Decided): T.Task<Decided> =>
  async () => {
    const { asked } = open;
    const settled = await withTask(prober, open)(decided)();
    const { evidence, verdict } = settled;
    const { capabilities, settings } = prober;
    if (verdict._tag === 'Ignore' || capabilities.interrupted()) return settled;
    // A hint names the shim that does not answer.
    if (verdict._tag === 'Hold' && verdict.reason !== 'shim-unresponsive') return settled;
    const obstacles = await foresee(prober)(evidence, stepsOf(settings.policy)(evidence)(verdict))();
    const foreseen = obstacles.length === 0 ? {} : { obstacles };
    if (verdict._tag === 'Adopt' || evidence.answers.signs !== undefined)
      return obstacles.length === 0 ? settled : { evidence: withAnswers(foreseen)(evidence), verdict };
    const signs = asked?.get('Signs')?.answers.signs ?? (await signsOfLife(prober)(evidence)());
    asked?.set('Signs', { answers: { signs }, session: undefined });
    return { evidence: withAnswers({ signs, ...foreseen })(evidence), verdict };
  };

/**
 * Adds to a decision to reap what the shim says of its task. A task that is created or paused may have no process that the shim
 * lists. If the settings allow killing, only what the policy's daemon asks is asked.
 */
const withTask =
  ({ settings, capabilities }: Prober, { session }: OpenShim) =>
  (settled: Decided): T.Task<Decided> =>
  async () => {
    const { evidence, verdict } = settled;
    const isAsked = evidence.answers.state !== undefined || settings.allowKilling || capabilities.interrupted();
    if (verdict._tag !== 'Reap' || isAsked || session === undefined) return settled;
    const state = await session.state({ id: evidence.id, timeoutMs: settings.timeouts.loadMs })();
    return { evidence: withAnswers({ state })(evidence), verdict };
  };

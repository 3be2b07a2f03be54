/** One thread of `pnpm simulate`: takes portions, and tells what each of them met. */
import { parentPort } from 'node:worker_threads';
import { policies, type PolicyName } from '@shim-recovery/core/Policy';
import { run } from '../Campaign.js';

/** Some worlds of a long run. */
export interface Portion {
  readonly policy: PolicyName;
  readonly seed: number;
  readonly cases: number;
}

parentPort?.on('message', ({ policy, seed, cases }: Portion) => {
  void run({ policy: policies[policy], seed, cases }).then((outcome) => parentPort?.postMessage(outcome));
});

/** One thread of `pnpm simulate`: takes portions, and tells what each of them met. */
import { parentPort } from 'node:worker_threads';
import { policies, type PolicyName } from '@shim-recovery/core/interpreter';
import { run } from '../campaign/Campaign.js';
import { allProperties } from '../properties/Properties.js';

/** Some worlds of a long run. */
export interface Portion {
  readonly policy: PolicyName;
  readonly seed: number;
  readonly cases: number;
  /** The numbers of the properties to check; none for all. */
  readonly properties: ReadonlyArray<number>;
}

parentPort?.on('message', ({ policy, seed, cases, properties: numbers }: Portion) => {
  const properties = allProperties.filter(({ number }) => numbers.length === 0 || numbers.includes(number));
  void run({ policy: policies[policy], seed, cases, properties }).then((outcome) => parentPort?.postMessage(outcome));
});

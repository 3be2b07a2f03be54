/** A few thousand random cases: the tests of each file run beside those of the others. */
import { containerd17 } from '@shim-recovery/core/Policy';
import { expect } from 'vitest';
import { run, showFailure } from '../../src/Campaign.js';
import type { Tally } from '../../src/Tally.js';

/** Gives what was met, having found nothing that the policy is not known for. */
export const simulateThousands = async (seed: number, cases: number): Promise<Tally> => {
  const { tally, failure } = await run({ policy: containerd17, seed, cases });
  expect(failure === undefined ? '' : showFailure(failure)).toBe('');
  return tally;
};

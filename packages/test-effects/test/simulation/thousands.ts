/** Thousands of random cases: the tests of each file run beside those of the others. */
import { policies, type PolicyName } from '@shim-recovery/core/interpreter';
import { expect, it } from 'vitest';
import { run, showFailure } from '../../src/campaign/Campaign.js';
import { missing } from '../../src/campaign/Coverage.js';

/** Nothing is found that the policy is not known for, and all is met that can be. */
export const testThousands = (
  name: PolicyName,
  { seed, cases }: { readonly seed: number; readonly cases: number },
): void =>
  it(`${cases.toLocaleString('en')} random worlds with faults, crashes and meddlers (${name})`, async () => {
    const policy = policies[name];
    const { tally, failure } = await run({ policy, seed, cases });
    expect(failure === undefined ? '' : showFailure(failure)).toBe('');
    expect(tally.worlds).toBe(cases);
    expect(missing(policy)(tally)).toEqual([]);
  }, 300_000);

import { expect, it } from 'vitest';
import { missing } from '../../src/Tally.js';
import { simulateThousands } from './thousands.js';

it('5,000 random worlds with faults, crashes and meddlers (containerd-1.7)', async () => {
  const tally = await simulateThousands(200_000, 5_000);
  expect(tally.worlds).toBe(5_000);
  expect(missing(tally)).toEqual([]);
}, 120_000);

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { traverse } from '../src/Concurrency.js';

describe('traverse', () => {
  it('never runs more at once than the bound, and keeps the order of the results', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.integer(), { maxLength: 12 }),
        async (scheduler, limit, items) => {
          let running = 0;
          let most = 0;
          const double = scheduler.scheduleFunction(async (item: number) => item * 2);
          const results = traverse(limit, (item: number) => async () => {
            most = Math.max(most, ++running);
            const result = await double(item);
            running--;
            return result;
          })(items)();
          await scheduler.waitFor(results);
          expect(await results).toEqual(items.map((item) => item * 2));
          expect(most).toBe(Math.min(limit, items.length));
        },
      ),
    );
  });

  it('takes a bound below one as one', async () => {
    expect(await traverse(0, (item: number) => async () => item)([1, 2])()).toEqual([1, 2]);
  });
});

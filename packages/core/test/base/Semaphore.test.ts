import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { semaphore, adaptiveSemaphore, traverse } from '../../src/base/Semaphore.js';

const turns = { yieldIfDue: (): undefined => undefined, yieldToOthers: async (): Promise<void> => undefined };

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
          const results = traverse({ limit, ...turns }, (item: number) => async () => {
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
    expect(await traverse({ limit: 0, ...turns }, (item: number) => async () => item)([1, 2])()).toEqual([1, 2]);
  });

  it('runs what waits for nobody nearly one after the other', async () => {
    let running = 0;
    let most = 0;
    await traverse({ limit: 1_000, ...turns }, () => async () => {
      most = Math.max(most, ++running);
      await Promise.resolve();
      running--;
    })(Array.from({ length: 1_000 }))();
    expect(most).toBeLessThan(10);
  });

  it('hands a defect on, once all that had begun has ended', async () => {
    const ended: Array<number> = [];
    const outcome = traverse({ limit: 3, ...turns }, (item: number) => async () => {
      if (item === 1) throw new Error('a defect');
      await new Promise((resolve) => setImmediate(resolve));
      ended.push(item);
    })([0, 1, 2, 3, 4, 5, 6, 7]);
    await expect(outcome()).rejects.toThrow('a defect');
    expect(ended).toContain(0);
    expect(ended).not.toContain(7);
  });
});

describe('semaphore', () => {
  it('never more than the limit run at once, all of them run, and in order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5 }), fc.nat(30), fc.scheduler(), async (limit, count, scheduler) => {
        const inTurn = semaphore(limit);
        const started: Array<number> = [];
        let running = 0;
        let mostRunning = 0;
        const tasks = Array.from({ length: count }, (_, index) =>
          inTurn(async () => {
            started.push(index);
            running += 1;
            mostRunning = Math.max(mostRunning, running);
            await scheduler.schedule(Promise.resolve());
            running -= 1;
            return index;
          })(),
        );
        await scheduler.waitFor(Promise.all(tasks));
        expect(await Promise.all(tasks)).toEqual(started);
        expect(mostRunning).toBe(Math.min(limit, count));
      }),
    );
  });
});

describe('adaptiveSemaphore', () => {
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  /** Patience that is lost when the test says so. */
  const patienceInHand = () => {
    let loseIt = (): void => undefined;
    return {
      patience: () =>
        new Promise<boolean>((resolve) => {
          loseIt = () => resolve(true);
        }),
      lose: () => loseIt(),
    };
  };

  it('begins what is quick in portions, and what never answers keeps nobody', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.boolean(), { maxLength: 12 }),
        async (limit, slow) => {
          let looseOnes: ReadonlyArray<() => void> = [];
          const inPortions = adaptiveSemaphore({
            limit,
            patience: () =>
              new Promise<boolean>((resolve) => {
                looseOnes = [...looseOnes, () => resolve(true)];
              }),
            ...turns,
          });
          let begun = 0;
          let answer = (): void => undefined;
          const answered = new Promise<void>((resolve) => {
            answer = resolve;
          });
          const all = slow.map((isSlow, index) =>
            inPortions(async () => {
              begun++;
              if (isSlow) await answered;
              return index;
            })(),
          );
          await settled();
          const slowOnes = slow.flatMap((isSlow, index) => (isSlow ? [index] : []));
          expect(begun).toBe(Math.min(slow.length, (slowOnes[limit - 1] ?? slow.length) + 1));
          // As long as some answer comes, patience runs out without anybody more being begun.
          for (let rounds = 0; begun < slow.length; rounds++) {
            expect(rounds).toBeLessThanOrEqual(slow.length + 1);
            for (const lose of looseOnes) lose();
            await settled();
          }
          answer();
          expect(await Promise.all(all)).toEqual(slow.map((_, index) => index));
        },
      ),
    );
  });

  it('begins ever larger portions while nothing answers, and small ones again once something does', async () => {
    const { patience, lose } = patienceInHand();
    const inPortions = adaptiveSemaphore({ limit: 2, patience, ...turns });
    const answers: Array<() => void> = [];
    const all = Array.from({ length: 100 }, () =>
      inPortions(() => new Promise<void>((resolve) => answers.push(resolve)))(),
    );
    const begun: Array<number> = [];
    for (let rounds = 0; rounds < 4; rounds++) {
      await settled();
      begun.push(answers.length);
      lose();
    }
    await settled();
    expect(begun).toEqual([2, 2 + 4, 2 + 4 + 8, 2 + 4 + 8 + 16]);
    for (const answer of answers.splice(0)) answer();
    await settled();
    expect(answers).toHaveLength(2);
    while (answers.length > 0) {
      for (const answer of answers.splice(0)) answer();
      await settled();
    }
    await Promise.all(all);
  });

  it('begins no more than the limit as long as answers come, however long that takes', async () => {
    const { patience, lose } = patienceInHand();
    const inPortions = adaptiveSemaphore({ limit: 2, patience, ...turns });
    const answers: Array<() => void> = [];
    let most = 0;
    let running = 0;
    const all = Array.from({ length: 6 }, () =>
      inPortions(async () => {
        most = Math.max(most, ++running);
        await new Promise<void>((resolve) => answers.push(resolve));
        running--;
      })(),
    );
    for (let answered = 0; answered < 6; answered++) {
      await settled();
      answers[answered]?.();
      await settled();
      lose();
    }
    await Promise.all(all);
    expect(most).toBe(2);
  });

  it('passes on what is thrown at once, and begins the others', async () => {
    const inPortions = adaptiveSemaphore({ limit: 1, patience: async () => true, ...turns });
    const tasks = [1, 2, 3].map((item) =>
      inPortions(() => {
        if (item < 3) throw new Error(`broken ${item}`);
        return Promise.resolve('done');
      })(),
    );
    expect((await Promise.allSettled(tasks)).map(({ status }) => status)).toEqual([
      'rejected',
      'rejected',
      'fulfilled',
    ]);
  });

  it('waits on where its patience was not enough', async () => {
    let begun = 0;
    let rounds = 0;
    const inPortions = adaptiveSemaphore({ limit: 1, patience: async () => ++rounds > 3, ...turns });
    const all = [0, 1].map(() =>
      inPortions(async () => {
        begun++;
        await settled();
        expect(rounds > 3 || begun === 1).toBe(true);
      })(),
    );
    await Promise.all(all);
  });

  it('hands on what a task throws', async () => {
    const inPortions = adaptiveSemaphore({ limit: 1, patience: () => new Promise(() => undefined), ...turns });
    const outcome = inPortions(async () => {
      throw new Error('a defect');
    })();
    await expect(outcome).rejects.toThrow('a defect');
    expect(await inPortions(async () => 'next')()).toBe('next');
  });
});

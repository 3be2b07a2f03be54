import { stat } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { answeredWithin, isAnythingUnanswered, threadCount } from '../src/native/Deadline.js';
import { nextTurn } from './temporary.js';

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => vi.useRealTimers());

/** Something that is asked, and answered when the test says so. */
const makeQuestion = () => {
  let answer: (text: string) => void = () => undefined;
  const asked = vi.fn(() => new Promise<string>((resolve) => (answer = resolve)));
  const ended = vi.fn();
  return { ask: answeredWithin(100, 'late', asked, ended), asked, ended, answer: (text: string) => answer(text) };
};

describe('what is answered in time', () => {
  it('is the answer, and what comes too late is lost', async () => {
    const question = makeQuestion();
    const inTime = question.ask();
    await vi.advanceTimersByTimeAsync(99);
    question.answer('in time');
    expect(await inTime).toBe('in time');
    expect(question.ended).toHaveBeenCalledOnce();
    const tooLate = question.ask();
    await vi.advanceTimersByTimeAsync(100);
    expect(await tooLate).toBe('late');
    expect(isAnythingUnanswered()).toBe(true);
    expect(question.ended).toHaveBeenCalledOnce();
    question.answer('after all');
    await nextTurn();
    expect(question.ended).toHaveBeenCalledTimes(2);
    expect(isAnythingUnanswered()).toBe(false);
  });

  it('also where the answer waited for us, who were busy', async () => {
    vi.useRealTimers();
    const question = answeredWithin(50, 'late', () => new Promise((resolve) => stat('/', () => resolve('in time'))));
    const asked = question();
    for (const endMs = performance.now() + 100; performance.now() < endMs; );
    expect(await asked).toBe('in time');
  });

  it('is no error that is swallowed', async () => {
    const asked = answeredWithin(100, undefined, () => Promise.reject(new Error('broken')));
    await expect(asked()).rejects.toThrow('broken');
    expect(vi.getTimerCount()).toBe(0);
  });
});

it('begins to count when its turn comes', async () => {
  const slow = Array.from({ length: 6 * threadCount }, makeQuestion);
  const answers = Promise.all(slow.map(({ ask }) => ask()));
  for (let round = 0; round < 6 * threadCount; round++) {
    await vi.advanceTimersByTimeAsync(40 / threadCount);
    slow[round]?.answer('in time');
    await nextTurn();
    await nextTurn();
  }
  expect(new Set(await answers)).toEqual(new Set(['in time']));
  expect(slow.every(({ ended }) => ended.mock.calls.length === 1)).toBe(true);
  expect(isAnythingUnanswered()).toBe(false);
});

it('asks nobody while all threads may be kept, and does again when one is free', async () => {
  const stuck = Array.from({ length: threadCount }, makeQuestion);
  const answers = Promise.all(stuck.map(({ ask }) => ask()));
  await vi.advanceTimersByTimeAsync(100);
  expect(new Set(await answers)).toEqual(new Set(['late']));
  const next = makeQuestion();
  expect(await next.ask()).toBe('late');
  expect(next.asked).not.toHaveBeenCalled();
  expect(next.ended).toHaveBeenCalledOnce();
  stuck[0]?.answer('after all');
  await nextTurn();
  const asked = next.ask();
  next.answer('in time');
  expect(await asked).toBe('in time');
  for (const { answer } of stuck) answer('after all');
  await nextTurn();
  expect(isAnythingUnanswered()).toBe(false);
});

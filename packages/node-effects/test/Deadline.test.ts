import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { answeredWithin, isAnythingUnanswered } from '../src/Deadline.js';

beforeEach(() => vi.useFakeTimers());
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
    await vi.advanceTimersByTimeAsync(0);
    expect(question.ended).toHaveBeenCalledTimes(2);
    expect(isAnythingUnanswered()).toBe(false);
  });

  it('is no error that is swallowed', async () => {
    const asked = answeredWithin(100, undefined, () => Promise.reject(new Error('broken')));
    await expect(asked()).rejects.toThrow('broken');
    expect(vi.getTimerCount()).toBe(0);
  });
});

it('asks nobody while all threads may be kept, and does again when one is free', async () => {
  const stuck = Array.from({ length: 4 }, makeQuestion);
  const answers = Promise.all(stuck.map(({ ask }) => ask()));
  await vi.advanceTimersByTimeAsync(100);
  expect(await answers).toEqual(['late', 'late', 'late', 'late']);
  const next = makeQuestion();
  expect(await next.ask()).toBe('late');
  expect(next.asked).not.toHaveBeenCalled();
  expect(next.ended).toHaveBeenCalledOnce();
  stuck[0]?.answer('after all');
  await vi.advanceTimersByTimeAsync(0);
  const asked = next.ask();
  next.answer('in time');
  expect(await asked).toBe('in time');
  for (const { answer } of stuck) answer('after all');
  await vi.advanceTimersByTimeAsync(0);
  expect(isAnythingUnanswered()).toBe(false);
});

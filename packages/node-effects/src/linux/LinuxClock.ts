/** The real clock. */
import type { Clock } from '@shim-recovery/core/interpreter';
import type { Task } from 'fp-ts/lib/Task.js';

/** How long this process works before it looks whether anybody else waits: sockets, timers, whoever embeds us. */
const turnMs = 3;

/** The most that a timer of Node can wait; a longer one would fire at once. */
export const longestTimerMs = 0x7fff_ffff;

let turnBeganMs = 0;

let isTurnDue = false;

let turnOfAll: Promise<void> | undefined;

/** By `hrtime`, which is there; `performance` is loaded when it is first asked for, and a command's start is waited for. */
const elapsedMs = (): number => {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
};

const endTurnOfAll = async (): Promise<void> => {
  await endTurn();
  turnOfAll = undefined;
};

const endTurn = (): Promise<void> =>
  new Promise((resolve) => {
    resting.add(resolve);
    if (isTurnDue) return;
    isTurnDue = true;
    takeTurnSoon();
  });

/** Who waits for another turn, in order: a set gives up its first for the same price however many wait. */
const resting = new Set<() => void>();

const takeTurnSoon = (): void => void setImmediate(() => void takeTurn());

/**
 * Lets one of them after the other go on, as far as it can: were all let go on at once, each would take a step in turn, and
 * whatever each has to do before it breathes again would be done within one turn.
 */
const takeTurn = async (): Promise<void> => {
  turnBeganMs = Date.now();
  await anInstant; // Outside of a promise, a tick would not wait for any.
  for (const goOn of resting) {
    resting.delete(goOn);
    goOn();
    await yieldToOthers();
    if (resting.size > 0 && isTurnOver()) return takeTurnSoon();
  }
  isTurnDue = false;
};

const anInstant = Promise.resolve();

/** A tick comes when no promise is left that could go on. */
const yieldToOthers: Task<void> = () => new Promise((resolve) => process.nextTick(resolve));

/** By the quickest clock, as it is asked before nearly everything that is done. */
const isTurnOver = (): boolean => {
  const nowMs = Date.now();
  // Where that was set meanwhile, a turn ends sooner, or up to so much later.
  return nowMs >= turnBeganMs + turnMs || nowMs < turnBeganMs;
};

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  elapsedMs,
  // Timers come before everything else: after a long turn answers may be here already. Whoever is told of one, is told at the
  // end of this turn (`Epoll.ts`); so this goes on after the next.
  sleep: (ms) => () => new Promise((resolve) => setTimeout(() => setImmediate(() => setImmediate(resolve)), ms)),
  yieldIfDue: () => (isTurnOver() ? endTurn() : undefined),
  yieldToOthers,
};

/**
 * The clock of a process that has nothing else to do: many things go on in step there. That holds more at a time, and is
 * quicker, as others are asked sooner.
 */
export const unsharedClock: Clock = {
  ...systemClock,
  yieldIfDue: () => (isTurnOver() ? (turnOfAll ??= endTurnOfAll()) : undefined),
  yieldToOthers: () => anInstant,
};

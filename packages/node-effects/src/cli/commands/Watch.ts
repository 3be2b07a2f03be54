/** `--watch`: what becomes of shims that were taken back, said as it happens. */
import type { EventSink, Observer, ObserverEvent, ShimEnding, TaskEvent } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { Task } from 'fp-ts/lib/Task.js';
import { type LogLines, taskName } from '../views/LogLines.js';
import { showStep } from '../views/Render.js';

export interface HeldBack {
  readonly sink: EventSink;
  /** Hands over what came so far, in its order, and from then on everything at once. */
  readonly release: Task<void>;
}

/**
 * Keeps events until the report is out: stdout begins with the report, also where a shim ended while others were still
 * being asked. An event that is kept counts as published; `onLost` is told when it then was not.
 */
export const holdBack = (sink: EventSink, onLost: (event: TaskEvent, reason: string) => void): HeldBack => {
  const kept: Array<TaskEvent> = [];
  let isReleased = false;
  return {
    sink: {
      publish: (event) => async () => {
        if (isReleased) return sink.publish(event)();
        kept.push(event);
        return E.right(undefined);
      },
    },
    release: async () => {
      for (let event = kept.shift(); event !== undefined; event = kept.shift()) {
        const published = await sink.publish(event)();
        if (E.isLeft(published)) onLost(event, published.left.reason);
      }
      isReleased = true;
    },
  };
};

/** Says what the end of a shim's connection came to, and which steps of a clean-up failed: no report holds them. */
export const followEnds = (say: (line: string) => void, logs: LogLines): Observer => {
  const ending = new Set<string>();
  const onEvent = (event: ObserverEvent): void => {
    if (event._tag === 'DisconnectDecided') {
      say(`shim-recovery: ${taskName(event)}: ${sayEnding(event.ending)}`);
      if (event.ending._tag === 'Dead') ending.add(taskName(event));
      if (event.ending._tag === 'Unsure') logs.end(taskName(event))();
    }
    if (event._tag !== 'StepTaken' || !ending.has(taskName(event))) return;
    const { report } = event;
    if (report.outcome === 'failed')
      say(`shim-recovery: ${taskName(event)}: ${showStep(report)} failed: ${report.error ?? ''}`);
    if (report.step === 'close-log-pipe') {
      logs.end(taskName(event))();
      ending.delete(taskName(event));
    }
  };
  return { notify: (event) => () => onEvent(event) };
};

const sayEnding = (ending: ShimEnding): string => {
  switch (ending._tag) {
    case 'Dead':
      return "the shim's connection ended; cleaning up";
    case 'Alive':
      return "the shim's connection ended, but the shim answers: taken back again";
    case 'Unsure':
      return `the shim's connection ended; held, and watched no more: ${[ending.explanation, ...(ending.advice === undefined ? [] : [ending.advice])].join('; ')}`;
  }
};

/** Tells two. */
export const both = (first: Observer, second: Observer): Observer => ({
  notify: (event) => () => {
    first.notify(event)();
    second.notify(event)();
  },
});

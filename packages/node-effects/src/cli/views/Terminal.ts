/** The streams of this process: the result on stdout, everything else on stderr. */
import type { Writable } from 'node:stream';
import type { Observer } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import { outputTo } from './Output.js';
import { colourStyle, plainStyle, type Style } from './Render.js';

export interface Terminal {
  /** Hands text to stdout, and completes when it is out. A reader that has gone is no error; a full disk is said. */
  readonly print: (text: string) => Promise<void>;
  /** Whether something that was printed could not be written. */
  readonly isOutputLost: IO<boolean>;
  /** One line on stderr, whatever is in it: what was typed or read may hold anything. */
  readonly say: (line: string) => void;
  /** Completes when all that was said is out; undefined where it is, or nearly. */
  readonly said: () => Promise<void> | undefined;
  readonly style: Style;
  /** Follows a run with a bar, where stderr is a terminal. */
  readonly progress: Observer;
  /** Takes the bar away. */
  readonly clearProgress: () => void;
  readonly stdout: IO<Writable>;
}

const barWidth = 30;

const redrawMs = 50;

const clearLine = '\r\u001b[K';

const controlCharacters = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** The terminal, or the pipes, that this process was started with. */
export const processTerminal = (): Terminal => {
  const stdout = outputTo(1, () => process.stdout);
  const stderr = outputTo(2, () => process.stderr);
  const isColoured = stdout.isTerminal && (process.env['NO_COLOR'] ?? '') === '';
  let isOutputLost = false;
  const { isShown, ...shown } = stderr.isTerminal ? makeProgress(stderr.stream()) : noProgress;
  const say = (line: string): void => void stderr.write(`${isShown() ? clearLine : ''}${oneLine(line)}\n`);
  return {
    stdout: stdout.stream,
    say,
    said: stderr.drained,
    style: isColoured ? colourStyle : plainStyle,
    print: async (text) => {
      const written = await stdout.write(text);
      // Without a reader there is nobody to tell; what was begun goes on all the same.
      if (E.isRight(written) || written.left === 'EPIPE') return;
      isOutputLost = true;
      say(`shim-recovery: the result cannot be written: ${written.left}`);
    },
    isOutputLost: () => isOutputLost,
    ...shown,
  };
};

/** A bar for the two halves of a run: bundles decided on, then bundles done. */
const makeProgress = (stderr: Writable): Progress => {
  let total = 0;
  let settled = 0;
  let carriedOut = 0;
  let drawnMs = 0;
  const draw = (): void => {
    const nowMs = performance.now();
    if (nowMs - drawnMs < redrawMs || total === 0) return;
    drawnMs = nowMs;
    // What a plan names and is gone was not found, but is done with all the same.
    const [label, count] = carriedOut > 0 ? ['recovering', Math.min(carriedOut, total)] : ['asking', settled];
    const filled = Math.min(barWidth, Math.round((barWidth * count) / total));
    stderr.write(`${clearLine}${label} [${'#'.repeat(filled)}${' '.repeat(barWidth - filled)}] ${count}/${total}`);
  };
  return {
    isShown: () => drawnMs > 0,
    progress: {
      notify: (event) => () => {
        if (event._tag === 'BundlesFound') {
          total = event.bundles;
          settled = 0;
          carriedOut = 0;
        }
        if (event._tag === 'BundleDecided') settled++;
        if (event._tag === 'BundleCarriedOut') carriedOut++;
        draw();
      },
    },
    clearProgress: () => {
      if (drawnMs > 0) stderr.write(clearLine);
      drawnMs = 0;
      total = 0;
    },
  };
};

interface Progress extends Pick<Terminal, 'progress' | 'clearProgress'> {
  /** Whether the bar stands on the last line: what is said then has to take its place. */
  readonly isShown: IO<boolean>;
}

const noProgress: Progress = {
  isShown: () => false,
  progress: { notify: () => () => undefined },
  clearProgress: () => undefined,
};

/** With nothing in it that would begin a line or steer a terminal. */
const oneLine = (text: string): string =>
  text.replace(controlCharacters, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);

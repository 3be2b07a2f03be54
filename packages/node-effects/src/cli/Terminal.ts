/** The streams of this process: the result on stdout, everything else on stderr. */
import type { Writable } from 'node:stream';
import type { Trace } from '@shim-recovery/core/Trace';
import { colourStyle, plainStyle, type Style } from './Render.js';

export interface Terminal {
  /** Hands text to stdout, and completes when it is out. A reader that has gone is no error. */
  readonly print: (text: string) => Promise<void>;
  /** One line on stderr. */
  readonly say: (line: string) => void;
  readonly style: Style;
  /** Follows a run with a bar, where stderr is a terminal. */
  readonly progress: Trace;
  /** Takes the bar away. */
  readonly clearProgress: () => void;
  readonly stdout: Writable;
}

const barWidth = 30;
const redrawMs = 50;
const clearLine = '\r\u001b[K';

const isTerminal = (stream: { readonly isTTY?: boolean }): boolean => stream.isTTY === true;

/** A bar for the two halves of a run: bundles decided on, then bundles done. */
const makeProgress = (stderr: NodeJS.WriteStream): Pick<Terminal, 'progress' | 'clearProgress'> => {
  let total = 0;
  let settled = 0;
  let carriedOut = 0;
  let drawnMs = 0;
  const draw = (): void => {
    const nowMs = performance.now();
    if (nowMs - drawnMs < redrawMs || total === 0) return;
    drawnMs = nowMs;
    const [label, count] = carriedOut > 0 ? ['recovering', carriedOut] : ['asking', settled];
    const filled = Math.round((barWidth * count) / total);
    stderr.write(`${clearLine}${label} [${'#'.repeat(filled)}${' '.repeat(barWidth - filled)}] ${count}/${total}`);
  };
  return {
    progress: {
      tell: (event) => () => {
        if (event._tag === 'BundlesFound') total = event.bundles;
        if (event._tag === 'BundleSettled') settled++;
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

const noProgress: Pick<Terminal, 'progress' | 'clearProgress'> = {
  progress: { tell: () => () => undefined },
  clearProgress: () => undefined,
};

/** The terminal, or the pipes, that this process was started with. */
export const processTerminal = (): Terminal => {
  const { stdout, stderr } = process;
  // Without a reader there is nobody to tell; what was begun goes on all the same.
  stdout.on('error', () => undefined);
  stderr.on('error', () => undefined);
  const isColoured = isTerminal(stdout) && (process.env['NO_COLOR'] ?? '') === '';
  return {
    stdout,
    style: isColoured ? colourStyle : plainStyle,
    print: (text) => new Promise((resolve) => stdout.write(text, () => resolve())),
    say: (line) => stderr.write(`${line}\n`),
    ...(isTerminal(stderr) ? makeProgress(stderr) : noProgress),
  };
};

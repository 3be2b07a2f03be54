/** SIGINT, SIGTERM and SIGHUP, which a lost terminal sends: the first one asks for an end, the second one is the end. */
import type { IO } from 'fp-ts/lib/IO.js';
import type { Task } from 'fp-ts/lib/Task.js';
import { exitAtOnce } from '../native/Native.js';
import type { Terminal } from './views/Terminal.js';

const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

type EndSignal = keyof typeof exitCodes;

const signals: ReadonlyArray<EndSignal> = ['SIGINT', 'SIGTERM', 'SIGHUP'];

export interface Interruption {
  readonly requested: IO<boolean>;
  /** Completes with the first signal. */
  readonly requestedOnce: Task<void>;
  /** The exit code that tells of the signal, once there was one. */
  readonly exitCode: IO<number | undefined>;
  readonly stopListening: IO<void>;
}

/** What is said at the first signal: an answer that is waited for may still take a while. */
export const sayEnding =
  ({ say }: Pick<Terminal, 'say'>) =>
  (signal: EndSignal): void =>
    say(`shim-recovery: ${signal}: finishing what is under way; once more ends at once`);

/** Listens from now on. `onFirst` may say that the end is near. */
export const listenForInterruption = (onFirst: (signal: EndSignal) => void): Interruption => {
  let signalled: EndSignal | undefined;
  let tell: () => void = () => undefined;
  const first = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const onSignal = (signal: EndSignal): void => {
    if (signalled !== undefined) exitAtOnce(exitCodes[signal]);
    signalled = signal;
    onFirst(signal);
    tell();
  };
  for (const signal of signals) process.on(signal, onSignal);
  return {
    requested: () => signalled !== undefined,
    requestedOnce: () => first,
    exitCode: () => (signalled === undefined ? undefined : exitCodes[signalled]),
    stopListening: () => {
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
};

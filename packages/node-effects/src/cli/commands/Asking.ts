/** A run that asks what there is on this host, and changes nothing. */
import type { Capabilities, Settings } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { capabilitiesOf, openStore, settingsOf } from './Host.js';
import { nothingToDo, understandHost, type UnderstoodHost } from './HostDirectories.js';
import { listenForInterruption, sayEnding } from '../Interruption.js';
import type { HostOptions } from '../arguments/Options.js';
import { refuse } from './planCommand.js';
import type { Terminal } from '../views/Terminal.js';

/** What to do on a host, and on one that has nothing to look at. Each gives the exit code. */
export interface Asking {
  readonly host: (host: UnderstoodHost, settings: Settings, capabilities: Capabilities) => Promise<number>;
  readonly nothing: (host: UnderstoodHost, why: string) => Promise<number>;
}

/** Opens what is needed, asks, and gives it back; the exit code, which a signal decides where there was one. */
export const askHost = async (typed: HostOptions, terminal: Terminal, ask: Asking): Promise<number> => {
  const understood = await understandHost(typed, terminal);
  if (E.isLeft(understood)) return understood.left;
  const options = understood.right;
  const nothing = nothingToDo(options);
  if (nothing !== undefined) return ask.nothing(options, nothing);
  const store = await openStore(options, 'shared');
  if (E.isLeft(store)) return refuse(terminal, store.left);
  const interruption = listenForInterruption(sayEnding(terminal));
  try {
    const { stores } = store.right;
    const capabilities = capabilitiesOf(options, terminal, { stores, interrupted: interruption.requested });
    if (E.isLeft(capabilities)) return refuse(terminal, capabilities.left);
    const outcome = await ask.host(options, settingsOf(options), capabilities.right);
    return interruption.exitCode() ?? outcome;
  } finally {
    store.right.close();
    interruption.stopListening();
  }
};

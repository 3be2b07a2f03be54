/** A run that asks what there is on this host, and changes nothing. */
import type { Capabilities } from '@shim-recovery/core/Capabilities';
import type { Settings } from '@shim-recovery/core/Settings';
import * as E from 'fp-ts/lib/Either.js';
import { capabilitiesOf, openStore, settingsOf } from './Host.js';
import { listenForInterruption, sayEnding } from './Interruption.js';
import type { HostOptions } from './Options.js';
import { refuse } from './planCommand.js';
import type { Terminal } from './Terminal.js';

/** Opens what is needed, asks, and gives it back; the exit code, which a signal decides where there was one. */
export const askHost = async (
  options: HostOptions,
  terminal: Terminal,
  ask: (settings: Settings, capabilities: Capabilities) => Promise<number>,
): Promise<number> => {
  const store = await openStore(options, 'shared');
  if (E.isLeft(store)) return refuse(terminal, store.left);
  const interruption = listenForInterruption(sayEnding(terminal));
  try {
    const { stores } = store.right;
    const capabilities = capabilitiesOf(options, terminal, { stores, interrupted: interruption.requested });
    if (E.isLeft(capabilities)) return refuse(terminal, capabilities.left);
    const outcome = await ask(settingsOf(options), capabilities.right);
    return interruption.exitCode() ?? outcome;
  } finally {
    store.right.close();
    interruption.stopListening();
  }
};

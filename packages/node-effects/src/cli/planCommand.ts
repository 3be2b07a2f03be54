/** `shim-recovery plan`: what a restart would do, and why. Changes nothing. */
import { showRecoveryError } from '@shim-recovery/core/Preparation';
import { plan } from '@shim-recovery/core/Recovery';
import { changesSomething, type Report } from '@shim-recovery/core/Report';
import * as E from 'fp-ts/lib/Either.js';
import { capabilitiesOf, openStore, settingsOf } from './Host.js';
import { listenForInterruption } from './Interruption.js';
import type { HostOptions } from './Options.js';
import { renderReport } from './Render.js';
import type { Terminal } from './Terminal.js';

export const exitCode = { done: 0, couldNotRun: 1, badUsage: 2, somethingElse: 3 } as const;

/** A report in the form that was asked for. */
export const formatReport = (options: HostOptions, terminal: Terminal, report: Report): string =>
  options.isJson ? `${JSON.stringify(report)}\n` : renderReport(terminal.style)(report);

/** Says which of the namespaces that were asked for are not there: most likely a slip of the pen. */
export const sayMissingNamespaces = ({ namespaces, state }: HostOptions, terminal: Terminal, report: Report): void => {
  const names = new Set(report.namespaces.map(({ name }) => name));
  for (const name of namespaces)
    if (!names.has(name)) terminal.say(`shim-recovery: there is no namespace ${name} in ${state}`);
};

/** Says on stderr why nothing was done. */
export const refuse = (terminal: Terminal, why: string): number => {
  terminal.clearProgress();
  terminal.say(`shim-recovery: ${why}`);
  return exitCode.couldNotRun;
};

/** Runs the command; the exit code. */
export const runPlan = async (options: HostOptions, terminal: Terminal, isProbing: boolean): Promise<number> => {
  const store = await openStore(options, 'shared');
  if (E.isLeft(store)) return refuse(terminal, store.left);
  const interruption = listenForInterruption(() => undefined);
  try {
    const { stores } = store.right;
    const capabilities = capabilitiesOf(options, terminal, { stores, interrupted: interruption.requested });
    if (E.isLeft(capabilities)) return refuse(terminal, capabilities.left);
    const planned = await plan(settingsOf(options), { probe: isProbing })(capabilities.right)();
    if (E.isLeft(planned)) return refuse(terminal, showRecoveryError(planned.left));
    const { report } = planned.right;
    terminal.clearProgress();
    sayMissingNamespaces(options, terminal, report);
    await terminal.print(formatReport(options, terminal, report));
    return (
      interruption.exitCode() ??
      (options.isDetailedExitCode && changesSomething(report) ? exitCode.somethingElse : exitCode.done)
    );
  } finally {
    store.right.close();
    interruption.stopListening();
  }
};

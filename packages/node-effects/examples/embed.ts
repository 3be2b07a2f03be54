import { ByteString, Recovery, type Stores } from '@shim-recovery/core';
import { daemonProgramSearch, linuxCapabilities, linuxSettings, makeListeners } from '@shim-recovery/node-effects';
import * as E from 'fp-ts/lib/Either.js';

export const takeBackShims = async (own: {
  readonly directories: { readonly state: string; readonly root: string };
  readonly containers: Stores.ContainerStore & Stores.SandboxStore; // your own records
  readonly socket: string; // where your daemon will listen
  readonly program: string; // what shims run to publish events
  readonly onExit: (task: { readonly namespace: string; readonly id: string }, status: number) => void;
}): Promise<Recovery.Recovered> => {
  const events = makeListeners();
  events.subscribe(({ _tag, namespace, id, exit }) => {
    // Two namespaces may each have a task of this id.
    const task = { namespace: ByteString.show(namespace), id: ByteString.show(id) };
    if (_tag === 'TaskExit') own.onExit(task, exit.exitStatus);
  });
  const settings = linuxSettings({ ...own.directories, programSearch: daemonProgramSearch(own.program) });
  const daemon = { address: own.socket, ttrpcAddress: own.socket, publishBinary: own.program };
  const capabilities = linuxCapabilities({ store: own.containers, daemon, eventSink: events.sink });
  const recovered = await Recovery.recover(settings, capabilities)();
  if (E.isLeft(recovered)) throw new Error(Recovery.showRecoveryError(recovered.left));
  return recovered.right; // .registry: what lives; .report: what became of the rest; .stop(): let go
};

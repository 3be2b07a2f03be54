/** From options to what the program needs: settings, a store that is open, and the capabilities of this machine. */
import { ByteString as B } from '@shim-recovery/core';
import type {
  Capabilities,
  ContainerStore,
  EventSink,
  Observer,
  SandboxStore,
  Settings,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import type { IO } from 'fp-ts/lib/IO.js';
import { pipe } from 'fp-ts/lib/function.js';
import { type Locking, openMetadataStore, showMetadataStoreError } from '../../stores/bolt/MetadataStore.js';
import { isServed } from '../../daemon/DaemonProbe.js';
import { unsharedClock } from '../../linux/LinuxClock.js';
import { checkMachine } from '../../linux/LinuxFileSystem.js';
import { daemonProgramSearch, linuxCapabilities, linuxSettings } from '../../interpreter.js';
import { openJsonStore } from '../../stores/JsonStore.js';
import type { LogSink } from '../../linux/LinuxLogPipes.js';
import { noStore } from '../../stores/NoStore.js';
import type { UnderstoodHost } from './HostDirectories.js';
import type { HostOptions } from '../arguments/Options.js';
import type { Terminal } from '../views/Terminal.js';

/** A store that is open, and how to give it back. */
export interface OpenStore {
  readonly stores: ContainerStore & SandboxStore;
  readonly close: IO<void>;
}

/** Opens the store that was chosen. Left: one line that says what is wrong, and what to do. */
export const openStore = async (options: HostOptions, locking: Locking): Promise<E.Either<string, OpenStore>> => {
  const { store, timeouts } = options;
  switch (store._tag) {
    case 'None':
      return E.right({ stores: noStore, close: doNothing });
    case 'Json':
      return pipe(
        openJsonStore(store.path),
        E.map((stores) => ({ stores, close: doNothing })),
      );
    case 'Containerd': {
      if (!(await isServed(store.socketPath)()))
        return E.left(
          `no daemon serves ${store.socketPath}; nothing was done, as every container would seem unknown; of a daemon that is stopped, read the database with --store bolt:FILE`,
        );
      const { openContainerdStore } = await import('../../stores/ContainerdStore.js');
      return E.right(openContainerdStore({ socketPath: store.socketPath, timeoutMs: timeouts.loadMs }));
    }
    case 'Bolt':
      return pipe(
        openMetadataStore(store.path, { locking }),
        E.mapLeft((error) => {
          const sentence = showMetadataStoreError(error);
          switch (error._tag) {
            case 'Locked':
              return `${sentence}${lockedAdvice(options)}`;
            case 'CannotOpen':
              return error.code === 'ENOENT'
                ? `${sentence}; say where containers are recorded with --store, or --store none if nowhere`
                : sentence;
            case 'Damaged':
              return `${sentence}; nothing was done, as every container would seem unknown`;
          }
        }),
      );
  }
};

const doNothing: IO<void> = () => undefined;

/** What to do about a database that another process holds. */
const lockedAdvice = (options: HostOptions): string =>
  `; ask the daemon itself with --store containerd:${options.address}, or stop it first`;

/** The settings that the options come to. */
export const settingsOf = (options: UnderstoodHost): Settings => {
  const settings = linuxSettings({
    state: options.state,
    root: options.root,
    programSearch: daemonProgramSearch(options.publishBinary, options.programPath),
    waiting: options.waiting,
  });
  return {
    ...settings,
    policy: options.policy,
    allowKilling: options.allowKilling,
    namespaces: options.namespaces.map(B.fromText),
    timeouts: options.timeouts,
  };
};

/** A daemon is root. What it may reach, this process may not: one line that says so, or undefined. */
export const lackOfRoot = ({ policy }: Pick<HostOptions, 'policy'>): string | undefined => {
  const user = process.geteuid?.() ?? 0;
  if (user === 0) return undefined;
  return policy.death === 'every-source'
    ? `not root (uid ${user}): what you may not see is held`
    : `not root (uid ${user}): shims that you may not connect to will look dead`;
};

/** The capabilities that the options come to, or why this machine cannot give them. */
export const capabilitiesOf = (
  options: UnderstoodHost,
  terminal: Terminal,
  more: {
    readonly stores: ContainerStore & SandboxStore;
    readonly interrupted: IO<boolean>;
    readonly eventSink?: EventSink;
    readonly logSink?: LogSink;
    readonly observer?: Observer;
  },
): E.Either<string, Capabilities> =>
  pipe(
    checkMachine(),
    E.map(() => {
      const { stores, ...rest } = more;
      const capabilities = linuxCapabilities({
        observer: terminal.progress,
        ...rest,
        store: stores,
        // A shim's binary looks for its own programs, such as runc, along the same PATH.
        environment: { ...process.env, PATH: options.programPath.path },
        daemon: {
          address: options.address,
          ttrpcAddress: options.ttrpcAddress,
          publishBinary: options.publishBinary,
          debug: options.isDebug,
        },
        warn: (warning) => terminal.say(`shim-recovery: ${warning}`),
      });
      return { ...capabilities, clock: unsharedClock };
    }),
  );

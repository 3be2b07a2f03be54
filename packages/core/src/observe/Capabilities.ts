/** All that an interpreter provides. A runtime author replaces any one of them and keeps the rest. */
import type { IO } from 'fp-ts/lib/IO.js';
import type { Clock } from '../capabilities/Clock.js';
import type { EventSink } from '../capabilities/EventSink.js';
import type { FileSystem } from '../capabilities/FileSystem.js';
import type { LogPipes } from '../capabilities/LogPipes.js';
import type { Mounts } from '../capabilities/Mounts.js';
import type { Processes } from '../capabilities/Processes.js';
import type { ExecutableLookup } from '../capabilities/ExecutableLookup.js';
import type { ShimBinary } from '../capabilities/ShimBinary.js';
import type { ShimConnector } from '../capabilities/ShimConnector.js';
import type { ContainerStore, SandboxStore } from '../capabilities/Stores.js';
import type { Observer } from './Observer.js';

export interface Capabilities {
  readonly fileSystem: FileSystem;
  readonly mounts: Mounts;
  readonly processes: Processes;
  readonly programFiles: ExecutableLookup;
  readonly shimConnector: ShimConnector;
  readonly shimBinary: ShimBinary;
  readonly containerStore: ContainerStore;
  readonly sandboxStore: SandboxStore;
  readonly eventSink: EventSink;
  readonly logPipes: LogPipes;
  readonly clock: Clock;
  readonly observer: Observer;
  /** Whether the run was asked to end: the step in hand is finished, nothing new is begun. */
  readonly interrupted: IO<boolean>;
}

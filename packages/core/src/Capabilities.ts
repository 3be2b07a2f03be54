/** All that an interpreter provides. A runtime author replaces any one of them and keeps the rest. */
import type { IO } from 'fp-ts/lib/IO.js';
import type { Clock } from './Clock.js';
import type { EventSink } from './EventSink.js';
import type { FileSystem } from './FileSystem.js';
import type { LogPipes } from './LogPipes.js';
import type { Mounts } from './Mounts.js';
import type { Processes } from './Processes.js';
import type { ProgramFiles } from './ProgramFiles.js';
import type { ShimBinary } from './ShimBinary.js';
import type { ShimConnector } from './ShimConnector.js';
import type { ContainerStore, SandboxStore } from './Stores.js';
import type { Trace } from './Trace.js';

export interface Capabilities {
  readonly fileSystem: FileSystem;
  readonly mounts: Mounts;
  readonly processes: Processes;
  readonly programFiles: ProgramFiles;
  readonly shimConnector: ShimConnector;
  readonly shimBinary: ShimBinary;
  readonly containerStore: ContainerStore;
  readonly sandboxStore: SandboxStore;
  readonly eventSink: EventSink;
  readonly logPipes: LogPipes;
  readonly clock: Clock;
  readonly trace: Trace;
  /** Whether somebody asked for the run to end: the step in hand is finished, nothing new is begun. */
  readonly interrupted: IO<boolean>;
}

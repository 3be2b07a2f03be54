/**
 * The public surface: one namespace for each module of the machine in memory; the words of the recordings, which tests of
 * any interpreter use together, without one. Each module can also be imported as `@shim-recovery/test-effects/Name`.
 */
export * as Clock from './Clock.js';
export * as Effect from './Effect.js';
export * as Entry from './Entry.js';
export * as EventSink from './EventSink.js';
export * as FileSystem from './FileSystem.js';
export * as LogPipes from './LogPipes.js';
export * as Machine from './Machine.js';
export * as Mounts from './Mounts.js';
export * as ProgramFiles from './ProgramFiles.js';
export * as Properties from './Properties.js';
export * as Schedule from './Schedule.js';
export * as ShimBinary from './ShimBinary.js';
export * as ShimConnector from './ShimConnector.js';
export * as Simulation from './Simulation.js';
export * as Stores from './Stores.js';
export * as Trace from './Trace.js';
export * as Tree from './Tree.js';
export * from './LaidWorld.js';
export * from './Outcome.js';
export * from './World.js';
export * from './WorldTree.js';

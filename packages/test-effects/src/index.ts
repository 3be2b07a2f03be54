/**
 * The public surface: one namespace for each module. Each can also be imported as `@shim-recovery/test-effects/Name`, so
 * that a test reads only what it uses.
 */
export * as ScheduleArbitrary from './arbitraries/Schedule.js';
export * as WorldArbitrary from './arbitraries/World.js';
export * as Campaign from './Campaign.js';
export * as Case from './Case.js';
export * as Clock from './Clock.js';
export * as Counterexamples from './Counterexamples.js';
export * as Effect from './Effect.js';
export * as Entry from './Entry.js';
export * as EventSink from './EventSink.js';
export * as FileSystem from './FileSystem.js';
export * as Hazards from './Hazards.js';
export * as LaidWorld from './LaidWorld.js';
export * as LogPipes from './LogPipes.js';
export * as Machine from './Machine.js';
export * as Making from './Making.js';
export * as Mounts from './Mounts.js';
export * as Moves from './Moves.js';
export * as Outcome from './Outcome.js';
export * as MemoryProcesses from './memory/MemoryProcesses.js';
export * as ProgramFiles from './ProgramFiles.js';
export * as Properties from './Properties.js';
export * as Recordings from './Recordings.js';
export * as Schedule from './Schedule.js';
export * as Shim from './Shim.js';
export * as ShimBinary from './ShimBinary.js';
export * as ShimConnector from './ShimConnector.js';
export * as Simulation from './Simulation.js';
export * as Stores from './Stores.js';
export * as Tally from './Tally.js';
export * as Trace from './Trace.js';
export * as Tree from './Tree.js';
export * as World from './World.js';
export * as WorldTree from './WorldTree.js';
export * from './laws/FileSystemLaws.js';
export * from './laws/Law.js';
export * from './laws/MountLaws.js';
export * from './laws/ProcessesLaws.js';
export * from './laws/RecoveryLaws.js';
export * from './laws/ShimConnectorLaws.js';
export * from './laws/StoreLaws.js';

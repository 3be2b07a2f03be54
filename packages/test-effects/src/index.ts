/**
 * The public surface: one namespace for each module. Each can also be imported as `@shim-recovery/test-effects/Name`, so
 * that a test reads only what it uses.
 */
export * as ScheduleArbitrary from './arbitraries/Schedule.js';

export * as WorldArbitrary from './arbitraries/World.js';

export * as Campaign from './campaign/Campaign.js';

export * as Case from './campaign/Case.js';

export * as Clock from './memory/MemoryClock.js';

export * as Counterexamples from './campaign/Counterexamples.js';

export * as Effect from './simulation/FaultInjection.js';

export * as Entry from './memory/Entry.js';

export * as EventSink from './memory/MemoryEventSink.js';

export * as FileSystem from './memory/MemoryFileSystem.js';

export * as Hazards from './simulation/Hazards.js';

export * as LaidWorld from './simulation/LaidWorld.js';

export * as LogPipes from './memory/MemoryLogPipes.js';

export * as Machine from './memory/Machine.js';

export * as Making from './worlds/Fixture.js';

export * as Mounts from './memory/MemoryMounts.js';

export * as Moves from './simulation/Interference.js';

export * as Outcome from './worlds/Outcome.js';

export * as MemoryProcesses from './memory/MemoryProcesses.js';

export * as ExecutableLookup from './memory/MemoryExecutableLookup.js';

export * as Properties from './properties/Properties.js';

export * as Recordings from './worlds/Recordings.js';

export * as Schedule from './simulation/Schedule.js';

export * as Shim from './worlds/Shim.js';

export * as ShimBinary from './memory/MemoryShimBinary.js';

export * as ShimConnector from './memory/MemoryShimConnector.js';

export * as Simulation from './simulation/Simulation.js';

export * as Stores from './memory/MemoryStores.js';

export * as Coverage from './campaign/Coverage.js';

export * as Observer from './memory/MemoryObserver.js';

export * as Tree from './memory/Tree.js';

export * as World from './worlds/World.js';

export * as WorldTree from './worlds/WorldTree.js';

export * from './laws/FileSystemLaws.js';

export * from './laws/Law.js';

export * from './laws/MountLaws.js';

export * from './laws/ProcessesLaws.js';

export * from './laws/RecoveryLaws.js';

export * from './laws/ShimConnectorLaws.js';

export * from './laws/StoreLaws.js';

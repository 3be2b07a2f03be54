/** The public surface: the interpreter for Linux and its parts, each of which can be replaced. */
export { openBolt } from './bolt/Bolt.js';
export {
  type Locking,
  type MetadataStore,
  type MetadataStoreError,
  openMetadataStore,
  showMetadataStoreError,
} from './bolt/MetadataStore.js';
export { fileSource, memorySource } from './bolt/Source.js';
export { systemClock, unsharedClock } from './Clock.js';
export { combine, eventLine, lineSink, type Listeners, makeListeners } from './EventSinks.js';
export { checkMachine, linuxFileSystem } from './FileSystem.js';
export { daemonProgramSearch, type LinuxOptions, linuxCapabilities, linuxSettings } from './interpreter.js';
export { openJsonStore, StoreFile, storesOf } from './JsonStore.js';
export { findDaemonPath, type ProgramPath, type SoughtDaemon } from './linux/DaemonPath.js';
export { type LogSink, makeLogPipes } from './LogPipes.js';
export { linuxMounts } from './Mounts.js';
export { noStore } from './NoStore.js';
export { linuxProgramFiles } from './ProgramFiles.js';
export { makeShimBinary, type ShimBinaryOptions } from './ShimBinary.js';
export { makeShimConnector } from './ShimConnector.js';

/** The public surface: the interpreter for Linux and its parts, each of which can be replaced. */
export { openBolt } from './stores/bolt/Bolt.js';

export {
  type Locking,
  type MetadataStore,
  type MetadataStoreError,
  openMetadataStore,
  showMetadataStoreError,
} from './stores/bolt/MetadataStore.js';

export { fileSource, memorySource } from './stores/bolt/Source.js';

export { systemClock, unsharedClock } from './linux/LinuxClock.js';

export { combine, eventLine, lineSink, type Listeners, makeListeners } from './events/EventSinks.js';

export { checkMachine, linuxFileSystem } from './linux/LinuxFileSystem.js';

export {
  daemonProgramSearch,
  type LinuxDaemon,
  type LinuxOptions,
  linuxCapabilities,
  linuxSettings,
} from './interpreter.js';

export { openJsonStore, StoreFile, storesOf } from './stores/JsonStore.js';

export { findDaemonPath, type ProgramPath, type SoughtDaemon } from './daemon/DaemonPath.js';

export { type LogSink, makeLogPipes } from './linux/LinuxLogPipes.js';

export { linuxMounts } from './linux/LinuxMounts.js';

export { noStore } from './stores/NoStore.js';

export { linuxProgramFiles } from './linux/LinuxExecutableLookup.js';

export { makeShimBinary, type ShimBinaryOptions } from './linux/LinuxShimBinary.js';

export { makeShimConnector } from './shims/LinuxShimConnector.js';

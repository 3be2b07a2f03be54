/** For authors of interpreters and stores: what the core asks of a machine, with the errors and the words of each. */
export { readMounts } from './apply/Unmounting.js';

export type { ByteStringBrand } from './base/ByteString.js';
export { semaphore } from './base/Semaphore.js';

export { entry } from './capabilities/BundleLayout.js';

export type { Clock } from './capabilities/Clock.js';

export {
  type EventError,
  eventNotPublished,
  type EventSink,
  messageNameOf,
  type TaskEvent,
  topicOf,
} from './capabilities/EventSink.js';

export type { ExecutableLookup } from './capabilities/ExecutableLookup.js';

export {
  codeOf,
  type Directory,
  type DirectoryEntry,
  type FileError,
  type FileKind,
  type FileStatus,
  type FileSystem,
  isExhaustionCode,
  isSameFile,
  type Location,
  pathOf,
  systemError,
} from './capabilities/FileSystem.js';

export type { LogPipe, LogPipes } from './capabilities/LogPipes.js';

export type { MountError, Mounts } from './capabilities/Mounts.js';

export {
  type DirectoryKey,
  hidden,
  isSameDirectory,
  type Listener,
  type Look,
  type OwnView,
  type Processes,
  type ProcessesError,
  type ProcessInfo,
  type ProcessNamespaces,
  seen,
  valueOf,
} from './capabilities/Processes.js';

export {
  argumentsOf,
  type BinaryError,
  type DaemonAddresses,
  type DeleteInvocation,
  environmentOf,
  type ShimBinary,
} from './capabilities/ShimBinary.js';

export {
  answered,
  type ConnectAnswer,
  errorClassOf,
  hasNoListener,
  type ShimConnector,
  type ShimError,
  type ShimSession,
  type TaskCall,
  type TaskState,
  TaskStatus,
} from './capabilities/ShimConnector.js';

export { type ShimTarget, showSocket, type SocketName } from './capabilities/ShimSocket.js';

export {
  type ContainerRecord,
  type ContainerStore,
  found,
  type Lookup,
  notFound,
  type RecordKey,
  type SandboxRecord,
  type SandboxRecords,
  type SandboxStore,
  type StoreError,
  unknown,
} from './capabilities/Stores.js';

export type { TaskExitInfo, Timestamp } from './capabilities/TaskExit.js';

export { decide } from './decide/Decision.js';

export { BundleEvidence } from './decide/Evidence.js';

export { allReasons, type Reason } from './decide/Reasons.js';

export type { Capabilities } from './observe/Capabilities.js';

export {
  type DirectoriesError,
  showDirectoriesError,
  understandDirectories,
  type UnderstoodDirectories,
  type UnderstoodDirectory,
} from './observe/Directories.js';

export { type Observer, type ObserverEvent, type ShimEnding, silent } from './observe/Observer.js';

export { type ProcessTable, processTable } from './observe/life/ProcessTable.js';

export { type BundlePlan, stepsOf } from './plan/Plan.js';

export { type BundleId, isHidden, isValidNamespace } from './policy/Names.js';

export {
  containerd17,
  looksForOrphans,
  policies,
  type Policy,
  type PolicyChoices,
  PolicyName,
  withChoices,
} from './policy/Policy.js';

export { defaultBounds, defaultTimeouts, type Settings, settingsFor, type Timeouts } from './policy/Settings.js';

export type { ProgramSearch } from './policy/ShimProgram.js';

export * as BundleLayout from './capabilities/BundleLayout.js';

export * as MountTable from './observe/MountTable.js';

export * as Removal from './apply/Removal.js';

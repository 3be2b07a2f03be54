/**
 * What an embedder needs: one namespace a module. `@shim-recovery/core/interpreter` is for authors of interpreters and stores,
 * `@shim-recovery/core/documents` for readers and writers of reports, saved plans and recordings.
 */
export * as ByteString from './base/ByteString.js';

export * as Capabilities from './observe/Capabilities.js';

export * as EventSink from './capabilities/EventSink.js';

export * as Policy from './policy/Policy.js';

export * as Recovery from './recovery/Recovery.js';

export * as Report from './report/Report.js';

export * as Settings from './policy/Settings.js';

export * as Stores from './capabilities/Stores.js';

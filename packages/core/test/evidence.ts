import * as fc from 'fast-check';
import * as B from '../src/base/ByteString.js';
import type {
  Answers,
  BundleContents,
  BundleEvidence,
  ConnectionAnswer,
  LogState,
  Reading,
} from '../src/decide/Evidence.js';
import { type FileError, type FileKind, systemError } from '../src/capabilities/FileSystem.js';
import { allSignSources, type Sign, sign, type SignSource, type SignState } from '../src/decide/Signs.js';
import { policies, type Policy } from '../src/policy/Policy.js';
import { answered, type ShimError } from '../src/capabilities/ShimConnector.js';

const text = B.fromText;

/** An ordinary bundle of a running task, before anything was asked. Tests change what their case is about. */
export const listed: Extract<BundleContents, { readonly _tag: 'Listed' }> = {
  _tag: 'Listed',
  shimBinaryPath: { _tag: 'Read', content: text('/opt/bin/containerd-shim-runc-v2') },
  address: { _tag: 'Read', content: text('unix:///run/containerd/s/1') },
  bootstrap: { _tag: 'Absent' },
  log: { _tag: 'Usable', kind: 'fifo' },
  work: { _tag: 'Read', content: text('/root/default/web') },
  sandbox: { _tag: 'Absent' },
  foreign: [],
};

/** The answers of a shim whose task runs. */
export const running: Answers = {
  program: { _tag: 'Right', right: text('/opt/bin/containerd-shim-runc-v2') },
  connection: { _tag: 'Connected', answer: { shimPid: 7, taskPid: 8, version: '' } },
  sandbox: { _tag: 'NotFound' },
  pids: { _tag: 'Right', right: [8] },
};

export const bundle = (
  contents: Partial<typeof listed> | Exclude<BundleContents, typeof listed> | null = {},
  answers: Answers = {},
  more: Partial<Pick<BundleEvidence, 'id' | 'kind'>> = {},
): BundleEvidence => ({
  namespace: text('default'),
  id: text('web'),
  kind: 'directory',
  identity: null,
  ...more,
  contents: contents === null || '_tag' in contents ? (contents as BundleContents | null) : { ...listed, ...contents },
  answers,
});

export const anyPolicy = (): fc.Arbitrary<Policy> => fc.constantFrom(...Object.values(policies));

export const fileError: FileError = systemError('read', text('/state/default/web/x'), 'EIO');

/** What one source may say. */
const signFrom = (source: SignSource): fc.Arbitrary<Sign> =>
  fc
    .constantFrom<SignState>('dead', 'dead', 'dead', 'alive', 'unknown')
    .map((state) => sign(source, state, `${source} says ${state}`, state === 'dead' ? [] : [9]));

/** Any evidence at all, consistent or not: a decision must cope with each. Shrinks towards an unreadable bundle. */
export const anyEvidence = (): fc.Arbitrary<BundleEvidence> => {
  const shimError: fc.Arbitrary<ShimError> = fc.oneof(
    fc.constant<ShimError>({ _tag: 'Closed' }),
    fc.constant<ShimError>({ _tag: 'TimedOut', afterMs: 5000 }),
    fc.nat(20).map((status) => answered(status, 'no')),
  );
  const reading: fc.Arbitrary<Reading> = fc.oneof(
    fc
      .constantFrom('', '/bin/shim', 'io.containerd.runc.v2', 'unix:///s', '{"version":3}')
      .map((content): Reading => ({ _tag: 'Read', content: text(content) })),
    fc.constant<Reading>({ _tag: 'Absent' }),
    fc.constant<Reading>({ _tag: 'Failed', error: fileError }),
  );
  const log: fc.Arbitrary<LogState> = fc.constantFrom<LogState>(
    { _tag: 'Absent' },
    { _tag: 'Usable', kind: 'fifo' },
    { _tag: 'Unusable', error: fileError },
  );
  const contents: fc.Arbitrary<BundleContents | null> = fc.oneof(
    fc.constantFrom<BundleContents | null>({ _tag: 'Unreadable', error: fileError }, { _tag: 'Empty' }, null),
    fc.record({
      _tag: fc.constant('Listed' as const),
      shimBinaryPath: reading,
      address: reading,
      bootstrap: reading,
      log,
      work: reading,
      sandbox: reading,
      foreign: fc.constantFrom([], [text('photos')]),
    }),
  );
  const connection: fc.Arbitrary<ConnectionAnswer> = fc.oneof(
    fc.constantFrom<ConnectionAnswer>(
      { _tag: 'Connected', answer: { shimPid: 1, taskPid: 2, version: '' } },
      { _tag: 'LogFailed', error: fileError },
      { _tag: 'NotProbed' },
    ),
    fc
      .tuple(fc.constantFrom('DialFailed' as const, 'ConnectFailed' as const), shimError)
      .map(([_tag, error]) => ({ _tag, error })),
  );
  const unknown = { _tag: 'Unknown', error: { _tag: 'StoreUnavailable', reason: 'gone' } } as const;
  const answers: fc.Arbitrary<Answers> = fc.record(
    {
      container: fc.constantFrom<NonNullable<Answers['container']>>(
        { _tag: 'Found', value: { runtimeName: text('io.containerd.runc.v2') } },
        { _tag: 'NotFound' },
        unknown,
      ),
      program: fc.constantFrom<NonNullable<Answers['program']>>(
        { _tag: 'Right', right: text('/bin/shim') },
        { _tag: 'Left', left: { _tag: 'NoName' } },
      ),
      connection,
      sandbox: fc.constantFrom<NonNullable<Answers['sandbox']>>(
        { _tag: 'Found', value: { id: text('web') } },
        { _tag: 'NotFound' },
        unknown,
      ),
      pids: fc.oneof(
        fc.array(fc.nat(), { maxLength: 2 }).map((right) => ({ _tag: 'Right' as const, right })),
        shimError.map((left) => ({ _tag: 'Left' as const, left })),
      ),
      state: fc.oneof(
        fc.constantFrom('running' as const, 'stopped' as const).map((status) => ({
          _tag: 'Right' as const,
          right: { status, exit: { pid: 8, exitStatus: 3, exitedAt: { seconds: '0', nanos: 0 } } },
        })),
        shimError.map((left) => ({ _tag: 'Left' as const, left })),
      ),
      signs: fc.tuple(...allSignSources.map((source) => signFrom(source))),
      sharers: fc.array(fc.constant(text('other')), { maxLength: 1 }),
    },
    { requiredKeys: [] },
  );
  return fc.record({
    namespace: fc.constant(text('default')),
    id: fc.constantFrom(text('web'), text('.web')),
    kind: fc.constantFrom<FileKind>('directory', 'file', 'symlink'),
    identity: fc.constantFrom(null, { kind: 'directory' as const, device: '1', inode: '2', bornNs: '3' }),
    contents,
    answers,
  });
};

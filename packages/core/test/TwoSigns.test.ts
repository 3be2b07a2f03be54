import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as B from '../src/ByteString.js';
import { decide } from '../src/Decision.js';
import type { Answers, BundleEvidence } from '../src/Evidence.js';
import { systemError } from '../src/FileSystem.js';
import { careful } from '../src/Policy.js';
import { answered, type ShimError } from '../src/ShimConnector.js';
import { isDestructive } from '../src/Verdict.js';
import { anyEvidence, bundle, fileError, running } from './evidence.js';

const text = B.fromText;

const outcome = (evidence: BundleEvidence, policy = careful): string => {
  const decision = decide(policy)(evidence);
  return decision._tag === 'Settle'
    ? `${decision.verdict._tag} ${decision.verdict.reason}`
    : `ask ${decision.question._tag}`;
};

const processes = (
  shims: ReadonlyArray<number>,
  workload: ReadonlyArray<number>,
): NonNullable<Answers['processes']> => ({
  _tag: 'Right',
  right: { shims, workload },
});
const nothingRuns = processes([], []);
const booted: NonNullable<Answers['bootedMs']> = { _tag: 'Right', right: 1_000 };
const dialFailed = (code: string): NonNullable<Answers['connection']> => ({
  _tag: 'DialFailed',
  error: { _tag: 'DialFailed', code, message: 'no' },
});
const pidsFailed = (left: ShimError): NonNullable<Answers['pids']> => ({ _tag: 'Left', left });
const state = (status: 'running' | 'stopped'): NonNullable<Answers['state']> => ({
  _tag: 'Right',
  right: { status, exit: { pid: 8, exitStatus: 3, exitedAt: { seconds: '0', nanos: 0 } } },
});
const stateFailed = (left: ShimError): NonNullable<Answers['state']> => ({ _tag: 'Left', left });
const noTask = answered(5, 'not found');
const alive: Answers = { ...running, bootedMs: booted };
const dead: Answers = { ...alive, connection: dialFailed('ECONNREFUSED') };
const leaked: Answers = { ...alive, pids: { _tag: 'Right', right: [] }, state: stateFailed(noTask) };
const noProgram: NonNullable<Answers['program']> = { _tag: 'Left', left: { _tag: 'NoName' } };
const noPath = { shimBinaryPath: { _tag: 'Absent' } } as const;
const unknown = { _tag: 'Unknown', error: { _tag: 'StoreUnavailable', reason: 'gone' } } as const;
const absentAddress = { address: { _tag: 'Absent' } } as const;
const leftover = { id: text('.web') };

const rows: ReadonlyArray<readonly [string, BundleEvidence, string]> = [
  ['a running task', bundle({}, alive), 'Adopt task-running'],
  [
    'a log that cannot be opened (L1)',
    bundle({ log: { _tag: 'Unusable', error: fileError } }, alive),
    'Adopt task-running',
  ],
  ['a moved program (H8)', bundle({}, { ...alive, program: noProgram }), 'Adopt task-running'],
  ['unlisted processes (H1)', bundle({}, { ...alive, pids: pidsFailed({ _tag: 'Closed' }) }), 'Adopt pids-unanswered'],
  ['no processes: its state is asked', bundle({}, { ...alive, pids: { _tag: 'Right', right: [] } }), 'ask State'],
  ['a task that exited (H2)', bundle({}, { ...leaked, state: state('stopped') }), 'Adopt task-exited'],
  ['a task that was created', bundle({}, { ...leaked, state: state('running') }), 'Adopt task-running'],
  ['no answer to State', bundle({}, { ...leaked, state: stateFailed({ _tag: 'Closed' }) }), 'Hold shim-unresponsive'],
  ['no task', bundle({}, { ...leaked, processes: nothingRuns, sharers: [] }), 'Reap no-processes'],
  [
    'no such task',
    bundle({}, { ...leaked, pids: pidsFailed(noTask), processes: nothingRuns, sharers: [] }),
    'Reap task-not-found',
  ],
  ['no task, but its processes', bundle({}, { ...leaked, processes: processes([], [9]) }), 'Hold task-disputed'],
  [
    'no task, others need the shim (H18)',
    bundle({}, { ...leaked, processes: nothingRuns, sharers: [text('b')] }),
    'Hold shim-shared',
  ],
  ['a full queue (H5)', bundle({}, { ...alive, connection: dialFailed('EAGAIN') }), 'Hold shim-unresponsive'],
  [
    'no answer in time (H4)',
    bundle({}, { ...alive, connection: { _tag: 'ConnectFailed', error: { _tag: 'TimedOut', afterMs: 5000 } } }),
    'Hold shim-unresponsive',
  ],
  [
    'an address that cannot be dialled',
    bundle({}, { ...alive, connection: dialFailed('EACCES') }),
    'Hold shim-unreachable',
  ],
  ['too few descriptors', bundle({}, { ...alive, connection: dialFailed('EMFILE') }), 'Hold out-of-resources'],
  [
    'too few descriptors to read its runtime',
    bundle({ shimBinaryPath: { _tag: 'Failed', error: systemError('read', text('x'), 'EMFILE') } }),
    'Hold out-of-resources',
  ],
  [
    'too few descriptors to read its address',
    bundle({ address: { _tag: 'Failed', error: systemError('read', text('x'), 'EMFILE') } }, alive),
    'Hold out-of-resources',
  ],
  [
    'too little memory to ask',
    bundle(
      {},
      { ...alive, connection: { _tag: 'ConnectFailed', error: { _tag: 'DialFailed', code: 'ENOBUFS', message: '' } } },
    ),
    'Hold out-of-resources',
  ],
  [
    'nobody listens where one file says, and the other says somewhere else',
    bundle(
      { bootstrap: { _tag: 'Read', content: text('{"version":3,"address":"unix:///s","protocol":"ttrpc"}') } },
      dead,
    ),
    'Hold address-unknown',
  ],
  ['nobody listens: processes are asked', bundle({}, dead), 'ask Processes'],
  ['nobody listens, nothing runs', bundle({}, { ...dead, processes: nothingRuns }), 'CleanUp dial-failed'],
  [
    'nobody listens, the shim is there',
    bundle({}, { ...dead, processes: processes([7], []) }),
    'Hold shim-unreachable',
  ],
  ['an orphan', bundle({}, { ...dead, processes: processes([], [8]) }), 'Hold orphan-workload'],
  [
    'nobody listens, and who knows',
    bundle({}, { ...dead, processes: { _tag: 'Left', left: { _tag: 'ProcessesUnreadable', reason: 'x' } } }),
    'Hold processes-unknown',
  ],
  [
    'dead, without a program',
    bundle({}, { ...dead, program: noProgram, processes: nothingRuns }),
    'Discard shim-binary-not-found',
  ],
  ['no address (H22)', bundle(absentAddress, { ...alive, processes: nothingRuns }), 'CleanUp address-unreadable'],
  [
    'no address, but it runs',
    bundle(absentAddress, { ...alive, processes: processes([], [8]) }),
    'Hold orphan-workload',
  ],
  [
    'only a bootstrap.json (H22)',
    bundle(
      {
        ...absentAddress,
        bootstrap: { _tag: 'Read', content: text('{"version":3,"address":"unix:///s","protocol":"ttrpc"}') },
      },
      alive,
    ),
    'Adopt task-running',
  ],
  ['an unreadable address', bundle({ address: { _tag: 'Failed', error: fileError } }, alive), 'Hold address-unknown'],
  [
    'an address of a newer kind (H24)',
    bundle({ address: { _tag: 'Read', content: text('{"version":4}') } }, alive),
    'Hold address-unknown',
  ],
  ['no container (H9)', bundle(noPath, { ...alive, container: { _tag: 'NotFound' } }), 'Hold no-container'],
  ['a silent store (H9)', bundle(noPath, { ...alive, container: unknown }), 'Hold container-unanswered'],
  [
    'no container, nobody listens',
    bundle(noPath, { ...dead, container: { _tag: 'NotFound' }, processes: nothingRuns }),
    'Discard container-not-found',
  ],
  ['an unreadable bundle (L2)', bundle({ _tag: 'Unreadable', error: fileError }), 'Hold bundle-unreadable'],
  ['an unreadable path', bundle({ shimBinaryPath: { _tag: 'Failed', error: fileError } }), 'Hold bundle-unreadable'],
  [
    'too few descriptors to read it',
    bundle({ _tag: 'Unreadable', error: systemError('open', text('/x'), 'EMFILE') }),
    'Hold out-of-resources',
  ],
  ['an empty bundle', bundle({ _tag: 'Empty' }, { processes: nothingRuns }), 'Discard empty'],
  [
    'an empty bundle whose task runs',
    bundle({ _tag: 'Empty' }, { processes: processes([], [8]) }),
    'Hold orphan-workload',
  ],
  ['a leftover (H11)', bundle(null, { processes: nothingRuns }, leftover), 'Discard leftover'],
  ['a leftover of what runs', bundle(null, { processes: processes([], [8]) }, leftover), 'Hold leftover-in-use'],
];

describe('careful, row by row', () => {
  it.each(rows)('%s', (_, evidence, expected) => {
    expect(outcome(evidence)).toBe(expected);
  });

  it('takes what is older than the start of the machine for dead, undialled, when nothing of it runs', () => {
    const old = {
      ...bundle({}, { ...alive, processes: nothingRuns }),
      identity: { kind: 'directory' as const, device: '1', inode: '2', bornNs: '1000000' },
    };
    const bootedAt = (ms: number): BundleEvidence => ({
      ...old,
      answers: { ...old.answers, bootedMs: { _tag: 'Right', right: ms } },
    });
    expect(outcome(bootedAt(1_000_000))).toBe('CleanUp older-than-boot');
    expect(outcome(bootedAt(60_000))).toBe('Adopt task-running'); // as far as clocks may be set
    expect(outcome({ ...bootedAt(1_000_000), identity: null })).toBe('Adopt task-running'); // nobody knows how old it is
  });

  it('ends an orphan only where that was asked for, and its program is there', () => {
    const reaping = { ...careful, orphans: 'reaped' } as const;
    const orphan: Answers = { ...dead, processes: processes([], [8]) };
    expect(outcome(bundle({}, orphan), reaping)).toBe('CleanUp orphan-reaped');
    expect(outcome(bundle({}, { ...orphan, program: noProgram }), reaping)).toBe('Hold orphan-workload');
    expect(outcome(bundle({}, { ...dead, processes: processes([7], [8]) }), reaping)).toBe('Hold shim-unreachable');
  });
});

describe('careful', () => {
  it('destroys nothing of which a process is known, or of which processes are not known', () => {
    fc.assert(
      fc.property(anyEvidence(), (evidence) => {
        const decision = decide(careful)(evidence);
        if (decision._tag === 'Ask' || !isDestructive(decision.verdict)) return;
        const { processes: known } = evidence.answers;
        expect(known?._tag === 'Right' && known.right.workload).toEqual([]);
      }),
    );
  });
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as B from '../../src/base/ByteString.js';
import { decide } from '../../src/decide/Decision.js';
import type { Answers, BundleEvidence } from '../../src/decide/Evidence.js';
import { systemError } from '../../src/capabilities/FileSystem.js';
import {
  allSignSources,
  livingContainer,
  livingShim,
  sign,
  type Signs,
  type SignSource,
  type SignState,
  unknownSigns,
} from '../../src/decide/Signs.js';
import { careful } from '../../src/policy/Policy.js';
import { answered, type ShimError } from '../../src/capabilities/ShimConnector.js';
import { isDestructive } from '../../src/decide/Verdict.js';
import { anyEvidence, bundle, fileError, running } from '../evidence.js';

const text = B.fromText;

const outcome = (evidence: BundleEvidence, policy = careful): string => {
  const decision = decide(policy)(evidence);
  return decision._tag === 'Decided'
    ? `${decision.verdict._tag} ${decision.verdict.reason}`
    : `ask ${decision.question._tag}`;
};

/** What sources say: those that are named, and of all others that they saw nothing alive. */
const signs = (...some: ReadonlyArray<readonly [SignSource, SignState]>): Signs =>
  allSignSources.map((source) => {
    const state = some.find(([named]) => named === source)?.[1] ?? 'dead';
    return sign(source, state, `${source} says ${state}`, state === 'dead' ? [] : [7]);
  });
const nothingLives = signs();
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
const alive: Answers = running;
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
  ['no task', bundle({}, { ...leaked, signs: nothingLives, sharers: [] }), 'Reap no-processes'],
  [
    'no such task',
    bundle({}, { ...leaked, pids: pidsFailed(noTask), signs: nothingLives, sharers: [] }),
    'Reap task-not-found',
  ],
  [
    'no task, but its processes',
    bundle({}, { ...leaked, signs: signs(['control-group', 'alive']) }),
    'Hold task-disputed',
  ],
  [
    'no task, others need the shim (H18)',
    bundle({}, { ...leaked, signs: nothingLives, sharers: [text('b')] }),
    'Hold shim-shared',
  ],
  [
    'no task, and a source that cannot tell whether its container runs',
    bundle({}, { ...leaked, signs: signs(['runtime-state', 'unknown']), sharers: [] }),
    'Hold processes-unknown',
  ],
  [
    'no task, and another file that says where another shim may listen',
    bundle(
      { bootstrap: { _tag: 'Read', content: text('{"version":3,"address":"unix:///s","protocol":"ttrpc"}') } },
      { ...leaked, signs: nothingLives, sharers: [] },
    ),
    'Hold address-unknown',
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
    'nothing listens where one file says, and the other says somewhere else',
    bundle(
      { bootstrap: { _tag: 'Read', content: text('{"version":3,"address":"unix:///s","protocol":"ttrpc"}') } },
      dead,
    ),
    'Hold address-unknown',
  ],
  ['nothing listens: every source is asked', bundle({}, dead), 'ask Signs'],
  ['nothing listens, nothing runs', bundle({}, { ...dead, signs: nothingLives }), 'CleanUp dial-failed'],
  [
    'nothing listens, the shim is there',
    bundle({}, { ...dead, signs: signs(['shim-process', 'alive']) }),
    'Hold shim-unreachable',
  ],
  ['an orphan', bundle({}, { ...dead, signs: signs(['init-pid', 'alive']) }), 'Hold orphan-workload'],
  [
    'nothing listens, and who knows',
    bundle({}, { ...dead, signs: signs(['own-view', 'unknown']) }),
    'Hold processes-unknown',
  ],
  [
    'dead, without a program',
    bundle({}, { ...dead, program: noProgram, signs: nothingLives }),
    'Discard shim-binary-not-found',
  ],
  ['no address (H22)', bundle(absentAddress, { ...alive, signs: nothingLives }), 'CleanUp address-unreadable'],
  [
    'no address, but it runs',
    bundle(absentAddress, { ...alive, signs: signs(['init-pid', 'alive']) }),
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
    'no container, nothing listens',
    bundle(noPath, { ...dead, container: { _tag: 'NotFound' }, signs: nothingLives }),
    'Discard container-not-found',
  ],
  ['an unreadable bundle (L2)', bundle({ _tag: 'Unreadable', error: fileError }), 'Hold bundle-unreadable'],
  ['an unreadable path', bundle({ shimBinaryPath: { _tag: 'Failed', error: fileError } }), 'Hold bundle-unreadable'],
  [
    'too few descriptors to read it',
    bundle({ _tag: 'Unreadable', error: systemError('open', text('/x'), 'EMFILE') }),
    'Hold out-of-resources',
  ],
  ['an empty bundle', bundle({ _tag: 'Empty' }, { signs: nothingLives }), 'Discard empty'],
  [
    'an empty bundle whose task runs',
    bundle({ _tag: 'Empty' }, { signs: signs(['init-pid', 'alive']) }),
    'Hold orphan-workload',
  ],
  ['a leftover (H11)', bundle({ _tag: 'Empty' }, { signs: nothingLives }, leftover), 'Discard leftover'],
  [
    'a leftover of what runs',
    bundle({ _tag: 'Empty' }, { signs: signs(['init-pid', 'alive']) }, leftover),
    'Hold leftover-in-use',
  ],
];

describe('careful, row by row', () => {
  it.each(rows)('%s', (_, evidence, expected) => {
    expect(outcome(evidence)).toBe(expected);
  });

  it('ends an orphan only where that was asked for, and its program is there', () => {
    const reaping = { ...careful, orphans: 'reaped' } as const;
    const orphan: Answers = { ...dead, signs: signs(['init-pid', 'alive']) };
    expect(outcome(bundle({}, orphan), reaping)).toBe('CleanUp orphan-reaped');
    expect(outcome(bundle({}, { ...orphan, program: noProgram }), reaping)).toBe('Hold orphan-workload');
    expect(outcome(bundle({}, { ...dead, signs: signs(['listener', 'alive'], ['init-pid', 'alive']) }), reaping)).toBe(
      'Hold shim-unreachable',
    );
    const unsure: Answers = { ...dead, signs: signs(['shim-process', 'unknown'], ['init-pid', 'alive']) };
    expect(outcome(bundle({}, unsure), reaping)).toBe('Hold processes-unknown');
  });

  it('ends only the orphans that were named, if any were', () => {
    const orphan: Answers = { ...dead, signs: signs(['init-pid', 'alive']) };
    const only = (...reapedOrphans: ReadonlyArray<string>) =>
      ({ ...careful, orphans: 'reaped', reapedOrphans }) as const;
    expect(outcome(bundle({}, orphan), only('default/web'))).toBe('CleanUp orphan-reaped');
    expect(outcome(bundle({}, orphan), only('default/db', 'other/web'))).toBe('Hold orphan-workload');
  });
});

describe('one source alone', () => {
  it.each(allSignSources)('%s, if it says alive, keeps a bundle whose shim does not answer', (source) => {
    const evidence = bundle({}, { ...dead, signs: signs([source, 'alive']) });
    if (source === 'own-view') return; // it never says so
    expect(outcome(evidence)).toMatch(/^Hold (shim-unreachable|orphan-workload)$/);
  });

  it.each(allSignSources)('%s, if it cannot tell, keeps a bundle whose shim does not answer', (source) => {
    expect(outcome(bundle({}, { ...dead, signs: signs([source, 'unknown']) }))).toBe('Hold processes-unknown');
  });
});

describe('an address', () => {
  const at = (content: string): BundleEvidence => bundle({ address: { _tag: 'Read', content: text(content) } }, dead);

  it.each([
    'vsock://3:1024',
    'hvsock:///run/hv.sock:10240',
    'npipe:////./pipe/containerd-shim-default-pipe',
    'tcp://10.0.0.5:7777',
    'some words',
    'unix://',
    'unix://relative/path',
    'unix:///run/s/1\n',
    '\0'.repeat(40),
    '{"version":3,"address":"vsock://3:10240","protocol":"grpc"}',
    '{"version":3,"address":"unix:///run/s/1","protocol":"grpc"}',
  ])('%j is not dialled as if it were a unix socket', (content) => {
    expect(outcome(at(content))).toBe('Hold address-unknown');
  });

  it.each([
    'unix:///run/containerd/s/1',
    'unix://@/containerd-shim/x',
    '/containerd-shim/default/web/shim.sock',
    `/containerd-shim/${'a'.repeat(64)}.sock`,
    '{"version":3,"address":"/run/s/1","protocol":"grpc"}',
  ])('%j is dialled', (content) => {
    expect(
      outcome(bundle({ address: { _tag: 'Read', content: text(content) } }, { program: alive.program ?? noProgram })),
    ).toBe('ask Connection');
  });

  it('that one file lost keeps the bundle where the other one names a socket without a listener', () => {
    const nuls = { _tag: 'Read', content: text('\0\0\0') } as const;
    const named = { _tag: 'Read', content: text('{"version":3,"address":"unix:///s","protocol":"ttrpc"}') } as const;
    expect(outcome(bundle({ address: nuls, bootstrap: named }, dead))).toBe('Hold address-unknown');
    expect(outcome(bundle({ bootstrap: nuls }, dead))).toBe('Hold address-unknown');
  });
});

describe('a directory that holds what no bundle has', () => {
  const absent = { _tag: 'Absent' } as const;
  const own = { foreign: [text('photos')], work: absent, shimBinaryPath: absent, address: absent };
  const answers: Answers = { ...dead, container: { _tag: 'NotFound' }, signs: nothingLives };

  it('is held, and not discarded only because no container of its name is recorded', () => {
    expect(outcome(bundle(own, answers))).toBe('Hold not-a-bundle');
    expect(outcome(bundle(own, answers, { id: text('.cache') }))).toBe('Hold not-a-bundle');
  });

  it('is held, and not cleaned up only because a container of its name is recorded', () => {
    const container: Answers['container'] = { _tag: 'Found', value: { runtimeName: text('/bin/shim') } };
    expect(outcome(bundle(own, { ...answers, container }))).toBe('Hold not-a-bundle');
  });

  it('is a bundle all the same if it says where its shim listens', () => {
    const { address: _, ...rest } = own;
    expect(outcome(bundle(rest, answers))).toBe('Discard container-not-found');
  });

  it('is a bundle all the same if its work link says so', () => {
    const work = { _tag: 'Read', content: text('/root/default/web') } as const;
    expect(outcome(bundle({ ...own, work }, answers))).toBe('Discard container-not-found');
    expect(outcome(bundle({ ...own, work }, answers, { id: text('.web') }))).toBe('Discard leftover');
  });
});

describe('careful', () => {
  it('destroys nothing of which a source says that it lives, or cannot tell', () => {
    fc.assert(
      fc.property(anyEvidence(), (evidence) => {
        const decision = decide(careful)(evidence);
        if (decision._tag === 'Ask' || !isDestructive(decision.verdict)) return;
        const { signs: known = [] } = evidence.answers;
        expect(known.length).toBeGreaterThan(0);
        expect(livingContainer(known)).toEqual([]);
        const isReaped = decision.verdict._tag === 'Reap';
        if (!isReaped && decision.verdict.reason !== 'leftover') {
          expect(livingShim(known)).toEqual([]);
          expect(unknownSigns(known)).toEqual([]);
        }
      }),
    );
  });
});

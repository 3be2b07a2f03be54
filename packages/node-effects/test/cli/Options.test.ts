/** What may be typed, and what every mistake comes to. */
import * as path from 'node:path';
import { policies } from '@shim-recovery/core/interpreter';
import { allPolicyNames } from '../../../core/src/policy/Policy.js';
import * as fc from 'fast-check';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, test } from 'vitest';
import { helpText } from '../../src/cli/arguments/Help.js';
import { commandNames, defaultRoot, defaultState } from '../../src/cli/arguments/OptionTable.js';
import { optionNames, parseCommandLine } from '../../src/cli/arguments/CommandLine.js';
import { type Command, type HostOptions, inDirectories } from '../../src/cli/arguments/Options.js';
import { right } from '../temporary.js';

const hostOf = (...args: ReadonlyArray<string>): HostOptions => {
  const command = right(parseCommandLine(['plan', ...args]));
  return command._tag === 'Plan' ? command.host : expect.fail(`it is ${command._tag}`);
};

const mistake = (...args: ReadonlyArray<string>): string => {
  const command = parseCommandLine(args);
  return E.isLeft(command) ? command.left.message : `understood as ${command.right._tag}`;
};

interface Documented {
  readonly name: string;
  readonly short: string | undefined;
  /** What stands for its value, in capitals. */
  readonly value: string | undefined;
}

/** The options in a help text: lines such as `  -h, --help   this text` and `  --state DIR   state directory`. */
const documentedIn = (text: string): ReadonlyArray<Documented> =>
  [...text.matchAll(/^ {2}(?:(-[A-Za-z]), )?(--[a-z-]+)(?: ([A-Z]+))? {2,}/gm)].map(([, short, name, value]) => ({
    name: name ?? '',
    short,
    value,
  }));

/** For each kind of value one that is right. */
const sampleValues: Readonly<Record<string, string>> = {
  DIR: '/srv/state',
  STORE: 'json:/srv/store.json',
  NS: 'k8s.io',
  NAME: 'careful',
  WHAT: 'reap',
  SHARE: '0.25',
  N: '16',
  T: '500ms',
  SOCKET: '/run/daemon.sock',
  FILE: '/usr/bin/daemon',
  PATH: '/opt/bin:/usr/bin',
};

/** What some commands cannot do without. */
const neededBy: Readonly<Record<string, ReadonlyArray<string>>> = {
  replay: ['/srv/recording'],
  compare: ['--policy', 'containerd-2.1'],
  explain: ['web'],
};

/** What some options say nothing without. */
const neededWith: Readonly<Record<string, ReadonlyArray<string>>> = { '--orphans': ['--policy', 'careful'] };

/** Options that exclude others: those that tell of this host, or all that a plan settles. */
const excludesOthers = ['--recording', '--plan', '--out'];

describe.each(commandNames)('the help of %s', (name) => {
  const documented = documentedIn(helpText(name));
  const file = neededBy[name] ?? [];
  const typed = ({ name: option, value }: Documented): ReadonlyArray<string> => {
    if (value === undefined) return [option];
    // No two directories may be the same one.
    return [option, value === 'DIR' ? `/srv${option}` : (sampleValues[value] ?? expect.fail(`no sample of ${value}`))];
  };

  test('names options that are all accepted, with a value where one is shown', () => {
    for (const option of documented) {
      const tag = option.name === '--help' ? 'Help' : undefined;
      const command = right(parseCommandLine([name, ...file, ...(neededWith[option.name] ?? []), ...typed(option)]));
      expect(command._tag.toLowerCase()).toBe(tag?.toLowerCase() ?? name);
      if (option.short !== undefined) expect(parseCommandLine([name, option.short])).toEqual(E.right(command));
      if (option.value !== undefined) expect(mistake(name, option.name)).toMatch(/argument missing|see shim-recovery/);
      else expect(mistake(name, `${option.name}=x`)).toMatch(/does not take an argument/);
    }
    const together = documented.filter((option) => !['--help', ...excludesOthers].includes(option.name));
    expect(E.isRight(parseCommandLine([name, ...file, ...together.flatMap(typed)]))).toBe(true);
  });

  test('names every option that is accepted, and no other', () => {
    expect(documented.map((option) => option.name).sort()).toEqual([...optionNames(name)].sort());
  });
});

test('the overview names every command and every exit code', () => {
  const text = helpText(undefined);
  for (const name of commandNames) expect(text).toMatch(new RegExp(`^  ${name} `, 'm'));
  for (const code of [0, 1, 2, 3, 4]) expect(text).toMatch(new RegExp(`Exit codes:.* ${code} `));
});

test.each<readonly [ReadonlyArray<string>, Command]>([
  [['--help'], { _tag: 'Help', about: undefined }],
  [['-h'], { _tag: 'Help', about: undefined }],
  [['help'], { _tag: 'Help', about: undefined }],
  [['help', 'plan'], { _tag: 'Help', about: 'plan' }],
  [['recover', '--help'], { _tag: 'Help', about: 'recover' }],
  [['plan', '-h', '--concurrency', '0'], { _tag: 'Help', about: 'plan' }],
  [['--version'], { _tag: 'Version' }],
  [['-V'], { _tag: 'Version' }],
  [['demo'], { _tag: 'Demo' }],
])('%j is understood', (args, command) => {
  expect(parseCommandLine(args)).toEqual(E.right(command));
});

describe('what is not said', () => {
  test('is what the reference has, but for the policy: careful, which kills nothing that lives', () => {
    const host = hostOf();
    expect(host).toMatchObject({
      state: defaultState,
      root: defaultRoot,
      store: { _tag: 'Bolt', path: '/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db' },
      timeouts: { loadMs: 5_000, cleanUpMs: 5_000, shutdownMs: 3_000, storeMs: 5_000 },
      address: '/run/containerd/containerd.sock',
      ttrpcAddress: '/run/containerd/containerd.sock.ttrpc',
      publishBinary: '/usr/bin/containerd',
      namespaces: [],
      isDebug: false,
      isJson: false,
      isDetailedExitCode: false,
    });
    expect(host.policy).toEqual(policies.careful);
    expect(host.allowKilling).toBe(false);
  });

  test('follows the directories and the address that were given', () => {
    expect(hostOf('--root', '/srv/lib/tasks').store).toEqual({
      _tag: 'Bolt',
      path: '/srv/lib/io.containerd.metadata.v1.bolt/meta.db',
    });
    expect(hostOf('--state', '/srv/run/tasks')).toMatchObject({
      address: '/srv/run/containerd.sock',
      ttrpcAddress: '/srv/run/containerd.sock.ttrpc',
    });
    expect(hostOf('--address', '/a.sock').ttrpcAddress).toBe('/a.sock.ttrpc');
  });
});

test('the PATH of the daemon is that which is said, or looked for', () => {
  expect(hostOf().programPath).toBeUndefined();
  expect(hostOf('--path', '/opt/bin:bin').programPath).toEqual({ path: '/opt/bin:bin', from: '--path' });
  expect(mistake('plan', '--path=')).toBe('--path is empty; name directories, with a colon between them');
  expect(mistake('plan', '--path', '/a\0b')).toBe('--path holds a NUL byte');
});

test('what follows the directories follows them once more when they are understood, and nothing that was said', () => {
  const directories = { state: '/run/k3s/containerd/tasks', root: '/srv/containerd/tasks' };
  expect(inDirectories(directories)(hostOf())).toMatchObject({
    ...directories,
    store: { _tag: 'Bolt', path: '/srv/containerd/io.containerd.metadata.v1.bolt/meta.db' },
    address: '/run/k3s/containerd/containerd.sock',
    ttrpcAddress: '/run/k3s/containerd/containerd.sock.ttrpc',
  });
  expect(inDirectories(directories)(hostOf('--address', '/a.sock', '--store', 'none'))).toMatchObject({
    store: { _tag: 'None' },
    address: '/a.sock',
    ttrpcAddress: '/a.sock.ttrpc',
  });
  expect(inDirectories(directories)(hostOf('--ttrpc-address', '/t.sock'))).toMatchObject({
    address: '/run/k3s/containerd/containerd.sock',
    ttrpcAddress: '/t.sock',
  });
});

test('a relative path is meant from here', () => {
  const host = hostOf('--state', 'state', '--root=./root/', '--store', 'json:store.json');
  expect(host.state).toBe(path.resolve('state'));
  expect(host.root).toBe(path.resolve('root'));
  expect(host.store).toEqual({ _tag: 'Json', path: path.resolve('store.json') });
});

test.each<readonly [string, HostOptions['store']]>([
  ['none', { _tag: 'None' }],
  ['bolt:/a/meta.db', { _tag: 'Bolt', path: '/a/meta.db' }],
  ['containerd:/a/c.sock', { _tag: 'Containerd', socketPath: '/a/c.sock' }],
  ['json:/a/b:c.json', { _tag: 'Json', path: '/a/b:c.json' }],
])('--store %s', (text, store) => {
  expect(hostOf('--store', text).store).toEqual(store);
});

describe('--policy', () => {
  test.each(Object.values(policies))('$name is meant as it is', (policy) => {
    expect(hostOf('--policy', policy.name).policy).toEqual(policy);
  });

  test('says what becomes of orphans, and how much may be destroyed', () => {
    expect(hostOf('--policy', 'careful', '--orphans', 'reap').policy).toEqual({
      ...policies.careful,
      orphans: 'reaped',
    });
    expect(hostOf('--policy', 'careful', '--orphans', 'hold').policy).toEqual(policies.careful);
    expect(hostOf('--may-destroy', '0.25').policy.mayDestroy).toBe(0.25);
    expect(hostOf('--orphans', 'reap').policy).toEqual({ ...policies.careful, orphans: 'reaped' });
    expect(mistake('plan', '--policy', 'containerd-1.7', '--orphans', 'reap')).toBe(
      '--orphans says nothing to containerd-1.7; it is for --policy careful',
    );
    expect(mistake('plan', '--policy', 'careful', '--orphans', 'kill')).toBe(
      '--orphans takes hold, reap or reap=NAMESPACE/ID, not kill',
    );
    for (const share of ['2', '-0.1', 'all', '0x1', ''])
      expect(mistake('plan', `--may-destroy=${share}`)).toMatch(/may-destroy/);
  });

  test('names the orphans that are reaped, one by one', () => {
    const reaping = (...args: ReadonlyArray<string>) => {
      const { orphans, reapedOrphans } = hostOf(...args.flatMap((what) => ['--orphans', what])).policy;
      return { orphans, reapedOrphans };
    };
    expect(reaping('reap=default/web')).toEqual({ orphans: 'reaped', reapedOrphans: ['default/web'] });
    expect(reaping('reap=default/web', 'reap=k8s.io/0a1b')).toEqual({
      orphans: 'reaped',
      reapedOrphans: ['default/web', 'k8s.io/0a1b'],
    });
    // A bare one says that there are some, and the others which.
    expect(reaping('reap', 'reap=default/web')).toEqual({ orphans: 'reaped', reapedOrphans: ['default/web'] });
    expect(reaping('reap', 'reap')).toEqual({ orphans: 'reaped', reapedOrphans: [] });
    expect(reaping('hold', 'hold')).toEqual({ orphans: 'held', reapedOrphans: [] });
    expect(reaping('reap=default/a=b c\\x0a')).toEqual({ orphans: 'reaped', reapedOrphans: ['default/a=b c\\x0a'] });
    expect(mistake('plan', '--policy', 'containerd-2.1', '--orphans', 'reap=default/web')).toBe(
      '--orphans says nothing to containerd-2.1; it is for --policy careful',
    );
  });

  test.each([
    ['hold', 'reap'],
    ['reap', 'hold'],
    ['hold', 'reap=default/web'],
    ['reap=default/web', 'hold'],
  ])('cannot both %s and %s', (first, second) => {
    expect(mistake('recover', '--orphans', first, `--orphans=${second}`)).toBe(
      '--orphans hold and --orphans reap contradict each other; leave one of them out',
    );
  });

  test.each([
    '',
    'Reap',
    'reap=',
    'reap=web',
    'reap=default/',
    'reap=/web',
    'reap=default/web/2',
    'reap=bad..ns/web',
    'reap=a b/web',
    'reap:default/web',
    'hold=default/web',
    'reap=default/web,default/db',
  ])('refuses the form --orphans=%s', (what) => {
    expect(mistake('plan', '--orphans', 'reap=default/fine', `--orphans=${what}`)).toBe(
      `--orphans takes hold, reap or reap=NAMESPACE/ID, not ${what}`,
    );
  });

  test.each(['plan', 'recover'] as const)('is told in the help of %s, with every name and the default', (name) => {
    const [line] = /^ {2}--policy .*$/m.exec(helpText(name)) ?? [];
    for (const policy of allPolicyNames)
      expect(line).toContain(policy === hostOf().policy.name ? `${policy} (default)` : policy);
  });
});

test.each([
  ['1ms', 1],
  ['500ms', 500],
  ['5s', 5_000],
  ['1.5s', 1_500],
  ['2m', 120_000],
])('--load-timeout %s is %d ms', (text, ms) => {
  expect(hostOf('--load-timeout', text).timeouts.loadMs).toBe(ms);
});

test.each(['', '0', '5', '0s', '-1s', '5h', '5 s', 's', '.5s', '1e3ms', 'NaNs', 'Infinitys', '99999999999999m', '٣s'])(
  'a time-out of %j is refused',
  (text) => {
    for (const option of ['load-timeout', 'cleanup-timeout', 'shutdown-timeout'])
      expect(mistake('recover', `--${option}=${text}`)).toBe(
        `--${option} ${text} is no duration; write one like 5s, 500ms or 1.5m`,
      );
  },
);

test.each(['', '0', '-1', '1.5', '1e3', 'many', '65537', '99999999999999999999', '0x10', ' 1'])(
  'a concurrency of %j is refused',
  (text) => {
    expect(mistake('plan', `--concurrency=${text}`)).toBe(`--concurrency ${text} is not a number from 1 to 65536`);
  },
);

test.each(['', '.', '..', 'bad..ns', '.hidden', '-x', 'x-', 'a/b', 'ä', 'a b', 'a\n', 'a'.repeat(77)])(
  'the namespace %j is refused',
  (namespace) => {
    expect(mistake('plan', '--namespace', 'fine', `--namespace=${namespace}`)).toContain(
      `--namespace ${JSON.stringify(namespace)} is not valid`,
    );
  },
);

test('several namespaces are all meant', () => {
  expect(hostOf('--namespace', 'default', '--namespace=k8s.io').namespaces).toEqual(['default', 'k8s.io']);
});

test('what replay is told', () => {
  const told = ['replay', 'a', '--policy', 'containerd-2.1', '--namespace', 'k8s.io', '--json'];
  expect(right(parseCommandLine(told))).toMatchObject({
    replay: { path: path.resolve('a'), namespaces: ['k8s.io'], policy: 'containerd-2.1', choices: {}, isJson: true },
  });
  expect(right(parseCommandLine(['replay', 'a']))).toMatchObject({ replay: { policy: undefined, namespaces: [] } });
});

test('what becomes of orphans where a recording is read', () => {
  const choicesOf = (...args: ReadonlyArray<string>): unknown => {
    const command = right(parseCommandLine(args));
    if (command._tag === 'Replay') return command.replay.choices;
    if (command._tag === 'Compare') return command.compare.choices;
    if (command._tag !== 'Explain') return expect.fail(`it is ${command._tag}`);
    const { source } = command.explain;
    return source._tag === 'Host' ? source.host.policy.orphans : source.choices;
  };
  const reap = ['--orphans', 'reap'];
  const reaped = { orphans: 'reaped' };
  // Whose it is is not known before the recording is read.
  expect(choicesOf('replay', 'a', ...reap)).toEqual(reaped);
  expect(choicesOf('replay', 'a', '--policy', 'careful', ...reap)).toEqual(reaped);
  expect(choicesOf('compare', 'a', '--policy', 'careful', ...reap)).toEqual(reaped);
  expect(choicesOf('compare', '--policy', 'careful', ...reap)).toEqual(reaped);
  expect(choicesOf('explain', 'web', '--recording', 'a', ...reap)).toEqual(reaped);
  expect(choicesOf('explain', 'web', '--policy', 'careful', ...reap)).toBe('reaped');
  expect(mistake('replay', 'a', '--policy', 'containerd-2.1', ...reap)).toMatch(/^--orphans says nothing to cont/);
  expect(mistake('explain', 'web', '--recording', 'a', '--policy', 'containerd-2.1', ...reap)).toMatch(/^--orphans/);
  expect(mistake('compare', '--policy', 'containerd-2.1', ...reap)).toBe(
    '--orphans says nothing to containerd-1.7 and containerd-2.1; it is for --policy careful',
  );
  expect(mistake('replay', 'a', '--orphans', 'kill')).toBe('--orphans takes hold, reap or reap=NAMESPACE/ID, not kill');
  const named = ['--orphans', 'reap=default/web', '--orphans=reap=default/db'];
  const some = { orphans: 'reaped', reapedOrphans: ['default/web', 'default/db'] };
  expect(choicesOf('replay', 'a', ...named)).toEqual(some);
  expect(choicesOf('compare', 'a', '--policy', 'careful', ...named)).toEqual(some);
  expect(choicesOf('explain', 'web', '--recording', 'a', ...named)).toEqual(some);
});

test('what lives may be destroyed only if that is said, where something is destroyed or planned', () => {
  for (const name of ['plan', 'recover']) {
    const command = right(parseCommandLine([name, '--policy', 'containerd-1.7', '--allow-killing']));
    expect(command).toMatchObject(
      name === 'plan' ? { host: { allowKilling: true } } : { source: { host: { allowKilling: true } } },
    );
  }
  expect(hostOf('--policy', 'containerd-1.7').allowKilling).toBe(false);
  // It is no mistake under careful: a script may give it with each policy.
  expect(hostOf('--allow-killing').policy).toEqual(policies.careful);
  expect(mistake('recover', '--plan', 'x', '--allow-killing')).toBe(
    '--allow-killing was settled when the plan was made; leave it out, or make a new plan with it',
  );
  expect(mistake('plan', '--allow-killing=yes')).toMatch(/does not take an argument/);
  for (const args of [
    ['compare', '--policy', 'containerd-2.1'],
    ['explain', 'web'],
    ['replay', 'a'],
  ])
    expect(mistake(...args, '--allow-killing')).toMatch(new RegExp(`^${args[0]} has no option --allow-killing;`));
});

test('where plan and recover record', () => {
  for (const name of ['plan', 'recover']) {
    expect(right(parseCommandLine([name, '--record', 'x']))).toMatchObject({ recordPath: path.resolve('x') });
    expect(right(parseCommandLine([name]))).toMatchObject({ recordPath: undefined });
  }
});

test('where plan saves to, and what recover carries out', () => {
  expect(right(parseCommandLine(['plan', '--out', 'x']))).toMatchObject({ outPath: path.resolve('x') });
  expect(right(parseCommandLine(['plan']))).toMatchObject({ outPath: undefined });
  expect(right(parseCommandLine(['recover']))).toMatchObject({ source: { _tag: 'Host' } });
  const told = ['recover', '--plan', 'x', '--load-timeout', '1s', '--concurrency', '7', '--json', '--watch', '--force'];
  expect(right(parseCommandLine([...told, '--record', 'y', '--detailed-exitcode']))).toEqual({
    _tag: 'Recover',
    source: {
      _tag: 'Plan',
      path: path.resolve('x'),
      own: {
        waiting: 7,
        timeouts: { loadMs: 1_000, cleanUpMs: 5_000, shutdownMs: 3_000, storeMs: 5_000 },
        isJson: true,
        isDetailedExitCode: true,
      },
    },
    recordPath: path.resolve('y'),
    isWatching: true,
    isForced: true,
  });
});

test('whatever a plan settles cannot be said again', () => {
  const settled = documentedIn(helpText('recover'))
    .filter(({ name, value }) => E.isLeft(parseCommandLine(['recover', '--plan', 'x', name, ...(value ? ['1s'] : [])])))
    .map(({ name }) => name);
  // The help says which others are taken.
  const [, taken = ''] = /With it only ((?:.|\n)*?) are taken/.exec(helpText('recover')) ?? [];
  for (const name of settled) {
    if (name === '--plan' || name === '--concurrency') continue;
    const isSwitch = ['--debug', '--allow-killing'].includes(name);
    expect(mistake('recover', '--plan', 'x', `${name}${isSwitch ? '' : '=1'}`)).toBe(
      `${name} was settled when the plan was made; leave it out, or make a new plan with it`,
    );
    expect(taken).not.toContain(`${name},`);
  }
  expect(settled).toEqual(
    expect.arrayContaining([
      '--state',
      '--root',
      '--store',
      '--namespace',
      '--policy',
      '--orphans',
      '--allow-killing',
      '--may-destroy',
      '--address',
      '--ttrpc-address',
      '--publish-binary',
      '--path',
      '--debug',
    ]),
  );
});

const pair = ['--policy', 'containerd-1.7', '--policy', 'containerd-2.1'];

test('one policy is compared with containerd 1.7, two with each other', () => {
  const compared = (...args: ReadonlyArray<string>): ReadonlyArray<string> => {
    const command = right(parseCommandLine(['compare', ...args]));
    if (command._tag !== 'Compare') return expect.fail(`it is ${command._tag}`);
    return [command.compare.policies.first.name, command.compare.policies.second.name];
  };
  expect(compared('--policy', 'containerd-2.1')).toEqual(['containerd-1.7', 'containerd-2.1']);
  expect(compared('a', '--policy', 'containerd-2.1', '--policy', 'containerd-1.6')).toEqual([
    'containerd-2.1',
    'containerd-1.6',
  ]);
});

test('a bundle is named with or without its namespace, on this host or a recorded one', () => {
  expect(right(parseCommandLine(['explain', 'k8s.io/web']))).toMatchObject({
    explain: { bundle: { namespace: 'k8s.io', id: 'web' }, source: { _tag: 'Host', isProbing: true } },
  });
  expect(right(parseCommandLine(['explain', 'web', '--recording', 'a']))).toMatchObject({
    explain: { bundle: { id: 'web' }, source: { _tag: 'Recording', path: path.resolve('a'), policy: undefined } },
  });
});

test.each<readonly [ReadonlyArray<string>, RegExp]>([
  [[], /^a command is missing; it takes plan, recover, compare, explain, replay, demo$/],
  [['pln'], /^there is no command pln; did you mean plan\?; see shim-recovery --help$/],
  [['destroy'], /^there is no command destroy; see/],
  [['__proto__'], /^there is no command __proto__/],
  [['help', 'plam'], /^there is no command plam; it takes/],
  [['plan', '--stat', '/a'], /^plan has no option --stat; did you mean --state\?; see shim-recovery plan --help$/],
  [['plan', '--force'], /^plan has no option --force;/],
  [['recover', '--no-probe'], /^recover has no option --no-probe;/],
  [['recover', '--forse'], /did you mean --force\?/],
  [['plan', '--bogus'], /^plan has no option --bogus; see shim-recovery plan --help$/],
  [['plan', '--detailedexitcod'], /did you mean --detailed-exitcode\?/],
  [['demo', '--state', '/a'], /^demo has no option --state;/],
  [['plan', '-x'], /Unknown option '-x'; see shim-recovery plan --help$/],
  [['plan', 'extra'], /Unexpected argument 'extra'/],
  [['plan', '--', 'extra'], /nothing may follow/],
  [['plan', '--state'], /--state.*argument missing/],
  [['plan', '--state', '--json'], /--state.*ambiguous/],
  [['plan', '--state='], /^--state is empty; give it a path$/],
  [['plan', '--root', 'a\0b'], /^--root holds a NUL byte$/],
  [['plan', '--policy', 'containerd-0.2'], /^--policy containerd-0.2 is not known; it takes containerd-1.6, /],
  [['plan', '--policy', 'toString'], /^--policy toString is not known/],
  [['plan', '--store', `containerd:/${'x'.repeat(107)}`], /^--store containerd:\/x+ is longer than the 107 bytes of a/],
  [['plan', '--store', 'bolt'], /^--store bolt is no store; it takes bolt:FILE, containerd:SOCKET, json:FILE or none$/],
  [['plan', '--store', 'bolt:'], /^--store bolt: lacks a path/],
  [['plan', '--store', 'json:'], /^--store json: lacks a path/],
  [['plan', '--store', 'containerd:'], /^--store containerd: lacks a path/],
  [['plan', '--store', 'sqlite:/a'], /^--store sqlite:\/a is no store/],
  [['plan', '--store', 'None'], /^--store None is no store/],
  [['plan', '--store='], /is no store/],
  [['plan', '--record='], /^--record is empty/],
  [['plan', '--record', 'a\0b'], /^--record holds a NUL byte$/],
  [['recover', '--record', '-'], /^--record takes a file; stdout is for the report$/],
  [['plan', '--state', '/a/state', '--record', '/a/state/x'], /^--record \/a\/state\/x lies in \/a\/state, which is/],
  [['plan', '--root', '/a/root', '--record', '/a/root/b/../x'], /^--record \/a\/root\/x lies in \/a\/root, which is/],
  [['plan', '--out='], /^--out is empty/],
  [['plan', '--out', '-'], /^--out takes a file; stdout is for the report$/],
  [['plan', '--out', 'x', '--no-probe'], /^--out saves what is to be done, and with --no-probe that is not known;/],
  [['plan', '--out', 'x', '--record', './x'], /^--out and --record name the same file; give each its own$/],
  [['plan', '--state', '/a/state', '--out', '/a/state/x'], /^--out \/a\/state\/x lies in \/a\/state, which is/],
  [['plan', '--plan', 'x'], /^plan has no option --plan;/],
  [['recover', '--out', 'x'], /^recover has no option --out;/],
  [['recover', '--plan='], /^--plan is empty; give it a path$/],
  [['recover', '--plan', '-'], /^--plan reads a file, not stdin; save the plan first$/],
  [['recover', '--plan', 'a\0b'], /^--plan holds a NUL byte$/],
  [['recover', '--plan', 'x', '--concurrency', '0'], /^--concurrency 0 is not a number/],
  [['recover', '--plan', 'x', '--record', '-'], /^--record takes a file/],
  [['replay'], /^replay needs the recording: replay FILE$/],
  [['replay', ''], /^replay needs the recording/],
  [['replay', 'a', 'b'], /^replay takes one recording, and "b" is one more$/],
  [['replay', '-'], /^replay reads a file, not stdin; save the recording first$/],
  [['replay', 'a\0b'], /^the name of the recording holds a NUL byte$/],
  [['replay', 'a', '--policy', 'toString'], /^--policy toString is not known/],
  [['replay', 'a', '--namespace', 'bad..ns'], /^--namespace "bad..ns" is not valid/],
  [['replay', 'a', '--state', '/b'], /^replay has no option --state;/],
  [['compare'], /^compare needs --policy once, to compare with containerd-1\.7, or twice; it takes containerd-1\.6, /],
  [['compare', ...pair, '--policy', 'containerd-1.6'], /^compare takes two policies; run it once for each pair$/],
  [['compare', '--policy', 'containerd-1.7'], /^containerd-1\.7 would be compared with itself; name another policy/],
  [['compare', '--policy', 'toString'], /^--policy toString is not known/],
  [['compare', 'a', 'b', ...pair], /^compare takes one recording, and "b" is one more$/],
  [['compare', '-', ...pair], /^a recording is read from a file, not from stdin; save it first$/],
  [['compare', '', ...pair], /^the name of the recording is empty$/],
  [['compare', 'a\0b', ...pair], /^the name of the recording holds a NUL byte$/],
  [['compare', 'a', '--state', '/b', ...pair], /^--state is about this host, and a recording tells of another;/],
  [['compare', '--record', 'a', ...pair], /^compare has no option --record;/],
  [['explain'], /^explain needs the bundle: explain \[NAMESPACE\/\]ID$/],
  [['explain', ''], /^explain needs the bundle/],
  [['explain', 'a', 'b'], /^explain takes one bundle, and "b" is one more$/],
  [['explain', 'a', '--recording', '-'], /^a recording is read from a file/],
  [['explain', 'a', '--recording', 'b', '--no-probe'], /^--no-probe is about this host/],
  [['explain', 'a', '--recording', 'b', '--policy', 'toString'], /^--policy toString is not known/],
  [['explain', 'a', '--detailed-exitcode'], /^explain has no option --detailed-exitcode;/],
])('%j is a mistake', (args, message) => {
  expect(mistake(...args)).toMatch(message);
});

test.each([
  ['/srv/tasks', '/srv/tasks'],
  ['/srv/tasks/', '/srv/x/../tasks'],
  ['/srv/tasks', '/srv/tasks/work'],
  ['/srv/tasks/run', '/srv/tasks'],
  ['/', '/srv'],
  ['/srv', '/'],
  [defaultRoot, undefined],
])('a state directory %s with the root directory %s is a mistake', (state, root) => {
  const rootArgs = root === undefined ? [] : ['--root', root];
  for (const name of ['plan', 'recover'])
    expect(mistake(name, '--state', state, ...rootArgs)).toMatch(
      /^--state \S+ and --root \S+ must be two directories, neither inside the other$/,
    );
});

test('directories whose names only begin alike are apart', () => {
  expect(hostOf('--state', '/srv/tasks', '--root', '/srv/tasks-root')).toMatchObject({ state: '/srv/tasks' });
});

test('a store that holds a NUL byte is a mistake', () => {
  expect(mistake('plan', '--store', 'json:a\0b')).toBe('--store holds a NUL byte');
});

const word = fc.oneof(
  fc.constantFrom(...commandNames, 'help', '--help', '-h', '--version', '-V', '--', '-', '', '--=', '-hV'),
  fc.constantFrom(...commandNames.flatMap((name) => documentedIn(helpText(name)).map((option) => option.name))),
  fc.constantFrom(...Object.values(sampleValues)),
  fc.string({ unit: 'binary' }),
  fc
    .tuple(fc.constantFrom('--state=', '--store=', '--namespace=', '--json=', '--load-timeout='), fc.string())
    .map(([option, value]) => option + value),
);

test('whatever is typed is understood, or refused with a sentence', () => {
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), (args) => {
      const command = parseCommandLine(args);
      expect(E.isRight(command) || command.left.message.length > 0).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});

test('a very long word is refused at once', () => {
  const long = 'x'.repeat(128 * 1024);
  const startedMs = performance.now();
  expect(mistake(long)).toContain('there is no command');
  expect(mistake('plan', `--${long}`)).toContain('has no option');
  expect(performance.now() - startedMs).toBeLessThan(1_000);
});

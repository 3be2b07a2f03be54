/** From what was typed to what is meant: commands and options, decoded, with every mistake as a value. */
import { ByteString as B } from '@shim-recovery/core';
import {
  defaultBounds,
  defaultTimeouts,
  isValidNamespace,
  looksForOrphans,
  policies,
  type Policy,
  type PolicyChoices,
  PolicyName,
  type Timeouts,
  withChoices,
} from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as t from 'io-ts';
import * as path from 'node:path';
import type { ProgramPath } from '../../daemon/DaemonPath.js';
import { maxSocketNameBytes } from '../../shims/UnixSocket.js';
import type { TypedBundle } from './BundleChoice.js';
import { type CommandName, defaultRoot, defaultState } from './OptionTable.js';

/** Where containers and sandboxes are looked up. */
export type StoreChoice =
  | { readonly _tag: 'Bolt'; readonly path: string }
  | { readonly _tag: 'Containerd'; readonly socketPath: string }
  | { readonly _tag: 'Json'; readonly path: string }
  | { readonly _tag: 'None' };

/** Whether each of these was said; a default follows the directories. */
export interface Said {
  readonly store: boolean;
  readonly address: boolean;
  readonly ttrpcAddress: boolean;
}

/** What `plan` and `recover` have in common. */
export interface HostOptions {
  readonly state: string;
  readonly root: string;
  readonly store: StoreChoice;
  readonly policy: Policy;
  /** Whether what lives may be destroyed, as the policy's daemon would. */
  readonly allowKilling: boolean;
  readonly namespaces: ReadonlyArray<string>;
  readonly waiting: number;
  readonly timeouts: Timeouts;
  /** The daemon's gRPC and ttrpc sockets. */
  readonly address: string;
  readonly ttrpcAddress: string;
  readonly publishBinary: string;
  /** Along which PATH programs of shims are looked for; undefined where it was not said, as the daemon does. */
  readonly programPath: ProgramPath | undefined;
  /** Which of the options that follow the directories were said, so that they do not. */
  readonly said: Said;
  readonly isDebug: boolean;
  readonly isJson: boolean;
  readonly isDetailedExitCode: boolean;
}

/** What `replay` is told. Without a policy, the recorded one is meant. */
export interface ReplayOptions {
  readonly path: string;
  readonly policy: PolicyName | undefined;
  readonly choices: PolicyChoices;
  readonly namespaces: ReadonlyArray<string>;
  readonly isJson: boolean;
  readonly isDetailedExitCode: boolean;
}

/** Two policies; their order decides which one is named first. */
export interface ComparedPolicies {
  readonly first: Policy;
  readonly second: Policy;
}

/** What is looked at: this host, or one that was recorded. */
export type Source<Recorded> =
  | { readonly _tag: 'Host'; readonly host: HostOptions; readonly isProbing: boolean }
  | ({ readonly _tag: 'Recording'; readonly path: string } & Recorded);

/** What `compare` is told. */
export interface CompareOptions {
  readonly policies: ComparedPolicies;
  /** What was chosen of those policies to which it says something: a recording's own would be as it was recorded. */
  readonly choices: PolicyChoices;
  readonly source: Source<{ readonly namespaces: ReadonlyArray<string> }>;
  readonly isJson: boolean;
  readonly isDetailedExitCode: boolean;
}

/** What `explain` is told. Without a policy, the recorded one is meant. */
export interface ExplainOptions {
  readonly bundle: TypedBundle;
  readonly source: Source<{ readonly policy: PolicyName | undefined; readonly choices: PolicyChoices }>;
  readonly isJson: boolean;
}

/** What the one who carries a plan out may say: the plan says the rest. */
export type OwnOptions = Pick<HostOptions, 'waiting' | 'timeouts' | 'isJson' | 'isDetailedExitCode'>;

/** What `recover` is told to act on: this host as it is, or as a saved plan says. */
export type RecoverSource =
  | { readonly _tag: 'Host'; readonly host: HostOptions }
  | { readonly _tag: 'Plan'; readonly path: string; readonly own: OwnOptions };

export type Command =
  | { readonly _tag: 'Help'; readonly about: CommandName | undefined }
  | { readonly _tag: 'Version' }
  | {
      readonly _tag: 'Plan';
      readonly host: HostOptions;
      readonly isProbing: boolean;
      readonly recordPath: string | undefined;
      readonly outPath: string | undefined;
    }
  | {
      readonly _tag: 'Recover';
      readonly source: RecoverSource;
      readonly isWatching: boolean;
      readonly isForced: boolean;
      readonly recordPath: string | undefined;
    }
  | { readonly _tag: 'Replay'; readonly replay: ReplayOptions }
  | { readonly _tag: 'Compare'; readonly compare: CompareOptions }
  | { readonly _tag: 'Explain'; readonly explain: ExplainOptions }
  | { readonly _tag: 'Demo' };

/** A mistake of the one who typed; one line that says what to do. */
export interface UsageError {
  readonly message: string;
}

/** A mistake, said in one line. */
export const usage = (message: string): E.Either<UsageError, never> => E.left({ message });

export type Values = Readonly<Record<string, unknown>>;

const storeKinds = 'bolt:FILE, containerd:SOCKET, json:FILE or none';

/** Where the daemon of a root directory records its containers. */
export const databaseOf = (root: string): string =>
  path.join(path.dirname(root), 'io.containerd.metadata.v1.bolt', 'meta.db');

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 };

/** The longest time-out: what a timer can hold. */
const maxDurationMs = 2 ** 31 - 1;

const maxConcurrency = 65_536;

/** Without a word on it, nothing that may be alive is destroyed. */
const defaultPolicy = 'careful';

/** What one policy alone is compared with. */
export const comparedWith = 'containerd-1.7';

export const policyNames = `it takes ${Object.keys(policies).join(', ')}`;

/** Where the daemon of a state directory listens, unless it was told otherwise. */
export const daemonSocketOf = (state: string): string => path.join(path.dirname(state), 'containerd.sock');

/** The two kinds of default follow the directories: another state directory is another daemon's. */
export const parseHost = (
  values: Values,
  policy: E.Either<UsageError, Policy> = parseChosenPolicy(values),
): E.Either<UsageError, HostOptions> =>
  pipe(
    E.Do,
    E.bind('state', () => parsePath(values, 'state', defaultState)),
    E.bind('root', () => parsePath(values, 'root', defaultRoot)),
    E.chainFirst(checkApart),
    E.bind('store', ({ root }) => parseStore(textOf(values, 'store'), root)),
    E.bind('policy', () => policy),
    E.bind('namespaces', () => parseNamespaces(values)),
    E.bind('waiting', () => parseConcurrency(textOf(values, 'concurrency'))),
    E.bind('timeouts', () => parseTimeouts(values)),
    E.bind('address', ({ state }) => parsePath(values, 'address', daemonSocketOf(state))),
    E.bind('ttrpcAddress', ({ address }) => parsePath(values, 'ttrpc-address', `${address}.ttrpc`)),
    E.bind('publishBinary', () => parsePath(values, 'publish-binary', '/usr/bin/containerd')),
    E.bind('programPath', () => parseProgramPath(values)),
    E.map((parsed) => ({
      ...parsed,
      allowKilling: isSet(values, 'allow-killing'),
      said: {
        store: values['store'] !== undefined,
        address: values['address'] !== undefined,
        ttrpcAddress: values['ttrpc-address'] !== undefined,
      },
      isDebug: isSet(values, 'debug'),
      isJson: isSet(values, 'json'),
      isDetailedExitCode: isSet(values, 'detailed-exitcode'),
    })),
  );

export const textOf = (values: Values, name: string): string | undefined => {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
};

const parseProgramPath = (values: Values): E.Either<UsageError, ProgramPath | undefined> => {
  const text = textOf(values, 'path');
  if (text === undefined) return E.right(undefined);
  if (text === '') return usage('--path is empty; name directories, with a colon between them');
  return text.includes('\0') ? usage('--path holds a NUL byte') : E.right({ path: text, from: '--path' });
};

/** Each directory is emptied of what it should not hold; one inside the other would lose what is right there. */
const checkApart = ({ state, root }: Pick<HostOptions, 'state' | 'root'>): E.Either<UsageError, void> =>
  isWithin(state, root) || isWithin(root, state)
    ? usage(`--state ${state} and --root ${root} must be two directories, neither inside the other`)
    : E.right(undefined);

const isWithin = (outer: string, inner: string): boolean => `${inner}/`.startsWith(outer === '/' ? '/' : `${outer}/`);

export const parsePath = (values: Values, name: string, fallback: string): E.Either<UsageError, string> => {
  const text = textOf(values, name) ?? fallback;
  if (text === '') return usage(`--${name} is empty; give it a path`);
  return text.includes('\0') ? usage(`--${name} holds a NUL byte`) : E.right(path.resolve(text));
};

export const parseNamespaces = (values: Values): E.Either<UsageError, ReadonlyArray<string>> => {
  const given = values['namespace'];
  const names = t.array(t.string).is(given) ? given : [];
  const invalid = names.find((name) => !isValidNamespace(B.fromText(name)));
  return invalid === undefined
    ? E.right(names)
    : usage(
        `--namespace ${JSON.stringify(invalid)} is not valid; letters and digits, with single . _ - between them, 76 at most`,
      );
};

/** A policy with all that may be chosen of it. */
const parseChosenPolicy = (values: Values): E.Either<UsageError, Policy> =>
  pipe(
    E.Do,
    E.bind('policy', () => parsePolicy(textOf(values, 'policy'))),
    E.bind('choices', ({ policy }) => parseOrphans(values, [policy])),
    E.map(({ policy, choices }) => withChoices(choices)(policy)),
    E.chain(withBrake(textOf(values, 'may-destroy'))),
  );

export const parsePolicy = (text: string | undefined): E.Either<UsageError, Policy> =>
  pipe(
    parsePolicyName(text ?? defaultPolicy),
    E.map((name) => policies[name]),
  );

export const parsePolicyName = (text: string): E.Either<UsageError, PolicyName> =>
  PolicyName.is(text) ? E.right(text) : usage(`--policy ${text} is not known; ${policyNames}`);

/** What becomes of a container that runs without its shim: a question only to policies that look for it. */
export const parseOrphans = (values: Values, asked: ReadonlyArray<Policy>): E.Either<UsageError, PolicyChoices> => {
  const given = values['orphans'];
  const texts = t.array(t.string).is(given) ? given : [];
  const [first] = texts;
  if (first === undefined) return E.right({});
  if (!asked.some(looksForOrphans))
    return usage(
      `--orphans says nothing to ${asked.map(({ name }) => name).join(' and ')}; it is for --policy careful`,
    );
  const other = texts.find((text) => text !== 'hold' && text !== 'reap' && namedOrphan(text) === undefined);
  if (other !== undefined) return usage(`--orphans takes hold, reap or reap=NAMESPACE/ID, not ${other}`);
  const isReaping = first !== 'hold';
  if (texts.some((text) => (text !== 'hold') !== isReaping))
    return usage('--orphans hold and --orphans reap contradict each other; leave one of them out');
  const reapedOrphans = texts.flatMap((text) => namedOrphan(text) ?? []);
  return E.right({
    orphans: isReaping ? 'reaped' : 'held',
    ...(reapedOrphans.length === 0 ? {} : { reapedOrphans }),
  });
};

/** The bundle that `reap=NAMESPACE/ID` names. */
const namedOrphan = (text: string): string | undefined => {
  const [, namespace = '', id] = /^reap=([^/]+)\/([^/]+)$/s.exec(text) ?? [];
  return id !== undefined && isValidNamespace(B.fromText(namespace)) ? `${namespace}/${id}` : undefined;
};

const withBrake =
  (text: string | undefined) =>
  (policy: Policy): E.Either<UsageError, Policy> => {
    if (text === undefined) return E.right(policy);
    const mayDestroy = /^(?:0(?:\.\d+)?|1(?:\.0+)?)$/.test(text) ? Number(text) : Number.NaN;
    return Number.isNaN(mayDestroy)
      ? usage(`--may-destroy takes a share from 0 to 1, such as 0.5, not ${text}`)
      : E.right(withChoices({ mayDestroy })(policy));
  };

const parseConcurrency = (text: string | undefined): E.Either<UsageError, number> => {
  if (text === undefined) return E.right(defaultBounds.waiting);
  const count = /^\d+$/.test(text) ? Number(text) : 0;
  return count >= 1 && count <= maxConcurrency
    ? E.right(count)
    : usage(`--concurrency ${text} is not a number from 1 to ${maxConcurrency}`);
};

const parseTimeouts = (values: Values): E.Either<UsageError, Timeouts> =>
  pipe(
    E.Do,
    E.apS('loadMs', parseDuration(values, 'load-timeout')(defaultTimeouts.loadMs)),
    E.apS('cleanUpMs', parseDuration(values, 'cleanup-timeout')(defaultTimeouts.cleanUpMs)),
    E.apS('shutdownMs', parseDuration(values, 'shutdown-timeout')(defaultTimeouts.shutdownMs)),
    E.apS('storeMs', parseDuration(values, 'store-timeout')(defaultTimeouts.storeMs)),
  );

const parseDuration =
  (values: Values, name: string) =>
  (fallbackMs: number): E.Either<UsageError, number> => {
    const text = textOf(values, name);
    if (text === undefined) return E.right(fallbackMs);
    const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text) ?? [];
    const ms = Number(amount) * (unitsMs[unit] ?? Number.NaN);
    return ms > 0 && ms <= maxDurationMs
      ? E.right(ms)
      : usage(`--${name} ${text} is no duration; write one like 5s, 500ms or 1.5m`);
  };

const parseStore = (text: string | undefined, root: string): E.Either<UsageError, StoreChoice> => {
  if (text === undefined) return E.right({ _tag: 'Bolt', path: databaseOf(root) });
  if (text === 'none') return E.right({ _tag: 'None' });
  const [, kind, where = ''] = /^(bolt|containerd|json):(.*)$/s.exec(text) ?? [];
  if (kind === undefined) return usage(`--store ${text} is no store; it takes ${storeKinds}`);
  if (where === '') return usage(`--store ${kind}: lacks a path; it takes ${storeKinds}`);
  if (where.includes('\0')) return usage('--store holds a NUL byte');
  const resolved = path.resolve(where);
  switch (kind) {
    case 'bolt':
      return E.right({ _tag: 'Bolt', path: resolved });
    case 'json':
      return E.right({ _tag: 'Json', path: resolved });
    default:
      return Buffer.byteLength(resolved) > maxSocketNameBytes
        ? usage(`--store containerd:${resolved} is longer than the ${maxSocketNameBytes} bytes of a socket's address`)
        : E.right({ _tag: 'Containerd', socketPath: resolved });
  }
};

export const isSet = (values: Values, name: string): boolean => values[name] === true;

/** The same host in other directories, with the defaults that follow from them. */
export const inDirectories =
  ({ state, root }: Pick<HostOptions, 'state' | 'root'>) =>
  (host: HostOptions): HostOptions => {
    const { said } = host;
    const address = said.address ? host.address : daemonSocketOf(state);
    return {
      ...host,
      state,
      root,
      store: said.store ? host.store : { _tag: 'Bolt', path: databaseOf(root) },
      address,
      ttrpcAddress: said.ttrpcAddress ? host.ttrpcAddress : `${address}.ttrpc`,
    };
  };

/** Where the commands write to: not where a run looks, lest it find the file itself. */
export const checkOutside = (
  file: { readonly option: string; readonly path: string },
  { state, root }: Pick<HostOptions, 'state' | 'root'>,
): E.Either<UsageError, void> => {
  const inside = [state, root].find((directory) => isWithin(directory, file.path));
  return inside === undefined
    ? E.right(undefined)
    : usage(
        `--${file.option} ${file.path} lies in ${inside}, which is looked at and cleaned up; name a file elsewhere`,
      );
};

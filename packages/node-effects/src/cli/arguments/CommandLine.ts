/** From what was typed to a command: its options, its files, and every mistake as a value. */
import type { PolicyName } from '@shim-recovery/core/interpreter';
import { policies, type Policy, type PolicyChoices } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as t from 'io-ts';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import type { TypedBundle } from './BundleChoice.js';
import {
  type CommandName,
  commandNames,
  optionsOf,
  parserOptionsOf,
  recordingOptionNames,
  runOptionNames,
} from './OptionTable.js';
import {
  checkOutside,
  type Command,
  type ComparedPolicies,
  comparedWith,
  type CompareOptions,
  type ExplainOptions,
  type HostOptions,
  isSet,
  parseHost,
  parseNamespaces,
  parseOrphans,
  parsePath,
  parsePolicy,
  parsePolicyName,
  policyNames,
  type RecoverSource,
  type ReplayOptions,
  type Source,
  textOf,
  usage,
  type UsageError,
  type Values,
} from './Options.js';

/** Reads the arguments after the program's name. */
export const parseCommandLine = (args: ReadonlyArray<string>): E.Either<UsageError, Command> => {
  const [first, ...rest] = args;
  if (first === undefined) return usage(`a command is missing; it takes ${commandNames.join(', ')}`);
  if (first === '--help' || first === '-h') return E.right({ _tag: 'Help', about: undefined });
  if (first === '--version' || first === '-V') return E.right({ _tag: 'Version' });
  if (first === 'help') {
    const about = rest[0];
    return about === undefined || isCommandName(about)
      ? E.right({ _tag: 'Help', about })
      : usage(`there is no command ${about}; it takes ${commandNames.join(', ')}`);
  }
  return isCommandName(first)
    ? parseCommand(first, rest)
    : usage(`there is no command ${first}${closest(first, commandNames)}; see shim-recovery --help`);
};

const isCommandName = (word: string): word is CommandName => commandNames.some((name) => name === word);

const closest = (word: string, known: ReadonlyArray<string>): string => {
  const maxDistance = maxDistanceOf(word.replace(/^--/, ''));
  const [best] = known
    .filter((name) => Math.abs(word.length - name.length) <= maxDistance)
    .map((name) => ({ name, away: distance(word, name) }))
    .filter(({ away }) => away <= maxDistance)
    .sort((first, second) => first.away - second.away);
  return best === undefined ? '' : `; did you mean ${best.name}?`;
};

/** How many letters of a word may be wrong for a guess at what was meant: two, and three of a long one. */
const maxDistanceOf = (word: string): number => Math.min(3, Math.max(2, Math.floor(word.length / 3)));

/** How many letters must change to make one word of the other. */
const distance = (first: string, second: string): number => {
  let row = Array.from({ length: second.length + 1 }, (_, index) => index);
  for (const [at, letter] of Array.from(first).entries()) {
    const next = [at + 1];
    for (const [index, other] of Array.from(second).entries())
      next.push(
        Math.min((next[index] ?? 0) + 1, (row[index + 1] ?? 0) + 1, (row[index] ?? 0) + (letter === other ? 0 : 1)),
      );
    row = next;
  }
  return row.at(-1) ?? 0;
};

const parseCommand = (command: CommandName, args: ReadonlyArray<string>): E.Either<UsageError, Command> =>
  pipe(
    parseTyped(command, args),
    E.chain((typed): E.Either<UsageError, Command> => {
      const { values } = typed;
      if (isSet(values, 'help')) return E.right({ _tag: 'Help', about: command });
      switch (command) {
        case 'demo':
          return E.right({ _tag: 'Demo' });
        case 'plan':
          return parsePlan(values);
        case 'recover':
          return parseRecover(values);
        case 'compare':
          return pipe(
            parseCompare(typed),
            E.map((compare) => ({ _tag: 'Compare', compare })),
          );
        case 'explain':
          return pipe(
            parseExplain(typed),
            E.map((explain) => ({ _tag: 'Explain', explain })),
          );
        case 'replay':
          return pipe(
            parseReplay(typed),
            E.map((replay) => ({ _tag: 'Replay', replay })),
          );
      }
    }),
  );

const parseTyped = (command: CommandName, args: ReadonlyArray<string>): E.Either<UsageError, Typed> =>
  pipe(
    checkNames(command, args),
    E.chain(() =>
      E.tryCatch(
        (): Typed => {
          const { values, positionals: files } = parseArgs({
            args: [...args],
            options: parserOptionsOf(command),
            strict: true,
            allowPositionals: takesFiles(command),
          });
          return { values, files };
        },
        (error): UsageError => ({ message: messageOf(error, command) }),
      ),
    ),
  );

/** The commands that take names besides their options: of files, or of a bundle. */
const takesFiles = (command: CommandName): boolean => ['replay', 'compare', 'explain'].includes(command);

/** Every name that was typed as an option, checked first, so that the message can say which one was meant. */
const checkNames = (command: CommandName, args: ReadonlyArray<string>): E.Either<UsageError, void> => {
  const known = optionNames(command);
  for (const arg of args) {
    if (arg === '--') return usage('nothing may follow "--"');
    const name = arg.split('=')[0] ?? arg;
    if (name.startsWith('--') && !known.includes(name))
      return usage(`${command} has no option ${name}${closest(name, known)}; see shim-recovery ${command} --help`);
  }
  return E.right(undefined);
};

/** The first sentence of what the parser says, which names the option. */
const messageOf = (error: unknown, command: CommandName): string => {
  const [first = 'that cannot be understood'] = (error instanceof Error ? error.message : String(error)).split(
    /\.\s|\n/,
  );
  return `${first.replace(/\.$/, '')}; see shim-recovery ${command} --help`;
};

const parsePlan = (values: Values): E.Either<UsageError, PlanCommand> =>
  pipe(
    E.Do,
    E.bind('host', () => parseHost(values)),
    E.bind('recordPath', ({ host }) => parseFileOutside(values, 'record', host)),
    E.bind('outPath', ({ host }) => parseFileOutside(values, 'out', host)),
    E.map((run): PlanCommand => ({ _tag: 'Plan', ...run, isProbing: !isSet(values, 'no-probe') })),
    E.filterOrElse(
      ({ outPath, isProbing }) => outPath === undefined || isProbing,
      (): UsageError => ({
        message: '--out saves what is to be done, and with --no-probe that is not known; leave one of them out',
      }),
    ),
    E.filterOrElse(
      ({ outPath, recordPath }) => outPath === undefined || outPath !== recordPath,
      (): UsageError => ({ message: '--out and --record name the same file; give each its own' }),
    ),
  );

const parseFileOutside = (
  values: Values,
  option: 'record' | 'out',
  host: HostOptions,
): E.Either<UsageError, string | undefined> =>
  pipe(
    parseFile(values, option),
    E.chainFirst((path) => (path === undefined ? E.right(undefined) : checkOutside({ option, path }, host))),
  );

const parseFile = (values: Values, option: 'record' | 'out'): E.Either<UsageError, string | undefined> => {
  const typed = textOf(values, option);
  if (typed === undefined) return E.right(undefined);
  return typed === '-' ? usage(`--${option} takes a file; stdout is for the report`) : parsePath(values, option, '');
};

const parseRecover = (values: Values): E.Either<UsageError, RecoverCommand> =>
  pipe(
    E.Do,
    E.bind('source', () => parseSource(values)),
    E.bind('recordPath', ({ source }) =>
      source._tag === 'Host' ? parseFileOutside(values, 'record', source.host) : parseFile(values, 'record'),
    ),
    E.map((run) => ({
      _tag: 'Recover',
      ...run,
      isWatching: isSet(values, 'watch'),
      isForced: isSet(values, 'force'),
    })),
  );

const parseSource = (values: Values): E.Either<UsageError, RecoverSource> =>
  values['plan'] === undefined
    ? pipe(
        parseHost(values),
        E.map((host) => ({ _tag: 'Host', host })),
      )
    : pipe(
        E.Do,
        E.bind('path', () => parsePlanPath(values)),
        // All but these few are the plan's to say.
        E.bind('own', () => parseHost(values)),
        E.map(({ path: file, own: { waiting, timeouts, isJson, isDetailedExitCode } }) => ({
          _tag: 'Plan',
          path: file,
          own: { waiting, timeouts, isJson, isDetailedExitCode },
        })),
      );

const parsePlanPath = (values: Values): E.Either<UsageError, string> => {
  const fixed = Object.keys(values).find((name) => !runOptionNames.includes(name));
  if (fixed !== undefined)
    return usage(`--${fixed} was settled when the plan was made; leave it out, or make a new plan with it`);
  if (textOf(values, 'plan') === '-') return usage('--plan reads a file, not stdin; save the plan first');
  return parsePath(values, 'plan', '');
};

const parseReplay = ({ values, files }: Typed): E.Either<UsageError, ReplayOptions> => {
  const [file, ...more] = files;
  if (file === undefined || file === '') return usage('replay needs the recording: replay FILE');
  if (more.length > 0) return usage(`replay takes one recording, and ${JSON.stringify(more[0])} is one more`);
  if (file === '-') return usage('replay reads a file, not stdin; save the recording first');
  if (file.includes('\0')) return usage('the name of the recording holds a NUL byte');
  return pipe(
    parseWantedPolicy(values),
    E.bind('namespaces', () => parseNamespaces(values)),
    E.map((parsed) => ({
      ...parsed,
      path: path.resolve(file),
      isJson: isSet(values, 'json'),
      isDetailedExitCode: isSet(values, 'detailed-exitcode'),
    })),
  );
};

/** A recording's own policy is not known before it is read; one that is named is checked at once. */
const parseWantedPolicy = (
  values: Values,
): E.Either<UsageError, { readonly policy: PolicyName | undefined; readonly choices: PolicyChoices }> => {
  const typed = textOf(values, 'policy');
  return pipe(
    E.Do,
    E.bind('policy', () => (typed === undefined ? E.right(undefined) : parsePolicyName(typed))),
    E.bind('choices', ({ policy }) =>
      parseOrphans(values, policy === undefined ? Object.values(policies) : [policies[policy]]),
    ),
  );
};

const parseCompare = ({ values, files }: Typed): E.Either<UsageError, CompareOptions> => {
  const [file, ...more] = files;
  if (more.length > 0) return usage(`compare takes one recording, and ${JSON.stringify(more[0])} is one more`);
  return pipe(
    E.Do,
    E.bind('policies', () => parsePolicies(values)),
    E.bind('choices', ({ policies: { first, second } }) => parseOrphans(values, [first, second])),
    E.bind('source', ({ policies: { first } }): E.Either<UsageError, CompareOptions['source']> => {
      if (file === undefined) return parseProbed(values, first);
      return pipe(
        checkRecordedOnly(values, 'compare'),
        E.map(() => ({})),
        E.apS('path', parseRecordingPath(file)),
        E.apS('namespaces', parseNamespaces(values)),
        E.map((recorded) => ({ _tag: 'Recording', ...recorded })),
      );
    }),
    E.map((parsed) => ({
      ...parsed,
      isJson: isSet(values, 'json'),
      isDetailedExitCode: isSet(values, 'detailed-exitcode'),
    })),
  );
};

const parsePolicies = (values: Values): E.Either<UsageError, ComparedPolicies> => {
  const given = values['policy'];
  const names = t.array(t.string).is(given) ? given : [];
  const [first, second] = names.length === 1 ? [comparedWith, ...names] : names;
  if (first === undefined || second === undefined)
    return usage(`compare needs --policy once, to compare with ${comparedWith}, or twice; ${policyNames}`);
  if (names.length > 2) return usage('compare takes two policies; run it once for each pair');
  if (first === second)
    return usage(`${first} would be compared with itself; name another policy with --policy; ${policyNames}`);
  return pipe(E.Do, E.apS('first', parsePolicy(first)), E.apS('second', parsePolicy(second)));
};

const parseProbed = (
  values: Values,
  policy?: Policy,
): E.Either<UsageError, Extract<Source<object>, { _tag: 'Host' }>> =>
  pipe(
    policy === undefined ? parseHost(values) : parseHost(values, E.right(policy)),
    E.map((host) => ({
      _tag: 'Host',
      host,
      isProbing: !isSet(values, 'no-probe'),
    })),
  );

const parseRecordingPath = (file: string): E.Either<UsageError, string> => {
  if (file === '') return usage('the name of the recording is empty');
  if (file === '-') return usage('a recording is read from a file, not from stdin; save it first');
  return file.includes('\0') ? usage('the name of the recording holds a NUL byte') : E.right(path.resolve(file));
};

/** What is known of a recording already, or decided by those who read it: of a host's options nothing else counts. */
const checkRecordedOnly = (values: Values, command: CommandName): E.Either<UsageError, void> => {
  const other = Object.keys(values).find((name) => !recordingOptionNames(command).includes(name));
  return other === undefined
    ? E.right(undefined)
    : usage(`--${other} is about this host, and a recording tells of another; leave one of them out`);
};

const parseExplain = ({ values, files }: Typed): E.Either<UsageError, ExplainOptions> => {
  const [name, ...more] = files;
  if (name === undefined || name === '') return usage('explain needs the bundle: explain [NAMESPACE/]ID');
  if (more.length > 0) return usage(`explain takes one bundle, and ${JSON.stringify(more[0])} is one more`);
  const recording = textOf(values, 'recording');
  const source = (): E.Either<UsageError, ExplainOptions['source']> =>
    recording === undefined
      ? parseProbed(values)
      : pipe(
          checkRecordedOnly(values, 'explain'),
          E.chain(() => parseWantedPolicy(values)),
          E.bind('path', () => parseRecordingPath(recording)),
          E.map((recorded) => ({ _tag: 'Recording', ...recorded })),
        );
  return pipe(
    source(),
    E.map((parsed) => ({ bundle: parseBundle(name), source: parsed, isJson: isSet(values, 'json') })),
  );
};

/** A namespace is whatever stands before the first slash: no name of a bundle has one. */
const parseBundle = (typed: string): TypedBundle => {
  const slash = typed.indexOf('/');
  return slash === -1
    ? { namespace: undefined, id: typed }
    : { namespace: typed.slice(0, slash), id: typed.slice(slash + 1) };
};

/** All options of a command, as they are typed. */
export const optionNames = (command: CommandName): ReadonlyArray<string> =>
  optionsOf(command).map(({ name }) => `--${name}`);

interface Typed {
  readonly values: Values;
  readonly files: ReadonlyArray<string>;
}

type PlanCommand = Extract<Command, { readonly _tag: 'Plan' }>;

type RecoverCommand = Extract<Command, { readonly _tag: 'Recover' }>;

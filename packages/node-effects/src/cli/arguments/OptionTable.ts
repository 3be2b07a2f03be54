/** Every option of the command, once: which commands take it, how it is read, and what the help says of it. */

export const commandNames = ['plan', 'recover', 'compare', 'explain', 'replay', 'demo'] as const;

export type CommandName = (typeof commandNames)[number];

export const defaultState = '/run/containerd/io.containerd.runtime.v2.task';

export const defaultRoot = '/var/lib/containerd/io.containerd.runtime.v2.task';

/** Under which heading the help has it. */
export type OptionGroup = 'where' | 'how' | 'told' | 'output';

/** The lines of a help text, or those of each command that says something else. */
type HelpLines = string | Readonly<Partial<Record<CommandName, string>>>;

export interface OptionRow {
  readonly name: string;
  /** What stands for its value; an option without one is a switch. */
  readonly placeholder?: string;
  readonly short?: string;
  readonly group: OptionGroup;
  readonly commands: ReadonlyArray<CommandName>;
  /** The commands to which it may be given several times. */
  readonly severalTimes?: ReadonlyArray<CommandName>;
  /** Whether it does not change what is decided, so that it may be given where a saved plan is carried out. */
  readonly isOfRun?: true;
  /** Which commands take it, too, where they are about a recording and not about this host. */
  readonly ofRecording?: ReadonlyArray<CommandName>;
  readonly help: HelpLines;
}

const deciding: ReadonlyArray<CommandName> = ['plan', 'recover'];
const looking: ReadonlyArray<CommandName> = ['plan', 'recover', 'compare', 'explain'];
const reporting: ReadonlyArray<CommandName> = [...looking, 'replay'];
const recorded: ReadonlyArray<CommandName> = ['compare', 'explain'];

const policyHelp = `whose decisions to take: containerd-1.6, containerd-1.7, containerd-2.1, or careful (default),
which destroys nothing that may be alive`;

const orphansHelp = `with careful: hold (default) or reap containers that run without their shim;
reap=NAMESPACE/ID, which may be given several times, reaps only these`;

/** In the order of the help texts. */
export const optionTable: ReadonlyArray<OptionRow> = [
  {
    name: 'state',
    placeholder: 'DIR',
    group: 'where',
    commands: looking,
    help: `state directory: the daemon's, as in its configuration, or that of its plugin in it
(default ${defaultState})`,
  },
  {
    name: 'root',
    placeholder: 'DIR',
    group: 'where',
    commands: looking,
    help: `root directory, likewise (default ${defaultRoot})`,
  },
  {
    name: 'store',
    placeholder: 'STORE',
    group: 'where',
    commands: looking,
    help: `where containers and sandboxes are recorded:
  bolt:FILE          containerd's own database (default: the one beside the root directory)
  containerd:SOCKET  the API of a daemon that runs
  json:FILE          a file of your own (see docs/formats.md)
  none               no container is known`,
  },
  {
    name: 'namespace',
    placeholder: 'NS',
    group: 'where',
    commands: reporting,
    severalTimes: reporting,
    ofRecording: ['compare'],
    help: 'only this namespace; may be given several times',
  },
  {
    name: 'policy',
    placeholder: 'NAME',
    group: 'how',
    commands: reporting,
    severalTimes: ['compare'],
    ofRecording: recorded,
    help: {
      plan: policyHelp,
      recover: policyHelp,
      explain: policyHelp,
      compare: 'what to compare; once, with containerd-1.7, or twice',
      replay: `whose decisions to take (default: those of the recorded run); plan records for every policy,
recover for its own`,
    },
  },
  {
    name: 'orphans',
    placeholder: 'WHAT',
    group: 'how',
    commands: reporting,
    severalTimes: reporting,
    ofRecording: recorded,
    help: {
      plan: orphansHelp,
      recover: orphansHelp,
      compare: orphansHelp,
      explain: orphansHelp,
      replay: `with careful: hold, reap or reap=NAMESPACE/ID (several times): what becomes of containers that
run without their shim (default: as the recorded run did; hold under another policy)`,
    },
  },
  {
    name: 'may-destroy',
    placeholder: 'SHARE',
    group: 'how',
    commands: deciding,
    help: `do nothing when more than this share of the bundles would be destroyed, and more than four
(default 0.5 for careful, 1 for the others)`,
  },
  {
    name: 'allow-killing',
    group: 'how',
    commands: deciding,
    help: `also destroy what is known to live, as the policy's daemon would; otherwise recover holds it.
A plan that is saved with it allows it, too`,
  },
  {
    name: 'concurrency',
    placeholder: 'N',
    group: 'how',
    commands: looking,
    isOfRun: true,
    help: `how many bundles may wait for an answer at once (default 16384); as many as there are file
descriptors for, where those are fewer`,
  },
  {
    name: 'load-timeout',
    placeholder: 'T',
    group: 'how',
    commands: looking,
    isOfRun: true,
    help: 'for each answer of a shim, such as 5s or 500ms (default 5s)',
  },
  {
    name: 'cleanup-timeout',
    placeholder: 'T',
    group: 'how',
    commands: looking,
    isOfRun: true,
    help: "for each run of a shim's binary (default 5s)",
  },
  {
    name: 'shutdown-timeout',
    placeholder: 'T',
    group: 'how',
    commands: looking,
    isOfRun: true,
    help: 'for a shim to accept its shutdown (default 3s)',
  },
  {
    name: 'store-timeout',
    placeholder: 'T',
    group: 'how',
    commands: looking,
    help: 'with careful: how long a store that cannot answer is asked again, in all (default 5s)',
  },
  {
    name: 'address',
    placeholder: 'SOCKET',
    group: 'told',
    commands: looking,
    help: "the daemon's socket (default containerd.sock beside the state directory)",
  },
  {
    name: 'ttrpc-address',
    placeholder: 'SOCKET',
    group: 'told',
    commands: looking,
    help: 'its ttrpc socket (default the same with .ttrpc)',
  },
  {
    name: 'publish-binary',
    placeholder: 'FILE',
    group: 'told',
    commands: looking,
    help: 'the program that publishes events (default /usr/bin/containerd)',
  },
  {
    name: 'path',
    placeholder: 'PATH',
    group: 'told',
    commands: looking,
    help: `along which PATH programs of shims are looked for, and run (default: the daemon's, by its
process, its shims or its systemd unit)`,
  },
  { name: 'debug', group: 'told', commands: looking, help: 'that the daemon logs at debug level' },
  {
    name: 'json',
    group: 'output',
    commands: reporting,
    isOfRun: true,
    ofRecording: recorded,
    help: 'the report as one line of JSON',
  },
  {
    name: 'record',
    placeholder: 'FILE',
    group: 'output',
    commands: deciding,
    isOfRun: true,
    help: 'also write down what is learnt, line by line, for replay; FILE must not exist yet',
  },
  {
    name: 'out',
    placeholder: 'FILE',
    group: 'output',
    commands: ['plan'],
    help: 'also save the plan, for recover --plan FILE; FILE must not exist yet. Not with --no-probe',
  },
  {
    name: 'plan',
    placeholder: 'FILE',
    group: 'output',
    commands: ['recover'],
    isOfRun: true,
    help: `do only what plan --out saved there. With it only --record, --concurrency, the time-outs,
--watch, --force, --json and --detailed-exitcode are taken; the plan settles the others`,
  },
  {
    name: 'recording',
    placeholder: 'FILE',
    group: 'output',
    commands: ['explain'],
    ofRecording: ['explain'],
    help: 'explain what was recorded there, by default as the recorded run decided',
  },
  {
    name: 'detailed-exitcode',
    group: 'output',
    commands: ['plan', 'recover', 'compare', 'replay'],
    isOfRun: true,
    ofRecording: ['compare'],
    help: {
      plan: 'exit with 3 when something would be destroyed or held',
      recover: 'exit with 3 also when something was destroyed',
      compare: 'exit with 3 when something fares differently, or cannot be told to fare the same',
      replay: 'exit with 3 when something would be destroyed or held, or the recording ends early',
    },
  },
  {
    name: 'watch',
    group: 'output',
    commands: ['recover'],
    isOfRun: true,
    help: `stay attached: copy shims' logs to stderr, clean up after shims that end, print their events
as lines of JSON; until a signal to end, which leaves the shims running; until then
a daemon that is started waits, so that no two clean up after the same shim`,
  },
  {
    name: 'force',
    group: 'output',
    commands: ['recover'],
    isOfRun: true,
    help: 'also while a daemon seems to run, and with --store none',
  },
  {
    name: 'no-probe',
    group: 'output',
    commands: ['plan', 'compare', 'explain'],
    help: {
      plan: 'do not ask shims; what depends on their answer is held',
      compare: 'do not ask shims; what depends on their answer is not known',
      explain: 'do not ask the shim',
    },
  },
  {
    name: 'help',
    short: 'h',
    group: 'output',
    commands: commandNames,
    isOfRun: true,
    ofRecording: recorded,
    help: 'this text',
  },
];

/** The options of a command, in the order of its help. */
export const optionsOf = (command: CommandName): ReadonlyArray<OptionRow> =>
  optionTable.filter(({ commands }) => commands.includes(command));

/** As `parseArgs` of Node takes them. */
export const parserOptionsOf = (
  command: CommandName,
): Readonly<
  Record<string, { readonly type: 'string' | 'boolean'; readonly multiple: boolean; readonly short?: string }>
> =>
  Object.fromEntries(
    optionsOf(command).map(({ name, placeholder, short, severalTimes = [] }) => [
      name,
      {
        type: placeholder === undefined ? 'boolean' : 'string',
        multiple: severalTimes.includes(command),
        ...(short === undefined ? {} : { short }),
      },
    ]),
  );

/** The names of the options that may be given where a saved plan is carried out: the plan settles all others. */
export const runOptionNames: ReadonlyArray<string> = optionTable
  .filter(({ isOfRun = false }) => isOfRun)
  .map(({ name }) => name);

/** The names of the options that a command takes about a recording. */
export const recordingOptionNames = (command: CommandName): ReadonlyArray<string> =>
  optionTable.filter(({ ofRecording = [] }) => ofRecording.includes(command)).map(({ name }) => name);

const helpColumn = 26;

/** The lines of a group of options in a command's help, each with an end. */
export const helpOf = (command: CommandName, group: OptionGroup): string =>
  optionsOf(command)
    .filter((row) => row.group === group)
    .map((row) => helpLines(command, row))
    .join('');

const helpLines = (command: CommandName, { name, placeholder, short, help }: OptionRow): string => {
  const typed = [short === undefined ? `--${name}` : `-${short}, --${name}`, placeholder ?? ''].join(' ').trimEnd();
  const lines = (typeof help === 'string' ? help : (help[command] ?? '')).split('\n');
  return lines.map((line, index) => `${(index === 0 ? `  ${typed}` : '').padEnd(helpColumn)}${line}\n`).join('');
};

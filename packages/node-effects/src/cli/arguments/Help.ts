/** What the command says about itself. */

export const commandNames = ['plan', 'recover', 'compare', 'explain', 'replay', 'demo'] as const;

export type CommandName = (typeof commandNames)[number];

export const defaultState = '/run/containerd/io.containerd.runtime.v2.task';

export const defaultRoot = '/var/lib/containerd/io.containerd.runtime.v2.task';

const overview = `shim-recovery: what a container daemon does at its start with the shims that an earlier one left.

Usage: shim-recovery <command> [options]

Commands:
  plan      say what a restart would do to each bundle, and why; changes nothing
  recover   do it: take shims back, reap, clean up, remove
  compare   say what two policies would do differently, and which choice of theirs makes the difference
  explain   say, question by question, how what would become of one bundle is decided
  replay    say what a policy would do on a host that was recorded, on any machine
  demo      lay out a throw-away host with scripted shims, plan it and recover it

Options:
  -h, --help      this text; after a command, its own
  -V, --version   the version

Exit codes: 0 done, 1 could not run, 2 bad usage, 3 see plan, recover, compare and replay, 4 see plan, recover and replay.
`;

const whereOptions = `Where:
  --state DIR             state directory: the daemon's, as in its configuration, or that of its plugin in it
                          (default ${defaultState})
  --root DIR              root directory, likewise (default ${defaultRoot})
  --store STORE           where containers and sandboxes are recorded:
                            bolt:FILE          containerd's own database (default: the one beside the root directory)
                            containerd:SOCKET  the API of a daemon that runs
                            json:FILE          a file of your own (see docs/formats.md)
                            none               no container is known
  --namespace NS          only this namespace; may be given several times
`;

const policyOption = `  --policy NAME           whose decisions to take: containerd-1.6, containerd-1.7, containerd-2.1, or careful (default),
                          which destroys nothing that may be alive
`;

const howOptions = `  --concurrency N         how many bundles may wait for an answer at once (default 16384); as many as there are file
                          descriptors for, where those are fewer
  --load-timeout T        for each answer of a shim, such as 5s or 500ms (default 5s)
  --cleanup-timeout T     for each run of a shim's binary (default 5s)
  --shutdown-timeout T    for a shim to accept its shutdown (default 3s)
  --store-timeout T       with careful: how long a store that cannot answer is asked again, in all (default 5s)

What shim binaries are told:
  --address SOCKET        the daemon's socket (default containerd.sock beside the state directory)
  --ttrpc-address SOCKET  its ttrpc socket (default the same with .ttrpc)
  --publish-binary FILE   the program that publishes events (default /usr/bin/containerd)
  --path PATH             along which PATH programs of shims are looked for, and run (default: the daemon's, by its
                          process, its shims or its systemd unit)
  --debug                 that the daemon logs at debug level

Output:
  --json                  the report as one line of JSON
`;

const recordOption = `  --record FILE           also write down what is learnt, line by line, for replay; FILE must not exist yet
`;

const orphansOption = `  --orphans WHAT          with careful: hold (default) or reap containers that run without their shim;
                          reap=NAMESPACE/ID, which may be given several times, reaps only these
`;

const recordedOrphansOption = `  --orphans WHAT          with careful: hold, reap or reap=NAMESPACE/ID (several times): what becomes of containers that
                          run without their shim (default: as the recorded run did; hold under another policy)
`;

const carefulOptions = `${orphansOption}  --may-destroy SHARE     do nothing when more than this share of the bundles would be destroyed, and more than four
                          (default 0.5 for careful, 1 for the others)
  --allow-killing         also destroy what is known to live, as the policy's daemon would; otherwise recover holds it.
                          A plan that is saved with it allows it, too
`;

const hostOptions = `${whereOptions}
How:
${policyOption}${carefulOptions}${howOptions}${recordOption}`;

const plan = `shim-recovery plan: say what a restart would do to each bundle, and why. Changes nothing.

Shims are sent Connect and Pids (State, too, under careful, and where a shim would be reaped), nothing else; their
log pipes are not opened. With --record every policy's questions are asked, so that the recording can be replayed under
each.

Usage: shim-recovery plan [options]

${hostOptions}  --out FILE              also save the plan, for recover --plan FILE; FILE must not exist yet. Not with --no-probe
  --detailed-exitcode     exit with 3 when something would be destroyed or held
  --no-probe              do not ask shims; what depends on their answer is held
  -h, --help              this text

Exit codes: 0 done, 1 could not run, 2 bad usage, 3 see --detailed-exitcode, 4 something that lives would be destroyed.
`;

const recover = `shim-recovery recover: take shims back, reap, clean up and remove, as the policy decides.

Refuses while a daemon serves these directories, or another recovery works on them. While it runs it holds the lock of the
daemon's database, so that a daemon that is started meanwhile waits. On SIGINT, SIGTERM or SIGHUP it finishes the step in
hand and reports what is left; running it again goes on from there.

With --plan it carries out a plan that was saved: it looks and asks afresh, does what the plan says and would still be
done now, and holds the rest, with what changed. What is not in the plan is not touched.

Usage: shim-recovery recover [options]
       shim-recovery recover --plan FILE [options]

${hostOptions}  --plan FILE             do only what plan --out saved there. With it only --record, --concurrency, the time-outs,
                          --watch, --force, --json and --detailed-exitcode are taken; the plan settles the others
  --detailed-exitcode     exit with 3 also when something was destroyed
  --watch                 stay attached: copy shims' logs to stderr, clean up after shims that end, print their events
                          as lines of JSON; until a signal to end, which leaves the shims running; until then
                          a daemon that is started waits, so that no two clean up after the same shim
  --force                 also while a daemon seems to run, and with --store none
  -h, --help              this text

Exit codes: 0 all steps done, 1 could not run, 2 bad usage, 3 a step failed or something was held,
4 a living bundle was held because --allow-killing is missing, or was destroyed because it was given,
129, 130 or 143 interrupted (a watch that is told to end is done, not interrupted).
`;

const replay = `shim-recovery replay: say what a policy would do on a host that was recorded, and why.

Reads what plan or recover wrote with --record, and nothing else: any machine will do, and nothing is touched.
A recording whose run ended early is replayed as far as it goes.

Usage: shim-recovery replay FILE [options]

  --policy NAME           whose decisions to take (default: those of the recorded run); plan records for every policy,
                          recover for its own
${recordedOrphansOption}  --namespace NS          only this namespace; may be given several times
  --json                  the report as one line of JSON
  --detailed-exitcode     exit with 3 when something would be destroyed or held, or the recording ends early
  -h, --help              this text

Exit codes: 0 done, 1 could not run, 2 bad usage, 3 see --detailed-exitcode, 4 something that lives would be destroyed.
`;

const compare = `shim-recovery compare: say what two policies would do differently, bundle by bundle, and which choice of theirs
makes the difference. Changes nothing.

Looks at this host as plan does, and asks each shim once for both; or, with FILE, at a host that plan --record wrote down.
The worst comes first: what lives and is destroyed by one of them only; what is destroyed by one of them only; what cannot
be told, as not all was asked; then other verdicts, other steps, and what differs only where a step fails.

Usage: shim-recovery compare --policy NAME --policy NAME [options]
       shim-recovery compare --policy NAME [options]           (with containerd-1.7)
       shim-recovery compare FILE --policy NAME ... [options]

${whereOptions}
How:
  --policy NAME           what to compare; once, with containerd-1.7, or twice
${orphansOption}${howOptions}  --detailed-exitcode     exit with 3 when something fares differently, or cannot be told to fare the same
  --no-probe              do not ask shims; what depends on their answer is not known
  -h, --help              this text

With FILE only --policy, --orphans, --namespace, --json and --detailed-exitcode are taken; the policy of the recorded run
has its orphans as that run did, unless --orphans says otherwise.

Exit codes: 0 done, 1 could not run, 2 bad usage, 3 see --detailed-exitcode.
`;

const explain = `shim-recovery explain: say how what would become of one bundle is decided: each question, its answer, and the rule that
followed; then the steps, and below each what follows where it fails. Changes nothing.

Only the shim of this one bundle is asked; the other bundles of its namespace are read for who else needs it. With --recording it is a bundle that plan --record wrote down, and nobody is.

Usage: shim-recovery explain [NAMESPACE/]ID [options]

${whereOptions}
How:
${policyOption}${orphansOption}${howOptions}  --recording FILE        explain what was recorded there, by default as the recorded run decided
  --no-probe              do not ask the shim
  -h, --help              this text

With --recording only --policy, --orphans and --json are taken.

Exit codes: 0 done, 1 could not run or there is no such bundle, 2 bad usage.
`;

const demo = `shim-recovery demo: lay out a throw-away host, plan it and recover it. Needs neither root nor containerd.

The shims are scripted, their sockets and log pipes are real. Nothing is left behind. The demo decides as containerd-1.7.

Usage: shim-recovery demo

  -h, --help              this text
`;

/** The text for a command, or for all of them. */
export const helpText = (about: CommandName | undefined): string => {
  switch (about) {
    case undefined:
      return overview;
    case 'plan':
      return plan;
    case 'recover':
      return recover;
    case 'compare':
      return compare;
    case 'explain':
      return explain;
    case 'replay':
      return replay;
    case 'demo':
      return demo;
  }
};

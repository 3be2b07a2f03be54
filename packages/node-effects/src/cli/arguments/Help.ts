/** What the command says about itself. */

import { type CommandName, helpOf } from './OptionTable.js';

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

/** All options of a command that looks at a host, under their headings. */
const hostOptions = (command: CommandName): string => `Where:
${helpOf(command, 'where')}
How:
${helpOf(command, 'how')}
What shim binaries are told:
${helpOf(command, 'told')}
Output:
${helpOf(command, 'output')}`;

const plan = `shim-recovery plan: say what a restart would do to each bundle, and why. Changes nothing.

Shims are sent Connect and Pids (State, too, under careful, and where a shim would be reaped), nothing else; their
log pipes are not opened. With --record every policy's questions are asked, so that the recording can be replayed under
each.

Usage: shim-recovery plan [options]

${hostOptions('plan')}
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

${hostOptions('recover')}
Exit codes: 0 all steps done, 1 could not run, 2 bad usage, 3 a step failed or something was held,
4 a living bundle was held because --allow-killing is missing, or was destroyed because it was given,
129, 130 or 143 interrupted (a watch that is told to end is done, not interrupted).
`;

const replay = `shim-recovery replay: say what a policy would do on a host that was recorded, and why.

Reads what plan or recover wrote with --record, and nothing else: any machine will do, and nothing is touched.
A recording whose run ended early is replayed as far as it goes.

Usage: shim-recovery replay FILE [options]

${helpOf('replay', 'how')}${helpOf('replay', 'where')}${helpOf('replay', 'output')}
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

${hostOptions('compare')}
With FILE only --policy, --orphans, --namespace, --json and --detailed-exitcode are taken; the policy of the recorded run
has its orphans as that run did, unless --orphans says otherwise.

Exit codes: 0 done, 1 could not run, 2 bad usage, 3 see --detailed-exitcode.
`;

const explain = `shim-recovery explain: say how what would become of one bundle is decided: each question, its answer, and the rule that
followed; then the steps, and below each what follows where it fails. Changes nothing.

Only the shim of this one bundle is asked; the other bundles of its namespace are read for who else needs it. With --recording it is a bundle that plan --record wrote down, and nobody is.

Usage: shim-recovery explain [NAMESPACE/]ID [options]

${hostOptions('explain')}
With --recording only --policy, --orphans and --json are taken.

Exit codes: 0 done, 1 could not run or there is no such bundle, 2 bad usage.
`;

const demo = `shim-recovery demo: lay out a throw-away host, plan it and recover it. Needs neither root nor containerd.

The shims are scripted, their sockets and log pipes are real. Nothing is left behind. The demo decides as containerd-1.7.

Usage: shim-recovery demo

${helpOf('demo', 'output')}`;

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

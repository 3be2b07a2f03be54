/** The rules that settle a bundle, in words, each with its place in the decision table (SPEC 4, 4.1). */
import * as t from 'io-ts';
import type { Policy } from '../policy/Policy.js';
import type { Reason } from './Verdict.js';

/** What a rule says, and where it stands in the decision table; null for a rule of this program's own. */
export const Rule = t.readonly(t.type({ step: t.union([t.string, t.null]), text: t.string }), 'Rule');

export interface Rule extends t.TypeOf<typeof Rule> {}

export const rule = (step: string | null, text: string): Rule => ({ step, text });

/** The rule that settles a bundle, by its reason, where anything but an answer in time shows that a shim is dead. */
const ruleOf: Readonly<Record<Reason, Rule>> = {
  'not-a-directory': rule('1', 'what is no directory is no bundle, and passed over'),
  hidden: rule('2', 'what is hidden is passed over'),
  unreadable: rule('4', 'a bundle that cannot be listed is removed without asking anyone'),
  empty: rule('5', 'an empty bundle is removed'),
  'container-not-found': rule('7a', 'a bundle of which nothing says the runtime is removed without asking its shim'),
  'container-unknown': rule('7a', 'an error counts as no record: the bundle is removed without asking its shim'),
  'shim-binary-not-found': rule('8', 'without its program a bundle is removed without asking its shim'),
  'address-unreadable': rule('9', 'a shim that cannot be looked for counts as dead: its binary cleans up'),
  'address-unsupported': rule('9', 'a shim that this daemon cannot speak to counts as dead: its binary cleans up'),
  'log-unusable': rule('9', 'a shim whose log cannot be opened counts as dead: its binary cleans up'),
  'dial-failed': rule('9', 'a shim that cannot be reached counts as dead: its binary cleans up'),
  'connect-failed': rule('9', 'a shim that does not confirm that it lives counts as dead: its binary cleans up'),
  'shim-answers': rule('4.1', 'a shim that answers is taken back'),
  'sandbox-recorded': rule('13', 'a shim of a recorded sandbox is taken back, whatever processes it has'),
  'sandbox-unknown': rule('13', 'an error counts as a record of a sandbox: the shim is taken back'),
  'task-running': rule('13', 'a shim with a task is taken back'),
  'no-processes': rule('12', 'a shim without a process and without a sandbox is leaked, and reaped'),
  'task-not-found': rule('12', 'a shim without its task and without a sandbox is leaked, and reaped'),
  'pids-failed': rule('12', 'processes that cannot be listed count as none: the shim is leaked, and reaped'),
  'task-exited': rule(null, 'a task that ended is kept until its owner collected how'),
  'pids-unanswered': rule(null, 'a shim that failed to list its processes lives, and is taken back'),
  'older-than-boot': rule(null, 'nothing that ran before this machine was started runs still: its binary cleans up'),
  'orphan-reaped': rule(null, 'it was asked for that what runs without its shim be ended'),
  leftover: rule(null, 'what an interrupted removal left behind is removed'),
  'bundle-unreadable': rule(null, 'a bundle that cannot be read is left as it is'),
  'container-unanswered': rule(null, 'an error is no answer: the bundle is left as it is'),
  'address-unknown': rule(null, 'a shim that cannot be looked for may live: the bundle is left as it is'),
  'shim-unresponsive': rule(null, 'a shim that gives no answer may live: the bundle is left as it is'),
  'shim-unreachable': rule(null, 'a shim that cannot be reached may live: the bundle is left as it is'),
  'shim-shared': rule(null, 'a shim that others need is not told to end'),
  'no-container': rule(null, 'a shim that answers is not ended only because nobody knows its container'),
  'task-disputed': rule(null, 'a shim that contradicts what lives is left as it is'),
  'orphan-workload': rule(null, 'a container that runs without its shim is left as it is'),
  'processes-unknown': rule(null, 'death needs every source, and one could not tell'),
  'not-a-bundle': rule(null, 'a directory that may be no bundle is left as it is'),
  'would-kill': rule(null, 'this run does not destroy what lives: it is left as it is'),
  'leftover-in-use': rule(null, 'what processes belong to is no leftover'),
  'out-of-resources': rule(null, 'what this process lacks says nothing of the bundle: it is left as it is'),
  'not-probed': rule(null, 'without an answer it is left as it is'),
  'not-recorded': rule(null, 'without an answer it is not known what would become of it'),
  'plan-stale': rule(null, 'what is not as it was when the plan was made is left as it is'),
  'not-planned': rule(null, 'what the plan does not name is left as it is'),
  gone: rule(null, 'what is gone is passed over'),
  interrupted: rule(null, 'what was not decided before the interruption is left as it is'),
};

/** Where death needs every source, another rule settles what seems dead: these reasons only say how it came to that. */
const rulesOfEverySource: Partial<Readonly<Record<Reason, Rule>>> = {
  empty: rule(null, 'every source says that nothing of it lives: an empty bundle is removed'),
  'container-not-found': rule(
    null,
    'every source says that it is dead, and no container of its id is recorded: it is removed',
  ),
  'shim-binary-not-found': rule(
    null,
    'every source says that it is dead, and it has no program to clean up: it is removed',
  ),
  'address-unreadable': rule(null, 'every source says that it is dead: its binary cleans up'),
  'dial-failed': rule(null, 'every source says that it is dead: its binary cleans up'),
};

/** The rule by which a policy settles a bundle, by its reason. */
export const ruleUnder =
  ({ death }: Pick<Policy, 'death'>) =>
  (reason: Reason): Rule =>
    (death === 'every-source' ? rulesOfEverySource[reason] : undefined) ?? ruleOf[reason];

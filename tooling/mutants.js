/**
 * `pnpm mutants`: is every one of these mistakes noticed? Each is a single change to the decisions and steps of the
 * core, or to the machine in memory; the tests of both are run on a copy that has it, and must fail. `pnpm mutants PART …`
 * tries only those in whose names one of the parts is.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('..', import.meta.url));
/** Where mistakes are made: whatever file a text moves to, it is found. */
const mutated = ['packages/core/src', 'packages/test-effects/src'];

/** Where most mistakes are noticed, and quickly. */
const usual = [
  'decide/Decision',
  'plan/Plan',
  'capabilities/ShimSocket',
  'policy/ShimProgram',
  'observe/MountTable',
]
  .map((name) => `core/test/${name}`)
  .concat(['recordings', 'Recovery', 'Mounts'].map((name) => `test-effects/test/${name}`))
  .join(' ');

/**
 * `first` is where the tests stand that must notice it; where they do not, all are run.
 * @type {ReadonlyArray<{ name: string, find: string, replace: string, first: string }>}
 */
const mutants = [
  ['a symlink to a bundle counts as one', "if (evidence.kind !== 'directory') return verdict('not-a-directory'); // step 1", "if (evidence.kind === 'file') return verdict('not-a-directory');"],
  ['hidden entries are decided on', "if (isHidden(evidence.id)) return verdict('hidden'); // step 2", ''],
  ['an empty bundle is not noticed', "if (entries.length === 0) return { _tag: 'Empty' };", ''],
  ['an empty path is a path', "if (recorded !== '') return", 'if (true) return'],
  ['an unknown container is asked for again', "return verdict('container-unknown');", "return decideProgram(policy)(answers, contents, recorded);"],
  ['a missing program is no reason', "answers.program._tag === 'Left'", 'false'],
  ['a newer address is dialled', 'version.value > newest', 'version.value > newest + 1'],
  ['an old version is taken as JSON', 'failed || version.value < 2', 'failed || version.value < 1'],
  ['a path is an abstract name', "      : { _tag: 'Path', path },", "      : { _tag: 'Abstract', name: path },"],
  ['a sandbox does not keep a shim', "if (answers.sandbox?._tag === 'Found') return verdict('sandbox-recorded');", ''],
  ['an unknown sandbox does not keep a shim', "if (answers.sandbox?._tag === 'Unknown') return verdict('sandbox-unknown');", ''],
  ['one process is none', 'verdict(answers.pids.right.length > 0 ?', 'verdict(answers.pids.right.length > 1 ?'],
  ['failed Pids keep a shim', 'failedPidsCountAsNone: true', 'failedPidsCountAsNone: false'],
  ['the bundle goes though its binary failed', "perform({ _tag: 'RunBinary', program: removal.program }, removeBundle(removal));", "attempt({ _tag: 'RunBinary', program: removal.program }, removeBundle(removal));"],
  ['rootfs is not unmounted', "    { _tag: 'UnmountRootfs' },\n    perform({ _tag: 'RemoveRootfs' }", "    { _tag: 'RemoveRootfs' },\n    perform({ _tag: 'RemoveRootfs' }"],
  ['a full rootfs does not stop the removal', "perform({ _tag: 'RemoveRootfs' }, perform(", "attempt({ _tag: 'RemoveRootfs' }, perform("],
  ['the working directory stays when the bundle resists', 'removeWork(succeeded), removeWork(failed)', 'removeWork(succeeded), failed'],
  ['the working directory is forgotten', 'removeWork(succeeded), removeWork(failed)', 'succeeded, removeWork(failed)'],
  ['a reaped shim is not told to end', "{ _tag: 'CallShutdown' }", "{ _tag: 'CloseConnection' }"],
  ['a refused deletion goes on all the same', "perform(\n    { _tag: 'CallDelete' },", "attempt(\n    { _tag: 'CallDelete' },"],
  ['that the shim knows no such task stops its reaping', "isTaskNotFound(error) || error._tag === 'Closed'", "error._tag === 'Closed'"],
  ['that the shim hung up stops its reaping', "isTaskNotFound(error) || error._tag === 'Closed'", 'isTaskNotFound(error)'],
  ['the binary of a reaped shim is not run', ": cleanUpAnyway(removal);\n  const close", ": removeBundle(removal);\n  const close"],
  ['the log is not made for a dead shim', "'after-address': ['address-unsupported', 'dial-failed',", "'after-address': ['address-unsupported',"],
  ['a rename replaces a directory', "target.right.kind === 'directory'", 'false'],
  ['an error in a sibling ends a removal', 'if (E.isRight(outcome)) outcome = removed;', 'if (E.isLeft(removed)) break;'],
  ['a missing bundle is an error', 'if (E.isLeft(renamed)) return unlessAbsent(renamed);', 'if (E.isLeft(renamed)) return renamed;'],
  ['only one layer is unmounted', "      if (E.isLeft(outcome)) return isCode(", "      return isCode("],
  ['a busy mount is not waited for', 'maxBusyTries = 50', 'maxBusyTries = 1'],
  ['inner mounts come last', 'second.path.length - first.path.length', 'first.path.length - second.path.length'],
  ['working directories of registered tasks go', "if (owner.registered) return 'registered';", ''],
  ['hidden working directories stay', "reason === 'not-registered'\n", "reason === 'not-registered' && !name.startsWith('.')\n"],
  ['events go out for tasks that were never registered', 'task.registered\n', 'true\n'],
  ['the deletion is published before the exit', "{ _tag: 'PublishExit', known },\n        attempt({ _tag: 'PublishDelete', known }", "{ _tag: 'PublishDelete', known },\n        attempt({ _tag: 'PublishExit', known }"],
  ['a disconnected task stays registered', "attempt({ _tag: 'Unregister' }, forget)", 'forget'],
  ['a bundle that was replaced is removed all the same', 'isExpected(expected, status.right)', 'true', 'test-effects/test/simulation/meddlers/containerd-1.7'],
  ['a bundle that nobody knows is taken for the one', 'expected !== null && isSameFile(', 'expected === null || isSameFile(', 'test-effects/test/Recovery'],
  ['what was moved aside by mistake is not put back', '    const restored = await rename(files)(aside, at)();\n    return E.isLeft(restored) ? restored : checked;', '    return checked;', 'test-effects/test/simulation/meddlers/containerd-1.7'],
  ['a program runs in whatever bundle stands there', 'isExpected(bundle.identity, status.right)', 'true', 'test-effects/test/simulation/meddlers/containerd-1.7'],
  ['one round of asking for many', 'waiting: 16_384', 'waiting: 1', 'test-effects/test/Patience'],
  ['1.6 reaps, too', "policy.reapsLeakedShims ? decideTask(policy)(answers) : verdict('shim-answers')", 'decideTask(policy)(answers)'],
  ['1.6 unmounts below rootfs', 'toMountFailure(await unmountAll(capabilities)(rootfs)())', 'unmountAtAndBelow(executor, subject, rootfs)'],
  ['what follows a failure follows a lack of ours, too', 'outcome.left.isLocalExhaustion && mayStop', 'false', 'test-effects/test/Recovery'],
  ['a binary that we could not start has failed', "error._tag === 'CannotStart' && keepsAnyProgramFromRunning(error.code)", 'false', 'test-effects/test/Recovery'],
  ['no more processes are the fault of a bundle', "isExhaustionCode(code) || ['EAGAIN', 'E2BIG'].includes(code)", 'isExhaustionCode(code)', 'test-effects/test/Recovery'],
  ['what was left for another run loses its working directory', "records.of(evidence).some(({ outcome }) => outcome === 'left') ||", '', 'test-effects/test/Recovery'],
  ['1.6 dials before it looks for a log', "const error = logOpened === 'after-dial' ?", 'const error = false ?'],
  ['1.6 refuses a name with a slash', "names === 'checked' && runtime.includes(slash)", 'runtime.includes(slash)'],
  ['2.1 unmounts what the path names, not where it leads', 'return unmountAtAndBelow(executor, subject, target.right);', 'return unmountAtAndBelow(executor, subject, rootfs);'],
  ['2.1 keeps a bundle whose clean-up failed', "policy.removesAfterFailedCleanUp === 'all' ?", 'false ?'],
  ['2.1 asks no shim for the version before', 'older !== undefined && E.isRight(older) ? { fallback: older.right } : {}', '{}'],
  ['2.1 asks for the version before after any failure', " || !isNotImplemented(connected.left)", ''],
  ['2.1 decodes an address before it writes it down', 'E.right(legacyParameters(address.content)), {', 'parseBootstrap(address.content, 3), {'],
  ['2.1 writes no bootstrap.json', 'migration === undefined ? next', 'true ? next'],
  ['2.1 takes a shim back whose bootstrap.json cannot be written', "migrated(perform({ _tag: 'Register' }), giveUp)", "migrated(perform({ _tag: 'Register' }), perform({ _tag: 'Register' }))"],
  ['2.1 does not get past what a crash left of a bootstrap.json', 'unlessAbsent(await fileSystem.unlink(aside)())', 'done'],
  ['a rename that replaces nothing replaces', "if (E.isRight(target) && !replaces) return E.left('EEXIST');", ''],
  ['a bundle is moved onto what stands there', 'await files.renameNoReplace(from, to)();', 'await files.rename(from, to)();', 'test-effects/test/recordings core/test'],
  ['an empty bundle goes whatever stands behind its dot', 'if (E.isRight(blocking) || !isAbsent(blocking.left)) return E.right(false);', '', 'test-effects/test/EmptyBundle'],
  ['what came to stand in an empty bundle goes with its rootfs', 'const removed = await removeRootfs(executor, subject)();\n      if (E.isLeft(removed)) return removed;', '', 'test-effects/test/EmptyBundle'],
  ['an empty bundle goes unchecked', 'Removal.deleteEmpty(fileSystem, check)', 'Removal.deleteEmpty(fileSystem)', 'test-effects/test/EmptyBundle'],
  ['careful: an empty bundle is not claimed', "evidence.contents?._tag === 'Empty' && settings.policy.unmounts !== 'bundle'", "evidence.contents?._tag === 'Empty'", 'test-effects/test/EmptyBundle'],
  ['a file is made over another', "if (E.isRight(found)) return E.left('EEXIST');", 'if (E.isRight(found)) tree.remove(found.right);', 'test-effects/test/laws'],
  ['a path resolves to itself', "E.bimap((code) => systemError('resolve', path, code), tree.pathOf)", "E.bimap((code) => systemError('resolve', path, code), () => path)", 'test-effects/test/laws'],
  ['careful: a leftover goes though something runs in it', "if (livingContainer(signs).length > 0 || isShared(signs)) return verdict('leftover-in-use');", '', 'core/test/decide/CarefulDecision'],
  ['careful: a leftover goes though others find their shim by it', ' || isShared(signs)', '', 'test-effects/test/simulation/found'],
  ['careful: a shim ends though a sandbox of the other tree may have it', 'for (const other of await pods.beside())', 'for (const other of [])', 'test-effects/test/simulation/found'],
  ['careful: a container that outlives its reaping counts as ended', 'if (seen.length === 0) return runProgram', 'return runProgram', 'test-effects/test/Careful'],
  ["careful: a shim that lives is no sign of life", "if (livingShim(signs).length > 0) return verdict('shim-unreachable');", '', 'core/test/decide/CarefulDecision'],
  ['careful: an orphan is no sign of life', 'if (livingContainer(signs).length > 0) {\n      if (unknownShim', 'if (false) {\n      if (unknownShim', 'core/test/decide/CarefulDecision'],
  ['careful: an orphan without a program is reaped', "mayReapOrphan(policy, evidence) && owner === 'program'", 'mayReapOrphan(policy, evidence)', 'core/test/decide/CarefulDecision'],
  ['careful: what an unknown container is is no question', "return verdict('container-unanswered'); // H9", "return decideConnection(policy)(evidence, contents, 'no-container');", 'core/test/decide/CarefulDecision'],
  ['careful: what is not known is none', "if (unknownSigns(signs).length > 0) return verdict('processes-unknown');", '', 'core/test/decide/CarefulDecision'],
  ['careful: an orphan is one though its shim may live', "if (unknownShim(signs).length > 0) return verdict('processes-unknown');", '', 'core/test/decide/CarefulDecision'],
  ['careful: a missing bundle file is as one that cannot be read', "        ? verdictUnlessExhausted('address-unknown', address.reading.error)", "        ? dead('address-unreadable')", 'core/test/decide/CarefulDecision'],
  ['careful: one dead socket of two is a sign of death', "isCertain(address) ? dead('dial-failed') : verdict('address-unknown')", "dead('dial-failed')", 'core/test/decide/CarefulDecision'],
  ['careful: a shim without a task is reaped though another may listen', "if (!isCertain(address)) return verdict('address-unknown');", '', 'core/test/decide/CarefulDecision'],
  ['careful: JSON without an address is an address', 'parseStrictly(reading.content, 3)', 'parseBootstrap(reading.content, 3)', 'core/test/decide/ShimAddress'],
  ['a shim that hangs up at every question is asked without a pause', 'if (tooSoonMs > 0) await clock.sleep(tooSoonMs)();', '', 'test-effects/test/Recovery'],
  ['a request that cannot be sent is a shim that hung up', "verdictUnlessExhausted('connect-failed', answers.connection.error)", "verdict('connect-failed')", 'core/test/decide/Decision'],
  ['careful: a shim that denies its task is believed', "if (livingContainer(signs).length > 0) return verdict('task-disputed');", '', 'core/test/decide/CarefulDecision'],
  ['careful: a shim that denies its task is believed where nothing else is known', "if (unknownContainer(signs).length > 0) return verdict('processes-unknown');\n  if (sharers", 'if (sharers', 'core/test/decide/CarefulDecision'],
  ['careful: a shim that others need is reaped', "sharers.length > 0 ? 'shim-shared' : reason", 'reason', 'core/test/decide/CarefulDecision'],
  ['careful: a task without a container is adopted', "owner === 'no-container' ? 'no-container' : reason", 'reason', 'core/test/decide/CarefulDecision'],
  ['careful: failed Pids are as none', "if (E.isLeft(answers.pids) && !isTaskNotFound(answers.pids.left)) return adopt('pids-unanswered'); // H1", '', 'core/test/decide/CarefulDecision'],
  ['careful: a task that ended runs', "answers.state.right.status === 'stopped' ? 'task-exited' : 'task-running'", "'task-running'", 'core/test/decide/CarefulDecision'],
  ['careful: a failed State is as an unknown task', "if (!isTaskNotFound(answers.state.left)) return verdict('shim-unresponsive');", '', 'core/test/decide/CarefulDecision'],
  ['careful: every failed dial means death', "['ECONNREFUSED', 'ENOENT'].includes(error.code)", 'true', 'core/test/decide/CarefulDecision'],
  ['careful: a full backlog is not slow', "error._tag === 'DialFailed' && error.code === 'EAGAIN'", 'false', 'core/test/decide/CarefulDecision'],
  ['careful: every failed Connect means death', "return verdictUnlessExhausted('shim-unresponsive', connection.error); // H4", "return dead('dial-failed');", 'core/test/decide/CarefulDecision'],
  ['signs: own-view is not looked at', 'return [ownView(about), ...ofShim', 'return [...ofShim', 'test-effects/test/SignsOfLife'],
  ['signs: listener is not looked at', '      await listenerSign(about),\n', '', 'test-effects/test/SignsOfLife'],
  ['signs: shim-process is not looked at', '      shimProcessSign(about, new Set(pidsOfSigns(livingContainer(container)))),\n', '', 'test-effects/test/SignsOfLife'],
  ['signs: pod is not looked at', ', await podSign(about, livingShim(ofShim))', '', 'test-effects/test/SignsOfLife'],
  ['signs: init-pid is not looked at', '      initPidSign(about),\n', '', 'test-effects/test/SignsOfLife'],
  ['signs: control-group is not looked at', '      controlGroupSign(about),\n', '', 'test-effects/test/SignsOfLife'],
  ['signs: runtime-state is not looked at', '      runtimeStateSign(about),\n', '', 'test-effects/test/SignsOfLife'],
  ['signs: root-file-system is not looked at', '      await rootFileSystemSign(about),\n', '', 'test-effects/test/SignsOfLife'],
  ['careful: a shim that no other source sees is not dialled', '    switch (connection?._tag) {\n      case undefined:\n        return askShim(address);', "    switch (connection?._tag) {\n      case undefined:\n        return dead('dial-failed');", 'test-effects/test/SignsOfLife core/test/decide/CarefulDecision'],
  ['careful: a directory of a user is a bundle', "if (contents?._tag === 'Listed' && !isBundle(policy)(evidence, contents)) return verdict('not-a-bundle');", '', 'core/test/decide/CarefulDecision'],
  ['a crash leaves of a bundle what looks like none', 'device === undefined ? entries.right : foreignFirst(entries.right)', 'entries.right', 'test-effects/test/Careful'],
  ['careful: a missing program is one', "E.isLeft(program) ? 'no-program' : 'program'", "'program'", 'core/test/decide/CarefulDecision'],
  ['the brake minds few bundles, too', 'destroyed > alwaysMayDestroy && ', '', 'test-effects/test/Careful'],
  ['there is no brake', 'destroyed > mayDestroy * bundles.length', 'false', 'test-effects/test/Careful'],
  ['the brake counts leftovers', " && reason !== 'leftover'", '', 'test-effects/test/Careful'],
  ['the log of a shim that is given up stays open until its steps are taken', "if (isDestructive(verdict) && open.session === undefined) await detachLog(open)();", '', 'test-effects/test/recordings/vectors'],
  ['leftovers go beside the others', 'await traverse({ ...clock, limit: 1 }, one)(leftovers)();', 'void traverse({ ...clock, limit: 1 }, one)(leftovers)();', 'test-effects/test/Careful'],
  ['leftovers go all at once', 'traverse({ ...clock, limit: 1 }, one)(leftovers)', 'traverse({ ...clock, limit: 64 }, one)(leftovers)', 'test-effects/test/Careful'],
  ['careful: leftovers stay', 'sweepsLeftovers: true', 'sweepsLeftovers: false', 'test-effects/test/Careful'],
  ['careful: the working directory of what stays goes', 'keepsWorkOfWhatStays: true', 'keepsWorkOfWhatStays: false', 'test-effects/test/Careful'],
  ['careful: the table is not read again after unmounting', 'return refuseMounted(needs)(path)();', 'return E.right(undefined);', 'test-effects/test/Careful'],
  ['careful: what is mounted meanwhile is removed', 'return refuseMountedAt(executor, mountPath(executor, executor.state, evidence.namespace, at.name))();', 'return refused;', 'test-effects/test/Careful'],
  ['careful: removals go into other mounts', 'refuseChanged(executor, subject), Removal.removeWithinMount)', 'refuseChanged(executor, subject))', 'test-effects/test/Careful'],
  ['careful: the end of a connection is death', "disconnect: 'asked-again'", "disconnect: 'death'", 'test-effects/test/Recovery'],
  ['careful: a shim that does not answer a second time is cleaned up after', "if (_tag === 'CleanUp') return", "if (_tag !== 'Ignore') return", 'test-effects/test/Recovery'],
  ['careful: a working directory that has a new owner goes', 'if (owner.right !== undefined) return', 'if (false) return', 'test-effects/test/Recovery'],
  ['careful: a store is asked once', "    asksAgain: 'store',\n", '', 'test-effects/test/Patience'],
  ['careful: a store is asked once more only', "asksAgain: 'store'", "asksAgain: 'once-more'", 'test-effects/test/Patience'],
  ['careful: each bundle has the whole budget of a store', 'let storeTries = 0;', 'let storeTries = 0;\n    prober = { ...prober, storeBudgetMs: retryBudget(clock, prober.settings.timeouts.storeMs) };', 'test-effects/test/Patience'],
  ['careful: a store is asked beyond its budget', 'Math.max(0, budgetMs - (', 'Math.max(0, 2 * budgetMs - (', 'test-effects/test/Patience'],
  ['careful: a slow shim is asked once', "a shim that gives no answer may live: the bundle is left as it is'),\n    asksAgain: 'once-more',\n", "a shim that gives no answer may live: the bundle is left as it is'),\n", 'test-effects/test/Patience'],
  ['an explanation does not see who shares the shim', 'namespaces, probing, bundles);', 'namespaces, probing, []);', 'test-effects/test/Explanation'],
  ['a recording does not tell what was chosen', '  choices: choicesOf(policy),\n', '', 'core/test/documents/Recording'],
  ['a replay does not go by what was chosen', 'name === recorded ? (recordedChoices ?? {}) : {}', '{}', 'test-effects/test/Recording'],
  ['another policy is replayed with what was chosen of the recorded one', 'name === recorded ? (recordedChoices ?? {}) : {}', 'recordedChoices ?? {}', 'test-effects/test/Recording'],
  ['what shims say of a step is printed as it is', '{ error: inOneLine(error) }', '{ error }', 'core/test/report/Report'],
].map(([name = '', find = '', replace = '', first = usual]) => ({ name, find, replace, first }));

/** Longer than all tests take on a busy machine, in milliseconds. */
const patienceMs = 1_800_000;

/** A copy of the tree, with the packages that are installed here. */
const copyTree = () => {
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'shim-recovery-mutants-'));
  const tracked = execFileSync('git', ['ls-files', '-z'], { cwd: repository, encoding: 'utf8' }).split('\0');
  for (const file of tracked.filter((name) => name !== '' && fs.existsSync(path.join(repository, name)))) {
    fs.mkdirSync(path.dirname(path.join(copy, file)), { recursive: true });
    fs.copyFileSync(path.join(repository, file), path.join(copy, file));
  }
  fs.symlinkSync(path.join(repository, 'node_modules'), path.join(copy, 'node_modules'));
  for (const name of ['core', 'node-effects', 'test-effects'])
    execFileSync('cp', ['-a', path.join(repository, 'packages', name, 'node_modules'), path.join(copy, 'packages', name)]);
  return copy;
};

/** Parts of the names of those to be tried; none means all. */
const only = process.argv.slice(2);
/** @type {(name: string) => boolean} */
const isWanted = (name) => only.length === 0 || only.some((part) => name.includes(part));
const copy = copyTree();

const sourcesOf = () =>
  mutated.flatMap((directory) =>
    fs
      .readdirSync(path.join(copy, directory), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name)),
  );

/** The one file that holds the text of a mutant, once. */
const placeOf = (name, find) => {
  const places = sourcesOf()
    .map((source) => ({ source, text: fs.readFileSync(source, 'utf8') }))
    .filter(({ text }) => text.includes(find));
  const [place] = places;
  if (place === undefined || places.length > 1 || place.text.split(find).length !== 2)
    throw new Error(`"${name}": its place is not found exactly once, but in ${places.map(({ source }) => source).join(', ') || 'no file'}`);
  return place;
};

let missed = 0;
let caught = 0;
try {
  const vitest = (...more) =>
    spawnSync(
      path.join(copy, 'node_modules/.bin/vitest'),
      // A test that only took too long on a busy machine has noticed nothing.
      ['run', '--project', 'core', '--project', 'test-effects', '--bail', '1', '--testTimeout', '120000', ...more],
      // A mistake after which the tests never end is noticed, too.
      { cwd: copy, encoding: 'utf8', env: { ...process.env, CI: '' }, timeout: patienceMs },
    );
  // Most are caught by what is fast; only the others are put to the simulations. The examples are no mutant's place, nor
  // is the command, which is tested as it was built.
  const testAll = () => {
    const fast = vitest('--exclude', '**/examples.test.ts', '--exclude', '**/simulation/**');
    return fast.status === 0
      ? vitest('packages/test-effects/test/simulation', '--exclude', '**/command.test.ts')
      : fast;
  };
  /** @type {(first: string) => ReadonlyArray<string>} */
  const filesOf = (first) => first.split(' ').map((part) => `packages/${part}`);
  const checkSound = (run) => {
    const sound = run();
    if (sound.status !== 0) throw new Error(`the tests fail without any mutant:\n${sound.stdout}`);
  };
  const wanted = mutants.filter((mutant) => isWanted(mutant.name));
  for (const { name, find } of mutants) placeOf(name, find);
  const named = [...new Set(wanted.flatMap(({ first }) => filesOf(first)))];
  checkSound(() => vitest(...named));
  let isAllSound = false;
  for (const { name, find, replace, first } of wanted) {
    const { source, text } = placeOf(name, find);
    /** @type {(run: () => { status: number | null }) => boolean} */
    const isCaughtBy = (run) => {
      fs.writeFileSync(source, text.replace(find, () => replace));
      const isCaught = run().status !== 0;
      fs.writeFileSync(source, text);
      return isCaught;
    };
    const isCaughtAtOnce = isCaughtBy(() => vitest(...filesOf(first)));
    if (!isCaughtAtOnce && !isAllSound) {
      checkSound(testAll);
      isAllSound = true;
    }
    const isCaught = isCaughtAtOnce || isCaughtBy(testAll);
    if (isCaught) caught++;
    else missed++;
    process.stdout.write(`${isCaught ? 'caught' : 'MISSED'}  ${name}${first === usual || isCaughtAtOnce || !isCaught ? '' : ', but not where it should be'}\n`);
  }
} finally {
  fs.rmSync(copy, { recursive: true, force: true });
}
process.stdout.write(`${caught} caught, ${missed} missed\n`);
process.exitCode = missed === 0 ? 0 : 1;

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
const core = 'packages/core/src';

/** @type {ReadonlyArray<{ name: string, file: string, find: string, replace: string }>} */
const mutants = [
  ['a symlink to a bundle counts as one', 'Decision.ts', "evidence.kind !== 'directory'", "evidence.kind === 'file'"],
  ['hidden entries are decided on', 'Decision.ts', "if (isHidden(evidence.id)) return settle('hidden'); // step 2", ''],
  ['an empty bundle is not noticed', 'Snapshot.ts', "if (entries.length === 0) return { _tag: 'Empty' };", ''],
  ['an empty path is a path', 'Decision.ts', "if (recorded !== '') return", 'if (true) return'],
  ['an unknown container is asked for again', 'Decision.ts', "return settle('container-unknown');", "return decideProgram(policy)(answers, contents, recorded);"],
  ['a missing program is no reason', 'Decision.ts', "answers.program._tag === 'Left'", 'false'],
  ['a newer address is dialled', 'Bootstrap.ts', 'version.value > newest', 'version.value > newest + 1'],
  ['an old version is taken as JSON', 'Bootstrap.ts', 'failed || version.value < 2', 'failed || version.value < 1'],
  ['a path is an abstract name', 'Bootstrap.ts', "{ _tag: 'Path', path }", "{ _tag: 'Abstract', name: path }"],
  ['a sandbox does not keep a shim', 'Decision.ts', "if (answers.sandbox._tag === 'Found') return settle('sandbox-recorded');", ''],
  ['an unknown sandbox does not keep a shim', 'Decision.ts', "if (answers.sandbox._tag === 'Unknown') return settle('sandbox-unknown');", ''],
  ['one process is none', 'Decision.ts', 'answers.pids.right.length > 0', 'answers.pids.right.length > 1'],
  ['failed Pids keep a shim', 'Policy.ts', 'failedPidsCountAsNone: true', 'failedPidsCountAsNone: false'],
  ['the bundle goes though its binary failed', 'Plan.ts', "perform({ _tag: 'RunBinary', program }, removeBundle(work));", "attempt({ _tag: 'RunBinary', program }, removeBundle(work));"],
  ['rootfs is not unmounted', 'Plan.ts', "    { _tag: 'UnmountRootfs' },\n    perform({ _tag: 'RemoveRootfs' }", "    { _tag: 'RemoveRootfs' },\n    perform({ _tag: 'RemoveRootfs' }"],
  ['a full rootfs does not stop the removal', 'Plan.ts', "perform({ _tag: 'RemoveRootfs' }, perform(", "attempt({ _tag: 'RemoveRootfs' }, perform("],
  ['the working directory stays when the bundle resists', 'Plan.ts', 'removeWork(succeeded), removeWork(failed)', 'removeWork(succeeded), failed'],
  ['the working directory is forgotten', 'Plan.ts', 'removeWork(succeeded), removeWork(failed)', 'succeeded, removeWork(failed)'],
  ['a reaped shim is not told to end', 'Plan.ts', "{ _tag: 'CallShutdown' }", "{ _tag: 'CloseConnection' }"],
  ['a refused deletion goes on all the same', 'Plan.ts', "  perform(\n    { _tag: 'CallDelete' },", "  attempt(\n    { _tag: 'CallDelete' },"],
  ['that the shim knows no such task stops its reaping', 'Execution.ts', "isTaskNotFound(error) || error._tag === 'Closed'", "error._tag === 'Closed'"],
  ['that the shim hung up stops its reaping', 'Execution.ts', "isTaskNotFound(error) || error._tag === 'Closed'", 'isTaskNotFound(error)'],
  ['the binary of a reaped shim is not run', 'Plan.ts', "attempt({ _tag: 'CloseLogPipe' }, cleanUpAnyway(program, work))", "attempt({ _tag: 'CloseLogPipe' }, removeBundle(work))"],
  ['the log is not made for a dead shim', 'Plan.ts', "'after-address': ['address-unsupported', 'dial-failed',", "'after-address': ['address-unsupported',"],
  ['a rename replaces a directory', 'Removal.ts', "target.right.kind === 'directory'", 'false'],
  ['an error in a sibling ends a removal', 'Removal.ts', 'if (E.isRight(outcome)) outcome = removed;', 'if (E.isLeft(removed)) break;'],
  ['a missing bundle is an error', 'Removal.ts', 'if (E.isLeft(renamed)) return unlessAbsent(renamed);', 'if (E.isLeft(renamed)) return renamed;'],
  ['only one layer is unmounted', 'Unmounting.ts', "      if (E.isLeft(outcome)) return isCode(", "      return isCode("],
  ['a busy mount is not waited for', 'Unmounting.ts', 'maxBusyTries = 50', 'maxBusyTries = 1'],
  ['inner mounts come last', 'MountTable.ts', 'second.length - first.length', 'first.length - second.length'],
  ['working directories of registered tasks go', 'WorkDirectory.ts', "if (owner.registered) return 'registered';", ''],
  ['hidden working directories stay', 'WorkDirectory.ts', "reason === 'not-registered'\n", "reason === 'not-registered' && !name.startsWith('.')\n"],
  ['events go out for tasks that were never registered', 'Plan.ts', 'task.registered\n', 'true\n'],
  ['the deletion is published before the exit', 'Plan.ts', "{ _tag: 'PublishExit', known },\n        attempt({ _tag: 'PublishDelete', known }", "{ _tag: 'PublishDelete', known },\n        attempt({ _tag: 'PublishExit', known }"],
  ['a disconnected task stays registered', 'Plan.ts', "attempt({ _tag: 'Unregister' }, forget)", 'forget'],
  ['a bundle that was replaced is removed all the same', 'Removal.ts', 'expected !== null && isSameFile(status.right, expected)', 'true'],
  ['a bundle that nobody knows is taken for the one', 'Removal.ts', 'expected !== null && isSameFile(', 'expected === null || isSameFile('],
  ['what was moved aside by mistake is not put back', 'Removal.ts', '    const restored = await rename(files)(aside, at)();\n    return E.isLeft(restored) ? restored : checked;', '    return checked;'],
  ['a program runs in whatever bundle stands there', 'BundleDirectory.ts', 'refuseReplaced(files, bundle.identity)(at),', 'TE.right(undefined),'],
  ['one round of asking for many', 'Settings.ts', 'waiting: 4_096', 'waiting: 1'],
  ['1.6 reaps, too', 'Decision.ts', "policy.reapsLeakedShims ? decideTask(policy)(answers) : settle('shim-answers')", 'decideTask(policy)(answers)'],
  ['1.6 unmounts below rootfs', 'Execution.ts', 'pipe(rootfs, unmountAll(capabilities), silently(showMountError))', 'below(rootfs)'],
  ['1.6 dials before it looks for a log', 'Inquiry.ts', "settings.policy.logOpened === 'after-dial'", 'false'],
  ['1.6 refuses a name with a slash', 'RuntimeName.ts', "policy.runtimeNames === 'checked' && runtime.includes(slash)", 'runtime.includes(slash)'],
  ['2.1 unmounts what the path names, not where it leads', 'Execution.ts', '(target) => below(target)', '() => below(rootfs)'],
  ['2.1 keeps a bundle whose clean-up failed', 'Plan.ts', 'policy.removesAfterFailedCleanUp ?', 'false ?'],
  ['2.1 asks no shim for the version before', 'ShimAddress.ts', 'older !== undefined && E.isRight(older) ? { fallback: older.right } : {}', '{}'],
  ['2.1 asks for the version before after any failure', 'Inquiry.ts', " && answer.error._tag === 'Answered' && answer.error.class === 'NotImplemented'", ''],
  ['2.1 decodes an address before it writes it down', 'ShimAddress.ts', 'E.right(legacyParameters(address.content)), {', 'parseBootstrap(address.content, 3), {'],
  ['2.1 writes no bootstrap.json', 'Plan.ts', 'migration === undefined ? next', 'true ? next'],
  ['2.1 takes a shim back whose bootstrap.json cannot be written', 'Plan.ts', "migrated(perform({ _tag: 'Register' }), giveUp)", "migrated(perform({ _tag: 'Register' }), perform({ _tag: 'Register' }))"],
  ['2.1 does not get past what a crash left of a bootstrap.json', 'Execution.ts', 'fileSystem.unlink(aside),', 'TE.right(undefined),'],
  ['a file is made over another', '../../test-effects/src/FileSystem.ts', "if (E.isRight(found)) return E.left('EEXIST');", 'if (E.isRight(found)) tree.remove(found.right);'],
  ['a path resolves to itself', '../../test-effects/src/Mounts.ts', "E.bimap((code) => systemError('resolve', path, code), tree.pathOf)", "E.bimap((code) => systemError('resolve', path, code), () => path)"],
].map(([name = '', file = '', find = '', replace = '']) => ({ name, file, find, replace }));

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
let missed = 0;
let caught = 0;
try {
  const vitest = (...more) =>
    spawnSync(
      path.join(copy, 'node_modules/.bin/vitest'),
      ['run', '--project', 'core', '--project', 'test-effects', '--bail', '1', ...more],
      { cwd: copy, encoding: 'utf8', env: { ...process.env, CI: '' } },
    );
  // Most are caught by what is fast; only the others are put to the simulations. The examples are no mutant's place, nor
  // is the command, which is tested as it was built.
  const test = () => {
    const fast = vitest('--exclude', '**/examples.test.ts', '--exclude', '**/simulation/**');
    return fast.status === 0
      ? vitest('packages/test-effects/test/simulation', '--exclude', '**/command.test.ts')
      : fast;
  };
  const sound = test();
  if (sound.status !== 0) throw new Error(`the tests fail without any mutant:\n${sound.stdout}`);
  for (const { name, file, find, replace } of mutants.filter((mutant) => isWanted(mutant.name))) {
    const source = path.join(copy, core, file);
    const text = fs.readFileSync(source, 'utf8');
    if (text.split(find).length !== 2) throw new Error(`"${name}": its place is not found exactly once in ${file}`);
    fs.writeFileSync(source, text.replace(find, () => replace));
    const isCaught = test().status !== 0;
    fs.writeFileSync(source, text);
    if (isCaught) caught++;
    else missed++;
    process.stdout.write(`${isCaught ? 'caught' : 'MISSED'}  ${name}\n`);
  }
} finally {
  fs.rmSync(copy, { recursive: true, force: true });
}
process.stdout.write(`${caught} caught, ${missed} missed\n`);
process.exitCode = missed === 0 ? 0 : 1;

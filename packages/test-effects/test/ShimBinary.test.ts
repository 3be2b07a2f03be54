import { ByteString as B } from '@shim-recovery/core';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { makeDirectories, makeEntry, makeMachine } from '../src/memory/Machine.js';
import { scriptedExit } from '../src/memory/MemoryShimBinary.js';

const text = B.fromText;

describe('scripted shim programs', () => {
  const machine = makeMachine();
  const { tree, capabilities, clock, shimBinary } = machine;
  makeDirectories(tree, text('/state/main/web'));
  for (const behaviour of ['ok', 'warn', 'fail', 'garbage', 'hang'])
    makeEntry(tree, text(`/bin/${behaviour}`), { kind: 'file', mode: 0o755, content: text(behaviour) });
  makeEntry(tree, text('/bin/plain'), { kind: 'file', mode: 0o644, content: text('ok') });

  const run = async (program: string) => {
    const bundle = await capabilities.fileSystem.openPath(text('/state/main/web'))();
    if (E.isLeft(bundle)) throw new Error('the bundle does not open');
    const [before, startedMs] = [shimBinary.runs().length, clock.elapsedMs()];
    const outcome = await capabilities.shimBinary.delete({
      program: text(program),
      namespace: text('main'),
      id: text('web'),
      bundle: bundle.right,
      timeoutMs: 5_000,
    })();
    await capabilities.fileSystem.close(bundle.right)();
    return { outcome, started: shimBinary.runs().length - before, tookMs: clock.elapsedMs() - startedMs };
  };

  it.each([
    ['/bin/ok', E.right(scriptedExit), 1, 0],
    ['/bin/../bin/warn', E.right(scriptedExit), 1, 0],
    ['/bin/fail', { left: { _tag: 'Failed' } }, 1, 0],
    ['/bin/garbage', { left: { _tag: 'Malformed' } }, 1, 0],
    ['/bin/hang', { left: { _tag: 'TimedOut', afterMs: 5_000 } }, 1, 5_000],
    ['/bin/plain', { left: { _tag: 'CannotStart', code: 'EACCES' } }, 0, 0],
    ['/bin', { left: { _tag: 'CannotStart', code: 'EACCES' } }, 0, 0],
    ['/bin/ok\n', { left: { _tag: 'CannotStart', code: 'ENOENT' } }, 0, 0],
  ])('%j', async (program, outcome, started, tookMs) => {
    expect(await run(program)).toMatchObject({ outcome, started, tookMs });
  });
});

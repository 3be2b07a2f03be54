/** A bundle in which nothing was goes by one call; what comes to stand in it meanwhile is not lost by that. */
import { ByteString as B, Recovery } from '@shim-recovery/core';
import { containerd17, policies, type Policy } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { type Effect, intercept, proceed } from '../src/simulation/FaultInjection.js';
import { type LaidWorld, layWorld } from '../src/simulation/LaidWorld.js';
import { makeEntry } from '../src/memory/Machine.js';
import { type Start, world } from '../src/worlds/World.js';
import { bundlePath } from '../src/worlds/WorldTree.js';

const start: Start = { ns: 'main', id: 'half', bundle: 'empty' };

/** What stands where the bundle stood, and below. */
const below = (laid: LaidWorld): ReadonlyArray<string> => {
  const bundle = bundlePath(laid.places, start);
  return laid
    .list()
    .map(({ path }) => B.toText(path))
    .filter((path) => path.startsWith(bundle) || path.startsWith(bundle.replace(/half$/, '.half')));
};

/** Recovers, and tells the operations on the bundle's own name; `before` is called before each. */
const recover = async (
  laid: LaidWorld,
  before: (effect: Effect) => void = () => undefined,
  policy: Policy = containerd17,
) => {
  const bundle = bundlePath(laid.places, start);
  const operations: Array<string> = [];
  const { capabilities } = intercept(laid.machine.capabilities, (effect) => {
    before(effect);
    if (effect.isMutation && effect.subject === bundle) operations.push(effect.operation);
    return proceed;
  });
  const recovered = await Recovery.recover({ ...laid.settings, policy: { ...policy, mayDestroy: 1 } }, capabilities)();
  if (E.isLeft(recovered)) throw new Error(recovered.left._tag);
  await recovered.right.stop();
  const steps = recovered.right.report.namespaces.flatMap(({ bundles }) => bundles.flatMap((one) => one.steps));
  return { operations, failed: steps.filter(({ outcome }) => outcome === 'failed') };
};

describe('an empty bundle', () => {
  it.each(Object.entries(policies).filter(([, policy]) => policy.unmounts !== 'bundle'))(
    'goes at once under %s, so that no crash leaves a part of it',
    async (_, policy) => {
      const laid = layWorld(world(start));
      expect(await recover(laid, undefined, policy)).toEqual({ operations: ['rmdir'], failed: [] });
      expect(below(laid)).toEqual([]);
    },
  );

  it('is claimed first where what was claimed is checked once more', async () => {
    const laid = layWorld(world(start));
    const { operations } = await recover(laid, undefined, policies.careful);
    expect(operations).toEqual(['rename']);
    expect(below(laid)).toEqual([]);
  });

  it('stays, with what came to stand in its rootfs meanwhile', async () => {
    const laid = layWorld(world(start));
    const bundle = bundlePath(laid.places, start);
    const data = B.fromText(`${bundle}/rootfs/data`);
    let isFilled = false;
    const { failed } = await recover(laid, ({ operation, subject }) => {
      if (isFilled || operation !== 'rmdir' || subject !== bundle) return;
      isFilled = true;
      makeEntry(laid.machine.tree, data, { kind: 'file', mode: 0o644 });
    });
    expect(failed.map(({ step, error }) => [step, error])).toEqual([
      ['remove-bundle', expect.stringContaining('ENOTEMPTY')],
    ]);
    expect(below(laid)).toContain(data);
  });

  it('stays where a directory stands behind its dot (H11)', async () => {
    const laid = layWorld(world(start));
    const bundle = bundlePath(laid.places, start);
    makeEntry(laid.machine.tree, B.fromText(bundle.replace(/half$/, '.half')), { kind: 'directory', mode: 0o755 });
    const { failed } = await recover(laid);
    expect(failed.map(({ error }) => error)).toEqual([expect.stringContaining('EEXIST')]);
    expect(below(laid)).toContain(bundle);
  });

  it('is not removed where another one stands in its place by then', async () => {
    const laid = layWorld(world(start));
    const bundle = bundlePath(laid.places, start);
    let looks = 0;
    const { failed } = await recover(laid, ({ operation, subject }) => {
      if (operation !== 'stat' || subject !== bundle || looks++ > 0) return;
      const { tree } = laid.machine;
      const standing = tree.walk(B.fromText(bundle));
      if (E.isRight(standing)) tree.remove(standing.right);
      makeEntry(tree, B.fromText(bundle), { kind: 'directory', mode: 0o755 });
    });
    expect(failed.map(({ error }) => error)).toEqual([expect.stringContaining('another one')]);
    expect(below(laid)).toContain(bundle);
  });
});

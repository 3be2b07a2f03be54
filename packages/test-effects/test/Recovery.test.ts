import * as Recovery from '@shim-recovery/core/Recovery';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { layWorld } from '../src/LaidWorld.js';
import { leaked } from '../src/Shim.js';
import { ordinary, type Start, world } from '../src/World.js';

const reasonOf = async (start: Omit<Start, 'ns' | 'id'>): Promise<unknown> => {
  const laid = layWorld(world({ ns: 'main', id: 'web', ...start }));
  const planned = await Recovery.plan(laid.settings)(laid.machine.capabilities)();
  return E.isRight(planned) ? planned.right.report.namespaces[0]?.bundles[0]?.reason : planned.left;
};

describe('a bundle', () => {
  it('that is empty is discarded, whatever is recorded of it (SPEC 4, step 5)', async () => {
    expect(await reasonOf({ bundle: 'empty', container: '$BIN/shim-ok' })).toBe('empty');
  });

  it('that holds only a hidden entry is not empty', async () => {
    const bundle = { files: { '.x': '' }, work: 'none', rootfs: 'none', log: 'none' } as const;
    expect(await reasonOf({ bundle })).toBe('container-not-found');
  });
});

describe('a leaked shim', () => {
  it('that hangs up when it is told to delete its task is reaped all the same (SPEC 12, K2)', async () => {
    const shim = { ...leaked, del: 'close', shutdown: { ok: {} } } as const;
    const laid = layWorld(world({ ns: 'main', id: 'web', bundle: ordinary, shim }));
    const recovered = await Recovery.recover(laid.settings)(laid.machine.capabilities)();
    if (E.isLeft(recovered)) throw new Error(recovered.left._tag);
    await recovered.right.stop();
    const { steps } = recovered.right.report.namespaces[0]?.bundles[0] ?? { steps: [] };
    expect(steps.map(({ step, outcome }) => `${step} ${outcome}`)).toEqual([
      'open-log-pipe done',
      'call-delete done',
      'call-shutdown done',
      'close-connection done',
      'close-log-pipe done',
      'run-binary done',
      'unmount-rootfs done',
      'remove-rootfs done',
      'remove-bundle done',
      'remove-work-directory done',
    ]);
  });
});

describe('a bundle whose working directory is gone already', () => {
  it('is removed without a failure (SPEC 6.3)', async () => {
    const bundle = { files: { 'config.json': '' }, work: 'dangling', rootfs: 'empty', log: 'none' } as const;
    const laid = layWorld(world({ ns: 'main', id: 'web', bundle }, { ns: 'main', id: 'neighbour', workdir: true }));
    const recovered = await Recovery.recover(laid.settings)(laid.machine.capabilities)();
    if (E.isLeft(recovered)) throw new Error(recovered.left._tag);
    await recovered.right.stop();
    expect(recovered.right.report.summary).toMatchObject({ discard: 1, failedSteps: 0 });
  });
});

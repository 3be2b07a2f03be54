/** Every fault at every call, once and from there on: what a recovery promises holds whatever fails. */
import { policies, type Policy, type PolicyName } from '@shim-recovery/core/interpreter';
import { describe, expect, it } from 'vitest';
import { allFaults, type Effect, faultsOf } from '../../src/simulation/FaultInjection.js';
import { alive, connections, containment, events, settling } from '../../src/properties/Properties.js';
import { calm } from '../../src/simulation/Schedule.js';
import { simulate } from '../../src/simulation/Simulation.js';
import { findAll, rotating } from './everyCall.js';
import { someWorlds } from './recorded.js';

const kindOf = ({ capability, operation }: Effect): string => `${capability} ${operation}`;

/** Every call that this policy makes of its capabilities before any shim dies, and that can fail. */
const everyKind = ({ bootstrap, reapsLeakedShims, unmounts }: Policy): ReadonlyArray<string> => [
  'containerStore look up',
  ...(bootstrap === 'bootstrap' ? ['fileSystem create'] : []),
  'fileSystem list',
  'fileSystem open',
  'fileSystem read',
  'fileSystem read link',
  'fileSystem rename',
  'fileSystem rmdir',
  'fileSystem stat',
  'fileSystem unlink',
  'logPipes open',
  ...(unmounts === 'rootfs' ? [] : ['mounts read']),
  ...(unmounts === 'target-and-below' ? ['mounts resolve'] : []),
  'mounts unmount',
  'processes list',
  'processes listeners',
  'processes view',
  'programFiles look',
  'shimBinary delete',
  'shimConnector Connect',
  'shimConnector dial',
  ...(reapsLeakedShims
    ? ['sandboxStore look up', 'shimConnector Delete', 'shimConnector Pids', 'shimConnector Shutdown']
    : []),
];

export const testFaults = (name: PolicyName): void => {
  describe(`a fault at every call of 50 recorded worlds (${name})`, () => {
    const policy = policies[name];

    it.each([
      ['once', false, 3],
      ['and at every call after it', true, 6],
    ])(
      '%s',
      async (_, lasts, oneIn) => {
        const { unknown, injected } = await findAll(
          policy,
          someWorlds(50),
          (effect) =>
            rotating(faultsOf(effect), effect.number, oneIn).map((fault) => ({
              ...calm,
              faults: [{ run: 0, at: effect.number, fault, when: 'instead', lasts }],
            })),
          [connections, events, containment, alive],
        );
        expect(unknown).toEqual([]);
        if (lasts) return;
        const kinds = new Set(injected.map(([effect]) => kindOf(effect)));
        expect(everyKind(policy).filter((kind) => !kinds.has(kind))).toEqual([]);
      },
      300_000,
    );

    it('is one that the call can give, and no other', async () => {
      for (const { world } of someWorlds(10)) {
        const [run] = (await simulate(world, calm, policy, 1)).runs;
        for (const effect of run?.effects ?? []) {
          const [fault = 'EIO'] = rotating(allFaults, effect.number, allFaults.length);
          const faults = [{ run: 0, at: effect.number, fault, when: 'instead' as const, lasts: false }];
          const [disturbed] = (await simulate(world, { ...calm, faults }, policy, 0)).runs;
          expect(disturbed?.injected.length, `${kindOf(effect)} ${fault}`).toBe(
            faultsOf(effect).includes(fault) ? 1 : 0,
          );
        }
      }
    }, 300_000);

    it('is made good by the runs that follow, as far as anything is left: another run changes nothing', async () => {
      const { unknown } = await findAll(
        policy,
        someWorlds(20),
        (effect) =>
          rotating(faultsOf(effect), effect.number, 6).map((fault) => ({
            ...calm,
            faults: [{ run: 0, at: effect.number, fault, when: 'after', lasts: false }],
          })),
        [settling],
      );
      expect(unknown).toEqual([]);
    }, 300_000);
  });
};

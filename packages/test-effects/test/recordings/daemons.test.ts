import { Recovery } from '@shim-recovery/core';
import { policies, type Policy } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { layWorld, registeredBy } from '../../src/simulation/LaidWorld.js';
import { matches, outcomeOf } from '../../src/worlds/Outcome.js';
import { allDaemons, loadRecordings, toWorld, worldsOf } from '../../src/worlds/Recordings.js';
import type { World } from '../../src/worlds/World.js';

const orFail = <L, A>(outcome: E.Either<L, A>): A => {
  if (E.isLeft(outcome)) throw new Error(JSON.stringify(outcome.left));
  return outcome.right;
};

/** One world, recovered once; the cases are told apart afterwards. */
const recovered = async (world: World, policy: Policy) => {
  const laid = layWorld(world);
  const { machine, places } = laid;
  const settings = { ...laid.settings, policy };
  const run = orFail(await Recovery.recover(settings, machine.capabilities)());
  await run.settled();
  const observation = laid.observe(registeredBy(run));
  await run.stop();
  return { outcome: outcomeOf(places)(observation), machine };
};

const worlds = worldsOf(orFail(loadRecordings()));

for (const daemon of allDaemons)
  for (const recordedWorld of worlds) {
    const world = toWorld(recordedWorld);
    const policy = policies[daemon];
    const run = recovered(world, policy);

    describe(`what ${policy.name} left behind of the ${recordedWorld.set} world`, () => {
      it.each(recordedWorld.cases.map((recorded) => [`${recorded.given.ns}/${recorded.given.id}`, recorded] as const))(
        '%s',
        async (_, recorded) => {
          const { outcome } = await run;
          const observed = outcome(recorded.given);
          if (matches(daemon, recorded)(observed)) return;
          expect(observed).toEqual(recorded.then[daemon][0]);
          expect.fail('the outcome is another one');
        },
      );

      it('leaves nothing open once it is stopped', async () => {
        const { machine } = await run;
        expect(machine.fileSystem.openDirectories()).toBe(0);
        expect(machine.logPipes.openNow()).toEqual([]);
        expect(machine.shims.openConnections()).toBe(0);
      });
    });

    describe(`the plan for the ${recordedWorld.set} world`, () => {
      it('changes nothing, and asks shims only Connect and Pids', async () => {
        const laid = layWorld(world);
        const before = { listing: laid.list(), mounts: await laid.machine.capabilities.mounts.read() };
        orFail(await Recovery.plan(laid.settings, laid.machine.capabilities)());
        expect(laid.list()).toEqual(before.listing);
        expect(await laid.machine.capabilities.mounts.read()).toEqual(before.mounts);
        const asked = new Set(laid.machine.shims.calls().map(({ call }) => call));
        expect([...asked].sort()).toEqual(['task.v2.Task/Connect', 'task.v2.Task/Pids']);
        expect(laid.machine.shimBinary.runs()).toEqual([]);
        expect(laid.machine.fileSystem.openDirectories()).toBe(0);
        expect(laid.machine.logPipes.openNow()).toEqual([]);
        expect(laid.machine.shims.openConnections()).toBe(0);
      });

      it('foretells which tasks are taken back', async () => {
        const laid = layWorld(world);
        const { plan } = orFail(await Recovery.plan(laid.settings, laid.machine.capabilities)());
        const foretold = plan.namespaces.flatMap(({ bundles }) =>
          bundles.flatMap(({ verdict, evidence: { namespace, id } }) =>
            verdict._tag === 'Adopt' ? [`${namespace}/${id}`] : [],
          ),
        );
        const run = orFail(await Recovery.recover(laid.settings, laid.machine.capabilities)());
        const registered = registeredBy(run).map(({ namespace, id }) => `${namespace}/${id}`);
        await run.stop();
        expect(foretold.sort()).toEqual(registered.sort());
      });
    });
  }

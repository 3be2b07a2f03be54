import { Recovery } from '@shim-recovery/core';
import type { Policy, Reason } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { type Fault, intercept, proceed } from '../simulation/FaultInjection.js';
import { layWorld, registeredBy } from '../simulation/LaidWorld.js';
import { outcomeOf } from '../worlds/Outcome.js';
import type { RecordedOutcome } from '../worlds/Recordings.js';
import { endsInTime } from '../worlds/Shim.js';
import { keyText, scriptOf, shimOwner, type Start, type World } from '../worlds/World.js';
import { bundlePath, workPath } from '../worlds/WorldTree.js';
import { type Property, type Violations, violation } from './Property.js';

/** Everything about one entry goes wrong in one way. */
interface Trouble {
  readonly start: Start;
  readonly fault: Fault;
}

/** How an entry ends, and why, where it was decided on. */
interface Ended {
  readonly outcome: string;
  readonly reason: Reason | undefined;
}

const recoverOnce = async (world: World, policy: Policy, trouble?: Trouble): Promise<ReadonlyMap<string, Ended>> => {
  const laid = layWorld(world);
  const paths =
    trouble === undefined
      ? []
      : [
          bundlePath(laid.places, trouble.start),
          workPath(laid.places, trouble.start),
          laid.places.socketOf(trouble.start),
        ];
  const isTroubled = (subject: string): boolean =>
    paths.some((path) => subject === path || subject.startsWith(`${path}/`));
  const { capabilities } = intercept(laid.machine.capabilities, ({ subject }) =>
    trouble !== undefined && isTroubled(subject) ? { _tag: 'Fail', fault: trouble.fault, when: 'instead' } : proceed,
  );
  const recovered = await Recovery.recover({ ...laid.settings, policy }, capabilities)();
  if (E.isLeft(recovered)) return new Map();
  const observation = laid.observe(registeredBy(recovered.right));
  await recovered.right.stop();
  const outcome: (start: Start) => RecordedOutcome = outcomeOf(laid.places)(observation);
  const reasons = new Map(
    recovered.right.report.namespaces.flatMap(({ name, bundles }) =>
      bundles.map(({ id, reason }) => [`${name}/${id}`, reason]),
    ),
  );
  return new Map(
    world.entries.map((start) => {
      const key = keyText(start);
      return [key, { outcome: JSON.stringify(outcome(start)), reason: reasons.get(key) }];
    }),
  );
};

/** One that is held because of others depends on them: it cannot be told whose their shim or their process is. */
const isOtherwise = (first: Ended | undefined, second: Ended | undefined): boolean =>
  first?.outcome !== second?.outcome &&
  ![first, second].some((ended) => ended?.reason !== undefined && heldForAnother.includes(ended.reason));

/** Reasons to hold a bundle for what another one has, or may have: its shim, or a process that may be either's. */
const heldForAnother: ReadonlyArray<Reason> = ['shim-shared', 'processes-unknown'];

const withWeights = (entries: ReadonlyArray<Start>, all: World): World => ({
  ...all,
  entries: [...entries, ...[...new Set(all.entries.map(({ ns }) => ns))].map(makeWeight)],
});

/** Something in a namespace that nothing depends on: it makes sure that both of its directories are there (H19). */
const makeWeight = (ns: string): Start => ({ ns, id: 'weight', bundle: 'file', workfile: true });

/** Whether nothing else has its shim or its id, or belongs to its pod. */
const isOnItsOwn =
  (world: World) =>
  (start: Start): boolean => {
    const owner = shimOwner(world)(start);
    return world.entries.every(
      (other) =>
        other === start ||
        ((owner === undefined || shimOwner(world)(other) !== owner) &&
          !isNamesake(start, other) &&
          !namesAsSandbox(start, other) &&
          !namesAsSandbox(other, start)),
    );
  };

/** The control groups of these cannot be told from each other, where their paths do not show the namespace. */
const isNamesake = (start: Start, other: Start): boolean => start.id === other.id && start.ns !== other.ns;

/** Whether the files of an entry name the other as the sandbox of its pod. */
const namesAsSandbox = ({ bundle, ns }: Start, other: Start): boolean =>
  typeof bundle === 'object' &&
  ns === other.ns &&
  Object.values(bundle.files).some((text) => text === other.id || text.includes(`"${other.id}"`));

const errors = ['EIO', 'EACCES', 'timeout', 'EMFILE'] as const;

export const independence: Property = {
  number: 5,
  name: 'independence',
  statement:
    'What becomes of a bundle does not depend on the others, other than by a shim that they share, or may share; one failure never hides another bundle.',
  isCostly: true,
  check: async ({ policy, simulated: { world } }) => {
    // Another bundle may take its time, and what is a question of time may end otherwise.
    const isTimed = world.entries.some((start) => {
      const script = scriptOf(world)(start);
      return script !== undefined && endsInTime(script);
    });
    if (world.entries.length < 2 || isTimed) return [];
    const together = await recoverOnce(withWeights(world.entries, world), policy);
    const violations: Array<Violations[number]> = [];
    for (const [index, start] of world.entries.entries()) {
      const others = world.entries.filter((other) => other !== start && isOnItsOwn(world)(other));
      const fault = errors[index % errors.length] ?? 'EIO';
      const troubled = await recoverOnce(withWeights(world.entries, world), policy, { start, fault });
      for (const other of others)
        if (isOtherwise(troubled.get(keyText(other)), together.get(keyText(other))))
          violations.push(violation(`${keyText(other)} ends otherwise when ${keyText(start)} gives only ${fault}`));
      if (!isOnItsOwn(world)(start)) continue;
      const alone = await recoverOnce(withWeights([start], world), policy);
      if (isOtherwise(alone.get(keyText(start)), together.get(keyText(start))))
        violations.push(violation(`${keyText(start)} ends otherwise when it is alone`));
    }
    return violations;
  },
};

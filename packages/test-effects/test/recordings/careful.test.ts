/** What `careful` makes of each recorded world, beside what the reference does: a table that people review. */
import { Recovery } from '@shim-recovery/core';
import type { BundleReport } from '@shim-recovery/core/documents';
import { containerd17, type Policy } from '@shim-recovery/core/interpreter';
import { careful } from '../../../core/src/policy/Policy.js';
import * as E from 'fp-ts/lib/Either.js';
import { expect, it } from 'vitest';
import { layWorld, registeredBy } from '../../src/simulation/LaidWorld.js';
import { outcomeOf } from '../../src/worlds/Outcome.js';
import { loadRecordings, type RecordedOutcome, toWorld, worldsOf } from '../../src/worlds/Recordings.js';
import { keyText, type Start, type World } from '../../src/worlds/World.js';

const orFail = <L, A>(outcome: E.Either<L, A>): A => {
  if (E.isLeft(outcome)) throw new Error(JSON.stringify(outcome.left));
  return outcome.right;
};

interface Run {
  readonly decided: ReadonlyMap<string, BundleReport>;
  readonly outcome: (start: Start) => RecordedOutcome;
}

/** Without the brake, which is for hosts, not for collections of oddities. */
const recovered = async (world: World, policy: Policy): Promise<Run> => {
  const laid = layWorld(world);
  const settings = { ...laid.settings, policy: { ...policy, mayDestroy: 1 } };
  const run = orFail(await Recovery.recover(settings, laid.machine.capabilities)());
  await run.settled();
  const outcome = outcomeOf(laid.places)(laid.observe(registeredBy(run)));
  await run.stop();
  const decided = run.report.namespaces.flatMap(({ name, bundles }) =>
    bundles.map((bundle) => [`${name}/${bundle.id}`, bundle] as const),
  );
  return { decided: new Map(decided), outcome };
};

const fate = (outcome: RecordedOutcome['state']): string => (typeof outcome === 'string' ? outcome : 'changed');

const decision = (bundle: BundleReport | undefined): string =>
  bundle === undefined ? '–' : `${bundle.verdict} ${bundle.reason}`;

const rowsOf = async (world: World, starts: ReadonlyArray<Start>): Promise<ReadonlyArray<string>> => {
  const reference = await recovered(world, containerd17);
  const ours = await recovered(world, careful);
  return starts.map((start) => {
    const { state, work } = ours.outcome(start);
    const key = keyText(start);
    const cells = [
      `\`${key}\``,
      decision(reference.decided.get(key)),
      decision(ours.decided.get(key)),
      fate(state),
      fate(work),
    ];
    return `| ${cells.join(' | ')} |`;
  });
};

it('is as the table in the documentation says', async () => {
  const rows: Array<string> = [];
  for (const recorded of worldsOf(orFail(loadRecordings())))
    rows.push(
      ...(await rowsOf(
        toWorld(recorded),
        recorded.cases.map(({ given }) => given),
      )),
    );
  expect(rows).toHaveLength(306);
  const text = [
    '# What careful does with the recorded worlds',
    '',
    'Written by `packages/test-effects/test/recordings/careful.test.ts`, which fails where this file and what it finds differ.',
    'For each of the 306 recorded cases: what containerd 1.7 decides, what `careful` decides, and what then becomes of the',
    'bundle and of the working directory under `careful`.',
    '',
    '| case | containerd-1.7 | careful | bundle | work |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
  await expect(text).toMatchFileSnapshot('../../../../docs/careful.md');
});

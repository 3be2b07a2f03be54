/** Every hazard of the reference, under every policy: who has it, as the simulations show; written down as a table. */
import * as fs from 'node:fs';
import { policies, type PolicyName } from '@shim-recovery/core/interpreter';
import { allPolicyNames } from '../../../core/src/policy/Policy.js';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { examine } from '../../src/campaign/Case.js';
import { loadCounterexamples } from '../../src/campaign/Counterexamples.js';
import { simulate } from '../../src/simulation/Simulation.js';
import { outOfReach, shownBy } from './elsewhere.js';
import { type Scene, scenes, schedule } from './scenes.js';

const top = new URL('../../../../', import.meta.url);
const textOf = (file: string): string => fs.readFileSync(new URL(file, top), 'utf8');

const numbered = Array.from({ length: 40 }, (_, index) => `H${index + 1}`);

const counterexamples = ((): Extract<ReturnType<typeof loadCounterexamples>, { readonly _tag: 'Right' }>['right'] => {
  const loaded = loadCounterexamples();
  if (E.isLeft(loaded)) throw new Error(loaded.left);
  return loaded.right;
})();

const shownCases = new Set<string>(counterexamples.map(({ hazard }) => hazard));

/** The policies whose recovery does the harm in this scene. */
const metBy = async (scene: Scene): Promise<ReadonlyArray<PolicyName>> => {
  const met: Array<PolicyName> = [];
  for (const name of allPolicyNames) {
    const policy = policies[name];
    const simulated = await simulate(scene.world, schedule, policy, 1);
    if (await scene.isMet({ policy, schedule, simulated })) met.push(name);
  }
  return met;
};

/** The policies in which one of the smallest cases of this hazard, whosever it is, does its harm. */
const brokenIn = async (hazard: string): Promise<ReadonlyArray<PolicyName>> => {
  const met: Array<PolicyName> = [];
  for (const name of allPolicyNames)
    for (const one of counterexamples.filter((some) => some.hazard === hazard)) {
      const { found } = await examine({ world: one.world, schedule: one.schedule }, policies[name]);
      if (found.some((violation) => violation.hazard === hazard) && !met.includes(name)) met.push(name);
    }
  return met;
};

const sceneOf = new Map<string, Scene>(Object.entries(scenes));

const cells = (met: ReadonlyArray<PolicyName>): string =>
  allPolicyNames.map((name) => (met.includes(name) ? '**has it**' : 'no')).join(' | ');

const blank = allPolicyNames.map(() => '').join(' | ');

/** What the reference's documentation says of it, as far as its first sentence goes. */
const sentenceOf = (hazard: string): string => {
  const line = textOf('docs/reference.md')
    .split('\n')
    .find((one) => one.startsWith(`| ${hazard} |`));
  return (line?.split(' | ')[2] ?? '').trim();
};

const rowOf = async (hazard: string): Promise<string> => {
  const scene = sceneOf.get(hazard);
  const elsewhere = shownBy[hazard];
  const reach = outOfReach[hazard];
  const row = (policyCells: string, shown: string): string =>
    `| ${hazard} | ${sentenceOf(hazard)} | ${policyCells} | ${shown} |`;
  if (scene !== undefined)
    return row(
      cells(await metBy(scene)),
      [
        `its scene, in \`packages/test-effects/test/hazards/scenes.ts\``,
        ...(scene.remains === undefined ? [] : [`\`careful\`: ${scene.remains}`]),
      ].join('; '),
    );
  if (shownCases.has(hazard))
    return row(cells(await brokenIn(hazard)), 'its smallest cases, in [properties.md](properties.md)');
  if (elsewhere !== undefined) return row(blank, `${elsewhere.what}: \`${elsewhere.file}\`, "${elsewhere.test}"`);
  return row(blank, `out of reach: ${reach ?? ''}`);
};

describe('each of the forty hazards', () => {
  it.each(numbered)('%s is shown, or there is a reason why it cannot be', (hazard) => {
    const ways = [shownCases.has(hazard) || sceneOf.has(hazard), hazard in shownBy, hazard in outOfReach];
    expect(ways.filter((has) => has)).toEqual([true]);
    expect(sentenceOf(hazard)).not.toBe('');
  });

  it.each(Object.entries(shownBy))('%s is shown by a test that is there', (_, { file, test }) => {
    expect(textOf(file)).toContain(`'${test}'`);
  });

  it('is one that `careful` does not have, but for those that say why they remain', async () => {
    const left: Array<string> = [];
    for (const hazard of numbered) {
      const scene = sceneOf.get(hazard);
      const met = scene === undefined ? await brokenIn(hazard) : await metBy(scene);
      if (met.includes('careful')) left.push(hazard);
    }
    expect(left).toEqual(numbered.filter((hazard) => sceneOf.get(hazard)?.remains !== undefined));
  });

  it('stands in the documentation, with who has it', async () => {
    const rows: Array<string> = [];
    for (const hazard of numbered) rows.push(await rowOf(hazard));
    const text = [
      '# Hazards',
      '',
      'The forty ways in which a daemon is known to lose or destroy something at its start, numbered as in',
      '[reference.md](reference.md), and which policies have them. Written by `packages/test-effects/test/hazards`, which',
      'runs every scene and every smallest case under every policy; `vitest run packages/test-effects/test/hazards -u`',
      'writes it anew. Where no policy has a hazard of the reference, it is closed by what this project does in its own',
      'way under every policy: deadlines for every wait, one clean-up at a time, a report of everything. Those ways are in',
      '[design.md](design.md).',
      '',
      `| | What happens | ${allPolicyNames.join(' | ')} | Shown by |`,
      `| --- | --- | ${allPolicyNames.map(() => '---').join(' | ')} | --- |`,
      ...rows,
      '',
    ].join('\n');
    await expect(text).toMatchFileSnapshot('../../../../docs/hazards.md');
  });
});

/** The table of `docs/properties.md`: which property holds under which policy, and what breaks it. */
import type { PolicyName } from '@shim-recovery/core/interpreter';
import { showCase } from './Case.js';
import type { Counterexample } from './Counterexamples.js';
import { allHazards, showHazard } from '../simulation/Hazards.js';
import { allProperties, brokenBy, type Property } from '../properties/Properties.js';

/** The whole document. */
export const document = (policies: ReadonlyArray<PolicyName>, counterexamples: ReadonlyArray<Counterexample>): string =>
  [
    '# Properties of recovery',
    '',
    'Written by the tests of `packages/test-effects` (`test/simulation/properties.test.ts`), which fail where this file and',
    'what they find differ; `vitest run -u` writes it anew. "Holds": no random world, with no faults, crashes or meddlers,',
    'has broken it. "But for": it is broken only by what the policy is known to do, and each hazard has its smallest case',
    'below. `pnpm simulate` looks for more.',
    '',
    ...table(policies),
    '',
    '## Hazards',
    '',
    ...allHazards.map((hazard) => `- **${hazard}**: ${showHazard(hazard)}.`),
    '',
    'Those with an H are numbered as in [reference.md](reference.md); those with an L have no number there.',
    '',
    '## The smallest cases',
    '',
    'A line for each entry of the world, with what is unusual about it, then what goes wrong. As documents they are in',
    '`packages/test-effects/corpus/counterexamples.json`; `pnpm simulate --case FILE` shows what becomes of one.',
    '',
    ...counterexamples.flatMap(counterexample),
  ].join('\n');

const counterexample = ({ policy, property, hazard, ...rest }: Counterexample): ReadonlyArray<string> => [
  `### ${policy}, property ${property}, ${hazard}`,
  '',
  '```text',
  showCase(rest),
  '```',
  '',
];

const table = (policies: ReadonlyArray<PolicyName>): ReadonlyArray<string> => [
  row(['', 'Property', ...policies]),
  row(['---', '---', ...policies.map(() => '---')]),
  ...allProperties.map((property) =>
    row([
      String(property.number),
      `**${property.name}**: ${property.statement}`,
      ...policies.map((policy) => cell(policy, property)),
    ]),
  ),
];

const row = (cells: ReadonlyArray<string>): string => `| ${cells.join(' | ')} |`;

const cell = (policy: PolicyName, property: Property): string => {
  const hazards = brokenBy[policy].get(property) ?? [];
  return hazards.length === 0 ? 'holds' : `but for ${hazards.join(', ')}`;
};

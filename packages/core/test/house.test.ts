/** The rules of the house notice what they are there for: each is seen failing on a file that was planted. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

interface Config {
  readonly rules: Readonly<Record<string, unknown>>;
  readonly overrides: ReadonlyArray<{ readonly rules: Readonly<Record<string, unknown>> }>;
}

/** What the linter says of these files below `packages/core/src`, with the rules of this repository that need no types. */
const lint = (files: Readonly<Record<string, string>>): string => {
  const base = fs.mkdtempSync(path.join(os.tmpdir(), 'shim-recovery-house-'));
  try {
    const text = fs.readFileSync(path.join(repository, '.oxlintrc.json'), 'utf8').replace(/^\s*\/\/.*$/gm, '');
    const config = JSON.parse(text) as Config;
    const ofSources = config.overrides.find((override) => 'shim-recovery/top-down' in override.rules);
    const rules = {
      'shim-recovery/room-order': config.rules['shim-recovery/room-order'],
      'import/no-cycle': config.rules['import/no-cycle'],
      ...ofSources?.rules,
    };
    const jsPlugins = [path.join(repository, 'tooling/lintRules.js')];
    const own = path.join(base, 'oxlintrc.json');
    fs.writeFileSync(
      own,
      JSON.stringify({ plugins: ['eslint', 'import'], jsPlugins, categories: { correctness: 'off' }, rules }),
    );
    for (const [name, text] of Object.entries(files)) {
      const file = path.join(base, 'packages/core/src', name);
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(file, text);
    }
    const linter = path.join(repository, 'node_modules/.bin/oxlint');
    return spawnSync(linter, ['--config', own, '.'], { cwd: base, encoding: 'utf8' }).stdout;
  } finally {
    fs.rmSync(base, { recursive: true });
  }
};

const plan = 'export interface Plan {\n  readonly steps: number;\n}\nexport const none: Plan = { steps: 0 };\n';

it.each([
  ['a value', "import { none } from '../plan/Plan.js';\nexport const one = none;\n"],
  ['a type', "import type { Plan } from '../plan/Plan.js';\nexport type One = Plan;\n"],
  ['an inline type', "export type One = import('../plan/Plan.js').Plan;\n"],
  ['a re-export', "export { none } from '../plan/Plan.js';\n"],
])('an import of %s from a room below is refused', (_, text) => {
  expect(lint({ 'decide/One.ts': text, 'plan/Plan.ts': plan })).toContain("'decide' comes before 'plan' in the flow");
});

it('an import from a room above is not', () => {
  const text = "import { none } from '../plan/Plan.js';\nexport const one = none;\n";
  expect(lint({ 'report/One.ts': text, 'plan/Plan.ts': plan })).toContain('Found 0 warnings and 0 errors');
});

it('a circle is refused', () => {
  const one = "import { two } from './Two.js';\nexport const one = (): number => two();\n";
  const two = "import { one } from './One.js';\nexport const two = (): number => one();\n";
  expect(lint({ 'decide/One.ts': one, 'decide/Two.ts': two })).toContain('Dependency cycle detected');
});

it('a function of 80 lines is refused', () => {
  const lines = Array.from({ length: 78 }, (_, nth) => `  values.push(${nth});`).join('\n');
  const text = `export const long = (values: Array<number>): void => {\n${lines}\n};\n`;
  expect(lint({ 'decide/Long.ts': text })).toContain('has too many lines (80)');
});

it('a function above the first one that uses it is refused', () => {
  const text = 'const part = (): number => 1;\n\nexport const whole = (): number => part();\n';
  expect(lint({ 'decide/Whole.ts': text })).toContain("Move 'part' below the first function that uses it");
});

it('one that runs when the module is loaded is not', () => {
  const text = 'const part = (): number => 1;\n\nexport const whole = part();\n';
  expect(lint({ 'decide/Whole.ts': text })).toContain('Found 0 warnings and 0 errors');
});

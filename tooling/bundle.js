/**
 * Makes the command from the compiled packages: a few files instead of some hundred, without what is never called, so that
 * it starts in a fraction of the time. What only some runs need stays in files of its own, which load when they are needed.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const packageOf = (path) => fileURLToPath(new URL(`../packages/node-effects/${path}`, import.meta.url));

/** The libraries' modules by name, of which only what is used is kept; their other form hides what that is. */
const shakable = {
  name: 'shakable',
  setup: ({ onResolve, resolve }) =>
    onResolve({ filter: /^(fp-ts|io-ts)(\/lib\/|$)/ }, ({ path, resolveDir, importer, kind, pluginData }) =>
      pluginData === shakable
        ? undefined
        : resolve(path.replace('/lib/', '/es6/'), { resolveDir, importer, kind, pluginData: shakable }),
    ),
};

// Names change with contents: nothing of an earlier one may stay.
rmSync(packageOf('dist/command'), { recursive: true, force: true });

const { metafile } = await build({
  metafile: true,
  absWorkingDir: packageOf('.'),
  entryPoints: ['main', 'start'].map((name) => packageOf(`src/cli/${name}.ts`)),
  outdir: packageOf('dist/command'),
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  conditions: ['@shim-recovery/source'],
  mainFields: ['module', 'main'],
  // Native, or large and seldom needed: loaded from where they are installed.
  external: ['koffi', '@grpc/grpc-js'],
  plugins: [shakable],
  minify: true,
  sourcemap: 'linked',
  sourcesContent: false,
  legalComments: 'none',
  logLevel: 'warning',
});

/** What others wrote goes with their terms. */
const licences = new Map();
for (const input of Object.keys(metafile.inputs)) {
  const [, directory, name] = /^(.*node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(input) ?? [];
  if (directory === undefined || licences.has(name)) continue;
  const home = join(packageOf('.'), directory);
  const file = readdirSync(home).find((entry) => /^licen[cs]e/i.test(entry));
  const { version, license } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
  const text = file === undefined ? '' : `\n${readFileSync(join(home, file), 'utf8').trim()}\n`;
  licences.set(name, `${name} ${version} (${license})\n${text}`);
}
writeFileSync(packageOf('dist/command/LICENSES.txt'), [...licences.values()].join('\n----\n\n'));

/**
 * Makes the command from the compiled packages: one file, without what is never called, and beside it the code that V8 made
 * of it, so that it starts in a fraction of the time.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const packageOf = (path) => fileURLToPath(new URL(`../packages/node-effects/${path}`, import.meta.url));
const directory = packageOf('dist/command');

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

const options = {
  absWorkingDir: packageOf('.'),
  outdir: directory,
  bundle: true,
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  platform: 'node',
  target: 'node20',
  conditions: ['@shim-recovery/source'],
  mainFields: ['module', 'main'],
  plugins: [shakable],
  minify: true,
  sourcesContent: false,
  legalComments: 'none',
  logLevel: 'warning',
};

const { metafile, outputFiles } = await build({
  ...options,
  metafile: true,
  write: false,
  entryPoints: [packageOf('src/cli/main.ts')],
  // Native, or large and seldom needed: loaded from where they are installed.
  external: ['koffi', '@grpc/grpc-js'],
  define: { 'import.meta.url': 'launchedFrom' },
  banner: { js: '(function (require, launchedFrom) {' },
  footer: { js: '})' },
  sourcemap: 'external',
});

mkdirSync(directory, { recursive: true });
const hash = createHash('sha256');
for (const { contents } of outputFiles) hash.update(contents);
// The name tells the contents: what V8 kept of others is never taken for these.
const program = `program-${hash.digest('hex').slice(0, 16)}.cjs`;
for (const { path, contents } of outputFiles) {
  const name = program + basename(path).slice('main.cjs'.length);
  const reference = name === program ? `\n//# sourceMappingURL=${name}.map\n` : '';
  writeFileSync(join(directory, name), Buffer.concat([contents, Buffer.from(reference)]));
}
await build({
  ...options,
  entryPoints: { main: packageOf('src/cli/launch.ts'), start: packageOf('src/cli/start.ts') },
  define: { programFile: JSON.stringify(program), 'import.meta.dirname': '__dirname' },
});

/** What others wrote goes with their terms. */
const licences = new Map();
for (const input of Object.keys(metafile.inputs)) {
  const [, home, name] = /^(.*node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(input) ?? [];
  if (home === undefined || licences.has(name)) continue;
  const at = join(packageOf('.'), home);
  const file = readdirSync(at).find((entry) => /^licen[cs]e/i.test(entry));
  const { version, license } = JSON.parse(readFileSync(join(at, 'package.json'), 'utf8'));
  const text = file === undefined ? '' : `\n${readFileSync(join(at, file), 'utf8').trim()}\n`;
  licences.set(name, `${name} ${version} (${license})\n${text}`);
}
writeFileSync(join(directory, 'LICENSES.txt'), [...licences.values()].join('\n----\n\n'));

for (const name of readdirSync(directory))
  if (!name.startsWith(program) && !['main.cjs', 'start.cjs', 'LICENSES.txt'].includes(name))
    rmSync(join(directory, name));

// Once for each program and Node: it takes a run of the command.
const cache = join(directory, `${program}.${process.version}-${process.arch}.cache`);
if (!existsSync(cache))
  execFileSync(process.execPath, [fileURLToPath(new URL('codeCache.js', import.meta.url)), join(directory, program), cache], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });

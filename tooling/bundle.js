/**
 * Makes the command from the compiled packages: one file, without what is never called, and beside it the code that V8 made
 * of it, so that it starts in a fraction of the time.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join, relative } from 'node:path';
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

const { version } = JSON.parse(readFileSync(packageOf('package.json'), 'utf8'));

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

/** Says where the command was built, to what is not where it was copied or installed; not published, by its ending. */
const builtInFile = 'built-in.cache';

const nodeEffects = createRequire(packageOf('package.json'));
const koffi = nodeEffects('koffi');
/** The native file that was just loaded. */
const koffiFile = Object.keys(nodeEffects.cache).find((file) => basename(file) === 'koffi.node');

const { metafile, outputFiles } = await build({
  ...options,
  metafile: true,
  write: false,
  entryPoints: [packageOf('src/cli/main.ts')],
  // Native, or large and seldom needed: loaded from where they are installed.
  external: ['koffi', '@grpc/grpc-js'],
  // A script that is run from kept code cannot import; what is loaded later is required.
  supported: { 'dynamic-import': false },
  define: {
    'import.meta.url': 'launchedFrom',
    packageVersion: JSON.stringify(version),
    builtInFile: JSON.stringify(builtInFile),
    koffiVersion: JSON.stringify(koffi.version),
    koffiFile: koffiFile === undefined ? 'undefined' : JSON.stringify(relative(directory, koffiFile)),
  },
  banner: { js: '(function (require, launchedFrom) {' },
  footer: { js: '})' },
  sourcemap: 'external',
});

mkdirSync(directory, { recursive: true });

/** At once, so that whoever starts the command meanwhile finds the old one or the new one; only where it is another. */
const put = (name, contents, mode = 0o644) => {
  const file = join(directory, name);
  if (existsSync(file) && readFileSync(file).equals(Buffer.from(contents))) return;
  const aside = `${file}.${process.pid}`;
  writeFileSync(aside, contents, { mode });
  renameSync(aside, file);
};

put(builtInFile, directory);

const hash = createHash('sha256');
for (const { contents } of outputFiles) hash.update(contents);
// The name tells the contents: what V8 kept of others is never taken for these.
const program = `program-${hash.digest('hex').slice(0, 16)}.cjs`;
for (const { path, contents } of outputFiles) {
  const name = program + basename(path).slice('main.cjs'.length);
  const reference = name === program ? `\n//# sourceMappingURL=${name}.map\n` : '';
  put(name, Buffer.concat([contents, Buffer.from(reference)]));
}
const launchers = await build({
  ...options,
  write: false,
  entryPoints: {
    main: packageOf('src/cli/bin.ts'),
    start: packageOf('src/cli/demoByDefault.ts'),
    keep: packageOf('src/cli/warmCodeCache.ts'),
  },
  define: { programFile: JSON.stringify(program), 'import.meta.dirname': '__dirname' },
});
for (const { path, contents } of launchers.outputFiles) put(basename(path), contents, 0o755);

/** What others wrote goes with their terms. */
const licences = new Map();
for (const input of Object.keys(metafile.inputs)) {
  const [, home, name] = /^(.*node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(input) ?? [];
  if (home === undefined || licences.has(name)) continue;
  const at = join(packageOf('.'), home);
  const file = readdirSync(at).find((entry) => /^licen[cs]e/i.test(entry));
  const of = JSON.parse(readFileSync(join(at, 'package.json'), 'utf8'));
  const text = file === undefined ? '' : `\n${readFileSync(join(at, file), 'utf8').trim()}\n`;
  licences.set(name, `${name} ${of.version} (${of.license})\n${text}`);
}
put('LICENSES.txt', [...licences.values()].join('\n----\n\n'));

// What this machine may not let run: then the command starts slower.
const { status } = spawnSync(process.execPath, [join(directory, 'keep.cjs')], {
  stdio: ['ignore', 'ignore', 'inherit'],
  timeout: 60_000,
  // Asked to end, it would finish what is under way first.
  killSignal: 'SIGKILL',
});
if (status !== 0) process.stderr.write('bundle: the command could not be tried, and starts slower than it might\n');

// Of other programs; what others write at this moment has another ending.
const made = /^program-[0-9a-f]+\.cjs(\.map|\..+\.cache)?$/;
for (const name of readdirSync(directory))
  if (made.test(name) && !name.startsWith(program)) rmSync(join(directory, name), { recursive: true, force: true });

/** Where things stand below the two root directories (SPEC 1). */
import * as t from 'io-ts';
import * as B from '../base/ByteString.js';

/** The entries of a bundle that a decision or a step is about. */
export const entry = {
  shimBinaryPath: B.fromText('shim-binary-path'),
  address: B.fromText('address'),
  bootstrap: B.fromText('bootstrap.json'),
  newBootstrap: B.fromText('.bootstrap.json'),
  initPid: B.fromText('init.pid'),
  config: B.fromText('config.json'),
  options: B.fromText('options.json'),
  sandbox: B.fromText('sandbox'),
  log: B.fromText('log'),
  work: B.fromText('work'),
  rootfs: B.fromText('rootfs'),
} as const;

/** The entries that tell whether a container lives: read only where that is asked. */
export const ofContainer: ReadonlyArray<B.ByteString> = [entry.config, entry.initPid, entry.options, entry.rootfs];

/** Every name that a daemon, a shim or a runtime gives to an entry of a bundle. */
const bundleNames: ReadonlySet<string> = new Set([
  'address',
  '.address',
  'bootstrap.json',
  '.bootstrap.json',
  'config.json',
  'init.pid',
  'log',
  'log.json',
  'options.json',
  'rootfs',
  'runtime',
  'runtimeroot',
  'sandbox',
  'sandbox.pid',
  'shim-binary-path',
  'shim.pid',
  's',
  'state.json',
  'work',
]);

/** Whether an entry of this name belongs in a bundle: a known name, an exec's pid file, or what an interrupted write left. */
export const isBundleName = (name: B.ByteString): boolean =>
  bundleNames.has(name) || /^[0-9]+$/.test(name) || /^[A-Za-z0-9._-]+\.pid$/.test(name);

/**
 * The plugins of a daemon that keep bundles, by the names of their directories: in each of the daemon's two directories
 * there is one for every plugin. The sandbox controller is of containerd 2.x.
 */
export const plugin = {
  tasks: B.fromText('io.containerd.runtime.v2.task'),
  sandboxes: B.fromText('io.containerd.sandbox.controller.v1.shim'),
} as const;

/** Whether it is the name of a plugin of the daemon, of any kind. */
export const isPluginName = (name: B.ByteString): boolean => name.startsWith('io.containerd.');

/**
 * The kind of directory that the operator named by `--state` or `--root`:
 *
 * - `daemon`: the daemon's own directory, as in its configuration. The plugin's directory in it is looked at.
 * - `plugin`: the directory of a plugin that keeps bundles, by its usual name.
 * - `as-given`: neither, by its name and by what is in it. It is looked at as it is.
 */
export const DirectoryMeaning = t.keyof({ daemon: null, plugin: null, 'as-given': null }, 'DirectoryMeaning');

export type DirectoryMeaning = t.TypeOf<typeof DirectoryMeaning>;

/** The largest `address` or `shim-binary-path` that is read: far above any real one, far below what could hurt. */
export const maxSmallFileBytes = 64 * 1024;

/** Names below a path. */
export const below = (path: B.ByteString, ...names: ReadonlyArray<B.ByteString>): B.ByteString =>
  B.fromLatin1(names.reduce<string>((parent, name) => (parent.endsWith('/') ? parent : `${parent}/`) + name, path));

/** The directory that an absolute, clean path is in, and the path's last name in it. `/` is in itself, without a name. */
export const parentOf = (path: B.ByteString): { readonly directory: B.ByteString; readonly name: B.ByteString } => {
  const at = path.lastIndexOf('/');
  return { directory: at <= 0 ? slash : B.slice(path, 0, at), name: B.slice(path, at + 1) };
};

const slash = B.fromText('/');

/** Cleans a path without looking at the disk: no doubled slashes, no `.`, no `..` after a name, as Go's `path.Clean`. */
export const clean = (path: B.ByteString): B.ByteString => {
  const rooted = path.startsWith('/');
  const kept: Array<B.ByteString> = [];
  for (const name of B.split(path, '/')) {
    if (name === '' || name === '.') continue;
    if (name === '..' && kept.length > 0 && kept.at(-1) !== '..') kept.pop();
    else if (name !== '..' || !rooted) kept.push(name);
  }
  if (kept.length === 0) return rooted ? slash : B.fromText('.');
  return B.concat(...kept.flatMap((name, index) => (index > 0 || rooted ? [slash, name] : [name])));
};

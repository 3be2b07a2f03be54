/**
 * The signs of whether a bundle's shim and container live: one from each source. A source that could not look says
 * `unknown`, never `dead`. A shim or a container counts as dead only if every source that has something to say says so.
 */
import * as t from 'io-ts';

/**
 * - `own-view`: what this process may see at all.
 * - `listener`: the kernel's table of listening sockets.
 * - `shim-process`: a process that is this bundle's shim, by its command line or its current directory.
 * - `pod`: the shim that this bundle shares with others.
 * - `init-pid`: the process that the bundle's `init.pid` names.
 * - `control-group`: processes in the container's control group.
 * - `runtime-state`: the process that the OCI runtime's own record names.
 * - `root-file-system`: processes whose root is the bundle's `rootfs`.
 */
export const SignSource = t.keyof(
  {
    'own-view': null,
    listener: null,
    'shim-process': null,
    pod: null,
    'init-pid': null,
    'control-group': null,
    'runtime-state': null,
    'root-file-system': null,
  },
  'SignSource',
);

export type SignSource = t.TypeOf<typeof SignSource>;

/**
 * - `alive`, `dead`: what the source saw.
 * - `unknown`: it could not look, or could not tell.
 * - `none`: it has nothing to say of this bundle, which has no such file, say; and nothing keeps it from looking.
 */
export const SignState = t.keyof({ alive: null, dead: null, unknown: null, none: null }, 'SignState');

export type SignState = t.TypeOf<typeof SignState>;

/** The answer of one source for one bundle. `says` is a sentence's middle: what was seen, or why nothing could be seen. */
export const Sign = t.readonly(
  t.intersection([
    t.type({ source: SignSource, state: SignState, says: t.string }),
    /** The processes that it speaks of. */
    t.partial({ pids: t.readonlyArray(t.number) }),
  ]),
  'Sign',
);

export interface Sign extends t.TypeOf<typeof Sign> {}

export const Signs = t.readonlyArray(Sign, 'Signs');

export interface Signs extends t.TypeOf<typeof Signs> {}

export const allSignSources: ReadonlyArray<SignSource> = Object.keys(SignSource.keys).filter(SignSource.is);

/** A sign, made in one place so that each has the same fields. */
export const sign = (source: SignSource, state: SignState, says: string, pids: ReadonlyArray<number> = []): Sign =>
  pids.length === 0 ? { source, state, says } : { source, state, says, pids };

/** The processes of some signs, each once, in order. */
export const pidsOf = (signs: Signs): ReadonlyArray<number> =>
  [...new Set(signs.flatMap(({ pids = [] }) => pids))].sort((one, other) => one - other);

/** `process 7` or `processes 7, 8`, and so many more. */
export const showPids = (pids: ReadonlyArray<number>): string => {
  const shown = pids.slice(0, 5).join(', ');
  const more = pids.length > 5 ? ` and ${pids.length - 5} more` : '';
  return `${pids.length === 1 ? 'process' : 'processes'} ${shown}${more}`;
};

/** The living parts of a container, and the sources that saw them: `process 7 (init.pid, control group)`. */
export const showContainer = (signs: Signs): string => {
  const living = livingContainer(signs);
  const sources = [...new Set(living.map(({ source }) => sourceWords[source]))].join(', ');
  return `${showPids(pidsOf(living))} (${sources})`;
};

const sourceWords: Readonly<Record<SignSource, string>> = {
  'own-view': 'own view',
  listener: 'listening socket',
  'shim-process': 'shim process',
  pod: 'pod',
  'init-pid': 'init.pid',
  'control-group': 'control group',
  'runtime-state': "runtime's record",
  'root-file-system': 'root file system',
};

/** The living parts of a bundle: its shim, as the first source saw it, and its container. */
export const showLiving = (signs: Signs): string => {
  const [shim] = livingShim(signs);
  const container = livingContainer(signs).length === 0 ? [] : [`its container runs: ${showContainer(signs)}`];
  return [...(shim === undefined ? [] : [shim.says]), ...container].join('; ');
};

/** The words of some signs, for the middle of a sentence. */
export const showSigns = (signs: Signs): string => [...new Set(signs.map(({ says }) => says))].join('; ');

const inState =
  (state: SignState, sources: ReadonlyArray<SignSource>) =>
  (signs: Signs): Signs =>
    signs.filter((one) => one.state === state && sources.includes(one.source));

const shimSources: ReadonlyArray<SignSource> = ['listener', 'shim-process', 'pod'];

const containerSources: ReadonlyArray<SignSource> = ['init-pid', 'control-group', 'runtime-state', 'root-file-system'];

/** The signs that the bundle's shim lives: its own, or the one of its pod. */
export const livingShim = inState('alive', shimSources);

/** The signs that the bundle's container lives. */
export const livingContainer = inState('alive', containerSources);

/** The signs that leave open whether the shim lives. */
export const unknownShim = inState('unknown', ['own-view', ...shimSources]);

/** All signs that leave something open. */
export const unknownSigns = inState('unknown', allSignSources);

/** The signs that leave open whether the container lives. */
export const unknownContainer = inState('unknown', ['own-view', ...containerSources]);

/** From the name of a runtime to the program that is its shim (SPEC 5). */
import * as E from 'fp-ts/lib/Either.js';
import type * as TE from 'fp-ts/lib/TaskEither.js';
import * as t from 'io-ts';
import * as B from '../base/ByteString.js';
import { FileError, showFileError } from '../capabilities/FileSystem.js';
import * as Layout from '../capabilities/BundleLayout.js';
import type { Policy } from './Policy.js';
import type { ExecutableLookup } from '../capabilities/ExecutableLookup.js';

/** Where the daemon would look for programs: its working directory beats `PATH`, its own directory comes last. */
export interface ProgramSearch {
  readonly workingDirectory: B.ByteString;
  /** The value of `PATH`; an empty element means the working directory. */
  readonly path: B.ByteString;
  /** Where that value is from, for the middle of a sentence; without it no report says along which PATH it was looked. */
  readonly pathFrom?: string;
  /** The directory of the daemon's own executable. */
  readonly executableDirectory: B.ByteString;
}

/**
 * - `NoName`: neither the bundle nor the container record names a runtime.
 * - `InvalidName`: it is not the name of a runtime.
 * - `NotFound`: no program of that name was found; `searched` says along which PATH.
 * - `Unusable`: an absolute path that cannot be looked at.
 */
export const RuntimeError = t.union(
  [
    t.readonly(t.type({ _tag: t.literal('NoName') })),
    t.readonly(t.type({ _tag: t.literal('InvalidName'), name: B.ByteString })),
    t.readonly(
      t.intersection([
        t.type({ _tag: t.literal('NotFound'), program: B.ByteString }),
        t.partial({ searched: t.readonly(t.type({ path: B.ByteString, from: t.string })) }),
      ]),
    ),
    t.readonly(t.type({ _tag: t.literal('Unusable'), error: FileError })),
  ],
  'RuntimeError',
);

export type RuntimeError = t.TypeOf<typeof RuntimeError>;

const slash = B.fromText('/');

/** `io.containerd.runc.v2` ⇒ `containerd-shim-runc-v2`. Undefined when it is not a runtime's name (SPEC 5, BinaryName). */
export const programNameOf = (runtime: B.ByteString, names: Policy['runtimeNames']): B.ByteString | undefined => {
  const parts = B.split(runtime, '.');
  const [name, version] = parts.slice(-2);
  if (parts.length < 2 || name === undefined || version === undefined) return undefined;
  if (parts[0] === '' && names === 'checked') return undefined;
  return B.concat(B.fromText('containerd-shim-'), name, B.fromText('-'), version);
};

/**
 * A resolver with the reference's cache: one look for each program's name, kept for as long as the resolver lives and
 * never checked again (SPEC 5 P5, P10).
 */
export const makeResolver = (
  files: ExecutableLookup,
  search: ProgramSearch,
): ((runtime: B.ByteString, names: Policy['runtimeNames']) => TE.TaskEither<RuntimeError, B.ByteString>) => {
  const found = new Map<string, Promise<E.Either<RuntimeError, B.ByteString>>>();

  const exists = async (path: B.ByteString): Promise<boolean> => E.isRight(await files.look(path)());

  const inPath = async (program: B.ByteString): Promise<B.ByteString | undefined> => {
    if (search.path === '') return undefined;
    for (const element of B.split(search.path, ':')) {
      const candidate = Layout.clean(Layout.below(element === '' ? B.fromText('.') : element, program));
      const absolute = candidate.startsWith('/') ? candidate : fromWorkingDirectory(candidate);
      const file = await files.look(absolute)();
      if (E.isRight(file) && !file.right.isDirectory && file.right.executable) return absolute;
    }
    return undefined;
  };

  const fromWorkingDirectory = (path: B.ByteString): B.ByteString =>
    Layout.clean(Layout.below(search.workingDirectory, path));

  const searchFor = async (program: B.ByteString): Promise<E.Either<RuntimeError, B.ByteString>> => {
    const here = fromWorkingDirectory(program);
    if (await exists(here)) return E.right(here);
    // A name with a slash cannot be looked for, which 1.6 does not notice: it takes the directory itself (H32).
    if (program.includes(slash)) return E.right(search.workingDirectory);
    const onPath = await inPath(program);
    if (onPath !== undefined) return E.right(onPath);
    const beside = Layout.below(search.executableDirectory, program);
    if (await exists(beside)) return E.right(beside);
    const { path, pathFrom: from } = search;
    return E.left({ _tag: 'NotFound', program, ...(from === undefined ? {} : { searched: { path, from } }) });
  };

  return (runtime, names) => async () => {
    if (runtime === '') return E.left({ _tag: 'NoName' });
    if (runtime.startsWith('/')) {
      const file = await files.look(runtime)();
      return E.isLeft(file) ? E.left({ _tag: 'Unusable', error: file.left }) : E.right(runtime);
    }
    const isRefused = names === 'checked' && runtime.includes(slash);
    const program = isRefused ? undefined : programNameOf(runtime, names);
    if (program === undefined) return E.left({ _tag: 'InvalidName', name: runtime });
    const answer = found.get(program) ?? searchFor(program);
    found.set(program, answer);
    return answer;
  };
};

/** A sentence for people. */
export const showRuntimeError = (error: RuntimeError): string => {
  switch (error._tag) {
    case 'NoName':
      return 'neither the bundle nor a container record names a runtime';
    case 'InvalidName':
      return `"${B.show(error.name)}" is no name of a runtime`;
    case 'NotFound':
      return `no program ${B.show(error.program)} was found${searchOf(error)}`;
    case 'Unusable':
      return `the shim's binary: ${showFileError(error.error)}`;
  }
};

const searchOf = ({ searched }: Extract<RuntimeError, { readonly _tag: 'NotFound' }>): string =>
  searched === undefined ? '' : `: it is not in PATH ${B.show(searched.path)} (from ${searched.from})`;

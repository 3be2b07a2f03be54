import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import { describe, expect, it } from 'vitest';
import * as B from '../../src/base/ByteString.js';
import { systemError } from '../../src/capabilities/FileSystem.js';
import type { Policy } from '../../src/policy/Policy.js';
import type { ProgramFile, ExecutableLookup } from '../../src/capabilities/ExecutableLookup.js';
import { makeResolver, type ProgramSearch, showRuntimeError } from '../../src/policy/ShimProgram.js';

const program = { isDirectory: false, executable: true };
const plainFile = { isDirectory: false, executable: false };
const directory = { isDirectory: true, executable: true };

const disk = (files: Readonly<Record<string, ProgramFile>>, looks: Array<string> = []): ExecutableLookup => ({
  look: (path) => async () => {
    looks.push(path);
    const file = new Map(Object.entries(files)).get(path);
    return file === undefined ? E.left(systemError('stat', path, 'ENOENT')) : E.right(file);
  },
});

const search = (more: Partial<Record<keyof ProgramSearch, string>> = {}): ProgramSearch => ({
  workingDirectory: B.fromText(more.workingDirectory ?? '/cwd'),
  path: B.fromText(more.path ?? '/opt/bin'),
  executableDirectory: B.fromText(more.executableDirectory ?? '/daemon'),
});

const resolve = async (
  runtime: string,
  files: Readonly<Record<string, ProgramFile>>,
  where: ProgramSearch = search(),
  names: Policy['runtimeNames'] = 'checked',
): Promise<string> =>
  pipe(
    await makeResolver(disk(files), where)(B.fromText(runtime), names)(),
    E.matchW(
      (error) => error._tag,
      (path) => path,
    ),
  );

const files = {
  '/opt/bin/containerd-shim-runc-v2': program,
  '/cwd/containerd-shim-cwd-v1': plainFile,
  '/cwd/containerd-shim-dir-v1': directory,
  '/bin/true': program,
  '/': directory,
};

describe('makeResolver (SPEC 5)', () => {
  it.each([
    ['', 'NoName'],
    ['runc', 'InvalidName'],
    ['runc.v2', '/opt/bin/containerd-shim-runc-v2'],
    ['io.containerd.runc.v2', '/opt/bin/containerd-shim-runc-v2'],
    ['.runc.v2', 'InvalidName'],
    [' .runc.v2', '/opt/bin/containerd-shim-runc-v2'],
    ['io.containerd.runc.v2.', 'NotFound'],
    ['io.containerd.runc.v2\n', 'NotFound'],
    ['./runc.v2', 'InvalidName'],
    ['a/b.runc.v2', 'InvalidName'],
    ['a.cwd.v1', '/cwd/containerd-shim-cwd-v1'],
    ['a.dir.v1', '/cwd/containerd-shim-dir-v1'],
    ['..', 'InvalidName'],
    ['.', 'InvalidName'],
    ['io..', 'NotFound'],
    ['/bin/true', '/bin/true'],
    ['/', '/'],
    ['/usr/bin/containerd-shim-runc-v2\n', 'Unusable'],
  ])('resolves %j', async (runtime, expected) => {
    expect(await resolve(runtime, files)).toBe(expected);
  });

  const name = 'containerd-shim-a-b';
  const everywhere = {
    [`/cwd/${name}`]: plainFile,
    [`/one/${name}`]: directory,
    [`/two/${name}`]: plainFile,
    [`/three/${name}`]: program,
    [`/daemon/${name}`]: plainFile,
  };
  const without = (...gone: ReadonlyArray<string>): Readonly<Record<string, ProgramFile>> =>
    Object.fromEntries(Object.entries(everywhere).filter(([path]) => !gone.includes(path)));

  it('looks in the working directory, then along PATH for what can be run, then beside the daemon', async () => {
    const where = search({ path: '/one:/two:/three' });
    expect(await resolve('x.a.b', everywhere, where)).toBe(`/cwd/${name}`);
    expect(await resolve('x.a.b', without(`/cwd/${name}`), where)).toBe(`/three/${name}`);
    expect(await resolve('x.a.b', without(`/cwd/${name}`, `/three/${name}`), where)).toBe(`/daemon/${name}`);
    expect(await resolve('x.a.b', {}, where)).toBe('NotFound');
  });

  it('says along which PATH it looked, where it was told where that is from', async () => {
    const told = { ...search({ path: '/one:/two' }), pathFrom: 'containerd.service' };
    const found = await makeResolver(disk({}), told)(B.fromText('x.a.b'), 'checked')();
    expect(found).toEqual(
      E.left({ _tag: 'NotFound', program: name, searched: { path: '/one:/two', from: 'containerd.service' } }),
    );
    expect(E.isLeft(found) ? showRuntimeError(found.left) : '').toBe(
      `no program ${name} was found: it is not in PATH /one:/two (from containerd.service)`,
    );
    const untold = await makeResolver(disk({}), search())(B.fromText('x.a.b'), 'checked')();
    expect(untold).toEqual(E.left({ _tag: 'NotFound', program: name }));
  });

  it('takes an empty element of PATH, and a relative one, from the working directory', async () => {
    expect(await resolve('x.a.b', { [`/cwd/sub/${name}`]: program }, search({ path: ':sub' }))).toBe(
      `/cwd/sub/${name}`,
    );
  });

  it('looks once for each program, however many bundles name it', async () => {
    const looks: Array<string> = [];
    const resolver = makeResolver(disk(files, looks), search());
    await Promise.all(
      ['a.runc.v2', 'b.runc.v2', 'runc.v2'].map((runtime) => resolver(B.fromText(runtime), 'checked')()),
    );
    expect(looks).toEqual(['/cwd/containerd-shim-runc-v2', '/opt/bin/containerd-shim-runc-v2']);
  });

  it('checks no name for 1.6, which takes any with a slash from the working directory (H32)', async () => {
    expect(await resolve('.runc.v2', files, search(), 'any')).toBe('/opt/bin/containerd-shim-runc-v2');
    expect(await resolve('./runc.v2', files, search(), 'any')).toBe('/cwd');
    expect(await resolve('runc', files, search(), 'any')).toBe('InvalidName');
  });
});

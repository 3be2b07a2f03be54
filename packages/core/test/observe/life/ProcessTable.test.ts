import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as B from '../../../src/base/ByteString.js';
import { groupsOf } from '../../../src/observe/life/ContainerFiles.js';
import {
  makeProcessesSince,
  processTable,
  runsSameCommand,
  shimCommandOf,
} from '../../../src/observe/life/ProcessTable.js';
import { hidden, type ProcessInfo, type Processes, seen } from '../../../src/capabilities/Processes.js';
import { shimCommandLines } from './shimCommandLines.js';

const text = B.fromText;

/** A process of which nothing is told but what a case is about. */
const process = (pid: number, more: Partial<ProcessInfo> = {}): ProcessInfo => ({
  pid,
  startedMs: 0,
  startedTicks: pid,
  commandLine: [],
  cgroups: [],
  currentDirectory: seen(undefined),
  rootDirectory: seen(undefined),
  namespaces: hidden('EACCES'),
  ...more,
});

const pids = (some: ReadonlyArray<ProcessInfo>): ReadonlyArray<number> => some.map(({ pid }) => pid);

describe('shimCommandOf', () => {
  it.each(shimCommandLines)('reads the command line of $runtime', ({ argv, namespace, names, program }) => {
    const command = shimCommandOf(argv.map(text));
    const named = [names.bundle, names.workdir].filter((path) => path !== undefined && path !== '').map(String);
    expect(command?.ids.filter((id) => id !== '')).toEqual(names.id === undefined ? [] : [text(names.id)]);
    expect(command?.bundles).toEqual(named.map(text));
    expect(command?.namespace ?? '').toBe(text(namespace));
    expect(command?.program).toBe(text(program));
  });

  it('reads the title that a process gave itself, and what an interpreter runs', () => {
    const title = ['/usr/bin/containerd-shim-runc-v2 -namespace a -id web -address /x'].map(text);
    expect(shimCommandOf(title)).toMatchObject({ program: 'containerd-shim-runc-v2', namespace: 'a', ids: ['web'] });
    const run = ['/usr/bin/python3', 'shim.py', '-namespace', 'a', '--id=web'].map(text);
    expect(shimCommandOf(run)).toMatchObject({ programs: ['python3', 'shim.py'], namespace: 'a', ids: ['web'] });
  });

  it('reads nothing in the command line of another program', () => {
    expect(shimCommandOf(['/bin/sh', '-c', 'sleep 1'].map(text))).toBeUndefined();
    expect(shimCommandOf([])).toBeUndefined();
  });
});

describe('runsSameCommand', () => {
  const own = ['/usr/bin/node', '/opt/main.cjs', 'recover', '--namespace', 'default', '--json'];
  const runs = (...words: ReadonlyArray<string>): boolean => runsSameCommand(own.map(text))(words.map(text));

  it('knows the command of this program, and whatever runs it', () => {
    expect(runs(...own)).toBe(true);
    expect(runs('sudo', 'shim-recovery', 'recover', '--namespace', 'default', '--json')).toBe(true);
    expect(runs('npm start recover --namespace default --json')).toBe(true);
  });

  it('does not take a shim of that namespace for it', () => {
    expect(runs('/bin/containerd-shim-runsc-v1', '--namespace', 'default', '--json')).toBe(false);
    expect(runs('/bin/containerd-shim-runsc-v1', '-namespace', 'default', '-address', '/x')).toBe(false);
    expect(runs('recover', '--namespace', 'default')).toBe(false);
    expect(runs()).toBe(false);
    expect(runsSameCommand([])([])).toBe(false);
  });
});

describe('shimsNaming', () => {
  const argv = (...words: ReadonlyArray<string>) => ({
    commandLine: ['/bin/containerd-shim-runc-v2', ...words].map(text),
  });

  it('finds a shim by its namespace and id together', () => {
    const table = processTable([
      process(1, argv('-namespace', 'a', '-id', 'web')),
      process(2, argv('-namespace', 'b', '-id', 'web')),
    ]);
    expect(pids(table.shimsNaming(text('a'), text('web')))).toEqual([1]);
  });

  it('does not take the program of a shim that a daemon runs for the shim itself', () => {
    const table = processTable([process(1, argv('-namespace', 'a', '-id', 'web', '-bundle', '/s/a/web', 'delete'))]);
    expect(table.shimsNaming(text('a'), text('web'))).toEqual([]);
    expect(pids(table.othersNaming(text('a'), text('web')))).toEqual([1]);
  });

  it('keeps a shim without any id apart, by its namespace', () => {
    const table = processTable([process(1, argv('-namespace', 'a', '-publish-binary', ''))]);
    expect(table.namelessShims(text('a')).map((shim) => shim.process.pid)).toEqual([1]);
    expect(table.namelessShims(text('b'))).toEqual([]);
  });
});

describe('inGroupOf', () => {
  const long = '28b0c852c0cd56c416ab9b82077b2143a109ee46a2b311d38838490544990dac';
  const found = (
    path: string,
    id: string,
    others: ReadonlyArray<string> = [],
    isOwnGroupKnown: boolean = false,
  ): string => {
    const table = processTable([process(1, { cgroups: [text(path)] })]);
    const { certain, possible } = table.inGroupOf(text(id), new Set(others), isOwnGroupKnown);
    if (certain.length > 0) return 'certain';
    return possible.length > 0 ? 'possible' : 'no';
  };

  it.each([
    `/docker/${long}`,
    `/system.slice/docker-${long}.scope`,
    `/kubepods.slice/kubepods-pod1.slice/cri-containerd-${long}.scope`,
    `/kubepods-pod1.slice:cri-containerd:${long}`,
    `/machine.slice/libpod-${long}.scope/container`,
    `/system.slice/nerdctl-${long}.scope/payload`,
    `/nomad.slice/share.slice/${long}.web.scope`,
    `/garden/${long}`,
    `/actions_job/${long}/init.scope`,
    `/docker-${long}.scope_x`,
    `/../../k8s.io/${long}`,
  ])('finds an id in %s', (path) => {
    expect(found(path, long)).toBe('certain');
  });

  it('does not find an id that is part of a longer word', () => {
    expect(found('/default/webserver', 'web')).toBe('no');
    expect(found(`/docker/${long}0`, long)).toBe('no');
  });

  it('leaves open whether a short word in the name of a unit is an id', () => {
    expect(found('/system.slice/web.service', 'web')).toBe('possible');
    expect(found('/default/web', 'web')).toBe('certain');
    expect(found('/system.slice/cri-containerd-web.scope', 'web')).toBe('certain');
  });

  it('does not take the container of another namespace for one of the same id', () => {
    expect(found('/b/web', 'web', ['b'])).toBe('no');
    expect(found('/b/web', 'web', ['c'])).toBe('certain');
  });

  it('leaves open whether a short id is of another daemon, where the own group is known to be elsewhere', () => {
    expect(found('/c/web', 'web', ['b'], true)).toBe('possible');
    expect(found('/b/web', 'web', ['b'], true)).toBe('no');
    expect(found(`/c/${long}`, long, ['b'], true)).toBe('certain');
  });

  it('leaves open whether a long id is of the namespace that has the name of its parent', () => {
    expect(found(`/docker/${long}`, long, ['docker'])).toBe('possible');
    expect(found(`/docker/${long}/init.scope`, long, ['docker', 'b'])).toBe('possible');
    expect(found(`/docker/${long}0`, long, ['docker'])).toBe('no');
    expect(found(`/docker/${long}/x-${long}`, long, ['docker'])).toBe('certain');
  });

  it('finds what a look at every path finds', () => {
    const part = fc.stringMatching(/^[ab.:_-]{1,4}$/);
    const path = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => `/${parts.join('/')}`);
    fc.assert(
      fc.property(fc.array(path, { maxLength: 5 }), part, (paths, id) => {
        const all = paths.map((each, at) => process(at + 1, { cgroups: [text(each)] }));
        const alone = all.filter(({ cgroups: [each = ''] }) => found(each, id) !== 'no');
        const { certain, possible } = processTable(all).inGroupOf(text(id), new Set(), false);
        expect(new Set(pids([...certain, ...possible]))).toEqual(new Set(pids(alone)));
      }),
    );
  });
});

describe('inGroup', () => {
  const isIn = (path: string, cgroupsPath: string): boolean =>
    processTable([process(1, { cgroups: [text(path)] })]).inGroup(groupsOf(text(cgroupsPath))).length > 0;

  it.each([
    ['/user.slice/abc.slice', 'user.slice:containerd:abc.slice'],
    ['/kubepods.slice/pod1.slice/cri-containerd-c.scope', 'pod1.slice:cri-containerd:c'],
    ['/system.slice:containerd:web', 'system.slice:containerd:web'],
    ['/web.scope/init', '::web'],
    ['/a//', '/a'],
    ['/kubepods/pod1/c', '/kubepods/pod1/c'],
    ['/kubepods/pod1/c', '/kubepods//pod1/c'],
    ['/kubepods/pod1/c', '/kubepods/pod1/c/'],
    ['/kubepods/pod1/c', '/kubepods/./pod1/c'],
    ['/kubepods/pod1/c', '/kubepods/pod0/../pod1/c'],
    ['/system.slice/containerd.service/kubepods/pod1/c/payload', 'kubepods//pod1/c'],
  ])('finds a process in %s, which %s means', (path, cgroupsPath) => {
    expect(isIn(path, cgroupsPath)).toBe(true);
  });

  it.each([
    ['/kubepods/pod1/c2', '/kubepods/pod1/c'],
    ['/kubepods/pod1', '/kubepods/pod1/c'],
    ['/user.slice/abc.slice', '/'],
    ['/user.slice/other-abc.scope', 'user.slice:containerd:abc'],
  ])('does not find a process in %s, which %s does not mean', (path, cgroupsPath) => {
    expect(isIn(path, cgroupsPath)).toBe(false);
  });

  it('finds what a look at every path finds', () => {
    const part = fc.stringMatching(/^[ab._-]{1,3}$/);
    const path = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => `/${parts.join('/')}`);
    const unit = fc.tuple(part, part, fc.constantFrom('.scope', '.slice'));
    const ofUnit = unit.map(
      ([slice, prefix, kind]) =>
        (name: string) =>
          kind === '.slice'
            ? [`${slice}:${prefix}:${name}.slice`, `/${slice}/${name}.slice`]
            : [`${slice}:${prefix}:${name}`, `/${slice}/${prefix}-${name}.scope`],
    );
    const meant = fc.oneof(
      path.map((each) => [each, each]),
      fc.tuple(ofUnit, part).map(([named, name]) => named(name)),
    );
    fc.assert(
      fc.property(meant, fc.array(path, { maxLength: 4 }), ([cgroupsPath = '', own = ''], others) => {
        const groups = groupsOf(text(cgroupsPath));
        const all = [own, ...others].map((each, at) => process(at + 1, { cgroups: [text(each)] }));
        const expected = all.filter(({ cgroups: [each = ''] }) => groups.isMeant(each));
        expect(pids(processTable(all).inGroup(groups))).toEqual(pids(expected));
      }),
    );
  });
});

describe('workingIn', () => {
  it('finds a process by the directory of any of its threads', () => {
    const there = { device: '1', inode: '2' };
    const table = processTable([
      process(1, { currentDirectory: seen(there) }),
      process(2, { currentDirectory: seen({ device: '1', inode: '9' }), otherDirectories: [there] }),
      process(3, { currentDirectory: hidden('EACCES') }),
    ]);
    expect(pids(table.workingIn(there))).toEqual([1, 2]);
  });
});

describe('makeProcessesSince', () => {
  it('looks once for all that are content with it, and again for a later moment', async () => {
    let nowMs = 0;
    let looks = 0;
    const processes: Processes = {
      list: async () => {
        looks++;
        return E.right([]);
      },
      bootedMs: async () => E.right(0),
      listeners: () => async () => E.right([]),
      holders: () => async () => E.right([]),
      view: async () =>
        E.right({
          pid: 1,
          limitedBy: undefined,
          isFirstPidNamespace: true,
          isFirstMountNamespace: true,
          namespaces: hidden('EACCES'),
          rootDirectory: seen(undefined),
        }),
    };
    const since = makeProcessesSince(processes, { elapsedMs: () => nowMs });
    await since(Number.NEGATIVE_INFINITY)();
    nowMs = 1_000;
    await since(0)();
    expect(looks).toBe(1);
    await Promise.all([since(500)(), since(900)(), since(1_000)()]);
    expect(looks).toBe(2);
  });
});

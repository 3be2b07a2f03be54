import * as E from 'fp-ts/lib/Either.js';
import { flow, pipe } from 'fp-ts/lib/function.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as B from '../../src/base/ByteString.js';
import { isAtOrBelow, mountPointsBelow, mountPointsOf, parse, placeOf } from '../../src/observe/MountTable.js';

const escape = (path: string): string =>
  path.replace(/[ \t\n\\]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`);

const line = (mountPoint: string, more: { readonly optional?: string; readonly device?: string } = {}): string =>
  `36 35 ${more.device ?? '98:0'} / ${escape(mountPoint)} rw,noatime${more.optional ?? ''} - tmpfs none rw`;

const table = (...lines: ReadonlyArray<string>): B.ByteString => B.fromText(`${lines.join('\n')}\n`);

const points = (...mountPoints: ReadonlyArray<string>): unknown =>
  pipe(
    parse(table(...mountPoints.map((point) => line(point)))),
    E.map((mounts) => mounts.map(({ mountPoint }) => mountPoint)),
  );

describe('parse (SPEC 7.3)', () => {
  it('reads back any mount point that the kernel could print', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: fc.constantFrom('a', ' ', '-', '\\', '\n', '/', '\t', ':') }), { maxLength: 4 }),
        (names) => {
          expect(points(...names.map((name) => `/${name}`))).toEqual(E.right(names.map((name) => `/${name}`)));
        },
      ),
    );
  });

  it('allows any number of optional fields', () => {
    expect(E.isRight(parse(table(line('/a', { optional: ' shared:1 master:2' }), line('/b'))))).toBe(true);
  });

  it.each([
    ['too few fields', '36 35 98:0 / /a rw - tmpfs none'],
    ['no separator', '36 35 98:0 / /a rw shared:1 master:2 tmpfs none rw'],
    ['no device number', line('/a', { device: '98' })],
    ['a malformed escape', '36 35 98:0 / /a\\09 rw - tmpfs none rw'],
    ['a cut escape', '36 35 98:0 / /a rw - tmpfs no\\04 rw'],
    ['a line too long', line(`/${'a'.repeat(64 * 1024)}`)],
  ])('refuses the whole table for one line with %s', (_, bad) => {
    expect(E.isLeft(parse(table(line('/good'), bad, line('/more'))))).toBe(true);
  });
});

describe('mountPointsBelow', () => {
  const below = (path: string, ...mountPoints: ReadonlyArray<string>): ReadonlyArray<B.ByteString> =>
    pipe(
      parse(table(...mountPoints.map((point) => line(point)))),
      E.match(() => [], flow(mountPointsOf, mountPointsBelow(B.fromText(path)))),
    );

  it('finds the path and what is below it, deepest first, each once, and no neighbour', () => {
    expect(below('/b/rootfs', '/b/rootfs', '/b/rootfs/n/m', '/b/rootfs', '/b/rootfs/n', '/b/rootfs2', '/b')).toEqual([
      '/b/rootfs/n/m',
      '/b/rootfs/n',
      '/b/rootfs',
    ]);
  });

  it("keeps the kernel's order among those of one length, of which the last one counts", () => {
    expect(below('/b', '/b/z', '/b/a', '/b/m', '/b/long')).toEqual(['/b/long', '/b/z', '/b/a', '/b/m']);
  });

  it('finds exactly those that begin with the path, whatever they are called', () => {
    const name = fc.constantFrom('a', 'b', 'a-', 'a b', 'ab', 'a0', '\u00ff');
    const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => `/${names.join('/')}`);
    fc.assert(
      fc.property(fc.array(path, { maxLength: 12 }), path, (points, at) => {
        const known = new Set(points.map(B.fromText));
        const isAtOrBelow = (point: string): boolean => `${point}/`.startsWith(`${B.fromText(at)}/`);
        const found = mountPointsBelow(B.fromText(at))(
          mountPointsOf([...known].map((mountPoint) => ({ mountPoint, fsType: B.fromText('tmpfs') }))),
        );
        expect(new Set(found)).toEqual(new Set([...known].filter(isAtOrBelow)));
        expect(found.map(({ length }) => length)).toEqual(found.map(({ length }) => length).toSorted((a, b) => b - a));
      }),
    );
  });

  it('compares the text as it stands (H13)', () => {
    expect(below('/b//rootfs', '/b/rootfs')).toEqual([]);
  });
});

describe('placeOf', () => {
  const table = (...mounts: ReadonlyArray<readonly [device: string, root: string, point: string]>) =>
    mounts.map(([device, root, mountPoint]) => ({
      device: B.fromText(device),
      root: B.fromText(root),
      mountPoint: B.fromText(mountPoint),
      fsType: B.fromText('ext4'),
    }));
  const host = table(
    ['8:1', '/', '/'],
    ['0:20', '/', '/run'],
    ['8:1', '/srv/tasks', '/mnt'],
    ['0:20', '/a', '/mnt/inner'],
  );

  it.each([
    ['/', '8:1', '/'],
    ['/srv/tasks/default', '8:1', '/srv/tasks/default'],
    ['/mnt', '8:1', '/srv/tasks'],
    ['/mnt/default', '8:1', '/srv/tasks/default'],
    ['/mnt/inner/x', '0:20', '/a/x'],
    ['/run/x', '0:20', '/x'],
    ['/running', '8:1', '/running'],
  ])('finds %s on %s at %s', (path, device, place) => {
    expect(placeOf(host)(B.fromText(path))).toEqual({ device, path: place });
  });

  it('takes what was mounted last for what is there, also further up', () => {
    const over = [...host, ...table(['9:1', '/', '/mnt'])];
    expect(placeOf(over)(B.fromText('/mnt/inner/x'))).toEqual({ device: '9:1', path: '/inner/x' });
    expect(placeOf([])(B.fromText('/'))).toBeUndefined();
  });

  it('tells what lies in what by these places', () => {
    const within = (outer: string, inner: string): boolean => {
      const [one, other] = [outer, inner].map((path) => placeOf(host)(B.fromText(path)));
      return one !== undefined && other !== undefined && isAtOrBelow(one)(other);
    };
    expect(within('/srv', '/mnt')).toBe(true);
    expect(within('/srv/tasks', '/mnt')).toBe(true);
    expect(within('/mnt', '/srv/tasks/default')).toBe(true);
    expect(within('/', '/srv')).toBe(true);
    expect(within('/mnt', '/srv')).toBe(false);
    expect(within('/srv/task', '/mnt')).toBe(false);
    expect(within('/run/a', '/mnt/inner')).toBe(true);
    expect(within('/run', '/srv')).toBe(false);
  });
});

import * as E from 'fp-ts/lib/Either.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { world as anyWorld } from '../src/arbitraries/World.js';
import { anyCase } from '../src/campaign/Campaign.js';
import { Case, decodeCase } from '../src/campaign/Case.js';
import { layWorld } from '../src/simulation/LaidWorld.js';
import { dead, isSteady, listedProcesses, replyAt, running } from '../src/worlds/Shim.js';
import { decodeWorld, ordinary, processesOf, showWorld, World, world } from '../src/worlds/World.js';

const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('a world', () => {
  it('survives being written and read', () => {
    fc.assert(
      fc.property(anyWorld({ maxEntries: 4 }), (any) => {
        expect(decodeWorld(throughJson(World.encode(any)))).toEqual(E.right(any));
      }),
    );
  });

  it('can be laid, whatever it is', () => {
    fc.assert(
      fc.property(anyWorld({ maxEntries: 4 }), (any) => {
        expect(layWorld(any).list().length).toBeGreaterThan(0);
      }),
    );
  });

  it('is refused with what is wrong about it', () => {
    const reason = (...entries: World['entries']): unknown => {
      const decoded = decodeWorld({ entries });
      return E.isLeft(decoded) ? decoded.left.reason : 'fine';
    };
    expect(reason({ ns: 'a', id: 'b' }, { ns: 'a', id: 'b' })).toBe('a/b is there twice');
    expect(reason({ ns: 'a', id: 'b', shim: { of: 'c' } }, { ns: 'x', id: 'c', shim: running })).toBe(
      'a/b has the shim of an entry that has none of its own',
    );
    expect(reason({ ns: 'a', id: 'b', extras: [{ _tag: 'Fifo', path: '/etc/x', mode: 0o600 }] })).toBe(
      '/etc/x does not begin with $BASE/',
    );
    expect(decodeWorld({ entries: [{ ns: 'a' }] })).toMatchObject({ left: { _tag: 'WorldMalformed' } });
  });

  it('is printed as what is unusual about it', () => {
    const printed = showWorld(
      world(
        { ns: 'default', id: 'db', bundle: ordinary, shim: running },
        { ns: 'default', id: 'web', bundle: { ...ordinary, rootfs: 'tmpfs' }, shim: dead, container: '$BIN/shim-ok' },
        { ns: 'default', id: 'old', bundle: 'empty', workdir: true },
        { ns: 'default', id: 'sidecar', bundle: ordinary, shim: { of: 'db' } },
      ),
    );
    expect(printed.split('\n')).toEqual([
      'default/db: bundle, running shim',
      'default/web: bundle {rootfs="tmpfs"}, running shim {mode="refuse"}, container="$BIN/shim-ok"',
      'default/old: bundle: empty, workdir=true',
      'default/sidecar: bundle, shim of db',
    ]);
  });

  it('holds anything else that is asked for', () => {
    const laid = layWorld(
      world({
        ns: 'a',
        id: 'b',
        extras: [
          { _tag: 'Symlink', path: '$BASE/state/loop', target: '$BASE/state/loop' },
          { _tag: 'Tmpfs', path: '$BASE/root/full', isBusy: true },
        ],
      }),
    );
    const lines = laid.list().map(({ path, content, isMountPoint }) => [path, content, isMountPoint]);
    expect(lines).toContainEqual(['/world/state/loop', '/world/state/loop', false]);
    expect(lines).toContainEqual(['/world/root/full', undefined, true]);
  });

  it('knows how many processes a task has', () => {
    const some = world(
      { ns: 'a', id: 'running', shim: running },
      { ns: 'a', id: 'shared', shim: { of: 'running' } },
      { ns: 'a', id: 'dead', shim: dead },
      { ns: 'a', id: 'hidden', shim: { ...running, pids: 'hang' }, processes: 2 },
    );
    expect(some.entries.map(processesOf(some))).toEqual([1, 1, 0, 2]);
  });
});

describe('a shim', () => {
  it('answers in turns, and then as it did last', () => {
    const reply = { turns: ['hang', { afterMs: 5, reply: 'close' }] } as const;
    expect([0, 1, 2].map((turn) => replyAt(reply, turn))).toEqual([
      { afterMs: 0, reply: 'hang' },
      { afterMs: 5, reply: 'close' },
      { afterMs: 5, reply: 'close' },
    ]);
    expect(replyAt({ turns: [] }, 0)).toEqual({ afterMs: 0, reply: 'hang' });
  });

  it('is steady when nothing about it depends on time or on how often it was asked', () => {
    expect([running, dead].every(isSteady)).toBe(true);
    expect(isSteady({ ...running, diesAfterMs: 1 })).toBe(false);
    expect(isSteady({ ...running, pids: { turns: ['hang'] } })).toBe(false);
    expect(isSteady({ ...running, del: 'die' })).toBe(false);
    expect(listedProcesses({ ...running, diesAfterMs: 1 })).toBe(0);
    expect(listedProcesses({ ...running, connect: { turns: [{ ok: { task: 900 } }, 'die'] } })).toBe(0);
  });
});

describe('a case', () => {
  it('survives being written and read', () => {
    fc.assert(
      fc.property(anyCase(), (any) => {
        expect(decodeCase(throughJson(Case.encode(any)))).toEqual(E.right(any));
      }),
    );
  });

  it('is refused with its world', () => {
    const twice = { ns: 'a', id: 'b' };
    const schedule = { faults: [], crashes: [], moves: [] };
    expect(decodeCase({ world: { entries: [twice, twice] }, schedule })).toMatchObject({
      left: { reason: 'a/b is there twice' },
    });
  });
});

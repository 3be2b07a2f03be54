/**
 * What one bundle more costs, in calls: counted, not timed, so that it is the same on every machine. The benchmark says what
 * such a call takes.
 */
import { Recovery } from '@shim-recovery/core';
import { containerd17, policies, type Policy } from '@shim-recovery/core/interpreter';
import * as E from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { type Effect, intercept, proceed } from '../src/simulation/FaultInjection.js';
import { layWorld } from '../src/simulation/LaidWorld.js';
import { running } from '../src/worlds/Shim.js';
import { ordinary, type Start, world } from '../src/worlds/World.js';

const kinds: ReadonlyArray<readonly [string, Omit<Start, 'ns' | 'id'>]> = [
  ['an empty bundle', { bundle: 'empty' }],
  ['a bundle without a container', { bundle: { ...ordinary, files: { 'config.json': '{}' } } }],
  ['the same with a mounted rootfs', { bundle: { ...ordinary, files: { 'config.json': '{}' }, rootfs: 'tmpfs' } }],
  ['a live shim', { bundle: ordinary, shim: running, container: '$BIN/shim-ok' }],
  ['a dead shim', { bundle: ordinary, container: '$BIN/shim-ok' }],
  ['a stale working directory', { workdir: true }],
];

/** Of 1.7; `open`, `list` and the like are the file system's. What is destroyed is looked at for signs of life first. */
const expected: Readonly<Record<string, Counts>> = {
  'an empty bundle': { open: 1, stat: 3, list: 1, rmdir: 1, 'mounts.resolve': 1 },
  'a bundle without a container': {
    open: 7,
    stat: 10,
    list: 3,
    read: 1,
    'mounts.resolve': 1,
    'read link': 1,
    rename: 2,
    unlink: 4,
    rmdir: 4,
    'containerStore.look up': 1,
  },
  'the same with a mounted rootfs': {
    open: 7,
    stat: 13,
    list: 3,
    read: 1,
    'mounts.resolve': 1,
    'read link': 1,
    rename: 2,
    unlink: 4,
    rmdir: 4,
    'containerStore.look up': 1,
    'mounts.unmount': 2,
  },
  'a live shim': {
    open: 2,
    stat: 3,
    list: 1,
    read: 2,
    'read link': 1,
    'programFiles.look': 1,
    'logPipes.open': 1,
    'sandboxStore.look up': 1,
    'shimConnector.dial': 1,
    'shimConnector.Connect': 1,
    'shimConnector.Pids': 1,
  },
  'a stale working directory': { open: 1, list: 1, unlink: 1, rmdir: 2 },
  'a dead shim': {
    open: 8,
    stat: 13,
    list: 3,
    read: 2,
    'mounts.resolve': 1,
    'read link': 1,
    rename: 2,
    unlink: 5,
    rmdir: 4,
    'programFiles.look': 1,
    'logPipes.open': 1,
    'shimConnector.dial': 1,
    'shimBinary.delete': 1,
  },
};

type Counts = Readonly<Record<string, number>>;

const countsOf = async (start: Omit<Start, 'ns' | 'id'>, size: number, policy: Policy) => {
  const starts = Array.from({ length: size }, (_, index): Start => ({ ns: 'main', id: `b${1_000 + index}`, ...start }));
  // What is no bundle, so that the namespace stands there whatever else does.
  const laid = layWorld(world({ ns: 'main', id: 'none', bundle: 'file' }, ...starts));
  const counts: Record<string, number> = {};
  const count = ({ capability, operation }: Effect) => {
    const name = capability === 'fileSystem' ? operation : `${capability}.${operation}`;
    counts[name] = (counts[name] ?? 0) + 1;
    return proceed;
  };
  const { capabilities } = intercept(laid.machine.capabilities, count);
  const done = await Recovery.recover({ ...laid.settings, policy: { ...policy, mayDestroy: 1 } }, capabilities)();
  if (E.isLeft(done)) throw new Error(done.left._tag);
  await done.right.stop();
  return counts;
};

const difference = (more: Counts, fewer: Counts): Counts =>
  Object.fromEntries(
    Object.entries(more)
      .map(([name, number]) => [name, number - (fewer[name] ?? 0)] as const)
      .filter(([, number]) => number !== 0)
      .sort(([one], [other]) => (one < other ? -1 : 1)),
  );

const perBundle = (counts: Counts, bundles: number): Counts =>
  Object.fromEntries(Object.entries(counts).map(([name, number]) => [name, number / bundles]));

const costOf = async (start: Omit<Start, 'ns' | 'id'>, policy: Policy) => {
  const [few, more, many] = [
    await countsOf(start, 10, policy),
    await countsOf(start, 40, policy),
    await countsOf(start, 160, policy),
  ];
  return { first: perBundle(difference(more, few), 30), later: perBundle(difference(many, more), 120) };
};

describe.each(Object.entries(policies))('under %s', (_, policy) => {
  it.each(kinds)('%s costs the same calls, however many there are', async (__, start) => {
    const { first, later } = await costOf(start, policy);
    expect(later).toEqual(first);
  });
});

it.each(Object.entries(expected))('under containerd-1.7, %s costs these calls', async (what, calls) => {
  const start = new Map(kinds).get(what);
  expect(start === undefined ? undefined : (await costOf(start, containerd17)).later).toEqual(calls);
});
